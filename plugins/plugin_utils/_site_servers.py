# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the servers that users choose from, with how long these stay, and with what users share.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.cmsaf.facility.plugins.module_utils._slug import slug_of
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, whole

__all__ = ["KEYS", "LONGEST", "OWN", "SHORTEST_IDLE", "profile_mistakes", "session_mistakes", "shared_mistakes"]

KEYS = ("name", "description", "cpu", "memory", "image", "worker_image", "gpu", "groups", "default")
NEEDED = KEYS[1:4]
# What has the name of one of the facility's own servers needs to say nothing else.
OWN = ("Coffea", "Coffea, large", "Data science", "Minimal")
# Seconds. No key of a user's server is to be good for longer than a week.
LONGEST = 604800
# Servers tell the hub every five minutes what goes on in them.
SHORTEST_IDLE = 900

SHARED_KEYS = ("name", "groups", "claim", "nfs", "storage_class", "capacity")
SHARED_SOURCES = ("claim", "nfs", "storage_class")

_SPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_CAPACITY = re.compile(r"[1-9][0-9]*(\.[0-9]+)?([MGTP]i?)")
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
        yield from _lacking(where, profile)
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


def shared_mistakes(shared: Sequence[Any], unfit: Mapping[str, str]) -> Iterator[Mistake]:
    """All that is wrong with ``jupyterhub_shared``.

    :param unfit: storage classes whose volumes one node alone has, and what they are
    """
    name = "jupyterhub_shared"
    for number, space in enumerate(shared):
        where = f"{name}[{number}]"
        if not isinstance(space, Mapping):
            yield where, f"{space!r}", "Write name, and one of claim, nfs and storage_class."
            continue
        for key in space:
            if key not in SHARED_KEYS:
                yield f"{where}.{key}", f"{space[key]!r}", f"Remove it: known are {', '.join(SHARED_KEYS)}."
        yield from _space(where, space, unfit)
    names = [space.get("name") for space in shared if isinstance(space, Mapping)]
    for twice in dict.fromkeys(one for one in names if isinstance(one, str) and names.count(one) > 1):
        yield name, f"the name {twice} twice", "Let the names differ: each is the last part of a path."


def _space(where: str, space: Mapping[str, Any], unfit: Mapping[str, str]) -> Iterator[Mistake]:
    own: Any = space.get("name")
    if not isinstance(own, str) or not _SPACE.fullmatch(own):
        yield f"{where}.name", f"{own!r}", "Set up to 40 of a-z, 0-9 and -, with a letter or digit at both ends."
    sources = [key for key in SHARED_SOURCES if space.get(key)]
    if len(sources) != 1:
        yield (
            where,
            " and ".join(sources) or "none of claim, nfs and storage_class",
            "Set one of them: a claim that is there, a directory of an NFS server, or a storage class that makes it.",
        )
    groups = space.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) and group for group in groups):
        yield f"{where}.groups", f"{groups!r}", "Set a list of groups, as the login names them."
    nfs = space.get("nfs")
    if nfs and not (
        isinstance(nfs, Mapping)
        and set(nfs) == {"server", "path"}
        and isinstance(nfs["server"], str)
        and str(nfs["path"]).startswith("/")
    ):
        yield f"{where}.nfs", f"{nfs!r}", "Set server, and as path the whole path that it exports."
    storage_class, capacity = space.get("storage_class"), space.get("capacity")
    if storage_class and not (isinstance(capacity, str) and _CAPACITY.fullmatch(capacity)):
        yield f"{where}.capacity", f"{capacity!r}", "Set a size with its unit, such as 500Gi."
    if capacity and not storage_class:
        yield f"{where}.capacity", f"{capacity!r}", "Remove it: what others have made has its size."
    if isinstance(storage_class, str) and storage_class in unfit:
        yield (
            f"{where}.storage_class",
            f"{storage_class}, {unfit[storage_class]}",
            "Servers on several nodes share it: set a class of a file system, or claim, or nfs.",
        )


def _lacking(where: str, profile: Mapping[str, Any]) -> Iterator[Mistake]:
    if profile.get("name") in (None, ""):
        yield f"{where}.name", "nothing", "Set it."
    for key in NEEDED:
        if profile.get(key) in (None, "") and (key in profile or profile.get("name") not in OWN):
            yield f"{where}.{key}", "nothing", f"Set it, or take a name of the facility's own: {'; '.join(OWN)}."


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
