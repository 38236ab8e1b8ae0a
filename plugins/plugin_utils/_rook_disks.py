# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks that were found on all storage hosts, as a table and as lines of an inventory.

Private to this collection; imports nothing of Ansible.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ("Row", "as_inventory", "as_table", "counts", "rows")

# What somebody has to look at comes first.
STATES = ("chosen", "no", "named")
_HEAD = """\
# Written by playbook disks. Look it through, take out what is not to be Ceph's, and put it into the inventory.
# What host_vars say of rook_disks is over it.
"""


@dataclass(frozen=True)
class Row:
    """One disk of one host; state is chosen, no or named, size is in bytes."""

    state: str
    host: str
    device: str
    path: str
    size: int
    device_class: str
    model: str
    serial: str
    name: str
    reason: str


def rows(found: Mapping[str, Sequence[Mapping[str, t.Any]]]) -> list[Row]:
    """All disks of all hosts, of what the module rook_disk_info found on each: the chosen ones, then the others.

    A disk that several hosts see is nobody's: two of them would write to it.
    """
    hosts: dict[str, list[str]] = {}
    for host, disks in found.items():
        for disk in disks:
            hosts.setdefault(disk["name"], []).append(host)
    made = []
    for host, disks in found.items():
        for disk in disks:
            others = [other for other in hosts[disk["name"]] if other != host]
            shared = {"state": "no", "reason": f"{', '.join(others)} has it too"}
            made.append(Row(host=host, **{**disk, **(shared if others and disk["state"] == "chosen" else {})}))
    return sorted(made, key=lambda row: (STATES.index(row.state), row.host))


def counts(listed: Sequence[Row]) -> str:
    """How many disks there are of each kind, in words."""
    chosen, no, named = (sum(row.state == state for row in listed) for state in STATES)
    return f"{chosen} chosen, {no} not, {named} in rook_disks already"


def as_table(listed: Sequence[Row]) -> list[str]:
    """Lines with columns of the same width, without the disks that the inventory has already."""
    lines = [("state", "host", "disk", "size", "class", "model", "name", "why not")]
    for row in listed:
        if row.state != "named":
            size, name = _size(row.size), row.name.removeprefix("/dev/disk/by-id/")
            disk = row.device.removeprefix("/dev/")
            lines.append((row.state, row.host, disk, size, row.device_class, row.model, name, row.reason))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]


def as_inventory(listed: Sequence[Row], named: Mapping[str, Sequence[Mapping[str, t.Any]]]) -> str:
    """A file for the inventory with the disks that it has for each host, as they are there, and those that are chosen."""
    lines = ["storage:", "  hosts:"]
    for host, disks in named.items():
        here = [row for row in listed if row.host == host]
        known = {row.path: row for row in here if row.state == "named"}
        entries = [_entry(disk["path"], disk.get("device_class"), known.get(disk["path"])) for disk in disks]
        entries += [_entry(row.name, row.device_class, row) for row in here if row.state == "chosen"]
        if entries:
            lines += [f"    {host}:", "      rook_disks:", *entries]
    return _HEAD + "---\n" + "\n".join(lines) + "\n"


def _entry(path: str, device_class: str | None, row: Row | None) -> str:
    """One disk, always in the same words: what is new in the file is all that a comparison shows."""
    disk = {"path": path, **({"device_class": device_class} if device_class else {})}
    return f"        - {json.dumps(disk)}" + (f" # {_line(row)}" if row else "")


def _line(row: Row) -> str:
    """What somebody knows the disk by who looks at it."""
    return " ".join(filter(None, (_size(row.size), row.model, row.serial)))


def _size(size: int) -> str:
    """As it is written on disks, in powers of ten."""
    return f"{size / 1e12:.2f} TB" if size >= 1e12 else f"{size / 1e9:.0f} GB"
