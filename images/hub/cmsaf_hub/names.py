# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of a server's objects, and of its user on the pool.

All go through kubespawner's slugs: two users or servers never get one name,
whatever they are called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kubespawner.slugs import is_valid_object_name, multi_slug, safe_slug

__all__ = ["SLUG_LENGTH", "Server", "pool_user"]

# The gateway's rule for the first part of a name: see role gateway.
SLUG_LENGTH = 40

_POOL_USER_LENGTH = 64
_POOL_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# Names that HTCondor's own daemons and administrators go by; a user of that name gets another.
_POOL_RESERVED = frozenset({"administrator", "condor", "condor_pool", "root", "unauthenticated", "unmapped"})


@dataclass(frozen=True)
class Server:
    """One server of one user, and what its objects are called."""

    user: str
    name: str
    namespace: str
    dask_domain: str

    @property
    def slug(self) -> str:
        """At most 40 of a-z, 0-9 and '-'; the same for the same user and server."""
        if self.name:
            return str(multi_slug([self.user, self.name], max_length=SLUG_LENGTH))
        return str(safe_slug(self.user, is_valid=is_valid_object_name, max_length=SLUG_LENGTH))

    @property
    def secret(self) -> str:
        return f"cmsaf-{self.slug}"

    @property
    def service(self) -> str:
        return f"dask-{self.slug}"

    @property
    def dask_name(self) -> str:
        """What workers dial: the gateway finds the Service by its first part."""
        return f"{self.slug}.{self.dask_domain}"

    @property
    def dask_names(self) -> list[str]:
        """All names of the scheduler, from outside and inside the cluster."""
        inside = f"{self.service}.{self.namespace}.svc"
        return [self.dask_name, self.service, inside, f"{inside}.cluster.local"]


def pool_user(user: str) -> str:
    """The user's name before the @ of an HTCondor identity.

    >>> pool_user("alice.x")
    'alice.x'
    >>> pool_user("root").startswith("root---")
    True
    """
    return str(safe_slug(user, is_valid=_is_pool_user, max_length=_POOL_USER_LENGTH))


def _is_pool_user(name: str) -> bool:
    return _POOL_USER.fullmatch(name) is not None and name.lower() not in _POOL_RESERVED
