# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one server's Secret holds. Reads key files, makes keys: off the event loop, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from cmsaf_mint import _dask_tls, _idtoken, _macaroon

from .errors import CredentialError
from .names import Server, pool_user
from .settings import Cache, Condor, Dask, Settings

__all__ = ["mint", "tokens"]

_CONDOR_SCOPES = ("READ", "WRITE")
_CACHE_ACTIVITIES = ("DOWNLOAD", "READ_METADATA", "LIST")


async def mint(server: Server, settings: Settings) -> dict[str, str]:
    """Make every credential of a server that starts: file name and content of each."""
    return await asyncio.to_thread(_certificates, server, settings) | await tokens(server, settings)


async def tokens(server: Server, settings: Settings) -> dict[str, str]:
    """Make those that are renewed while the server runs."""
    return await asyncio.to_thread(_tokens, server, settings)


def _certificates(server: Server, settings: Settings) -> dict[str, str]:
    return _named("The Dask certificates", lambda: _dask_set(server, settings.dask))


def _tokens(server: Server, settings: Settings) -> dict[str, str]:
    condor, cache = settings.condor, settings.cache
    found: dict[str, str] = {}
    if condor is not None:
        found |= _named("The HTCondor token", lambda: _pool_token(server, condor))
    if cache is not None:
        found |= _named("The cache token", lambda: _cache_token(server, cache))
    return found


def _dask_set(server: Server, dask: Dask) -> dict[str, str]:
    tls = _dask_tls.mint(names=server.dask_names, ips=list(dask.worker_addresses), lifetime=dask.lifetime)
    return {
        "ca.pem": tls.ca_pem,
        "hostcert.pem": tls.scheduler_pem,
        "usercert.pem": tls.client_pem,
        "workercert.pem": tls.worker_pem,
    }


def _pool_token(server: Server, condor: Condor) -> dict[str, str]:
    token = _idtoken.mint(
        key=_read(condor.key_file),
        key_id=condor.key_id,
        issuer=condor.trust_domain,
        identity=f"{pool_user(server.user)}@{condor.users_domain}",
        lifetime=int(condor.lifetime.total_seconds()),
        scopes=_CONDOR_SCOPES,
    )
    return {"condor_token": token}


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


def _named(what: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    try:
        return make()
    except (CredentialError, ValueError) as problem:
        raise CredentialError(
            f"{what} of this server could not be made: {problem}. Please tell the facility's admins."
        ) from None
