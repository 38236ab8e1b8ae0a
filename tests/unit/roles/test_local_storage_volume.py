# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that makes volumes on a node, without the kernel's part of it: make soak TARGET=quota has that."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles/local_storage/files/cmsaf-volume"
SIZE = 64 << 20
FIRST = 1_000_000_000


class Node:
    """Remembers commands and the projects of inodes; says what file system there is."""

    def __init__(self, volume: Any, kind: str, options: str) -> None:
        self.volume = volume
        self.found = {"fstype": kind, "target": "/disk", "options": options}
        self.commands: list[str] = []
        self.mounted: set[str] = set()
        self.projects: dict[int, int] = {}
        self.broken = ""

    def run(self, *command: str) -> str:
        if command[0] == "findmnt":
            return json.dumps({"filesystems": [self.found]})
        self.commands.append(" ".join(command))
        if self.broken and self.broken in self.commands[-1]:
            raise self.volume.VolumeError(self.commands[-1])
        if command[0] == "mount":
            self.mounted.add(command[-1])
        if command[0] == "umount":
            self.mounted.remove(command[-1])
        return "/dev/loop3\n" if command[0] == "losetup" and "--output=NAME" in command else ""

    def attributes(self, descriptor: int) -> list[int]:
        return [0, 0, 0, self.projects.get(os.fstat(descriptor).st_ino, 0), 0]

    def assign(self, descriptor: int, project: int, _flags: int) -> None:
        self.projects[os.fstat(descriptor).st_ino] = project

    def project(self, path: Path) -> int:
        return self.projects.get(path.stat().st_ino, 0)


@pytest.fixture
def volume(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("cmsaf_volume", str(PROGRAM))
    spec = importlib.util.spec_from_loader("cmsaf_volume", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cmsaf_volume", module)
    loader.exec_module(module)
    return module


@pytest.fixture
def node(volume: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def on(kind: str, options: str = "rw") -> Node:
        one = Node(volume, kind, options)
        for name in ("run", "attributes", "assign"):
            monkeypatch.setattr(volume, name, getattr(one, name))
        monkeypatch.setattr(volume, "set_immutable", lambda path, wanted: one.commands.append(f"{wanted} {path.name}"))
        monkeypatch.setattr(volume, "loop_device", lambda: Path("/dev/loop9"))
        monkeypatch.setattr(volume.os.path, "ismount", lambda path: str(path) in one.mounted)
        return one

    return on


@pytest.mark.parametrize(
    ("kind", "options", "projects", "remote"),
    [
        ("xfs", "rw,relatime,attr2,prjquota", True, False),
        ("xfs", "rw,relatime,pqnoenforce", False, False),
        ("ext4", "rw,prjquota", True, False),
        ("ext4", "rw,relatime", False, False),
        ("btrfs", "rw,prjquota", False, False),
        ("nfs4", "rw,vers=4.2,prjquota", False, True),
        ("nfs", "rw", False, True),
    ],
)
def test_quotas_are_there_where_they_are_in_force(
    volume: Any, node: Any, tmp_path: Path, kind: str, options: str, projects: bool, remote: bool
) -> None:
    node(kind, options)
    found = volume.FileSystem.of(tmp_path)
    assert (found.projects, found.remote) == (projects, remote)


def test_each_volume_has_a_project_and_a_limit(volume: Any, node: Any, tmp_path: Path) -> None:
    disk = node("xfs", "rw,prjquota")
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for directory in (one, two, one):
        volume.make(directory, SIZE + 1, False)
        assert directory.stat().st_mode & 0o777 == 0o777
    assert [disk.project(path) for path in (one, two)] == [FIRST, FIRST + 1]
    limits = [f"setquota -P {project} 0 65537 0 0 /disk" for project in (FIRST, FIRST + 1, FIRST)]
    assert disk.commands == limits
    # What is removed gives limit and number back.
    volume.remove(one)
    assert not one.exists() and disk.commands[-1] == f"setquota -P {FIRST} 0 0 0 0 /disk"
    volume.make(three, SIZE, False)
    assert disk.project(three) == FIRST


def test_what_is_there_gets_a_limit_with_all_that_is_in_it(volume: Any, node: Any, tmp_path: Path) -> None:
    disk = node("ext4", "rw,prjquota")
    outside, old = tmp_path / "outside", tmp_path / "old"
    outside.write_text("not the volume's")
    (old / "deep").mkdir(parents=True)
    (old / "deep" / "file").write_text("x")
    (old / "deep" / "link").symlink_to(outside)
    (old / "way").symlink_to(tmp_path)
    os.mkfifo(old / "deep" / "pipe")
    # Another's number is not one of ours.
    disk.projects[old.stat().st_ino] = 42
    volume.limit(old, SIZE)
    assert {disk.project(path) for path in (old, old / "deep", old / "deep" / "file")} == {FIRST}
    assert disk.project(outside) == 0 and disk.project(tmp_path) == 0
    # Resized by its quota alone.
    before = dict(disk.projects)
    volume.limit(old, 2 * SIZE)
    assert disk.projects == before and disk.commands[-1] == f"setquota -P {FIRST} 0 {SIZE // 512} 0 0 /disk"


def test_without_quotas_there_is_a_directory_and_no_limit(volume: Any, node: Any, tmp_path: Path) -> None:
    disk = node("ext4")
    for _ in range(2):
        volume.make(tmp_path / "below" / "one", SIZE, False)
    assert (tmp_path / "below" / "one").stat().st_mode & 0o777 == 0o777 and disk.commands == []
    with pytest.raises(volume.VolumeError, match=r"Limiting .*/one: it is on ext4 at /disk without project quotas"):
        volume.limit(tmp_path / "below" / "one", SIZE)
    for _ in range(2):
        volume.remove(tmp_path / "below" / "one")
    assert list((tmp_path / "below").iterdir()) == []


def test_no_image_is_made_over_nfs(volume: Any, node: Any, tmp_path: Path) -> None:
    disk = node("nfs4")
    volume.make(tmp_path / "one", SIZE, True)
    assert [path.name for path in tmp_path.iterdir()] == ["one"] and disk.commands == []


def test_an_image_is_made_once_and_mounted(volume: Any, node: Any, tmp_path: Path) -> None:
    disk = node("btrfs")
    image = tmp_path / "one.img"
    # What was cut off is made anew; so is what failed.
    (tmp_path / "one.img.part").write_bytes(b"half")
    disk.broken = "mkfs"
    with pytest.raises(volume.VolumeError):
        volume.make(tmp_path / "one", SIZE, True)
    assert not image.exists()
    disk.broken = ""
    disk.commands.clear()
    volume.make(tmp_path / "one", SIZE, True)
    mount = f"mount -t ext4 -o loop=/dev/loop9,nodev,nosuid,discard {image} {tmp_path / 'one'}"
    assert disk.commands == [f"mkfs.ext4 -q -m 0 {image}.part", "True one", mount]
    assert image.stat().st_size == SIZE and image.stat().st_mode & 0o777 == 0o600
    volume.make(tmp_path / "one", SIZE, True)
    assert disk.commands[3:] == []

    volume.limit(tmp_path / "one", 2 * SIZE)
    assert image.stat().st_size == 2 * SIZE and disk.commands[-1] == "resize2fs /dev/loop3"
    with pytest.raises(volume.VolumeError, match="its image has 134217728 bytes, and is not made smaller"):
        volume.limit(tmp_path / "one", SIZE)

    disk.commands.clear()
    for _ in range(2):
        volume.remove(tmp_path / "one")
    assert disk.commands == [f"umount {tmp_path / 'one'}", "False one"] and list(tmp_path.iterdir()) == []


def test_a_device_that_another_took_is_left_to_him(volume: Any, node: Any, tmp_path: Path) -> None:
    disk = node("ext4")
    devices = iter(range(9))
    volume.loop_device = lambda: Path(f"/dev/loop{next(devices)}")
    disk.broken = "loop=/dev/loop0"
    volume.make(tmp_path / "one", SIZE, True)
    assert [command for command in disk.commands if command.startswith("mount")][-1].count("loop=/dev/loop1,") == 1
    disk.broken = "mount"
    with pytest.raises(volume.VolumeError, match="mount -t ext4"):
        volume.make(tmp_path / "two", SIZE, True)


def test_one_image_that_is_broken_keeps_none_of_the_others(
    volume: Any, node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = node("ext4")
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.img").touch()
    disk.mounted.add(str(tmp_path / "c"))

    def check(command: list[Any], **_: Any) -> Any:
        code = 4 if command[-1].name == "a.img" else 1
        return volume.subprocess.CompletedProcess(command, code, "UNEXPECTED INCONSISTENCY", "")

    monkeypatch.setattr(volume.subprocess, "run", check)
    with pytest.raises(volume.VolumeError, match=r"e2fsck -p .*/a\.img: UNEXPECTED INCONSISTENCY"):
        volume.mount_all(tmp_path)
    assert disk.mounted == {str(tmp_path / "b"), str(tmp_path / "c")}


def test_what_goes_wrong_is_said_in_a_line(
    volume: Any, node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node("ext4")
    monkeypatch.setattr(sys, "argv", ["cmsaf-volume", "limit", str(tmp_path), "1"])
    assert volume.main() == 1
    assert capsys.readouterr().err.startswith(f"cmsaf-volume: Limiting {tmp_path}: it is on ext4")
    monkeypatch.setattr(sys, "argv", ["cmsaf-volume", "look", str(tmp_path)])
    assert volume.main() == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "ext4", "mount": "/disk", "projects": False}
