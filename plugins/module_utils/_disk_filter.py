# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a host's disks a filter chooses, and why not the others. Private to this collection; imports nothing of Ansible."""

from __future__ import annotations

__all__ = ("Filter", "choice", "device_class", "parse_size", "stable_name")

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.cmsaf.facility.plugins.module_utils._disk import Disk, unfit

# Disks are sold in powers of ten.
_UNITS = {"M": 10**6, "G": 10**9, "T": 10**12, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([MGT]i?)B")
# Names that the disk itself gives, whatever it is attached to. That of an NVMe drive's model and serial number is any of its
# namespaces.
_OWN = ("wwn-", "nvme-eui.", "nvme-uuid.")


def parse_size(text: str) -> int:
    """Bytes of a size such as 10TB or 1.5TiB; ValueError for anything else."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(
            f"{text!r}, which is no size. Write a number and one of MB, GB, TB, MiB, GiB, TiB, such as 10TB."
        )
    return int(float(match[1]) * _UNITS[match[2]])


def _bound(wanted: t.Mapping[str, t.Any], key: str) -> int | None:
    try:
        return parse_size(wanted[key]) if wanted.get(key) else None
    except ValueError as error:
        raise ValueError(f"{key} is {error}") from error


@dataclass(frozen=True)
class Filter:
    """What a disk has to be beside whole and empty; None and '' want nothing. Sizes are in bytes."""

    min_size: int | None = None
    max_size: int | None = None
    rotational: bool | None = None
    model: str = ""
    vendor: str = ""

    @classmethod
    def of(cls, wanted: t.Mapping[str, t.Any]) -> Filter:
        """The filter of an inventory; ValueError says what is wrong with it."""
        least, most = _bound(wanted, "min_size"), _bound(wanted, "max_size")
        if least is not None and most is not None and least > most:
            raise ValueError(
                f"min_size {wanted['min_size']} is more than max_size {wanted['max_size']}, no disk is of such a size. "
                f"Set one of them otherwise."
            )
        return cls(least, most, wanted.get("rotational"), wanted.get("model") or "", wanted.get("vendor") or "")

    def why_not(self, disk: Disk) -> str:
        """What the filter wants that the disk is not, '' if it is all of it."""
        if self.min_size is not None and disk.size < self.min_size:
            return "smaller than min_size"
        if self.max_size is not None and disk.size > self.max_size:
            return "larger than max_size"
        if self.rotational not in (None, disk.rotational):
            return "rotational" if disk.rotational else "not rotational"
        for key in ("model", "vendor"):
            text, found = getattr(self, key), getattr(disk, key)
            if text not in found:
                return f"{key} {found!r} without {text!r}"
        return ""


def stable_name(names: t.Iterable[str]) -> str:
    """The best of the names below /dev/disk/by-id that lead to one disk, '' if there is none."""
    return min(names, key=lambda name: (not name.startswith(_OWN), -len(name), name), default="")


def device_class(disk: Disk) -> str:
    """The class by which pools of Ceph choose disks: hdd, ssd or nvme."""
    if disk.rotational:
        return "hdd"
    return "nvme" if disk.device.startswith("/dev/nvme") else "ssd"


def choice(
    disks: t.Sequence[Disk],
    wanted: Filter,
    named: t.Mapping[str, str],
    names: t.Mapping[str, t.Sequence[str]],
    *,
    loops: bool,
) -> list[dict[str, t.Any]]:
    """Every disk of a host, and whether it is chosen.

    `named` has the path by which the inventory names a device already, `names` the names below /dev/disk/by-id of each device.
    """
    return [_judged(disk, wanted, named, stable_name(names.get(disk.device, ())), loops) for disk in disks]


def _judged(disk: Disk, wanted: Filter, named: t.Mapping[str, str], name: str, loops: bool) -> dict[str, t.Any]:
    reason = _reason(disk, wanted, name, loops)
    state = "named" if disk.device in named else "no" if reason else "chosen"
    return {
        "state": state,
        "device": disk.device,
        "path": named.get(disk.device, ""),
        "name": name and f"/dev/disk/by-id/{name}",
        "size": disk.size,
        "device_class": device_class(disk),
        "model": disk.model,
        "serial": disk.serial,
        "reason": reason if state == "no" else "",
    }


def _reason(disk: Disk, wanted: Filter, name: str, loops: bool) -> str:
    problem = unfit(disk, loops=loops)
    if problem:
        what: str = problem[0]
        return what.removeprefix(f"which is {disk.device} and ").removeprefix("which is ")
    # What is on it is of interest where the filter wants the disk.
    if reason := wanted.why_not(disk):
        return reason
    if disk.contents:
        return f"on it is {', '.join(disk.contents)}"
    return "" if name else "no name below /dev/disk/by-id leads to it"
