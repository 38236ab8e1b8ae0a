# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found on a disk, and what is made of it."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _disk
from ansible_collections.cmsaf.facility.plugins.module_utils._disk import Disk, Label, judged

OSD, OTHER = "0d1f1f0c-3f43-4d36-8a5e-3d6f7bd0a001", "0d1f1f0c-3f43-4d36-8a5e-3d6f7bd0a002"
FSID, FOREIGN = "f0e0c1a2-5b51-4f0c-9d4e-000000000001", "f0e0c1a2-5b51-4f0c-9d4e-000000000002"
SIZE = 10 << 30


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode()


def label(osd: str = OSD, **meta: str) -> bytes:
    """A label as an OSD writes it."""
    body = bytes(16) + struct.pack("<QII", SIZE, 0, 0) + text("main") + struct.pack("<I", len(meta))
    body += b"".join(text(name) + text(value) for name, value in meta.items())
    return (
        b"bluestore block device\n" + osd.encode() + b"\n" + struct.pack("<BBI", 2, 1, len(body)) + body + bytes(4096)
    )


def disk(path: str = "/dev/disk/by-id/a", **change: Any) -> Disk:
    values: dict[str, Any] = {"device": "/dev/sdb", "block": True, "kind": "disk", "size": SIZE, **change}
    return Disk(path, **values)


def test_label_of_an_osd() -> None:
    found = _disk.parse_label(label(whoami="3", ceph_fsid=FSID, osd_key="secret"))
    assert found == Label(OSD, FSID)


@pytest.mark.parametrize("cut", [24, 61, 70, 100, 130])
def test_label_that_is_cut_off_is_an_osd_of_no_known_cluster(cut: int) -> None:
    found = _disk.parse_label(label(whoami="3", ceph_fsid=FSID)[:cut])
    assert found is not None and found.fsid == ""


@pytest.mark.parametrize("head", [b"", bytes(4096), b"bluestore", b"\x89PNG" + bytes(64)])
def test_other_things_are_no_label(head: bytes) -> None:
    assert _disk.parse_label(head) is None


@pytest.mark.parametrize("size", [1, 512, _disk.EDGE, _disk.EDGE + 1, 2 * _disk.EDGE, 2 * _disk.EDGE + 7, SIZE])
def test_places_are_within_the_disk_and_hold_both_ends(size: int) -> None:
    found = _disk.places(size)
    assert found[0][0] == 0 and sum(found[-1]) == size
    assert all(length > 0 and start + length <= size for start, length in found)
    assert all(first + length <= second for (first, length), (second, _) in zip(found, found[1:]))


@pytest.mark.parametrize("where", [0, 1080, _disk.EDGE - 1, 64 << 20, (64 << 20) - 1])
def test_data_is_found_and_blanked(tmp_path: Path, where: int) -> None:
    size = 128 << 20
    where = {64 << 20: _disk.places(size)[20][0] + 5, (64 << 20) - 1: size - 1}.get(where, where)
    with (tmp_path / "disk").open("w+b") as stream:
        stream.truncate(size)
        assert _disk.first_data(stream.fileno(), size) is None
        os.pwrite(stream.fileno(), b"x", where)
        assert _disk.first_data(stream.fileno(), size) == where
        _disk.blank(stream.fileno(), size)
        assert _disk.first_data(stream.fileno(), size) is None
        assert os.fstat(stream.fileno()).st_size == size


def test_uses_of_a_disk_and_of_what_is_on_it() -> None:
    node = {
        "path": "/dev/sda",
        "type": "disk",
        "mountpoints": [None],
        "children": [
            {"path": "/dev/sda1", "type": "part", "mountpoints": ["/boot"]},
            {
                "path": "/dev/sda2",
                "type": "part",
                "mountpoints": [None],
                "children": [{"path": "/dev/mapper/vg-root", "type": "lvm", "mountpoints": ["/", "/"]}],
            },
            {"path": "/dev/sda3", "type": "part", "mountpoints": ["[SWAP]"]},
        ],
    }
    assert _disk.uses(node) == ["mounted at /boot", "mounted at /", "part of /dev/mapper/vg-root (lvm)", "used as swap"]
    assert _disk.uses({"path": "/dev/sdb", "type": "disk", "mountpoints": [None]}) == []


def test_signatures_in_words() -> None:
    listed = [
        {"type": "gpt", "usage": "partition-table", "label": None},
        {"type": "gpt", "usage": "partition-table", "label": None},
        {"type": "ext4", "usage": "filesystem", "label": "data"},
        {"type": "LVM2_member", "usage": "raid", "label": None},
    ]
    assert _disk.signatures(listed) == ["gpt partition table", "ext4 file system 'data'", "LVM2_member"]


ON_IT = {"contents": ["ext4 file system"]}
OURS = {"contents": ["an OSD"], "label": Label(OSD, FSID)}
LEFT = {"contents": ["an OSD"], "label": Label(OTHER, FSID)}
THEIRS = {"contents": ["an OSD"], "label": Label(OSD, FOREIGN)}
A = "/dev/disk/by-id/a"


@pytest.mark.parametrize(
    ("change", "named", "osds", "expected"),
    [
        ({}, [], [OSD], ("", [], [])),
        ({}, [A], [OSD], ("", [], [])),
        (ON_IT, [], [OSD], ("on which is ext4 file system. Take it out, or name it in rook_wipe_disks", [], [])),
        (ON_IT, [A], [OSD], ("", [A], [])),
        (ON_IT, ["/dev/disk/by-id/b"], [OSD], ("on which is ext4 file system", [], [])),
        # What is the cluster's own is never wiped, also when the cluster does not answer.
        (OURS, [], [OSD], ("", [], [A])),
        (OURS, [A], [OSD], ("", [], [A])),
        (OURS, [A], None, ("", [], [A])),
        (LEFT, [A], None, ("", [], [A])),
        (LEFT, [], [OSD], ("on which is an OSD", [], [])),
        (LEFT, [A], [OSD], ("", [A], [])),
        (THEIRS, [], [OSD], ("on which is an OSD", [], [])),
        (THEIRS, [A], [OSD], ("", [A], [])),
        (THEIRS, [A], None, ("", [A], [])),
        # What is in use is refused, named or not.
        ({**ON_IT, "uses": ["mounted at /"]}, [A], [OSD], ("in use: mounted at /. Take it out", [], [])),
        ({"unreadable": "not permitted"}, [A], [OSD], ("cannot be looked at: not permitted. Take it out", [], [])),
        ({**ON_IT, "read_only": True}, [A], [OSD], ("which is read-only", [], [])),
        ({"size": (5 << 30) - 1}, [], [OSD], ("of 5.0 GiB. Ceph takes none below 5 GiB", [], [])),
        ({"size": 0, "kind": ""}, [], [OSD], ("has no size", [], [])),
        ({"kind": "loop"}, [], [OSD], ("a loop device", [], [])),
        ({"kind": "lvm"}, [], [OSD], ("of type lvm", [], [])),
        ({"kind": "part"}, [], [OSD], ("", [], [])),
        ({"block": False}, [], [OSD], ("no disk", [], [])),
        (
            {"device": ""},
            [],
            [OSD],
            ("which does not exist. Write a name that is below /dev/disk/by-id there: x, y.", [], []),
        ),
    ],
)
def test_verdict(
    change: dict[str, Any], named: list[str], osds: list[str] | None, expected: tuple[str, list[str], list[str]]
) -> None:
    verdict = judged([disk(**change)], named, FSID, osds, loops=False, names=["x", "y"])
    problem, wipe, kept = expected
    assert (verdict.wipe, verdict.kept) == (wipe, kept)
    assert len(verdict.problems) == (1 if problem else 0)
    assert problem in "".join(verdict.problems)


def test_without_a_cluster_nothing_is_kept() -> None:
    assert judged([disk(**OURS)], [], "", None, loops=False).kept == []


def test_the_same_disk_by_two_names() -> None:
    verdict = judged([disk(), disk("/dev/disk/by-id/b")], [], FSID, [], loops=False)
    assert verdict.problems == [
        "found /dev/disk/by-id/b, which is the same disk as /dev/disk/by-id/a. Take one of them out."
    ]


def test_the_same_disk_by_one_name() -> None:
    assert judged([disk(), disk()], [], FSID, [], loops=False).problems == [
        f"found {A}, which is the same disk as {A}. Take one of them out."
    ]


def test_all_problems_come_at_once() -> None:
    verdict = judged([disk(device=""), disk("/dev/disk/by-id/b", **ON_IT)], [], "", None, loops=False)
    assert len(verdict.problems) == 2
    assert "below /dev/disk/by-id there: none." in verdict.problems[0]
