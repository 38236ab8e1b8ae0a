# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Calls of the cluster, its answers, and what its failures are called."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from kubernetes_asyncio.client.exceptions import ApiException

__all__ = ["CALL_SECONDS", "CONFLICT", "FAILURES", "NOT_FOUND", "ask", "words"]

CALL_SECONDS = 30
CONFLICT = 409
NOT_FOUND = 404
# What a call of the cluster may end with.
FAILURES = (ApiException, aiohttp.ClientError, asyncio.TimeoutError, OSError)


async def ask(call: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
    """Make a call of the cluster, for its answer as plain data.

    :param call: a method of a ``CoreV1Api``; what follows is for it
    :raises ApiException: the cluster refused
    :raises asyncio.TimeoutError: it has not answered in CALL_SECONDS
    """
    return await _content(await call(*arguments, **options, _preload_content=False, _request_timeout=CALL_SECONDS))


async def _content(answer: aiohttp.ClientResponse) -> Any:
    """Of an answer that the client has neither read nor judged: objects of a thousand pods would take it seconds."""
    async with answer:
        if not answer.ok:
            raise ApiException(status=answer.status, reason=answer.reason)
        return json.loads(await answer.read())


def words(problem: BaseException) -> str:
    """What a failure says, in a line."""
    if isinstance(problem, ApiException):
        return f"the cluster answered {problem.status} {problem.reason}"
    if isinstance(problem, asyncio.TimeoutError):
        return "the cluster did not answer in time"
    return str(problem) or type(problem).__name__
