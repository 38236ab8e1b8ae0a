# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import hashlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._cache import (
    CacheError,
    Output,
    Record,
    content_key,
    digest_path,
    install,
    read_record,
    reusable,
    write_record,
)


def tree(root: Path) -> Path:
    (root / "sub").mkdir(parents=True)
    (root / "go.mod").write_text("module x\n")
    (root / "sub" / "run").write_text("#!/bin/sh\n")
    return root


def key(root: Path, **changed: t.Any) -> str:
    given: dict[str, t.Any] = {
        "name": "x",
        "inputs": [str(root)],
        "values": ["1"],
        "argv": ["go", "build"],
        "environment": {"A": "1"},
    }
    return content_key(**{**given, **changed})


def test_key_is_the_same_elsewhere_and_later(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "a" / "lock"), tree(tmp_path / "b" / "lock")
    os.utime(second / "go.mod", (1, 1))
    assert key(first) == key(second)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "y"},
        {"values": ["2"]},
        {"values": ["1", ""]},
        {"argv": ["go build"]},
        {"environment": {"A": "2"}},
        {"inputs": []},
    ],
)
def test_key_changes_with_each_part(tmp_path: Path, changed: dict[str, t.Any]) -> None:
    root = tree(tmp_path / "lock")
    assert key(root) != key(root, **changed)


def test_key_changes_with_content_name_and_mode(tmp_path: Path) -> None:
    root = tree(tmp_path / "lock")
    seen = {key(root)}
    (root / "go.mod").write_text("module y\n")
    seen.add(key(root))
    (root / "sub" / "run").chmod(0o755)
    seen.add(key(root))
    (root / "sub" / "run").rename(root / "run")
    seen.add(key(root))
    (root / "link").symlink_to("run")
    seen.add(key(root))
    assert len(seen) == 5


def test_key_ignores_what_tools_leave(tmp_path: Path) -> None:
    root = tree(tmp_path / "lock")
    before = digest_path(str(root))
    (root / "__pycache__").mkdir()
    (root / "__pycache__" / "x.cpython-313.pyc").write_bytes(b"1")
    (root / "sub" / "y.pyc").write_bytes(b"1")
    assert digest_path(str(root)) == before


def test_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"gone of x failed.*option inputs"):
        key(tmp_path / "gone")


def test_record_is_read_as_written(tmp_path: Path) -> None:
    path = str(tmp_path / "built" / "x.json")
    record = Record("k", {"/srv/x": ("0" * 64, 3)})
    write_record(path, record)
    assert read_record(path) == record
    assert os.listdir(tmp_path / "built") == ["x.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": "k", "files": {"/x": {}}}', '{"key": "k", "files": []}'])
def test_unreadable_record_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert read_record(str(tmp_path / "x.json")) is None
    assert read_record(str(tmp_path / "y.json")) is None


def test_install_then_reuse(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_bytes(b"abc")
    (tmp_path / "out" / "x").chmod(0o711)
    sha256 = hashlib.sha256(b"abc").hexdigest()
    output = Output("x", str(tmp_path / "srv" / "x"), sha256)
    record = Record("k", install("x", str(tmp_path / "out"), [output]))
    assert record.files == {output.path: (sha256, 3)}
    assert os.stat(output.path).st_mode & 0o777 == 0o755
    assert reusable(record, "k", [output])
    assert not reusable(None, "k", [output])
    assert not reusable(record, "l", [output])
    assert not reusable(record, "k", [Output("x", output.path, "0" * 64)])
    assert not reusable(record, "k", [output, Output("y", str(tmp_path / "srv" / "y"))])
    Path(output.path).write_bytes(b"abcd")
    assert not reusable(record, "k", [output])
    os.unlink(output.path)
    assert not reusable(record, "k", [output])


def test_wrong_checksum_installs_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "y").write_bytes(b"abc")
    outputs = [Output("x", str(tmp_path / "srv" / "x")), Output("y", str(tmp_path / "srv" / "y"), "0" * 64)]
    with pytest.raises(CacheError) as caught:
        install("pair", str(tmp_path), outputs)
    for said in (outputs[1].path, hashlib.sha256(b"abc").hexdigest(), "expected " + "0" * 64):
        assert said in str(caught.value)
    assert not (tmp_path / "srv").exists()


def test_missing_output_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(CacheError, match=r"without the file x .*found there: other"):
        install("x", str(tmp_path), [Output("x", str(tmp_path / "srv" / "x"))])
