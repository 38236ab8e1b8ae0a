# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that show servers bad credentials: what each is brought is all it needs, and its answers are counted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

MOLECULE = Path(__file__).resolve().parents[3] / "molecule"
sys.path.insert(0, str(MOLECULE / "default/files"))
import matrix  # type: ignore[import-not-found]  # noqa: E402 # after what it is found by


def listed(scenario: str, name: str) -> list[str]:
    """The files that a scenario brings to where a program runs."""
    if scenario == "htcondor":
        tasks = yaml.safe_load((MOLECULE / scenario / "tasks/matrix.yml").read_text(encoding="utf-8"))
        (found,) = [task["loop"] for task in tasks if task["name"] == name]
    else:
        found = yaml.safe_load((MOLECULE / scenario / "vars/main.yml").read_text(encoding="utf-8"))[name]
    return [str(path) for path in found]


@pytest.mark.parametrize(
    ("scenario", "name", "program"),
    [
        ("htcondor", "Bring the programs", "bad_credentials.py"),
        ("xcache", "check_matrix_programs", "bad_credentials.py"),
        ("xcache", "check_issuers_programs", "issuer_tokens.py"),
    ],
)
def test_what_is_brought_is_enough(scenario: str, name: str, program: str, tmp_path: Path) -> None:
    for path in listed(scenario, name):
        shutil.copy(MOLECULE / scenario / path, tmp_path)
    command = [sys.executable, "-I", "-c", f"import runpy, sys; sys.path.insert(0, '.'); runpy.run_path({program!r})"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_answers_are_said_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        {"name": name, "expected": expected, "found": found, "answer": ""}
        for name, expected, found in (("a", "given", "given"), ("b", "refused", "given"), ("c", "refused", "refused"))
    ]
    assert matrix.say(answers) == 1
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == answers


def test_canaries_are_for_their_owner_alone(tmp_path: Path) -> None:
    lines = [{"name": "token 0", "text": "t"}, {"name": "key", "path": "/k"}]
    matrix.write_canaries(tmp_path / "canaries", lines)
    assert (tmp_path / "canaries").stat().st_mode & 0o777 == 0o600
    assert [json.loads(line) for line in (tmp_path / "canaries").read_text().splitlines()] == lines
