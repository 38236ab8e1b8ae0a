# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs share that act as users of a running facility."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[1] / "users.py"


@pytest.fixture(scope="module")
def users() -> ModuleType:
    spec = importlib.util.spec_from_file_location("users", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    sys.modules["users"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


class Hub:
    """Knows whether a server runs, and forgets who is logged in when it is stopped."""

    def __init__(self, runs: bool) -> None:
        self.runs_now, self.asked = runs, []
        self.session = self

    token = ""

    def runs(self) -> bool:
        return self.runs_now

    def login(self, password: str) -> None:
        self.token = "of " + password
        self.asked.append("login")

    def start(self, limit: float, profile: str) -> None:
        assert self.token and not self.runs_now
        self.asked.append(f"start {profile} in {limit:g} s")

    def stop(self, limit: float) -> None:
        assert self.token
        self.runs_now, self.token = False, ""
        self.asked.append("stop")

    def open_kernel(self) -> None:
        self.asked.append("kernel")


@pytest.mark.parametrize(("runs", "before"), [(False, ["login"]), (True, ["login", "stop", "login"])])
def test_a_server_that_nobody_has_used(users: Any, runs: bool, before: list[str]) -> None:
    hub = Hub(runs)
    users.start_fresh(hub, "word", 9, "small")
    assert hub.asked == [*before, "start small in 9 s", "kernel"]
    users.end(hub, 9)
    users.end(hub, 9)
    assert hub.asked[-2:] == ["kernel", "stop"]


def test_where_the_hub_is_and_the_password_hidden(users: Any, tmp_path: Path) -> None:
    (tmp_path / "word").write_text("open sesame\n")
    told = {"url": "https://hub.af.test", "ca": "/ca.crt", "password_file": str(tmp_path / "word")}
    (tmp_path / "settings.json").write_text(json.dumps(told))
    facility = users.Facility.told(tmp_path)
    assert facility.password == "open sesame" and "sesame" not in repr(facility)
    session = facility.session("alice", token="kept")
    assert (session.url, session.ca, session.user, session.token) == (facility.url, facility.ca, "alice", "kept")
