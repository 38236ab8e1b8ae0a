# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run in this process, where what a play would hand over goes in and what it would get comes out, and real plays."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

Run = Callable[..., dict[str, Any]]
Play = Callable[..., tuple[list[dict[str, Any]], str]]


def run_module(name: str, arguments: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    """The result of the module, with all that it printed under ``said``."""
    module = importlib.import_module(f"ansible_collections.cmsaf.facility.plugins.modules.{name}")
    given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    printed = io.StringIO()
    with patch_module_args(given), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        module.main()
    said = printed.getvalue()
    return {**json.loads(said), "said": said}


@pytest.fixture
def run() -> Run:
    return run_module


def run_play(
    here: Path, tasks: list[dict[str, Any]], *arguments: str, **environment: str
) -> tuple[list[dict[str, Any]], str]:
    """Run the tasks; each one's result, and all that Ansible said."""
    playbook = here / "play.yml"
    one = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": {"here": str(here)}}
    playbook.write_text(yaml.safe_dump([{**one, "tasks": tasks}]), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", *arguments, playbook],
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    start = done.stdout.find("{\n")
    assert start >= 0, done.stdout + done.stderr
    said = json.loads(done.stdout[start:])
    return [task["hosts"]["localhost"] for task in said["plays"][0]["tasks"]], done.stdout + done.stderr


@pytest.fixture
def play() -> Play:
    return run_play
