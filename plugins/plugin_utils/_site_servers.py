# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the servers that users choose from, and with how long these stay.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.cmsaf.facility.plugins.module_utils._slug import slug_of
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, whole

__all__ = ["KEYS", "LONGEST", "SHORTEST_IDLE", "profile_mistakes", "session_mistakes"]

KEYS = ("name", "description", "cpu", "memory", "image", "gpu", "groups", "default")
NEEDED = KEYS[:4]
# Seconds. No key of a user's server is to be good for longer than a week.
LONGEST = 604800
# Servers tell the hub every five minutes what goes on in them.
SHORTEST_IDLE = 900

_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([MGT])")
_GIGABYTES = {"M": 1 / 1024, "G": 1, "T": 1024}
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def profile_mistakes(profiles: Sequence[Any], login: Any) -> Iterator[Mistake]:
    """All that is wrong with ``jupyterhub_profiles`` where people log in by `login`."""
    name = "jupyterhub_profiles"
    if not profiles:
        yield name, "none", "Name one server at least, or leave it to the role."
    for number, profile in enumerate(profiles):
        where = f"{name}[{number}]"
        if not isinstance(profile, Mapping):
            yield where, f"{profile!r}", "Write name, description, cpu and memory."
            continue
        yield from ((f"{where}.{key}", "nothing", "Set it.") for key in NEEDED if profile.get(key) in (None, ""))
        for key in profile:
            if key not in KEYS:
                yield f"{where}.{key}", f"{profile[key]!r}", f"Remove it: known are {', '.join(KEYS)}."
        yield from _one(where, profile)
    read = [profile for profile in profiles if isinstance(profile, Mapping)]
    slugs = [_slug(profile.get("name")) for profile in read]
    for slug in dict.fromkeys(slug for slug in slugs if slug and slugs.count(slug) > 1):
        alike = [str(profile["name"]) for profile, own in zip(read, slugs) if own == slug]
        yield (
            name,
            f"the names {' and '.join(alike)}",
            "Let them differ by letters or digits, not by case or signs alone.",
        )
    defaults = [str(profile.get("name")) for profile in read if profile.get("default") is True]
    if len(defaults) > 1:
        yield name, f"default with {' and '.join(defaults)}", "Let one of them be it."
    by_password = isinstance(login, Mapping) and login.get("kind") == "password"
    if by_password and read and all(profile.get("groups") for profile in read):
        yield (
            name,
            "groups with each of them, but nobody is in a group by the login with a password",
            "Leave one without groups, or set jupyterhub_login.",
        )


def session_mistakes(sessions: Mapping[str, Any]) -> Iterator[Mistake]:
    """All that is wrong with ``jupyterhub_sessions``."""
    name = "jupyterhub_sessions"
    named: Any = sessions.get("named_servers")
    idle: Any = sessions.get("idle")
    longest: Any = sessions.get("longest")
    if whole(named) and named < 0:
        yield f"{name}.named_servers", f"{named}", "Set how many a user may have, 0 for none."
    if whole(longest) and not 0 < longest <= LONGEST:
        yield (
            f"{name}.longest",
            f"{longest} seconds",
            f"Set at most {LONGEST}: a server's Dask certificates last as long as it does, and no key longer than a week.",
        )
    if whole(idle) and idle < SHORTEST_IDLE:
        yield (
            f"{name}.idle",
            f"{idle} seconds",
            f"Set at least {SHORTEST_IDLE}: servers say every five minutes what goes on in them.",
        )
    elif whole(idle) and whole(longest) and 0 < longest < idle:
        yield f"{name}.idle", f"{idle} seconds, more than the {longest} of longest", "Set it below, or raise longest."


def _one(where: str, profile: Mapping[str, Any]) -> Iterator[Mistake]:
    given = {key: profile[key] for key in KEYS if profile.get(key) not in (None, "")}
    if "name" in given and not _slug(given["name"]):
        yield f"{where}.name", f"{given['name']!r}", "Set a text with letters or digits of ASCII in it."
    if "cpu" in given and not (_number(given["cpu"]) and given["cpu"] >= 0.1):
        yield f"{where}.cpu", f"{given['cpu']!r}", "Set a number of cores, 0.1 at least, such as 2."
    if "memory" in given and not _enough(given["memory"]):
        yield (
            f"{where}.memory",
            f"{given['memory']!r}",
            "Set 1G or more, with M, G or T behind the number: less holds no notebook.",
        )
    gpu = given.get("gpu", {})
    if not isinstance(gpu, Mapping) or not all(
        isinstance(key, str) and _RESOURCE.fullmatch(key) and whole(count) and count > 0 for key, count in gpu.items()
    ):
        yield f"{where}.gpu", f"{gpu!r}", "Set the nodes' name for it and how many, such as {nvidia.com/gpu: 1}."
    groups = given.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) and group for group in groups):
        yield f"{where}.groups", f"{groups!r}", "Set a list of groups, as the login names them."
    if not isinstance(given.get("default", False), bool):
        yield f"{where}.default", f"{given['default']!r}", "Set true or false."


def _slug(name: Any) -> str:
    """By what the hub tells one from the other."""
    return slug_of(name) if isinstance(name, str) else ""


def _enough(memory: Any) -> bool:
    match = _MEMORY.fullmatch(memory) if isinstance(memory, str) else None
    return match is not None and float(match[1]) * _GIGABYTES[match[2]] >= 1


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
