# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one server's Secret holds: file name and content of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from cmsaf_mint import _dask_tls, _idtoken, _macaroon
from cmsaf_mint._token_request import SCOPES

from . import token_service
from .errors import CredentialError
from .names import Server, pool_user
from .settings import Cache, Condor, Settings, SigningKey, TokenService

__all__ = ["certificates", "tokens"]

_CACHE_ACTIVITIES = ("DOWNLOAD", "READ_METADATA", "LIST")


def certificates(server: Server, settings: Settings) -> dict[str, str]:
    """Make the keys and certificates of a server's Dask clusters, which last as long as it may run."""
    dask = settings.dask
    with _making("The Dask certificates"):
        tls = _dask_tls.mint(names=server.dask_names, ips=list(dask.worker_addresses), lifetime=dask.lifetime)
    return {
        "ca.pem": tls.ca_pem,
        "hostcert.pem": tls.scheduler_pem,
        "usercert.pem": tls.client_pem,
        "workercert.pem": tls.worker_pem,
    }


async def tokens(server: Server, settings: Settings) -> dict[str, str]:
    """Make what a running server can get anew: its tokens for the pool and the cache."""
    found: dict[str, str] = {}
    if settings.condor is not None:
        with _making("The HTCondor token"):
            found["condor_token"] = await _pool_token(server, settings.condor)
    if settings.cache is not None:
        with _making("The cache token"):
            # Both names have readers: the second is where the WLCG's discovery looks.
            found["xcache_token"] = found["bearer_token"] = _cache_token(server, settings.cache)
    return found


async def _pool_token(server: Server, condor: Condor) -> str:
    user, lifetime = pool_user(server.user), int(condor.lifetime.total_seconds())
    if isinstance(condor.source, TokenService):
        return await token_service.ask(condor.source, user, lifetime)
    return _signed(condor.source, user, lifetime)


def _signed(key: SigningKey, user: str, lifetime: int) -> str:
    return _idtoken.mint(
        key=_read(key.key_file),
        key_id=key.key_id,
        issuer=key.trust_domain,
        identity=f"{user}@{key.users_domain}",
        lifetime=lifetime,
        scopes=SCOPES,
    )


def _cache_token(server: Server, cache: Cache) -> str:
    return _macaroon.mint(
        secret=_read(cache.secret_file),
        location=cache.location,
        name=pool_user(server.user),
        activities=_CACHE_ACTIVITIES,
        path=cache.path,
        before=datetime.now(timezone.utc) + cache.lifetime,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CredentialError(f"the key {path} could not be read ({problem.strerror})") from None


@contextmanager
def _making(what: str) -> Iterator[None]:
    """Say of what is wrong what could not be made by it."""
    try:
        yield
    except (CredentialError, ValueError) as problem:
        raise CredentialError(
            f"{what} of this server could not be made: {problem}. Please tell the facility's admins."
        ) from None
