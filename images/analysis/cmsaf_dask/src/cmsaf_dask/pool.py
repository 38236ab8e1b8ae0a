# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to the pool that never block the event loop and always end in time, and the batches of them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

__all__ = ["Batch", "Pool", "PoolError", "PoolTimeout", "PoolUnreachable", "pool_tokens"]

logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Answer = TypeVar("Answer")
LIMIT = 64 * 2**20
FIRST_PAUSES = (0.5, 1.0, 2.0)


class PoolError(RuntimeError):
    """A call to the pool failed; the message says which, where and what was found."""

    # Whether it looks like a connection that failed.
    passing = False


class PoolUnreachable(PoolError):
    """The pool did not answer at all: what was asked may be done all the same, and may be asked again."""


class PoolTimeout(PoolUnreachable):
    """A call to the pool did not end in its time."""


# What the bindings say of a daemon that is down, restarting or not reachable; and of one that refuses who asks.
UNREACHABLE = ("CEDAR:", "SECMAN:2007", "SECMAN:2011", "Failed to connect", "Failed communication")
REFUSED = ("DENIED", "AUTHENTICATE:")


def _unreachable(call: str, error: str) -> bool:
    """Whether this may pass. An access point that was known is not known to the collector while it starts again."""
    if any(sign in error for sign in REFUSED):
        return False
    return call == "locate" or any(sign in error for sign in UNREACHABLE)


def pool_tokens(environ: Mapping[str, str] = os.environ) -> frozenset[tuple[str, int, int]]:
    """What tells a renewed token from the one before: name, inode and time of each file that HTCondor would read."""
    place = environ.get("_CONDOR_SEC_TOKEN_DIRECTORY")
    try:
        with os.scandir(place or Path.home() / ".condor/tokens.d") as entries:
            return frozenset((entry.name, entry.stat().st_ino, entry.stat().st_mtime_ns) for entry in entries)
    except (OSError, RuntimeError):
        return frozenset()


class Pool:
    """The access point, by a process of its own that is started at the first call."""

    def __init__(self, collector: str | None, schedd: str | None, timeout: float) -> None:
        self.collector = collector
        self.schedd = schedd
        self.timeout = timeout
        self._process: asyncio.subprocess.Process | None = None
        self._tokens: frozenset[tuple[str, int, int]] = frozenset()
        self._lock = asyncio.Lock()
        self._given_up = 0
        self._reached = False

    @property
    def where(self) -> str:
        return f"{self.schedd or 'the local access point'} of {self.collector or 'the local pool'}"

    async def call(self, name: str, *, limit: float | None = None, **arguments: Any) -> Any:
        """Make one call that may take ``limit`` seconds once its turn has come; raises PoolError."""
        limit = self.timeout if limit is None else limit
        given_up = self._given_up
        async with self._lock:
            if given_up != self._given_up:
                raise PoolUnreachable(f"{name} at {self.where}: given up before its turn came.")
            try:
                async with asyncio.timeout(limit):
                    tokens = pool_tokens()
                    if tokens != self._tokens:
                        # The bindings keep a session of the old token; a new process begins with the new one.
                        await self._end()
                    if self._process is None or self._process.returncode is not None:
                        self._tokens = tokens
                        await self._locate()
                    return await self._exchange(name, arguments)
            except TimeoutError:
                await self._end()
                raise PoolTimeout(
                    f"{name} at {self.where}: no answer in {limit:g} s. The access point is down, overloaded or not "
                    "reachable from here; call-timeout and query-timeout of jobqueue.cmsaf set the limits."
                ) from None
            except asyncio.CancelledError:
                # The answer of the call given up would be taken for the next one's.
                await self._end()
                raise

    async def _locate(self) -> None:
        """Find the access point. At first nothing tells a pool that is not there from one connection that failed."""
        for pause in FIRST_PAUSES:
            try:
                await self._ask_where()
            except PoolError as error:
                if self._reached or not error.passing:
                    raise
            else:
                return
            await asyncio.sleep(pause)
        await self._ask_where()

    async def _ask_where(self) -> None:
        self._process = await self._start()
        await self._exchange("locate", {"collector": self.collector, "name": self.schedd})

    async def _start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cmsaf_dask.agent",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LIMIT,
            env=dict(os.environ),
            start_new_session=True,
        )

    async def _exchange(self, name: str, arguments: Mapping[str, Any]) -> Any:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise PoolError(f"{name} at {self.where}: the process that talks to the pool is not there.")
        try:
            process.stdin.write(json.dumps({"call": name, "arguments": arguments}).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        if not line:
            await self._end()
            raise PoolUnreachable(f"{name} at {self.where}: the process that talks to the pool ended unexpectedly.")
        answer = json.loads(line)
        if "error" in answer:
            if name == "locate":
                await self._end()
            unreachable = self._reached and not answer["final"] and _unreachable(name, answer["error"])
            kind = PoolUnreachable if unreachable else PoolError
            if unreachable:
                # One that was started again has another address.
                await self._end()
            problem = kind(f"{name} at {self.where}: {answer['error']} ({answer['type']})")
            problem.passing = not answer["final"] and _unreachable("", answer["error"])
            raise problem
        self._reached = True
        return answer["result"]

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def give_up(self, limit: float) -> None:
        """Let the call under way end in this time, end it then, and those that wait; calls made from now on go."""
        self._given_up += 1
        try:
            async with asyncio.timeout(limit), self._lock:
                return
        except TimeoutError:
            await self._end()

    async def close(self) -> None:
        await self._end()


class Batch(Generic[Key, Answer]):
    """Collects what is asked in one turn of the event loop and does it in one call."""

    def __init__(self, action: Callable[[list[Key]], Awaitable[list[Answer]]]) -> None:
        self._action = action
        self._waiting: list[tuple[Key, asyncio.Future[Answer]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, key: Key) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, future))
        if self._task is None:
            self._task = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        await asyncio.sleep(0)
        asked, self._waiting, self._task = self._waiting, [], None
        asked = [(key, future) for key, future in asked if not future.cancelled()]
        if not asked:
            return
        try:
            answers = await self._action([key for key, _ in asked])
        except BaseException as error:
            for _, future in asked:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), answer in zip(asked, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
