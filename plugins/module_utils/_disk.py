# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a disk, and whether Ceph may have it. Private to this collection; imports nothing of Ansible."""

from __future__ import annotations

__all__ = (
    "Disk",
    "Label",
    "Verdict",
    "blank",
    "first_data",
    "judged",
    "parse_label",
    "places",
    "signatures",
    "unfit",
    "uses",
)

import os
import struct
import typing as t
from dataclasses import dataclass, field

# Below it ceph-volume refuses a disk: https://docs.ceph.com/en/reef/ceph-volume/inventory/
LEAST = 5 << 30
KINDS = ("disk", "part", "mpath")

EDGE = 4 << 20
SPOT, SPOTS = 64 << 10, 64

_MAGIC = b"bluestore block device\n"
_UUID = 36
_ZERO = b"\0"


@dataclass(frozen=True)
class Label:
    """What an OSD writes at the beginning of its disk: its own name, and that of its cluster where it can be read."""

    osd: str
    fsid: str


@dataclass
class Disk:
    """One disk as it was found under the name that it was asked for."""

    path: str
    device: str = ""
    block: bool = False
    kind: str = ""
    size: int = 0
    read_only: bool = False
    rotational: bool = False
    model: str = ""
    vendor: str = ""
    serial: str = ""
    unreadable: str = ""
    uses: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    label: Label | None = None


@dataclass
class Verdict:
    """What is to be done with the disks of one host: nothing before all problems are gone."""

    problems: list[str] = field(default_factory=list)
    wipe: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    """A text of Ceph's encoding: its length, then itself."""
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise struct.error("the text ends behind the data")
    return data[at + 4 : end], end


def parse_label(head: bytes) -> Label | None:
    """The label of an OSD in the first bytes of a disk, None where there is none.

    Behind the line and the uuid in plain text stand version, least version and length, then the uuid, size and time of
    making, a description and a map of texts (bluestore_bdev_label_t in Ceph's src/os/bluestore/bluestore_types.cc).
    """
    if not head.startswith(_MAGIC):
        return None
    osd = head[len(_MAGIC) : len(_MAGIC) + _UUID].decode("ascii", "replace")
    at = len(_MAGIC) + _UUID + 1 + 6 + 16 + 8 + 8
    fsid = ""
    try:
        at = _text(head, at)[1]
        (count,) = struct.unpack_from("<I", head, at)
        at += 4
        for _number in range(count):
            name, at = _text(head, at)
            value, at = _text(head, at)
            if name == b"ceph_fsid":
                fsid = value.decode("ascii", "replace")
    except struct.error:
        pass  # of another form than it is now; the disk is an OSD all the same
    return Label(osd, fsid)


def places(size: int) -> list[tuple[int, int]]:
    """Where to look for data, as offset and length: both ends, and spots in even distances between."""
    edge = min(EDGE, size)
    found = [(0, edge)]
    if size > 2 * edge:
        step = (size - 2 * edge) // (SPOTS + 1)
        found += [(edge + number * step, min(SPOT, step)) for number in range(1, SPOTS + 1) if step]
    if size > edge:
        start = max(edge, size - edge)
        found.append((start, size - start))
    return found


def first_data(descriptor: int, size: int) -> int | None:
    """Where the first byte is that is not zero, of those looked at; None if there is none."""
    for start, length in places(size):
        chunk = os.pread(descriptor, length, start)
        if chunk.count(_ZERO) != len(chunk):
            return start + len(chunk) - len(chunk.lstrip(_ZERO))
    return None


def blank(descriptor: int, size: int) -> None:
    """Write zeros where :func:`first_data` looks."""
    for start, length in places(size):
        done = 0
        while done < length:
            done += os.pwrite(descriptor, bytes(length - done), start + done)
    os.fsync(descriptor)


def _nodes(node: t.Mapping[str, t.Any]) -> t.Iterator[t.Mapping[str, t.Any]]:
    yield node
    for child in node.get("children") or []:
        yield from _nodes(child)


def uses(node: t.Mapping[str, t.Any]) -> list[str]:
    """What the system does with a disk or anything on it, of lsblk's JSON."""
    found = []
    for inner in _nodes(node):
        for point in inner.get("mountpoints") or []:
            if point:
                found.append("used as swap" if point == "[SWAP]" else f"mounted at {point}")
        if inner is not node and inner["type"] != "part":
            found.append(f"part of {inner['path']} ({inner['type']})")
    return list(dict.fromkeys(found))


def signatures(listed: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """File systems, partition tables and the like, of wipefs' JSON."""
    found = []
    for entry in listed:
        label = f" {entry['label']!r}" if entry.get("label") else ""
        kind = {"filesystem": " file system", "partition-table": " partition table"}.get(entry.get("usage") or "", "")
        found.append(f"{entry['type']}{kind}{label}")
    return list(dict.fromkeys(found))


def _some(names: t.Sequence[str]) -> str:
    shown = ", ".join(names[:8]) or "none"
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def unfit(disk: Disk, *, loops: bool, names: t.Sequence[str] = ()) -> tuple[str, str] | None:
    """Why a disk cannot be an OSD whatever is on it, and what to do; None if it can."""
    if not disk.device:
        return "which does not exist", f"Write a name that is below /dev/disk/by-id there: {_some(names)}."
    if not disk.block:
        return f"which is {disk.device} and no disk", "Write the name of one."
    if not disk.size:
        return (
            f"which is {disk.device} and has no size: nothing is behind it",
            "Take it out, or attach what belongs there.",
        )
    if disk.kind == "loop" and not loops:
        return "a loop device", "Write the name of a disk, or set rook_loop_devices where it is for a test only."
    if disk.kind not in (*KINDS, "loop"):
        return f"which is of type {disk.kind}", "Write the name of a whole disk or of a partition."
    if disk.uses:
        return f"which is {disk.device} and in use: {', '.join(disk.uses)}", "Take it out, or free it first."
    if disk.unreadable:
        return (
            f"which is {disk.device} and cannot be looked at: {disk.unreadable}",
            "Take it out, or see to that.",
        )
    if disk.read_only:
        return "which is read-only", "Take it out, or let it be written."
    if disk.size < LEAST:
        return f"of {disk.size / (1 << 30):.1f} GiB", f"Ceph takes none below {LEAST >> 30} GiB: take it out."
    return None


def _ours(label: Label | None, fsid: str, osds: t.Collection[str] | None) -> bool:
    """Whether the disk is an OSD of the cluster. If the cluster cannot be asked, what bears its name is."""
    return label is not None and fsid != "" and label.fsid == fsid and (osds is None or label.osd in osds)


def judged(
    disks: t.Sequence[Disk],
    named: t.Collection[str],
    fsid: str,
    osds: t.Collection[str] | None,
    *,
    loops: bool,
    names: t.Sequence[str] = (),
) -> Verdict:
    """All that speaks against the disks of a host, and which of them are to be wiped.

    An OSD of the cluster `fsid` is kept, even if it is named for wiping: a name that stays in the inventory
    must not take the disk that it was good for.
    """
    verdict = Verdict()
    first: dict[str, str] = {}
    for disk in disks:
        twin = first.get(disk.device, "")
        if disk.device:
            first.setdefault(disk.device, disk.path)
        if twin:
            verdict.problems.append(f"found {disk.path}, which is the same disk as {twin}. Take one of them out.")
        elif _ours(disk.label, fsid, osds):
            verdict.kept.append(disk.path)
        elif reason := unfit(disk, loops=loops, names=names):
            verdict.problems.append(f"found {disk.path}, {'. '.join(reason)}")
        elif disk.contents and disk.path in named:
            verdict.wipe.append(disk.path)
        elif disk.contents:
            verdict.problems.append(
                f"found {disk.path}, on which is {', '.join(disk.contents)}. "
                f"Take it out, or name it in rook_wipe_disks if all that is on it may be destroyed."
            )
    return verdict
