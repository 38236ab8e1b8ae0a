# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._tree import TreeError, pack


def packed(folders: dict[str, Path]) -> bytes:
    stream = io.BytesIO()
    pack({name: str(path) for name, path in folders.items()}, stream)
    return stream.getvalue()


def tree(root: Path, mode: int = 0o700) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "start").write_text("#!/bin/sh\n")
    (root / "bin" / "start").chmod(mode)
    (root / "alias").symlink_to("bin/start")
    (root / "bin" / "start.pyc").write_text("x")
    (root / ".ruff_cache").mkdir()
    (root / ".ruff_cache" / "x").write_text("x")
    return root


def test_the_same_content_is_the_same_archive(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b", 0o755)
    os.utime(second / "bin" / "start", (1, 1))
    assert packed({".": first}) == packed({".": second})
    (second / "bin" / "start").chmod(0o644)
    assert packed({".": first}) != packed({".": second})


def test_members(tmp_path: Path) -> None:
    root = tree(tmp_path / "a")
    with tarfile.open(fileobj=io.BytesIO(packed({".": root, "more/here": root / "bin"}))) as archive:
        assert [(member.name, member.mode, member.mtime, member.uid) for member in archive] == [
            ("alias", 0o777, 0, 0),
            ("bin/start", 0o755, 0, 0),
            ("more/here/start", 0o755, 0, 0),
        ]
        start = archive.extractfile("more/here/start")
        assert start is not None
        assert start.read() == b"#!/bin/sh\n"


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=r"gone is no folder on the controller.*option folders"):
        packed({".": tmp_path / "gone"})
