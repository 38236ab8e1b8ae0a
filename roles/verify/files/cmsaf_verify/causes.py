# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps data from coming, by what a reader was told, what the caches' log says, and whom they reach; pure code.

The words are those of XRootD 6.2.0, as tests/cache has made it say them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["CAUSES", "Found", "Seen", "find"]


@dataclass(frozen=True)
class Seen:
    """What there is to go by. Without a cache of the facility's own it is `said` alone.

    said       what the reader was told
    log        lines of the caches since the verification began
    ready      caches that are ready, and how many there are to be, as 1/2
    unreached  what of the origins does not answer, and to whom
    """

    said: str = ""
    log: str = ""
    ready: str = ""
    unreached: Sequence[str] = ()

    def line(self, pattern: str) -> str:
        """The last line of the log that has a pattern."""
        found = [line for line in self.log.splitlines() if re.search(pattern, line)]
        return found[-1].strip() if found else ""

    def told(self, pattern: str) -> str:
        """What the reader was told, if it has a pattern."""
        return self.said if re.search(pattern, self.said) else ""


@dataclass(frozen=True)
class Found:
    """What it is, what mends it, and by what that was seen."""

    title: str
    fix: str
    seen: str


def _down(seen: Seen) -> str:
    ready, _, wanted = seen.ready.partition("/")
    return f"{seen.ready} caches are ready" if wanted and int(ready or 0) < int(wanted) else ""


def _refused(seen: Seen) -> str:
    """By the cache. What its origin has told it about itself has a number before it."""
    if not re.search(r"(?<!\[3030\] )\[FATAL\] Auth failed", seen.said):
        return ""
    return seen.line(r"XrootdXeq: User authentication failed;") or seen.said


def _origin_lost(seen: Seen) -> str:
    told = seen.told(r"\[3014\] \[FATAL\] Connection error") or seen.line(r"ofs_open: \S+ \[FATAL\] Connection error")
    return "; ".join(seen.unreached) or told


def _denied(seen: Seen, by_origin: bool) -> str:
    """Origin and cache say the same. It is the origin that does where the cache had taken the token in the line before."""
    taken: dict[str, bool] = {}
    for line in seen.log.splitlines() if seen.told(r"\[3010\]") else ():
        parts = line.split(None, 3)
        if len(parts) < 4:
            continue
        thread, words = parts[2:]
        if re.search(r"ofs_open: \S+ Unable to open .*; permission denied", words):
            if taken.get(thread, False) == by_origin:
                return line.strip()
        else:
            taken[thread] = "macarons_Access: Macaroon verification successful" in words or "XrdPfc_" in words
    return ""


CAUSES: Sequence[tuple[str, str, Callable[[Seen], str]]] = (
    (
        "A cache does not start, as nothing is left of its disk",
        "Give back what others have taken of xcache_disks on that node.",
        lambda seen: _down(seen) and seen.line(r"Can not create a file on space|available data space is less than"),
    ),
    (
        "A cache is down",
        "kubectl -n xcache get pods says where, the log of its container xrootd why.",
        _down,
    ),
    (
        "The cache refuses the token",
        "The hub makes it, by the caches' secret and site name: run cache and hub. Where it has ended, the hub's log has "
        "why it was not renewed (cmsaf_hub.renewal).",
        _refused,
    ),
    (
        "The origin refuses the cache's identity",
        "Run cache: it makes the macaroon for the facility's own origin anew. For others look at credential of facility_origins, "
        "a file on the caches' nodes.",
        lambda seen: seen.told(r"\[3030\] \[FATAL\] Auth failed") or seen.line(r"ofs_open: \S+ \[FATAL\] Auth failed"),
    ),
    (
        "The origin is down",
        "Start it, or open its port to the caches' nodes. Its address is the url in facility_origins.",
        _origin_lost,
    ),
    (
        "The origin does not let the cache read this path",
        "What the cache shows there is good for other paths: credential and paths of facility_origins.",
        lambda seen: _denied(seen, by_origin=True),
    ),
    (
        "The token is not good for this path",
        "Set path of jupyterhub_xcache above all that users read, and run hub.",
        lambda seen: _denied(seen, by_origin=False),
    ),
    (
        "No origin has this file",
        "Look for it there. The events of the verification are made by xcache_events_files, at a run of cache.",
        lambda seen: seen.told(r"\[3011\]"),
    ),
    (
        "Bytes have changed on a cache's disk",
        "The cache has thrown the file out, and fetches it anew. Look at that disk.",
        lambda seen: seen.told(r"\[3019\]") and (seen.line(r"cmsaf-xrootd-guard: .* wrong checksum") or seen.said),
    ),
    (
        "A cache has more to do than it can",
        "Put more hosts into groups xcache and xcache_redirector.",
        lambda seen: seen.line(r"Thread limit has been reached"),
    ),
    (
        "A cache's disk is full, so it keeps nothing",
        "Others have filled xcache_disks, or files are in use. A cache makes room of what is its own within a minute.",
        lambda seen: seen.line(r"err_str=no space left on device"),
    ),
    (
        "The cache is not reached",
        "Its name has to be known where the reader runs, and its ports open: docs/site.md has them.",
        lambda seen: seen.told(r"\[FATAL\] (Connection error|Invalid address)|Socket timeout"),
    ),
)


def find(seen: Seen) -> Found | None:
    """The first cause that something speaks for."""
    for title, fix, look in CAUSES:
        told = look(seen)
        if told:
            return Found(title, fix, told)
    return None
