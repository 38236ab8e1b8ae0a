# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks a filter chooses, and what it says of the others."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._disk import Disk, judged
from ansible_collections.cmsaf.facility.plugins.module_utils._disk_filter import (
    Filter,
    choice,
    device_class,
    parse_size,
    stable_name,
)

TB = 10**12
NAME = "wwn-0x5000c500a1b2c3d4"


def disk(**change: Any) -> Disk:
    values: dict[str, Any] = {
        "path": "/dev/sdb",
        "device": "/dev/sdb",
        "block": True,
        "kind": "disk",
        "size": 10 * TB,
        "rotational": True,
        "model": "ST10000NM0016-1TT101",
        "vendor": "ATA",
        "serial": "ZA2",
    }
    return Disk(**{**values, **change})


def chosen(found: Disk, wanted: dict[str, Any], names: tuple[str, ...] = (NAME,), **more: Any) -> tuple[str, str]:
    given = {"named": {}, "loops": False, **more}
    (entry,) = choice([found], Filter.of(wanted), given["named"], {found.device: names}, loops=given["loops"])
    return entry["state"], entry["reason"]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10TB", 10 * TB),
        ("1.5 TB", 1500 * 10**9),
        ("960GB", 960 * 10**9),
        ("5MB", 5 * 10**6),
        ("2TiB", 2 << 40),
        ("1GiB", 1 << 30),
    ],
)
def test_sizes_are_those_on_the_disks(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["10", "10T", "TB", "ten TB", "-1TB", "1e3GB", "10TB:", "1,5TB"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"min_size is .*, which is no size. Write a number and one of MB, GB, TB"):
        Filter.of({"min_size": text})


def test_bounds_that_leave_nothing_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"min_size 4TB is more than max_size 2TiB, no disk is of such a size. Set one"
    ):
        Filter.of({"min_size": "4TB", "max_size": "2TiB"})
    assert Filter.of({"min_size": "4TB", "max_size": "4TB"}).why_not(disk(size=4 * TB)) == ""


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({}, ""),
        ({"min_size": "10TB", "max_size": "10TB", "rotational": True, "model": "NM0016", "vendor": "ATA"}, ""),
        ({"min_size": "10.1TB"}, "smaller than min_size"),
        ({"max_size": "9.9TB"}, "larger than max_size"),
        ({"rotational": False}, "rotational"),
        ({"model": "SAMSUNG"}, "model 'ST10000NM0016-1TT101' without 'SAMSUNG'"),
        ({"vendor": "HGST"}, "vendor 'ATA' without 'HGST'"),
    ],
)
def test_what_a_filter_wants(wanted: dict[str, Any], reason: str) -> None:
    assert chosen(disk(), wanted) == (("no", reason) if reason else ("chosen", ""))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"uses": ["mounted at /", "used as swap"]}, "in use: mounted at /, used as swap"),
        ({"unreadable": "not permitted"}, "cannot be looked at: not permitted"),
        ({"read_only": True}, "read-only"),
        ({"size": 4 << 30}, "of 4.0 GiB"),
        ({"kind": "loop"}, "a loop device"),
        ({"contents": ["ext4 file system", "data"]}, "on it is ext4 file system, data"),
    ],
)
def test_what_storage_refuses_is_never_chosen(change: dict[str, Any], reason: str) -> None:
    assert chosen(disk(**change), {}) == ("no", reason)
    assert judged([disk(**change)], [], "", None, loops=False).problems


def test_content_is_told_of_what_the_filter_wants() -> None:
    full = disk(contents=["gpt partition table"])
    assert chosen(full, {"rotational": True}) == ("no", "on it is gpt partition table")
    assert chosen(full, {"rotational": False}) == ("no", "rotational")


def test_what_the_inventory_has_is_not_chosen_again() -> None:
    assert chosen(disk(), {}, named={"/dev/sdb": "/dev/disk/by-id/ata-1"}) == ("named", "")
    # The cluster's own, on which there is its data.
    assert chosen(disk(contents=["an OSD"]), {"rotational": False}, named={"/dev/sdb": "/dev/disk/by-id/ata-1"}) == (
        "named",
        "",
    )


def test_the_inventory_s_own_name_is_told_of_what_it_has() -> None:
    (entry,) = choice([disk()], Filter(), {"/dev/sdb": "/dev/disk/by-path/1"}, {"/dev/sdb": [NAME]}, loops=False)
    assert (entry["path"], entry["name"]) == ("/dev/disk/by-path/1", f"/dev/disk/by-id/{NAME}")


def test_a_disk_without_a_name_is_not_chosen() -> None:
    assert chosen(disk(), {}, names=()) == ("no", "no name below /dev/disk/by-id leads to it")


def test_loop_devices_are_for_tests() -> None:
    assert chosen(disk(kind="loop"), {}, loops=True) == ("chosen", "")


@pytest.mark.parametrize(
    ("names", "best"),
    [
        ([], ""),
        (["ata-ST10000NM0016_ZA2", "scsi-SATA_ST10000NM0016_ZA2", NAME], NAME),
        # Without the namespace it may be another one's.
        (["nvme-MODEL_SERIAL", "nvme-MODEL_SERIAL_1"], "nvme-MODEL_SERIAL_1"),
        (["nvme-MODEL_SERIAL", "nvme-MODEL_SERIAL_1", "nvme-eui.0025388b"], "nvme-eui.0025388b"),
        (["virtio-disk1"], "virtio-disk1"),
    ],
)
def test_the_name_is_the_disk_s_own(names: list[str], best: str) -> None:
    assert stable_name(names) == stable_name(reversed(names)) == best


def test_all_that_is_known_of_a_disk_is_told() -> None:
    (entry,) = choice([disk()], Filter(), {}, {"/dev/sdb": [NAME]}, loops=False)
    assert entry == {
        "state": "chosen",
        "device": "/dev/sdb",
        "path": "",
        "name": f"/dev/disk/by-id/{NAME}",
        "size": 10 * TB,
        "device_class": "hdd",
        "model": "ST10000NM0016-1TT101",
        "serial": "ZA2",
        "reason": "",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, "hdd"), ({"rotational": False}, "ssd"), ({"rotational": False, "device": "/dev/nvme0n1"}, "nvme")],
)
def test_class(change: dict[str, Any], expected: str) -> None:
    assert device_class(disk(**change)) == expected
