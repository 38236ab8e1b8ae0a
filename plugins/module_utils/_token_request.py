# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the access point's token service can be asked for: a user's token and nothing else.

Private to this collection: its interface may change in any release.

Domain, issuer and scopes are no part of a request, so nobody can ask for others.
The hub reads the rule of users' names here, the service keeps it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = [
    "LARGEST_REQUEST",
    "PATH",
    "SCOPES",
    "USER_LENGTH",
    "RequestError",
    "TokenRequest",
    "is_pool_user",
    "read_request",
]

PATH = "/v1/token"
SCOPES = ("READ", "WRITE")
USER_LENGTH = 64
LARGEST_REQUEST = 4096

# A dot stands between two other characters, as in a name of DNS.
_USER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_+-]|\.(?=[A-Za-z0-9_+-]))*")
# Names that HTCondor's own daemons and administrators go by.
_RESERVED = frozenset({"administrator", "anonymous", "condor", "condor_pool", "root", "unauthenticated", "unmapped"})
_FIELDS = {"user", "lifetime"}
_SHOWN = 80


class RequestError(ValueError):
    """A request that is not granted; the message says why, and is fit for a log."""


@dataclass(frozen=True)
class TokenRequest:
    """A request that is granted: for this user, for so many seconds."""

    user: str
    lifetime: int


def is_pool_user(name: str) -> bool:
    """Whether a user of the pool can be called so.

    >>> [name for name in ("alice", "a.b+c_d-e", "Root", "condor@password", "a..b") if is_pool_user(name)]
    ['alice', 'a.b+c_d-e']
    """
    return len(name) <= USER_LENGTH and _USER.fullmatch(name) is not None and name.lower() not in _RESERVED


def read_request(body: bytes, longest: int) -> TokenRequest:
    """Read a request's body.

    :param longest: seconds that no token outlasts, whatever is asked for
    """
    fields = _fields(body)
    if set(fields) != _FIELDS:
        raise RequestError(f"the request has the fields {_shown(sorted(fields))}, it has to have user and lifetime")
    user, lifetime = fields["user"], fields["lifetime"]
    if not isinstance(user, str) or not is_pool_user(user):
        raise RequestError(
            f"user {_shown(user)} is none of the pool: it has to be at most {USER_LENGTH} of A-Z, a-z, 0-9, '.', '_',"
            " '+' and '-', begin with a letter or digit, and be no name of the pool's own"
        )
    if not isinstance(lifetime, int) or isinstance(lifetime, bool) or lifetime <= 0:
        raise RequestError(f"lifetime {_shown(lifetime)} is not a positive whole number of seconds")
    return TokenRequest(user=user, lifetime=min(lifetime, longest))


def _fields(body: bytes) -> dict[str, Any]:
    if len(body) > LARGEST_REQUEST:
        raise RequestError(f"the request has {len(body)} bytes, at most {LARGEST_REQUEST} are read")
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_each_once)
    except RequestError:
        raise
    except (ValueError, RecursionError):
        raise RequestError("the request is not JSON") from None
    if not isinstance(found, dict):
        raise RequestError("the request is not a JSON object")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestError("the request has a field twice")
    return found


def _shown(value: Any) -> str:
    """What was found, in ASCII and on one line of a log."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
