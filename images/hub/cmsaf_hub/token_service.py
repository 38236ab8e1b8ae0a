# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks the access point's token service for users' tokens, over one connection that stays.

A restart of the service, or of the way to it, only delays: within a limit of
time the hub asks again. To ask twice does no harm, a token more is made.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import ssl
import time
from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from cmsaf_mint import _idtoken
from cmsaf_mint._token_request import PATH

from .errors import CredentialError
from .settings import TokenService

__all__ = ["ask", "close"]

_LOG = logging.getLogger("JupyterHub.cmsaf")
# A user waits for it: longer than a restart of the service, shorter than their patience.
_TIME_LIMIT = 30.0
_TRY_LIMIT = 10.0
# Less than the service keeps an idle connection.
_KEPT = 60.0
# Enough to keep the service busy. Each more is a handshake, which holds up the event loop for milliseconds.
_CONNECTIONS = 4
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 4.0


class _Refused(Exception):
    """The service understood and will not: no use in asking again."""


class _Client:
    """Connections to one service, of one event loop."""

    def __init__(self, service: TokenService) -> None:
        self._service = service
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def token(self, user: str, lifetime: int) -> str:
        end = time.monotonic() + _TIME_LIMIT
        pause, tries = _FIRST_PAUSE, 0
        while True:
            tries += 1
            try:
                return await self._try(user, lifetime, end - time.monotonic())
            except (_Refused, aiohttp.ClientConnectorCertificateError) as problem:
                # The files may have been renewed since they were read.
                await self.close()
                self._tell(user, tries, str(problem))
                raise CredentialError(f"the pool's token service cannot be used ({problem})") from None
            # asyncio's and aiohttp's time-outs are OSErrors.
            except (aiohttp.ClientError, OSError, ValueError) as problem:
                found = str(problem) or type(problem).__name__
            # Not in step with other servers that start.
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311  # spreads load, guards nothing
            if time.monotonic() + wait >= end:
                self._tell(user, tries, found)
                raise CredentialError(
                    f"the pool's token service has not answered in {_TIME_LIMIT:.0f} seconds, try again in some minutes"
                ) from None
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _try(self, user: str, lifetime: int, left: float) -> str:
        session = await self._open()
        limit = aiohttp.ClientTimeout(total=max(0.1, min(_TRY_LIMIT, left)))
        asked = {"user": user, "lifetime": lifetime}
        async with session.post(self._service.url + PATH, json=asked, timeout=limit, allow_redirects=False) as answer:
            text = await answer.text()
        found = _answer(text)
        if 400 <= answer.status < 500 and answer.status != 429:
            raise _Refused(found.get("error") or f"status {answer.status}")
        if answer.status != 200:
            raise ValueError(f"status {answer.status} {answer.reason}")
        return self._checked(found.get("token"), user, lifetime)

    def _checked(self, token: Any, user: str, lifetime: int) -> str:
        if not isinstance(token, str):
            raise ValueError("an answer without a token")
        made = _idtoken.parse(token)
        if made.identity.partition("@")[0] != user:
            raise _Refused("the token that came is another user's")
        granted = (made.expires_at or 0) - made.issued_at
        if granted < lifetime:
            _LOG.warning(
                "%s gives tokens of %d seconds at most, %d were asked for: lower the lifetime in"
                " custom.cmsaf.condor (jupyterhub_credential_lifetime), or raise htcondor_token_lifetime.",
                *(self._service.url, granted, lifetime),
            )
        return token

    async def _open(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None or self._session.closed:
                context = await asyncio.to_thread(self._context)
                connector = aiohttp.TCPConnector(ssl=context, keepalive_timeout=_KEPT, limit=_CONNECTIONS)
                self._session = aiohttp.ClientSession(connector=connector)
            return self._session

    def _context(self) -> ssl.SSLContext:
        service = self._service
        try:
            context = ssl.create_default_context(cafile=str(service.ca_file))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(service.certificate_file, service.key_file)
        except OSError as problem:
            files = f"{service.ca_file}, {service.certificate_file} and {service.key_file}"
            raise _Refused(f"the hub's certificate for it could not be read from {files}: {problem}") from None
        return context

    async def close(self) -> None:
        """End the connections; the next request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _tell(self, user: str, tries: int, found: str) -> None:
        _LOG.error(
            "Asking %s for a token of %s: no token after %d tries in at most %d seconds, found: %s. On the access"
            " point see: systemctl status cmsaf-token-service; journalctl -u cmsaf-token-service. Its port has to be"
            " open for the hub's pod, and both certificates have to be of the facility's authority: run batch and hub.",
            *(self._service.url + PATH, user, tries, _TIME_LIMIT, found),
        )


# A session belongs to the loop that it was opened in.
_clients: MutableMapping[asyncio.AbstractEventLoop, dict[TokenService, _Client]] = WeakKeyDictionary()


async def ask(service: TokenService, user: str, lifetime: int) -> str:
    """Get a token of a user of the pool, good for at most so many seconds."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if service not in clients:
        clients[service] = _Client(service)
    return await clients[service].token(user, lifetime)


async def close() -> None:
    """End all connections of this event loop."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


def _answer(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
