# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page is told of the user's home, by what file systems say of themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cmsaf_dask import home

MIB, GIB = 1 << 20, 1 << 30
CLAIM = 10 * GIB


def file_system(size: float, used: float, reserved: float = 0, files: int = 0, free_files: int = 0) -> Any:
    """As statvfs has it, in blocks of 4 KiB."""
    blocks, taken, kept = (int(amount / 4096) for amount in (size, used, reserved))
    left = blocks - taken
    return os.statvfs_result((4096, 4096, blocks, left, max(left - kept, 0), files, free_files, free_files, 0, 255))


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Any:
    def look(claim: int = CLAIM, **found: Any) -> dict[str, Any]:
        monkeypatch.setattr(home.os, "statvfs", lambda _: file_system(**found))
        return home.look(Path("/home/alice"), claim).answer()

    return look


@pytest.mark.parametrize(
    ("found", "text", "level"),
    [
        # A quota, as CephFS and projects have it, is the claim's size; of a file system of its own something is taken off.
        ({"size": 10 * GIB, "used": 3 * GIB}, "Home: 3.0 GiB of 10 GiB", ""),
        ({"size": 9.74 * GIB, "used": 0}, "Home: 0 KiB of 9.7 GiB", ""),
        ({"size": 11 * GIB, "used": 0}, "Home: 0 KiB of 11 GiB", ""),
        ({"size": 10 * GIB, "used": 8.99 * GIB}, "Home: 9.0 GiB of 10 GiB", ""),
        ({"size": 10 * GIB, "used": 9 * GIB}, "Home: 9.0 GiB of 10 GiB, nearly full", "near"),
        ({"size": 10 * GIB, "used": 10 * GIB - MIB}, "Home: 10 GiB of 10 GiB, nearly full", "near"),
        ({"size": 10 * GIB, "used": 10 * GIB}, "Home: 10 GiB of 10 GiB, full", "full"),
        # What is kept for root is nobody's here.
        ({"size": 10 * GIB, "used": 9 * GIB, "reserved": GIB}, "Home: 9.0 GiB of 9.0 GiB, full", "full"),
        ({"size": 10 * GIB, "used": GIB, "files": 10, "free_files": 2}, "Home: 1.0 GiB of 10 GiB", ""),
        (
            {"size": 10 * GIB, "used": GIB, "files": 10, "free_files": 1},
            "Home: 1.0 GiB of 10 GiB, nearly too many files",
            "files",
        ),
        ({"size": 10 * GIB, "used": GIB, "files": 10, "free_files": 0}, "Home: 1.0 GiB of 10 GiB, full", "full"),
        # CephFS: any number of them is free.
        ({"size": 10 * GIB, "used": GIB, "files": 7, "free_files": 2**64 - 1}, "Home: 1.0 GiB of 10 GiB", ""),
        # A directory of a disk, on the node or by NFS.
        ({"size": 11.1 * GIB, "used": 0}, "Home: no limit", ""),
        ({"size": 9000 * GIB, "used": 8999 * GIB}, "Home: no limit", ""),
        ({"size": 9000 * GIB, "used": 9000 * GIB}, "Home: no limit, disk is full", "disk"),
    ],
)
def test_what_the_status_bar_says(say: Any, found: dict[str, Any], text: str, level: str) -> None:
    answer = say(**found)
    assert (answer["text"], answer["level"]) == (text, level)
    assert bool(answer["message"]) == bool(level)
    assert (answer["size"] is None) == ("no limit" in text)


@pytest.mark.parametrize("level", ["near", "files", "full", "disk"])
def test_messages_are_shown_whole(level: str) -> None:
    message = home.Home(999 * MIB, 999 * MIB, level).answer()["message"]
    assert "{" not in message and len(message) <= 140


def test_a_real_file_system_is_asked(tmp_path: Path) -> None:
    found, there = home.look(tmp_path, 1 << 60), os.statvfs(tmp_path)
    assert found.size is not None and 0 < found.used <= found.size <= there.f_blocks * there.f_frsize
    assert home.look(tmp_path, 1).size is None


def test_outside_of_a_hub_nothing_is_known() -> None:
    assert home.claimed({"CMSAF_HOME_BYTES": str(CLAIM)}) == CLAIM
    assert home.claimed({}) is None and home.claimed({"CMSAF_HOME_BYTES": ""}) is None
