# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one server's Secret holds. Files are read and keys are made in threads, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from cmsaf_mint import _dask_tls, _idtoken, _macaroon
from cmsaf_mint._token_request import SCOPES

from . import token_service
from .errors import CredentialError
from .names import Server, pool_user
from .settings import Cache, Condor, Dask, Settings, SigningKey, TokenService

__all__ = ["mint", "tokens"]

_Made = TypeVar("_Made")

# One thread: to make the keys of a server takes milliseconds, and more threads would only take turns with the event
# loop's own, which then stalls when many servers start at once.
_BESIDE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mint")
_CACHE_ACTIVITIES = ("DOWNLOAD", "READ_METADATA", "LIST")


async def mint(server: Server, settings: Settings) -> dict[str, str]:
    """Make every credential of a server that starts: file name and content of each."""
    dask = _beside(_dask_set, server, settings.dask)
    made = await asyncio.gather(_named("The Dask certificates", dask), tokens(server, settings))
    return made[0] | made[1]


async def tokens(server: Server, settings: Settings) -> dict[str, str]:
    """Make what a running server can get anew: its tokens for the pool and the cache."""
    condor, cache = settings.condor, settings.cache
    wanted = []
    if condor is not None:
        wanted.append(_named("The HTCondor token", _pool_token(server, condor)))
    if cache is not None:
        wanted.append(_named("The cache token", _beside(_cache_token, server, cache)))
    found: dict[str, str] = {}
    for made in await asyncio.gather(*wanted):
        found |= made
    return found


async def _beside(make: Callable[..., _Made], *arguments: object) -> _Made:
    return await asyncio.get_running_loop().run_in_executor(_BESIDE, make, *arguments)


def _dask_set(server: Server, dask: Dask) -> dict[str, str]:
    tls = _dask_tls.mint(names=server.dask_names, ips=list(dask.worker_addresses), lifetime=dask.lifetime)
    return {
        "ca.pem": tls.ca_pem,
        "hostcert.pem": tls.scheduler_pem,
        "usercert.pem": tls.client_pem,
        "workercert.pem": tls.worker_pem,
    }


async def _pool_token(server: Server, condor: Condor) -> dict[str, str]:
    user, lifetime = pool_user(server.user), int(condor.lifetime.total_seconds())
    if isinstance(condor.source, TokenService):
        return {"condor_token": await token_service.ask(condor.source, user, lifetime)}
    return {"condor_token": await _beside(_signed, condor.source, user, lifetime)}


def _signed(key: SigningKey, user: str, lifetime: int) -> str:
    return _idtoken.mint(
        key=_read(key.key_file),
        key_id=key.key_id,
        issuer=key.trust_domain,
        identity=f"{user}@{key.users_domain}",
        lifetime=lifetime,
        scopes=SCOPES,
    )


def _cache_token(server: Server, cache: Cache) -> dict[str, str]:
    token = _macaroon.mint(
        secret=_read(cache.secret_file),
        location=cache.location,
        name=pool_user(server.user),
        activities=_CACHE_ACTIVITIES,
        path=cache.path,
        before=datetime.now(timezone.utc) + cache.lifetime,
    )
    # Both names have readers: the second is where the WLCG's discovery looks.
    return {"xcache_token": token, "bearer_token": token}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CredentialError(f"the key {path} could not be read ({problem.strerror})") from None


async def _named(what: str, made: Awaitable[dict[str, str]]) -> dict[str, str]:
    try:
        return await made
    except (CredentialError, ValueError) as problem:
        raise CredentialError(
            f"{what} of this server could not be made: {problem}. Please tell the facility's admins."
        ) from None
