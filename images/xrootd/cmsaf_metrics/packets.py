# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the packets of XRootD's monitoring.

Sources: XRootD's "System Monitoring Reference", chapters "Summary Monitoring Data Format" (``xrd.report``) and
"The g-stream" (``xrootd.mongstream``), and where these are silent what 6.2 sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Access", "PacketError", "Stream", "read_stream", "read_summary"]

# By XRootD's printf: elements, their attributes and numbers. A parser of XML would know more than that, and do what a
# packet tells it to.
_TAG = re.compile(r'<(?P<end>/?)(?P<name>[\w.:-]+)(?P<attributes>(?:\s+\w+="[^"]*")*)\s*>')
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_DEEPEST = 16
# The counters are of 64 bits, with a sign.
_MOST = 2**63 - 1


class PacketError(ValueError):
    """This is no packet of XRootD's monitoring, or only a part of one."""


@dataclass(frozen=True)
class Access:
    """A file that the cache has closed: its clients' bytes by where they were, and what was written of the origin's."""

    hit: int
    miss: int
    bypass: int
    stored: int
    checksum_errors: int


@dataclass(frozen=True)
class Stream:
    """A packet of the g-stream ``pfc``; `unreadable` counts the records that made no sense."""

    server_start: int
    sequence: int
    accesses: tuple[Access, ...]
    unreadable: int


def read_summary(packet: bytes) -> dict[str, str]:
    """A summary's values by their path, such as ``link.in`` or ``xrootd.lgn.af``, and the attributes of the whole.

    Elements ``stats`` have their name in ``id``. An element may have a value and elements: ``pss.open`` stands beside
    ``pss.open.errs``.
    """
    text = _text(packet)
    values: dict[str, str] = {}
    # Of each element that is open, its tag and its name in the path.
    opened: list[tuple[str, str]] = []
    at = 0
    for tag in _TAG.finditer(text):
        said = text[at : tag.start()].strip()
        at = tag.end()
        if "<" in said or ">" in said:
            raise PacketError(f"not a tag: {said[:40]!r}")
        if said and opened:
            values.setdefault(".".join(name for _, name in opened[1:]), said)
        if tag["end"]:
            if not opened or opened.pop()[0] != tag["name"]:
                raise PacketError(f"</{tag['name']}> ends what is not open")
            continue
        attributes: dict[str, str] = dict(_ATTRIBUTE.findall(tag["attributes"]))
        if not opened:
            if values or tag["name"] != "statistics":
                raise PacketError(f"<{tag['name']}> in the place of the one <statistics>")
            values.update(attributes)
        if len(opened) == _DEEPEST:
            raise PacketError(f"more than {_DEEPEST} elements in each other")
        opened.append((tag["name"], attributes.get("id") or tag["name"]))
    if opened or not values or text[at:].strip():
        raise PacketError("cut off, or no summary")
    return values


def read_stream(packet: bytes) -> Stream:
    """A packet of the g-stream in JSON: a header, then a record in each line. Files' names are not kept."""
    head, *lines = _text(packet).split("\n")
    header = _object(head)
    if header.get("code") != "g":
        raise PacketError(f"no header of a g-stream: {head[:40]!r}")
    start, sequence = _counts(header, "stod", "pseq")
    accesses: list[Access] = []
    unreadable = 0
    for line in filter(None, lines):
        try:
            record = _object(line)
            if record.get("event") == "file_close":
                accesses.append(Access(*_counts(record, "b_hit", "b_miss", "b_bypass", "b_todisk", "n_cks_errs")))
        except PacketError:
            unreadable += 1
    return Stream(start, sequence, tuple(accesses), unreadable)


def _counts(record: Mapping[str, Any], *names: str) -> list[int]:
    counts = [record.get(name) for name in names]
    # A truth value is a number to Python.
    found = [count for count in counts if type(count) is int and 0 <= count <= _MOST]
    if len(found) < len(names):
        raise PacketError(f"{', '.join(names)} are {counts}")
    return found


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    # RecursionError: brackets in brackets.
    except (ValueError, RecursionError) as error:
        raise PacketError(f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise PacketError("no object of JSON")
    return found


def _text(packet: bytes) -> str:
    try:
        return packet.rstrip(b"\0\n").decode()
    except UnicodeDecodeError as error:
        raise PacketError(f"no text: {error}") from error
