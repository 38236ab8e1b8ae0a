# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the outside issuers of tokens that the cache is to take.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake

__all__ = ["KEYS", "OPTIONAL", "mistakes"]

KEYS = ("name", "url", "audiences", "base_paths", "restricted_paths")
OPTIONAL = ("restricted_paths",)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_URL = re.compile(r"https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~-]+)*/?")
_AUDIENCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_PATH = re.compile(r"/|(/(?!\.{1,2}(/|$))[A-Za-z0-9._~+=@-]+)+")
_PATH_FIX = "Set absolute paths without '..', doubled slashes or a slash at the end."
_WORDS = {
    "name": (_NAME, "Set letters, digits, dots, underscores and hyphens."),
    "url": (_URL, "Set an https URL without a query, as the issuer's tokens have it."),
}
_LISTS = {
    "audiences": (_AUDIENCE, "Set words of ASCII, such as https://xcache.example.org."),
    "base_paths": (_PATH, _PATH_FIX),
    "restricted_paths": (_PATH, _PATH_FIX),
}


def mistakes(issuers: Sequence[Any], served: Sequence[str]) -> Iterator[Mistake]:
    """All that is wrong with ``xcache_issuers``, where the cache serves the paths `served`."""
    for number, issuer in enumerate(issuers):
        where = f"xcache_issuers[{number}]"
        if not isinstance(issuer, Mapping):
            yield where, f"{issuer!r}", "Write name, url, audiences and base_paths."
            continue
        for key in KEYS:
            if key not in issuer and key not in OPTIONAL:
                yield (
                    f"{where}.{key}",
                    "nothing",
                    "Set it: XRootD would leave the issuer out, or take what is not for it.",
                )
        for key in issuer:
            if key not in KEYS:
                yield f"{where}.{key}", f"{issuer[key]!r}", f"Remove it: known are {', '.join(KEYS)}."
        yield from _one(where, issuer, served)
    for key in _WORDS:
        values = [issuer.get(key) for issuer in issuers if isinstance(issuer, Mapping)]
        for value in dict.fromkeys(value for value in values if isinstance(value, str) and values.count(value) > 1):
            yield "xcache_issuers", f"{key} {value!r} {values.count(value)} times", "Write each issuer once."


def _one(where: str, issuer: Mapping[str, Any], served: Sequence[str]) -> Iterator[Mistake]:
    for key, (pattern, fix) in _WORDS.items():
        if key in issuer and not _matches(pattern, issuer[key]):
            yield f"{where}.{key}", f"{issuer[key]!r}", fix
    for key, (pattern, fix) in _LISTS.items():
        if key not in issuer:
            continue
        values = issuer[key]
        if not isinstance(values, list) or not (values or key in OPTIONAL):
            yield f"{where}.{key}", f"{values!r}", "Write a list that is not empty."
            continue
        yield from ((f"{where}.{key}", f"{value!r}", fix) for value in values if not _matches(pattern, value))
        if key == "base_paths":
            yield from _unserved(f"{where}.{key}", values, served)


def _unserved(where: str, paths: Iterable[Any], served: Sequence[str]) -> Iterator[Mistake]:
    for path in paths:
        if _matches(_PATH, path) and not any(_meet(path, other) for other in served):
            known = " or ".join(served)
            yield (
                where,
                f"{path!r}",
                f"Set a path above or below {known} (paths of facility_origins): no other is served.",
            )


def _meet(path: str, other: str) -> bool:
    """Whether one of two paths is above the other."""
    short, long = sorted((f"{path.rstrip('/')}/", f"{other.rstrip('/')}/"), key=len)
    return long.startswith(short)


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
