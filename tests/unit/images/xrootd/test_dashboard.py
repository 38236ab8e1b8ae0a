# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dashboard, alerts and page name metrics and labels that there are, and the page names all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cmsaf_metrics.metrics import METRICS

ROOT = Path(__file__).resolve().parents[4]
DOCS = ROOT / "docs"
DASHBOARD = json.loads((DOCS / "monitoring" / "xcache-dashboard.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((DOCS / "monitoring" / "xcache-alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
PAGE = (DOCS / "monitoring.md").read_text(encoding="utf-8")
# Prometheus' own.
TARGET = {"instance", "job"}
OPERATORS = {"or", "and", "unless"}


def mistakes(expression: str) -> list[str]:
    """What an expression of PromQL names and is not there."""
    rest = re.sub(r'"[^"]*"', '""', expression)
    wanted: list[str] = []

    def labels(match: re.Match[str]) -> str:
        wanted.extend(re.findall(r"[a-z_]+", match[1]))
        return " "

    rest = re.sub(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", labels, rest)
    rest = re.sub(r"\{([^}]*)\}", labels, rest)
    rest = re.sub(r"\[[^\]]*\]", " ", rest)
    names = [name for name in re.findall(r"\b[a-zA-Z_]\w*\b(?!\s*\()", rest) if name not in OPERATORS]
    known = TARGET | {label for name in names if name in METRICS for label in METRICS[name].labels}
    wrong = [name for name in names if name not in METRICS] + [label for label in wanted if label not in known]
    return wrong if names else ["no metric"]


def expressions() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']} {target['refId']}")
    for rule in RULES:
        yield pytest.param(rule["expr"], rule["annotations"]["summary"], id=rule["alert"])


@pytest.mark.parametrize(("expression", "legend"), list(expressions()))
def test_what_is_asked_for_is_there(expression: str, legend: str) -> None:
    assert mistakes(expression) == []
    labels = {label for metric in METRICS.values() if metric.name in expression for label in metric.labels} | TARGET
    assert set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)", legend)) <= labels


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("rate(xrootd_sent_byte_total[5m])", ["xrootd_sent_byte_total"]),
        ('xcache_read_bytes_total{sort="hit"}', ["sort"]),
        ("sum by (disk) (xrootd_up)", ["disk"]),
        ("1 > 0", ["no metric"]),
    ],
)
def test_a_mistake_is_seen(expression: str, wrong: list[str]) -> None:
    assert mistakes(expression) == wrong


def test_the_dashboard_can_be_imported() -> None:
    # By what Grafana asks of one that is imported without inputs.
    assert "__inputs" not in DASHBOARD and DASHBOARD["title"] and DASHBOARD["schemaVersion"] >= 36
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["instance"]["query"]).groups()
    assert metric in METRICS and label in TARGET
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(DASHBOARD["panels"])))
    assert used == set(variables)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        places = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & taken and max(x for x, _ in places) < 24, panel["title"]
        taken |= places


def test_the_page_has_all_metrics_and_no_others() -> None:
    table = PAGE[PAGE.index("| metric |") : PAGE.index("Hit rate, in bytes")]
    rows = [row.split("|") for row in table.splitlines()[2:] if row.startswith("|")]
    found = {name: set(re.findall(r"`(\w+)`", row[2])) for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert found == {name: set(metric.labels) for name, metric in METRICS.items()}


@pytest.mark.parametrize("page", ["monitoring.md", "troubleshooting.md"])
def test_pages_name_what_there_is(page: str) -> None:
    named = set(re.findall(r"`((?:xrootd|xcache|cmsaf_metrics)_\w+)", (DOCS / page).read_text(encoding="utf-8")))
    variables = yaml.safe_load((ROOT / "roles/xcache/defaults/main.yml").read_text(encoding="utf-8"))
    assert named - {"xcache_"} <= set(METRICS) | set(variables)
    assert named & set(METRICS)


def test_the_page_has_all_alerts() -> None:
    assert re.findall(r"^\| `(Xrootd\w+|Xcache\w+)` \|", PAGE, re.M) == [rule["alert"] for rule in RULES]
