# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of a server's objects, and of its user on the pool.

All go through kubespawner's slugs: two users or servers never get one name,
whatever they are called.
"""

from __future__ import annotations

from dataclasses import dataclass

from cmsaf_mint._token_request import USER_LENGTH, is_pool_user
from kubespawner.slugs import is_valid_object_name, multi_slug, safe_slug

__all__ = ["SLUG_LENGTH", "Server", "pool_user"]

# The gateway's rule for the first part of a name: see role gateway.
SLUG_LENGTH = 40


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

    Who is called like one of HTCondor's own, or as the pool can call nobody, gets another name.

    >>> pool_user("alice.x")
    'alice.x'
    >>> pool_user("root").startswith("root---")
    True
    """
    return str(safe_slug(user, is_valid=is_pool_user, max_length=USER_LENGTH))
