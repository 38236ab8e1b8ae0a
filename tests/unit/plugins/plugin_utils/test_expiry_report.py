# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows, table and page of what ends when."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _expiry_report as report

NOW = 1_800_000_000
DAY = 86400
SOURCES = [
    {"path": "/c", "what": "certificate", "renewed_by": "play gateway", "soon_days": 60},
    {"path": "/t", "what": "token", "renewed_by": "play batch", "soon_share": 0.25},
    {"path": "servers", "what": "running server", "renewed_by": "a new start", "named": True},
]


def end(wanted: str, left: float | None, **more: Any) -> dict[str, Any]:
    ends_at = None if left is None else NOW + left * DAY
    return {"wanted": wanted, "name": wanted, "kind": "k", "begins_at": None, "ends_at": ends_at, "problem": "", **more}


def rows(*ends: dict[str, Any]) -> list[report.Row]:
    return report.rows({"h": {"ends": ends}}, SOURCES, NOW)


def test_doctests() -> None:
    assert doctest.testmod(report).failed == 0


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (end("/c", 61), "ok"),
        (end("/c", 60), "soon"),
        (end("/c", 0.01), "soon"),
        (end("/c", 0), "ended"),
        (end("/c", -400), "ended"),
        (end("/c", None), "ok"),
        (end("/c", None, problem="No such file or directory"), "unknown"),
        # A quarter of 100 days.
        (end("/t", 26, begins_at=NOW - 74 * DAY), "ok"),
        (end("/t", 25, begins_at=NOW - 75 * DAY), "soon"),
        # Nothing renews a server's tokens but its start.
        (end("servers", 0.01), "ok"),
    ],
)
def test_state(one: dict[str, Any], state: str) -> None:
    assert [row.state for row in rows(one)] == [state]


def test_what_needs_somebody_comes_first_then_what_ends_first() -> None:
    found = rows(end("/c", 100), end("/c", 90), end("/c", None, problem="gone"), end("/c", 9), end("/c", -1))
    assert [row.state for row in found] == ["ended", "unknown", "soon", "ok", "ok"]
    assert [row.days_left for row in found[3:]] == [90, 100]


def test_hosts_that_say_nothing_are_named() -> None:
    results = {"a": {"unreachable": True, "msg": "ssh:\nrefused"}, "b": {"failed": True, "msg": "no python"}}
    found = report.rows(results, SOURCES, NOW)
    assert [(row.state, row.host, row.problem) for row in found] == [
        ("unknown", "a", "unreachable: ssh: refused"),
        ("unknown", "b", "not read: no python"),
    ]
    assert "unreachable: ssh: refused" in report.as_table(found)[1]


def test_only_what_has_ended_names_its_command_and_each_once() -> None:
    found = rows(end("/c", -1), end("/c", -2), end("/t", 5, begins_at=NOW - 95 * DAY), end("servers", -1, name="alice"))
    assert report.commands(found) == ["play gateway", "a new start"]
    assert "running server of alice" in [row.what for row in found]


def test_for_machines() -> None:
    said = report.report(rows(end("/c", -1), end("/c", 100)), "box", NOW)
    assert said["facility"] == "box" and said["made_at"] == "2027-01-15T08:00:00Z"
    assert [said[state] for state in report.STATES] == [1, 0, 0, 1]
    assert said["rows"][0] == {
        "state": "ended",
        "what": "certificate",
        "host": "h",
        "kind": "k",
        "ends_at": "2027-01-14T08:00:00Z",
        "days_left": -1.0,
        "renewed_by": "play gateway",
        "name": "/c",
        "problem": "",
    }


def test_page_shows_text_and_runs_nothing() -> None:
    page = report.as_html(rows(end("/c", None, problem="<script>alert(1)</script>")), "a & b", NOW)
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &amp; b" in page
    assert "0 ended, 1 unknown, 0 soon, 0 ok" in page
