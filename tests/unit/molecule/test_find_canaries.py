# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets finds one wherever it is put, and says where without saying it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "molecule" / "default" / "files" / "find_canaries.py"
SECRET = "x/y+z" + "0123456789abcdef" * 4
KEY = bytes(range(1, 65))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the secrets belong."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "key").write_bytes(KEY)
    (home / "canaries").write_text(
        json.dumps({"name": "token", "text": SECRET}) + "\n" + json.dumps({"name": "key", "path": str(home / "key")}),
        encoding="utf-8",
    )
    (tmp_path / "logs" / "deep").mkdir(parents=True)
    return home


def search(home: Path, *more: str) -> tuple[int, list[dict[str, str]], dict[str, object]]:
    command = [sys.executable, PROGRAM, home / "canaries", "--look", home.parent, "--home", home, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert SECRET not in done.stdout + done.stderr, "the secret itself is shown"
    assert done.stdout, done.stderr
    *finds, last = map(json.loads, done.stdout.splitlines())
    return done.returncode, finds, last


def test_nothing_is_found_where_nothing_is(home: Path) -> None:
    code, finds, last = search(home)
    assert (code, finds) == (0, [])
    assert last["canaries"] == 2 and last["unseen"] == []


@pytest.mark.parametrize(
    "text",
    [
        SECRET.encode(),
        b"token " + SECRET[-40:].encode() + b" was here",
        quote(SECRET).encode(),
        base64.b64encode(SECRET.encode()),
        SECRET.encode().hex().encode(),
        KEY,
        base64.b64encode(KEY),
        b"." * ((1 << 22) - 10) + SECRET.encode(),
    ],
    ids=["whole", "end", "quoted", "base64", "hex", "key", "base64 of the key", "over the edge of a block"],
)
def test_a_secret_in_a_log_is_found(home: Path, text: bytes) -> None:
    log = home.parent / "logs" / "deep" / "log"
    log.write_bytes(b"before " + text + b" after\n")
    code, finds, _last = search(home)
    assert code == 1
    assert {find["where"] for find in finds} == {str(log)}


def test_a_secret_that_a_command_prints_is_found(home: Path) -> None:
    code, finds, _last = search(home, "--ask", f"cat {home / 'canaries'}")
    assert code == 1
    assert [find["name"] for find in finds] == ["token"]


@pytest.mark.parametrize("place", ["cmdline", "environ"])
def test_a_secret_of_a_process_is_found(home: Path, place: str) -> None:
    program = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    process = subprocess.Popen(
        [*program, SECRET] if place == "cmdline" else program,
        stdin=subprocess.PIPE,
        env={**os.environ, **({"NOTE": SECRET} if place == "environ" else {})},
    )
    try:
        code, finds, _last = search(home)
    finally:
        process.communicate()
    assert code == 1
    assert [find["where"].split(" (")[0] for find in finds] == [f"{place} of process {process.pid}"]


def test_a_blind_search_fails(home: Path) -> None:
    with (home / "canaries").open("a", encoding="utf-8") as stream:
        stream.write("\n" + json.dumps({"name": "lost", "path": str(home.parent / "elsewhere")}))
    (home.parent / "elsewhere").write_bytes(bytes(range(64, 128)))
    command = [sys.executable, PROGRAM, home / "canaries", "--home", home]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["unseen"] == ["lost"]


def test_no_canary_is_a_mistake(home: Path) -> None:
    (home / "canaries").write_text(json.dumps({"name": "short", "text": "abc"}), encoding="utf-8")
    done = subprocess.run([sys.executable, PROGRAM, home / "canaries"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "found no canary" in done.stderr
