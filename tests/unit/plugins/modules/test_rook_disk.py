# SPDX-License-Identifier: GPL-3.0-or-later
"""rook_disk_info and rook_disk_wipe at what is no disk and at this machine's own; disks to be taken are tried on a box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]


def test_what_is_no_disk_is_named(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    disks = [str(tmp_path / name) for name in ("none", "file", "link")]
    result = run("rook_disk_info", {"host": "w1", "disks": disks, "wipe": disks}, check=True)
    assert result["changed"] is False and result["wipe"] == [] and result["kept"] == []
    none, file, link = result["problems"]
    assert none.startswith(f"rook_disks of w1: found {disks[0]}, which does not exist. Write a name that is below")
    assert file == f"rook_disks of w1: found {disks[1]}, which is {disks[1]} and no disk. Write the name of one."
    assert link == f"rook_disks of w1: found {disks[2]}, which is the same disk as {disks[1]}. Take one of them out."


def test_what_is_no_disk_is_not_wiped(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_bytes(b"keep")
    result = run("rook_disk_wipe", {"path": str(tmp_path / "file")})
    assert "refused: it is no disk. Set the option path to one" in result["msg"]
    assert (tmp_path / "file").read_bytes() == b"keep"
    result = run("rook_disk_wipe", {"path": str(tmp_path / "none")})
    assert "No such file or directory. Set the option path to a disk that nothing uses" in result["msg"]


def test_without_a_filter_nothing_is_looked_for(run: Run) -> None:
    assert "found" not in run("rook_disk_info", {"host": "w1", "disks": []})


def test_this_machine_s_own_disks_are_not_chosen(run: Run) -> None:
    found = run("rook_disk_info", {"host": "w1", "disks": [], "filter": {"min_size": "100000TB"}}, check=True)["found"]
    assert all(disk["state"] == "no" and disk["reason"] and disk["size"] > 0 for disk in found)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            {"min_size": "ten"},
            "min_size is 'ten', which is no size. Write a number and one of MB, GB, TB, MiB, GiB, TiB",
        ),
        ({"min_size": "2TB", "max_size": "1TB"}, "min_size 2TB is more than max_size 1TB, no disk is of such a size"),
        ({"rotational": "perhaps"}, "filter"),
        ({"modell": "x"}, "filter.modell. Supported parameters include: max_size, min_size, model, rotational, vendor"),
    ],
)
def test_a_filter_that_is_none_is_refused(run: Run, wanted: dict[str, Any], words: str) -> None:
    result = run("rook_disk_info", {"host": "w1", "disks": [], "filter": wanted})
    assert result["failed"] and words in result["msg"]
