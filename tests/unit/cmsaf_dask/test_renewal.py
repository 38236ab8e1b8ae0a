# SPDX-License-Identifier: GPL-3.0-or-later
"""A renewed token on its way to real workers, over TLS."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _dask_tls
from cmsaf_dask import pool, renewal
from cmsaf_dask.renewal import Token, TokenPush
from distributed import Scheduler, Worker
from distributed.security import Security

OLD, NEW = b"old-token-of-the-server\n", b"new-token-of-the-server\n"


@pytest.fixture
def security(tmp_path: Path) -> Security:
    made = _dask_tls.mint(names=["localhost"], ips=["127.0.0.1"], lifetime=timedelta(hours=1))
    found = {}
    for role, text in (("scheduler", made.scheduler_pem), ("client", made.client_pem), ("worker", made.worker_pem)):
        path = tmp_path / f"{role}.pem"
        path.write_text(text)
        found |= {f"tls_{role}_cert": str(path), f"tls_{role}_key": str(path)}
    (tmp_path / "ca.pem").write_text(made.ca_pem)
    return Security(require_encryption=True, tls_ca_file=str(tmp_path / "ca.pem"), **found)


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, "it did not come to that in two minutes"
        await asyncio.sleep(0.05)


def replace(path: Path, content: bytes) -> None:
    """As cmsaf-start does it."""
    new = path.with_name(".new")
    new.write_bytes(content)
    os.replace(new, path)


def scheduler_with(push: TokenPush, **options: Any) -> Scheduler:
    return Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=":0", plugins=[push], **options)


def test_running_and_later_workers_get_a_renewed_token(
    tmp_path: Path, security: Security, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # All that Dask can say.
    for name in ("", "distributed", "distributed.core", "distributed.comm", "distributed.protocol"):
        caplog.set_level(logging.DEBUG, logger=name)
    source, job = tmp_path / "source", tmp_path / "job"
    source.write_bytes(OLD)
    job.mkdir()
    (job / "bearer_token").write_bytes(OLD)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(job / "bearer_token"))
    push = TokenPush(interval=0.2, find=lambda: source)

    def worker(scheduler: Scheduler, takes: bool = True) -> Worker:
        made = Worker(
            scheduler.address, security=security, protocol="tls", local_directory=str(tmp_path / "w"), nthreads=1,
            **(renewal.announcement() if takes else {}),
        )  # fmt: skip
        if takes:
            renewal.accept_tokens(made, job)
        return made

    async def scenario() -> tuple[Any, ...]:
        async with scheduler_with(push, security=security, protocol="tls") as scheduler:
            async with worker(scheduler) as first, worker(scheduler), worker(scheduler, takes=False):
                await asyncio.sleep(0.6)
                await until(lambda: set(push._has) == set(scheduler.workers))
                assert (job / "bearer_token").read_bytes() == OLD
                replace(source, NEW)
                await until(lambda: (job / "bearer_token").read_bytes() == NEW)
                await until(lambda: list(push._has.values()).count(Token(NEW).digest) == 2)
                # A worker whose files are those of before joins.
                replace(job / "bearer_token", OLD)
                async with worker(scheduler) as late:
                    await until(lambda: push._has.get(late.address) == Token(NEW).digest)
                    assert (job / "bearer_token").read_bytes() == NEW
                seen = (
                    *(list(one.get_logs(start=0)) for one in (scheduler, first)),
                    scheduler.get_events(),
                    scheduler.identity(),
                    first.identity(),
                    list(scheduler.transition_log),
                )
            await until(lambda: not push._has)
            return seen

    seen = asyncio.run(scenario())
    assert (job / "bearer_token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in job.iterdir()] == ["bearer_token"]
    assert renewal.OPERATION in caplog.text, "the log did not hold what this test is about"
    for text in (caplog.text, str(seen)):
        assert "token-of-the-server" not in text


def test_nothing_is_sent_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, job = tmp_path / "source", tmp_path / "bearer_token"
    source.write_bytes(OLD)
    job.write_bytes(OLD)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(job))
    push = TokenPush(interval=0.1, find=lambda: source)

    async def scenario() -> None:
        async with scheduler_with(push) as scheduler:
            made = Worker(
                scheduler.address, local_directory=str(tmp_path / "w"), nthreads=1, **renewal.announcement()
            )  # fmt: skip
            renewal.accept_tokens(made, tmp_path)
            async with made:
                replace(source, NEW)
                await until(lambda: push._token == Token(NEW))
                await asyncio.sleep(0.5)

    asyncio.run(scenario())
    assert job.read_bytes() == OLD


def test_a_worker_that_cannot_write_is_said_once_and_tried_again(
    tmp_path: Path, security: Security, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source, job = tmp_path / "source", tmp_path / "job"
    source.write_bytes(OLD)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(job / "bearer_token"))
    push = TokenPush(interval=0.1, find=lambda: source)

    async def scenario() -> None:
        async with scheduler_with(push, security=security, protocol="tls") as scheduler:
            made = Worker(
                scheduler.address, security=security, protocol="tls", local_directory=str(tmp_path / "w"), nthreads=1,
                **renewal.announcement(),
            )  # fmt: skip
            renewal.accept_tokens(made, job)
            async with made:
                replace(source, NEW)
                await until(lambda: "trying again" in caplog.text)
                await asyncio.sleep(0.5)
                job.mkdir()
                await until(lambda: (job / "bearer_token").exists())

    asyncio.run(scenario())
    assert (job / "bearer_token").read_bytes() == NEW
    assert caplog.text.count("Handing the renewed token to worker") == 1
    assert "token-of-the-server" not in caplog.text


def test_a_token_does_not_show_itself() -> None:
    assert "secret" not in f"{Token(b'secret')!r} {Token(b'secret')} {[Token(b'secret')]}"


def test_the_pool_notices_renewed_tokens(tmp_path: Path) -> None:
    environ = {"_CONDOR_SEC_TOKEN_DIRECTORY": str(tmp_path / "tokens.d")}
    assert pool.pool_tokens(environ) == frozenset()
    (tmp_path / "tokens.d").mkdir()
    token = tmp_path / "tokens.d" / "condor_token"
    token.write_bytes(OLD)
    first = pool.pool_tokens(environ)
    assert first == pool.pool_tokens(environ) != frozenset()
    replace(token, NEW)
    assert pool.pool_tokens(environ) != first
