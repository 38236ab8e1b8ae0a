# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the origins that the cache is to fetch from.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake

__all__ = ["KEYS", "OPTIONAL", "mistakes", "own_mistakes"]

KEYS = ("name", "url", "paths", "authentication", "credential", "certificates")
OPTIONAL = ("credential", "certificates")
# Ways to show who the cache is, and the kinds of URL that XRootD's own client does each of them with.
WAYS: dict[str, tuple[str, ...]] = {
    "macaroon": ("roots",),
    "token": ("roots", "https"),
    "x509": ("root", "roots", "https"),
    "none": ("root", "roots", "https"),
}
# With these the credential is a file of the site.
GIVEN = ("token", "x509")

# Part of containers' and folders' names.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
_URL = re.compile(r"(?P<kind>roots?|https)://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:(?P<port>[1-9][0-9]{0,4})")
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~+=@-]+)+")
_FILE = re.compile(r"(/[A-Za-z0-9._-]+)+/[A-Za-z0-9._-]+")
_FOLDER = re.compile(r"(/[A-Za-z0-9._-]+)+")


def mistakes(origins: Sequence[Any]) -> Iterator[Mistake]:
    """All that is wrong with what an inventory sets as ``facility_origins``."""
    if not origins:
        yield "facility_origins", "an empty list", "Write the origins that the cache fetches from."
    for number, origin in enumerate(origins):
        where = f"facility_origins[{number}]"
        if not isinstance(origin, Mapping):
            yield where, f"{origin!r}", "Write name, url, paths and authentication."
            continue
        yield from _keys(where, origin)
        yield from _words(where, origin)
        yield from _paths(f"{where}.paths", origin)
        yield from _authentication(where, origin)
    names = [origin.get("name") for origin in origins if isinstance(origin, Mapping)]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield "facility_origins", f"name {name!r} {names.count(name)} times", "Give each origin a name of its own."


def own_mistakes(origins: Sequence[Any], own_hosts: Sequence[str]) -> Iterator[Mistake]:
    """What is wrong with the facility's own origin, which is to run on `own_hosts`."""
    own = [
        (f"facility_origins[{number}]", origin)
        for number, origin in enumerate(origins)
        if isinstance(origin, Mapping) and origin.get("authentication") == "macaroon"
    ]
    for where, _origin in own[1:]:
        yield f"{where}.authentication", "'macaroon' once more", "The facility's own origin, group origin, is one."
    if own and not own_hosts:
        yield (
            "group origin",
            "0 hosts",
            f"Put at least 1 into it, or set another authentication than macaroon in {own[0][0]}: it is the origin there.",
        )
    if own_hosts and not own:
        yield (
            "facility_origins",
            "no origin with authentication macaroon",
            "Write the facility's own origin, or take the hosts out of group origin.",
        )
    for where, origin in own[:1]:
        paths = origin.get("paths")
        if isinstance(paths, list) and len(paths) > 1:
            yield f"{where}.paths", f"{len(paths)} of them", "Set one, above all others: a macaroon names one path."


def _keys(where: str, origin: Mapping[str, Any]) -> Iterator[Mistake]:
    for key in KEYS:
        if key not in origin and key not in OPTIONAL:
            yield f"{where}.{key}", "nothing", "Set it."
    for key in origin:
        if key not in KEYS:
            yield f"{where}.{key}", f"{origin[key]!r}", f"Remove it: known are {', '.join(KEYS)}."


def _words(where: str, origin: Mapping[str, Any]) -> Iterator[Mistake]:
    if "name" in origin and not _matches(_NAME, origin["name"]):
        yield f"{where}.name", f"{origin['name']!r}", "Set at most 24 lower-case letters, digits and hyphens."
    if "url" in origin and not (_matches(_URL, origin["url"]) and _port(origin["url"]) < 65536):
        fix = "Set roots://host:port, root://host:port or https://host:port, with nothing behind the port."
        if str(origin["url"]).startswith("pelican://"):
            fix = "Set https://host:port of its director or origin: XRootD's packages have no client for pelican."
        yield f"{where}.url", f"{origin['url']!r}", fix
    for key, pattern, kind in (("credential", _FILE, "file"), ("certificates", _FOLDER, "folder")):
        if key in origin and not _matches(pattern, origin[key]):
            yield f"{where}.{key}", f"{origin[key]!r}", f"Set the whole path of a {kind} on the nodes of the caches."


def _paths(where: str, origin: Mapping[str, Any]) -> Iterator[Mistake]:
    paths = origin.get("paths", ["/store"])
    if not isinstance(paths, list) or not paths:
        yield where, f"{paths!r}", "Write a list that is not empty."
        return
    for path in paths:
        if not _matches(_PATH, path):
            yield (
                where,
                f"{path!r}",
                "Set absolute paths without '..', doubled slashes or a slash at the end; not / itself.",
            )


def _authentication(where: str, origin: Mapping[str, Any]) -> Iterator[Mistake]:
    way, url = origin.get("authentication"), origin.get("url")
    if way is None:
        return
    if way not in WAYS:
        yield f"{where}.authentication", f"{way!r}", f"Set {', '.join(WAYS)}."
        return
    match = _URL.fullmatch(url) if isinstance(url, str) else None
    if match and match["kind"] not in WAYS[way]:
        yield (
            f"{where}.authentication",
            f"{way!r}, and the url is of {match['kind']}",
            f"Set {' or '.join(f'a url of {kind}' for kind in WAYS[way])}, or {_instead(match['kind'])}: {_why(way)}.",
        )
    if way in GIVEN and not origin.get("credential"):
        yield (
            f"{where}.credential",
            "nothing",
            f"Set the file on the nodes of the caches that the site keeps the {way} in.",
        )
    if way not in GIVEN and "credential" in origin:
        yield f"{where}.credential", f"{origin['credential']!r}", f"Remove it: with {way} there is none."
    if way == "macaroon" and "certificates" in origin:
        yield (
            f"{where}.certificates",
            f"{origin['certificates']!r}",
            "Remove it: the facility's own origin is certified by its authority.",
        )
    # The client's library for GSI reads no other than a folder of them.
    if way == "x509" and match and match["kind"] != "https" and not origin.get("certificates"):
        yield f"{where}.certificates", "nothing", "Set the folder of the grid's authorities on the nodes of the caches."


def _why(way: str) -> str:
    return (
        "the role makes a macaroon for the facility's own origin alone" if way == "macaroon" else "it goes by TLS alone"
    )


def _instead(kind: str) -> str:
    return f"authentication to {' or '.join(way for way, kinds in WAYS.items() if kind in kinds)}"


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
