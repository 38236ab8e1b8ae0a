# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a site offers by group, kinds of server and shared disk space, and who may have which: no network, no hub in here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from cmsaf_mint._slug import slug_of
from jinja2 import Environment, FileSystemLoader

__all__ = [
    "TEMPLATES",
    "Profile",
    "Room",
    "Sessions",
    "Shared",
    "form",
    "kubespawner_profiles",
    "memory_bytes",
    "open_to",
    "span",
    "taken",
]

TEMPLATES = Path(__file__).parent / "pages"
# Site's words are text, whatever signs are in them.
_PAGES = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
_UNITS = {"M": "MB", "G": "GB", "T": "TB"}
_BYTES = {"M": 2**20, "G": 2**30, "T": 2**40}
# Above it nobody counts.
_MANY = 20
_SPANS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True)
class Profile:
    """One kind of server."""

    name: str
    description: str
    image: str
    cpu: float
    # As KubeSpawner writes it: a number and one of M, G, T.
    memory: str
    # Resource as the cluster names it, and how many of it.
    gpu: Mapping[str, int] = field(default_factory=dict)
    # Who is in one of these may take it; without groups everybody may.
    groups: frozenset[str] = frozenset()
    default: bool = False
    # Of the workers on the pool; empty for that of the server.
    worker_image: str = ""

    @property
    def slug(self) -> str:
        return slug_of(self.name)

    @property
    def size(self) -> str:
        """What the server gets, in words."""
        count = sum(self.gpu.values())
        parts = [_many(self.cpu, "core"), f"{self.memory[:-1]} {_UNITS[self.memory[-1]]} of memory"]
        return " · ".join(parts + ([_many(count, "GPU")] if count else []))


@dataclass(frozen=True)
class Sessions:
    """How long a server stays: without use, and at most."""

    idle: timedelta
    longest: timedelta


@dataclass(frozen=True)
class Room:
    """How many servers of a kind could start now."""

    count: int
    # Whether this is of the one node only that has the user's home.
    at_home: bool
    # Seconds that a start waits for room.
    waits: int

    def __str__(self) -> str:
        if self.count > _MANY:
            return f"more than {_MANY} of these could start now"
        if self.count:
            return f"{self.count} of these could start now"
        where = " on the machine that has your home" if self.at_home else ""
        return f"no room now{where}: a start waits up to {span(timedelta(seconds=self.waits))} for it"


@dataclass(frozen=True)
class Shared:
    """Disk space that several users have."""

    name: str
    claim: str
    # Who is in one of these has it; without groups everybody does.
    groups: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """Where servers have it."""
        return f"/shared/{self.name}"


_Offer = TypeVar("_Offer", Profile, Shared)


def open_to(offers: Iterable[_Offer], groups: frozenset[str]) -> list[_Offer]:
    """Those that somebody of these groups may have."""
    return [one for one in offers if not one.groups or one.groups & groups]


def taken(open_ones: Sequence[Profile], chosen: Any) -> Profile:
    """The one that was chosen, else the default, as KubeSpawner has it."""
    marked = next((profile for profile in open_ones if profile.slug == chosen), None)
    return marked or next((profile for profile in open_ones if profile.default), open_ones[0])


def kubespawner_profiles(open_ones: Sequence[Profile], offered: Sequence[Profile]) -> list[dict[str, Any]]:
    """What KubeSpawner takes as its profile_list: `open_ones`, of all that are `offered`."""
    # KubeSpawner merges what is given by name into what is there: so a resource of another profile is taken out.
    without = {name: None for profile in offered for name in profile.gpu}
    return [
        {
            "display_name": profile.name,
            "slug": profile.slug,
            "default": profile.default,
            "kubespawner_override": {
                "image": profile.image,
                "cpu_limit": profile.cpu,
                "mem_limit": profile.memory,
                "extra_resource_limits": {**without, **{name: str(count) for name, count in profile.gpu.items()}},
            },
        }
        for profile in open_ones
    ]


def form(
    profiles: Sequence[Profile],
    chosen: Any,
    sessions: Sessions | None,
    server: str = "",
    room: Mapping[str, Room] | None = None,
) -> str:
    """The form that asks which server it is to be; nothing where there is no choice.

    :param chosen: slug of the profile that was taken last, if any
    :param server: name of the server, if it has one
    :param room: by slug, for those of which it is known
    """
    marked = taken(profiles, chosen)
    # Without a form the hub takes what was taken last, which somebody may have lost in the meantime.
    if len(profiles) == 1 and (not chosen or chosen == marked.slug):
        return ""
    return _PAGES.get_template("profiles.html").render(
        profiles=profiles,
        marked=marked,
        server=server,
        room=room or {},
        idle=span(sessions.idle) if sessions else "",
        longest=span(sessions.longest) if sessions else "",
    )


def memory_bytes(memory: str) -> int:
    """Bytes of a profile's memory.

    >>> memory_bytes("1.5G")
    1610612736
    """
    return int(float(memory[:-1]) * _BYTES[memory[-1]])


def span(time: timedelta) -> str:
    """A time in the largest unit that it fills.

    >>> span(timedelta(days=7)), span(timedelta(hours=1)), span(timedelta(minutes=90))
    ('7 days', '1 hour', '1.5 hours')
    """
    seconds = time.total_seconds()
    unit, length = next((found for found in _SPANS if seconds >= found[1]), _SPANS[-1])
    return _many(round(seconds / length, 1), unit)


def _many(count: float, what: str) -> str:
    return f"{count:g} {what}" if count == 1 else f"{count:g} {what}s"
