# SPDX-License-Identifier: GPL-3.0-or-later
"""A renewed token of the server, brought to the workers that run: over Dask's own connection, which is TLS here.

A job's files are those of its submission. The scheduler, which lives in the server, watches the server's token and
hands a new one to every worker that said it takes them; the worker puts it in place of the job's file.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmsaf_dask import secrets
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol import to_serialize

if TYPE_CHECKING:
    from distributed import Scheduler, Worker

__all__ = ["Token", "TokenPush", "accept_tokens", "announcement"]

logger = logging.getLogger(__name__)

OPERATION = "cmsaf_renew_token"
MARK = "cmsaf-takes-tokens"
TOGETHER = 64
GATHER = 0.5
PUSH_LIMIT = 30.0


@dataclass(frozen=True)
class Token:
    """A token on its way. Dask writes messages to its logs at some levels; this one does not show what it holds."""

    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


# In the worker


def announcement() -> dict[str, Any]:
    """Keywords of a Worker that takes tokens."""
    return {"startup_information": {MARK: lambda worker: True}}


def accept_tokens(worker: Worker, scratch: Path) -> None:
    """Let a worker take tokens; all processes of a job name the same file, and each may replace it."""

    async def renew_token(token: Token) -> str:
        path = Path(os.environ.get("BEARER_TOKEN_FILE") or scratch / secrets.TOKEN)
        await asyncio.to_thread(secrets.replace_private, path, token.content)
        os.environ["BEARER_TOKEN_FILE"] = str(path)
        logger.info("The token in %s is renewed", path)
        return "OK"

    worker.handlers[OPERATION] = renew_token


# In the server


class TokenPush(SchedulerPlugin):
    """Watches the server's token and hands a renewed one to all workers, those too that join with an older one."""

    name = "cmsaf-token-push"

    def __init__(self, interval: float = 30, find: Callable[[], Path | None] = secrets.find_bearer_token) -> None:
        self.interval = float(interval)
        self._find = find
        self._seen: tuple[Any, ...] | None = None
        self._token: Token | None = None
        self._renewed = False
        # By worker: the digest of what it has.
        self._has: dict[str, str] = {}
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._said: set[str] = set()

    async def start(self, scheduler: Scheduler) -> None:
        await self._look()
        self._task = asyncio.create_task(self._watch(scheduler))

    async def before_close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        if self._renewed:
            self._joined.set()
        elif self._token is not None:
            # Submitted with what is there now, or with something newer.
            self._has[worker] = self._token.digest

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **kwargs: Any) -> None:
        self._has.pop(worker, None)
        self._said.discard(worker)

    async def _watch(self, scheduler: Scheduler) -> None:
        while True:
            try:
                async with asyncio.timeout(self.interval):
                    await self._joined.wait()
                # Many join at a time.
                await asyncio.sleep(GATHER)
            except TimeoutError:
                pass
            self._joined.clear()
            try:
                await self._look()
                await self._push(scheduler)
            except Exception:
                logger.exception("Handing the server's token to the workers failed; trying again")

    async def _look(self) -> None:
        """Read the token if its file is another one than before."""
        found = await asyncio.to_thread(_stamp, self._find)
        if found is None or found == self._seen:
            return
        try:
            token = Token(await asyncio.to_thread(found[0].read_bytes))
        except OSError as error:
            logger.warning("Reading the server's token: %s; trying again", error)
            return
        self._seen = found
        if self._token is None or token.digest != self._token.digest:
            self._renewed = self._task is not None
            self._token = token

    async def _push(self, scheduler: Scheduler) -> None:
        token = self._token
        if token is None:
            return
        digest = token.digest
        targets = [
            address
            for address, state in list(scheduler.workers.items())
            # Nothing goes out in the clear, and nothing to who would not know what it is.
            if self._has.get(address) != digest and address.startswith("tls://") and state.extra.get(MARK)
        ]
        if not targets:
            return
        together = asyncio.Semaphore(TOGETHER)

        async def one(address: str) -> bool:
            async with together:
                return await self._hand_over(scheduler, address, token)

        done = sum(await asyncio.gather(*(one(address) for address in targets)))
        logger.info("Handed the renewed token to %d of %d workers", done, len(targets))

    async def _hand_over(self, scheduler: Scheduler, address: str, token: Token) -> bool:
        try:
            async with asyncio.timeout(PUSH_LIMIT):
                await getattr(scheduler.rpc(address), OPERATION)(token=to_serialize(token))
        except Exception as error:  # noqa: BLE001 # whatever one worker answers concerns no other one
            if address in scheduler.workers and address not in self._said:
                self._said.add(address)
                logger.warning(
                    "Handing the renewed token to worker %s: %s; trying again", address, error or type(error).__name__
                )
            return False
        if address in scheduler.workers:
            self._has[address] = token.digest
            self._said.discard(address)
        return True


def _stamp(find: Callable[[], Path | None]) -> tuple[Path, int, int, int] | None:
    path = find()
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return None if path is None or status is None else (path, status.st_ino, status.st_mtime_ns, status.st_size)
