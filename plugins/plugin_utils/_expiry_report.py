# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ends when over a whole facility: rows, and the same as a table and a page.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["STATES", "Row", "as_html", "as_table", "commands", "report", "rows"]

# What needs somebody comes first.
STATES = ("ended", "unknown", "soon", "ok")
_DAY = 86400

_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1c2430; --dim: #5b6675; --line: #d9dee6;
  --good: #11713a; --bad: #b3261e; --none: #6b5a00; }
@media (prefers-color-scheme: dark) { :root { --back: #14181f; --text: #e7ebf1; --dim: #a3aebd; --line: #333c49;
  --good: #6fd196; --bad: #ff9a90; --none: #e3c75a; } }
body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; max-width: 75rem;
  margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } .dim { color: var(--dim); } .table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.ok { color: var(--good); } td.ended { color: var(--bad); font-weight: 600; } td.soon, td.unknown { color: var(--none); }
"""


@dataclass(frozen=True)
class Row:
    """One thing on one host."""

    state: str
    what: str
    host: str
    kind: str
    ends_at: str
    days_left: float | None
    renewed_by: str
    name: str
    problem: str


def rows(results: Mapping[str, Mapping[str, Any]], sources: Sequence[Mapping[str, Any]], now: float) -> list[Row]:
    """Rows of all hosts, what needs somebody first.

    A result is a host's answer of the module expiry_info; a source says what a path of
    it is, what renews it, and how long before its end (soon_days, or soon_share of its life).
    """
    known = {source["path"]: source for source in sources}
    found = []
    for host, result in results.items():
        if "ends" not in result:
            reason = "unreachable" if result.get("unreachable") else "not read"
            problem = f"{reason}: {_line(result.get('msg', ''))}"
            found.append(Row("unknown", "all of it", host, "", "", None, "", "", problem))
            continue
        found += [_row(host, end, known[end["wanted"]], now) for end in result["ends"]]
    return sorted(found, key=lambda row: (STATES.index(row.state), _order(row), row.host, row.what, row.name))


def commands(found: Sequence[Row]) -> list[str]:
    """What renews that which has ended: each once."""
    return list(dict.fromkeys(row.renewed_by for row in found if row.state == "ended"))


def report(found: Sequence[Row], facility: str, now: float) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "facility": facility,
        "made_at": _time(now),
        **{state: sum(row.state == state for row in found) for state in STATES},
        "rows": [asdict(row) for row in found],
    }


def as_table(found: Sequence[Row]) -> list[str]:
    """Lines with columns of the same width.

    >>> as_table([Row("ok", "token", "a", "IDTOKEN", "2027-01-01T00:00:00Z", 12.25, "batch", "/t", "")])[1]
    'ok     token  a     IDTOKEN  2027-01-01T00:00:00Z       12.2  batch'
    """
    lines = [("state", "what", "host", "kind", "ends at", "days left", "renewed by")]
    lines += [(row.state, row.what, row.host, row.kind, row.ends_at, _days(row), _last(row)) for row in found]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return ["  ".join(_cell(line, widths, column) for column in range(len(line))).rstrip() for line in lines]


def as_html(found: Sequence[Row], facility: str, now: float) -> str:
    """One page, nothing loaded from elsewhere."""
    counts = ", ".join(f"{sum(row.state == state for row in found)} {state}" for state in STATES)
    title = f"{facility}: what ends when"
    body = "".join(
        f'<tr><td class="{row.state}">{row.state}</td><td>{_text(row.what)}<br><span class="dim">{_text(row.name)}'
        f"</span></td><td>{_text(row.host)}</td><td>{_text(row.kind)}</td><td>{_text(row.ends_at)}</td>"
        f'<td class="number">{_days(row)}</td><td>{_text(_last(row))}</td></tr>\n'
        for row in found
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{_text(title)}</title><style>{_STYLE}</style>"
    heads = '<tr><th>State<th>What<th>Host<th>Kind<th>Ends at<th class="number">Days left<th>Renewed by</tr>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n<h1>{_text(title)}</h1>\n'
        f'<p class="dim">{_time(now)} · {counts}</p>\n<div class="table"><table>{heads}\n{body}</table></div>\n'
        "</body></html>\n"
    )


def _row(host: str, end: Mapping[str, Any], source: Mapping[str, Any], now: float) -> Row:
    ends_at = end["ends_at"]
    left = None if ends_at is None else ends_at - now
    what = f"{source['what']} of {end['name']}" if source.get("named") else source["what"]
    return Row(
        state=_state(end, source, left),
        what=what,
        host=host,
        kind=end["kind"],
        ends_at="" if ends_at is None else _time(ends_at),
        days_left=None if left is None else round(left / _DAY, 2),
        renewed_by=source["renewed_by"],
        name=end["name"],
        problem=end["problem"],
    )


def _state(end: Mapping[str, Any], source: Mapping[str, Any], left: float | None) -> str:
    if end["problem"]:
        return "unknown"
    if left is None:
        return "ok"
    if left <= 0:
        return "ended"
    window = source.get("soon_days", 0) * _DAY
    if "soon_share" in source and end["begins_at"] is not None:
        window = source["soon_share"] * (end["ends_at"] - end["begins_at"])
    return "soon" if left <= window else "ok"


def _order(row: Row) -> float:
    return float("inf") if row.days_left is None else row.days_left


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _days(row: Row) -> str:
    return "" if row.days_left is None else f"{row.days_left:.1f}"


def _last(row: Row) -> str:
    return f"{row.name}: {row.problem}".lstrip(": ") if row.problem else row.renewed_by


def _cell(line: Sequence[str], widths: Sequence[int], column: int) -> str:
    number = line[0] != "state" and column == 5
    return line[column].rjust(widths[column]) if number else line[column].ljust(widths[column])


def _line(text: object) -> str:
    return " ".join(str(text).split())


def _text(value: object) -> str:
    return html.escape(str(value))
