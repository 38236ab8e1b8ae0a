# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub as the client of a running token service, and of what stands in its place."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cmsaf_hub import credentials, token_service
from cmsaf_hub.errors import CredentialError
from cmsaf_hub.names import Server
from cmsaf_hub.settings import Settings
from cmsaf_mint import _idtoken, _macaroon

DASK = {"domain": "dask.af.test", "workerAddresses": [], "lifetime": 86400}


def condor(port: int, own: Path, lifetime: int = 300) -> dict[str, Any]:
    service = {
        "url": f"https://localhost:{port}/",
        "certificateFile": str(own / "tls.crt"),
        "keyFile": str(own / "tls.key"),
        "caFile": str(own / "ca.crt"),
    }
    return {"tokenService": service, "lifetime": lifetime}


def settings(port: int, own: Path, lifetime: int = 300) -> Settings:
    return Settings.from_values({"dask": DASK, "condor": condor(port, own, lifetime)})


def server(user: str = "alice") -> Server:
    return Server(user=user, name="", namespace="hub", dask_domain="dask.af.test")


def run(live: Callable[[], Awaitable[Any]]) -> Any:
    async def closing() -> Any:
        try:
            return await live()
        finally:
            await token_service.close()

    return asyncio.run(closing())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_service, "_TIME_LIMIT", 2.0)


def test_tokens_are_what_can_be_renewed(service: Any, hub: Path, tmp_path: Path) -> None:
    secret = tmp_path / "macaroon"
    secret.write_bytes(_macaroon.generate_secret())
    cache = {"secretFile": str(secret), "location": "AF-XCACHE", "path": "/store", "lifetime": 300}
    every = Settings.from_values({"dask": DASK, "condor": condor(service.port, hub), "cache": cache})

    async def live() -> tuple[dict[str, str], dict[str, str]]:
        return await credentials.tokens(server(), every), await credentials.tokens(server(), every)

    minted, renewed = run(live)
    assert set(minted) == set(renewed) == {"condor_token", "xcache_token", "bearer_token"}
    found = [_idtoken.verify(made["condor_token"], service.key) for made in (minted, renewed)]
    assert [token.identity for token in found] == ["alice@users.af.test"] * 2
    assert found[0].token_id != found[1].token_id


def test_whoever_logs_in_gets_a_token_of_their_own(service: Any, hub: Path) -> None:
    users = ["root", "Condor", "condor_pool", "x@pool.af.test", "a..b", "ålice", "al ice", "", "a" * 200, "anonymous"]

    async def live() -> list[dict[str, str]]:
        one = settings(service.port, hub)
        return await asyncio.gather(*(credentials.tokens(server(user), one) for user in users))

    names = {_idtoken.verify(made["condor_token"], service.key).identity for made in run(live)}
    assert len(names) == len(users)


def test_one_connection_serves_many(service: Any, hub: Path) -> None:
    opened = 0

    async def live() -> None:
        nonlocal opened
        one = settings(service.port, hub)
        session = None
        for _number in range(5):
            await credentials.tokens(server(), one)
            client = next(iter(token_service._clients[asyncio.get_running_loop()].values()))
            assert session is None or client._session is session
            session = client._session
        assert session is not None and session.connector is not None
        opened = sum(len(kept) for kept in session.connector._conns.values())

    run(live)
    assert opened == 1


def test_a_restart_of_the_service_only_delays(service: Any, hub: Path) -> None:
    async def live() -> list[dict[str, str]]:
        one = settings(service.port, hub)
        await credentials.tokens(server(), one)
        await asyncio.to_thread(service.stop)
        waiting = [asyncio.create_task(credentials.tokens(server(f"user{i}"), one)) for i in range(5)]
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(service.start)
        return await asyncio.gather(*waiting)

    assert len(run(live)) == 5


@pytest.mark.usefixtures("short")
def test_a_service_that_is_away_is_said_in_words(service: Any, hub: Path, caplog: pytest.LogCaptureFixture) -> None:
    service.stop()
    before = time.monotonic()
    with pytest.raises(
        CredentialError, match=r"HTCondor token .*not answered in 2 seconds.* tell the facility"
    ) as found:
        run(lambda: credentials.tokens(server(), settings(service.port, hub)))
    assert time.monotonic() - before < 10
    assert "Traceback" not in found.value.jupyterhub_message
    (line,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert f"https://localhost:{service.port}/v1/token" in line.getMessage()
    assert "after " in line.getMessage() and "systemctl status cmsaf-token-service" in line.getMessage()
    service.start()


@pytest.mark.usefixtures("short")
def test_a_service_that_hangs_does_not_hold_the_loop(hub: Path) -> None:
    async def live() -> float:
        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = hanging.sockets[0].getsockname()[1]
        stalls = []

        async def watch() -> None:
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.01)
                stalls.append(time.perf_counter() - before)

        watcher = asyncio.create_task(watch())
        with pytest.raises(CredentialError, match="not answered"):
            await credentials.tokens(server(), settings(port, hub))
        watcher.cancel()
        hanging.close()
        return max(stalls)

    # Waiting for the answer itself would be 2 seconds.
    assert run(live) < 1.5


def test_a_refusal_is_not_asked_for_again(service: Any, authority: Any, caplog: pytest.LogCaptureFixture) -> None:
    other = authority.issue("other", "other.af.test", client=True)
    before = time.monotonic()
    with pytest.raises(CredentialError, match=r"cannot be used \(the certificate is of DNS:other\.af\.test"):
        run(lambda: credentials.tokens(server(), settings(service.port, other)))
    assert time.monotonic() - before < 20
    assert service.journal().count("refused") == 1 and "run batch and hub" in caplog.text


def test_a_service_of_another_authority_is_told_nothing(service: Any, stranger: Any) -> None:
    own = stranger.issue("hub-client", "hub-client.af.test", client=True)
    with pytest.raises(CredentialError, match=r"cannot be used \(.*certificate"):
        run(lambda: credentials.tokens(server(), settings(service.port, own)))
    assert service.journal() == ""


def test_files_that_are_not_there_are_named(service: Any, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=str(tmp_path / "none" / "tls.crt")):
        run(lambda: credentials.tokens(server(), settings(service.port, tmp_path / "none")))


def test_a_shorter_token_is_told_to_the_admin(service: Any, hub: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = run(lambda: credentials.tokens(server(), settings(service.port, hub, 10**6)))
    token = _idtoken.verify(found["condor_token"], service.key)
    assert token.expires_at == token.issued_at + 600
    assert "600 seconds at most, 1000000 were asked for" in caplog.text
    assert found["condor_token"] not in caplog.text


@pytest.mark.parametrize(
    ("status", "answer"),
    [(200, b"{}"), (200, b"no JSON"), (200, b'{"token": "x.y.z"}'), (502, b"bad gateway"), (429, b"{}")],
)
def test_nonsense_is_asked_for_again(hub: Path, authority: Any, status: int, answer: bytes) -> None:
    place = authority.issue("nonsense", "localhost")
    made = _idtoken.mint(
        key=_idtoken.generate_key(),
        key_id="cmsaf-hub",
        issuer="pool.af.test",
        identity="alice@users.af.test",
        lifetime=300,
        scopes=("READ", "WRITE"),
    )
    answers = [(status, answer), (status, answer), (200, json.dumps({"token": made}).encode())]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        code, text = answers.pop(0)
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (code, len(text)) + text)
        await writer.drain()
        writer.close()

    async def live() -> dict[str, str]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(place / "tls.crt", place / "tls.key")
        talking = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        try:
            return await credentials.tokens(server(), settings(talking.sockets[0].getsockname()[1], hub))
        finally:
            talking.close()

    assert run(live) == {"condor_token": made}
    assert answers == []
