# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Print the end of ``make facility``: where the facility is, what was verified, what took how long, what changed."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from pathlib import Path

from rich.console import Console
from rich.table import Table

PLAYBOOKS = ("box_up", "site", "verify")
DEPLOYING = ("box_up", "site")


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def read(path: Path) -> dict[str, t.Any]:
    """Read a JSON file; it is empty where there is none."""
    if not path.exists():
        return {}
    record: dict[str, t.Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def stages_table(timings: dict[str, dict[str, t.Any]]) -> Table:
    """Seconds and changes of each stage."""
    table = Table(title="Stages", title_justify="left")
    table.add_column("playbook")
    table.add_column("stage")
    table.add_column("time", justify="right")
    table.add_column("changed", justify="right")
    for name, record in timings.items():
        for stage in record.get("stages", []):
            table.add_row(name, stage["name"], clock(stage["seconds"]), str(stage["changed"] or ""))
    return table


def checks_table(report: dict[str, t.Any]) -> Table:
    """Checks of verify.yml."""
    table = Table(title="Verified", title_justify="left")
    table.add_column("check")
    table.add_column("result")
    table.add_column("time", justify="right")
    table.add_column("found")
    for check in report.get("checks", []):
        result = "[green]passed[/]" if check["passed"] else "[red]FAILED[/]"
        table.add_row(check["name"], result, clock(check.get("seconds", 0)), str(check.get("detail", "")))
    return table


def main() -> int:
    """Print it; the exit code says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()

    # Not narrower than the tables need when the output is a file.
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    timings = {name: read(options.report / "timings" / f"{name}.json") for name in PLAYBOOKS}
    unfinished = [name for name, record in timings.items() if not record.get("finished")]
    failed = [name for name, record in timings.items() if record.get("failed")]
    # A report of an earlier run says nothing about this one.
    report = read(options.report / "report.json") if "verify" not in unfinished else {}

    console.print()
    console.print(stages_table(timings))
    if report.get("checks"):
        console.print(checks_table(report))
    for title, key in (
        ("hub", "hub_url"),
        ("user", "user"),
        ("password", "password_file"),
        ("plot", "plot"),
        ("events", "events"),
    ):
        if report.get(key):
            console.print(f"{title:>10}  {report[key]}{' (file)' if key == 'password_file' else ''}", soft_wrap=True)
    changed = sum(stage["changed"] for name in DEPLOYING for stage in timings[name].get("stages", []))
    verified = bool(report.get("passed")) and not failed
    console.print(f"{'time':>10}  {clock(options.seconds)}")
    if unfinished or failed:
        broken = (failed or unfinished)[0]
        console.print(f"[red]Not finished: playbook {broken}, see above. Running it again goes on from there.[/]")
    else:
        console.print(f"{'verified':>10}  {'yes' if verified else 'NO'}")
    console.print(f"This run: {f'{changed} changed' if changed else 'nothing changed'}.")
    return 0 if verified else 1


if __name__ == "__main__":
    sys.exit(main())
