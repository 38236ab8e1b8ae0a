# SPDX-License-Identifier: GPL-3.0-or-later
"""The two reports: report.json for machines, report.html for people, complete in one file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["as_html", "as_json"]

KEPT = ("began", "first_failed", "cause", "stages", "arrived", "present", "cluster", "origin_bytes", "kernel")
RUNS = {
    "first": "In the server, first reading",
    "again": "In the server, from the cache",
    "pool": "HTCondor workers, from the cache",
    "plain": "Plain uproot at the origin, one process",
}

STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1c2430; --dim: #5b6675; --line: #d9dee6;
  --good: #11713a; --bad: #b3261e; --none: #6b5a00; --bar: #3b6fb5; }
@media (prefers-color-scheme: dark) { :root { --back: #14181f; --text: #e7ebf1; --dim: #a3aebd; --line: #333c49;
  --good: #6fd196; --bad: #ff9a90; --none: #e3c75a; --bar: #7aa7e6; } }
body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
.none { color: var(--none); } .table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.mark { white-space: nowrap; font-weight: 600; } .bar { background: var(--bar); height: .7rem; border-radius: 2px; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: .5rem; box-sizing: border-box; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); border-radius: 6px;
  padding: .8rem; font-size: .82rem; }
"""


def as_json(state: Mapping[str, Any]) -> str:
    """All that was measured and judged, without what is secret or large."""
    settings = state["settings"]
    seconds: dict[str, float] = {}
    for stage in state.get("stages", []):
        seconds[stage["check"]] = seconds.get(stage["check"], 0) + stage["seconds"]
    document = {
        "facility": settings["facility"],
        "version": settings["version"],
        "hub_url": settings["url"],
        "user": settings["user"],
        "identity": settings["identity"],
        "password_file": settings["password_file"],
        "plot": settings["plot"] if "plot" in state else "",
        "events": state.get("pool", {}).get("events", 0),
        "passed": state["passed"],
        "checks": [
            {
                "name": outcome["title"],
                "passed": outcome["passed"],
                "seconds": round(seconds.get(outcome["key"], 0), 1),
                "detail": outcome["found"],
                "attempted": outcome["attempted"],
                "service": outcome["service"],
            }
            for outcome in state["outcomes"]
        ],
        "runs": {name: state[name] for name in RUNS if name in state},
        "log": state.get("log", ""),
    }
    document |= {name: state[name] for name in KEPT if name in state}
    return json.dumps(document, indent=2) + "\n"


def as_html(state: Mapping[str, Any]) -> str:
    """One page, nothing loaded from elsewhere."""
    settings = state["settings"]
    title = f"{settings['facility']}: {'verified' if state['passed'] else 'not verified'}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="dim">{_text(state.get("began", ""))} · version {_text(settings["version"])} · '
        f"{_text(settings['url'])} · as {_text(settings['identity'])}</p>",
        _failure(state),
        _plot(state),
        "<h2>Checks</h2>",
        _checks(state),
        "<h2>The analysis</h2>",
        _runs(state),
        "<h2>Time of each stage</h2>",
        _stages(state),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{_text(title)}</title><style>{STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _text(value: object) -> str:
    return html.escape(str(value))


def _failure(state: Mapping[str, Any]) -> str:
    failed = state.get("first_failed")
    if not failed:
        passed = sum(outcome["passed"] is True for outcome in state["outcomes"])
        return f'<p class="good">All {passed} checks passed.</p>'
    service = failed["service"].replace("_", " ")
    text = f'<p class="bad">First link that failed: <b>{_text(failed["title"])}</b> ({_text(service)}).</p>'
    text += f"<p>Attempted: {_text(failed['attempted'])}. Found: {_text(failed['found'])}</p>"
    cause = state.get("cause")
    if cause:
        text += f'<p class="bad">What it is: <b>{_text(cause["title"])}.</b></p>'
        text += f"<p>{_text(cause['fix'])}</p><p>Seen by: {_text(cause['seen'])}</p>"
    if state.get("log"):
        text += f"<h2>Last lines of the {_text(service)}'s log</h2><pre>{_text(state['log'].strip())}</pre>"
    return text


def _plot(state: Mapping[str, Any]) -> str:
    if "plot" not in state:
        return ""
    about = "Histogram of missing transverse energy, filled by the HTCondor workers"
    return f'<p><img alt="{about}" src="data:image/png;base64,{state["plot"]}"></p>'


def _checks(state: Mapping[str, Any]) -> str:
    marks = {True: ("good", "✓ passed"), False: ("bad", "✗ failed"), None: ("none", "– not made")}
    rows = []
    for outcome in state["outcomes"]:
        kind, mark = marks[outcome["passed"]]
        rows.append(
            f'<tr><td class="mark {kind}">{mark}</td><td>{_text(outcome["title"])}<br>'
            f'<span class="dim">{_text(outcome["attempted"])}</span></td><td>{_text(outcome["found"])}</td></tr>'
        )
    return f'<div class="table"><table><tr><th>Result<th>Check<th>Found</tr>{"".join(rows)}</table></div>'


def _runs(state: Mapping[str, Any]) -> str:
    rows = []
    for name, title in RUNS.items():
        if name in state:
            run = state[name]
            figures = (f"{run['workers']}", f"{run['events']:,}", f"{run['seconds']:.1f}", f"{run['rate']:,.0f}")
            rows.append(
                f"<tr><td>{title}</td>" + "".join(f'<td class="number">{value}</td>' for value in figures) + "</tr>"
            )
    heads = "".join(f'<th class="number">{name}' for name in ("Workers", "Events", "Seconds", "Events/s"))
    return f'<div class="table"><table><tr><th>Run{heads}</tr>{"".join(rows)}</table></div>'


def _stages(state: Mapping[str, Any]) -> str:
    stages = state.get("stages", [])
    longest = max((stage["seconds"] for stage in stages), default=1) or 1
    rows = [
        f'<tr><td>{_text(stage["name"])}</td><td class="number">{stage["seconds"]:.1f} s</td><td style="width:40%">'
        f'<div class="bar" style="width:{max(100 * stage["seconds"] / longest, 0.5):.1f}%"></div></td></tr>'
        for stage in stages
    ]
    return f'<div class="table"><table>{"".join(rows)}</table></div>'
