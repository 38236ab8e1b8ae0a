# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification, step by step: python cmsaf_verify STEP STATE

STATE is a JSON file that the steps hand on to each other; it begins with the settings. The role makes the steps in
turn and adds what only the facility's hosts can tell.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import causes
import cells
import checks
import report
from hub import Hub, HubError, Session

State = dict[str, Any]


@contextmanager
def stage(state: State, name: str, check: str) -> Iterator[None]:
    """Time a stage, and note for which check it was if it breaks."""
    began = time.monotonic()
    print(f"{name} ...", flush=True)
    try:
        yield
    except (HubError, KeyError, ValueError) as error:
        state.setdefault("broken", {})[check] = f"{error}"
        raise HubError(f"{name}: {error}") from error
    finally:
        seconds = round(time.monotonic() - began, 2)
        state.setdefault("stages", []).append({"name": name, "seconds": seconds, "check": check})


def connect(state: State) -> Hub:
    return Hub(Session(**state["session"]))


def begin(state: State) -> None:
    """Log in, start the server, open a kernel."""
    settings = state["settings"]
    state["began"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    hub = Hub(Session(url=settings["url"], ca=settings["ca"], user=settings["user"]))
    with stage(state, "Reach the hub", "reach"):
        state["hub_version"] = hub.reach()
    with stage(state, "Log in", "login"):
        state["wrong_password_refused"] = hub.refused("not-" + os.urandom(8).hex())
        hub.login(Path(settings["password_file"]).read_text(encoding="utf-8").strip())
    state["session"] = hub.session.as_dict()
    with stage(state, "Start the server", "server"):
        hub.start(settings["limit"])
    with stage(state, "Open a kernel", "server"):
        hub.open_kernel()
        state["session"] = hub.session.as_dict()
        code = "import os, sys\nanswer({'python': sys.version.split()[0], 'uid': os.getuid(), 'cpus': os.cpu_count()})"
        state["kernel"] = hub.run(code, settings["limit"])


def first(state: State) -> None:
    """The first reading, in the server."""
    settings = state["settings"]
    with stage(state, "Analysis in the server, first reading", "first"):
        code = cells.cell(cells.LOCAL, workers=settings["local_workers"])
        state["first"] = connect(state).run(code, settings["limit"])


def pool(state: State) -> None:
    """Again in the server, then on the pool; the workers stay."""
    settings, hub = state["settings"], connect(state)
    with stage(state, "Analysis in the server, from the cache", "first"):
        code = cells.cell(cells.LOCAL, workers=settings["local_workers"])
        state["again"] = hub.run(code, settings["limit"])
    with stage(state, "Ask for workers", "workers"):
        code = cells.cell(cells.SCALE, workers=settings["workers"], memory=settings["memory"])
        state["cluster"] = hub.run(code, settings["limit"])
    with stage(state, "Wait for workers", "workers"):
        code = cells.cell(cells.WAIT, workers=settings["workers"], limit=settings["limit"])
        state["arrived"] = hub.run(code, settings["limit"] + 30)
        if not state["arrived"]["workers"]:
            raise HubError(f"no worker in {settings['limit']} s")
    with stage(state, "Analysis on the pool", "pool"):
        state["pool"] = hub.run(cells.cell(cells.RUN), settings["limit"])
    with stage(state, "Draw the histogram", "pool"):
        state["plot"] = hub.run(cells.cell(cells.PLOT), settings["limit"])
    with stage(state, "Name the workers", "owners"):
        state["present"] = hub.run(cells.cell(cells.PRESENT), settings["limit"])


def probe(state: State) -> None:
    """Close the cluster; then what the access point and the cache say to tokens that are no good."""
    settings, hub = state["settings"], connect(state)
    with stage(state, "Close the cluster", "left"):
        hub.run(cells.cell(cells.CLOSE), settings["limit"])
    tokens = json.load(sys.stdin)
    with stage(state, "Try tokens at the access point", "schedd_anonymous"):
        state["schedd"] = hub.run(cells.cell(cells.PROBE_SCHEDD, token=tokens["schedd"]), settings["limit"])
    with stage(state, "Try tokens at the cache", "cache_anonymous"):
        state["cache"] = hub.run(cells.cell(cells.PROBE_CACHE, token=tokens["cache"]), settings["limit"])


def finish(state: State) -> None:
    """Stop the server."""
    if state.get("session"):
        with stage(state, "Stop the server", "server"):
            connect(state).stop(state["settings"]["limit"])
        del state["session"]


def note(state: State) -> None:
    """Add what the facility's hosts told (standard input)."""
    for name, value in json.load(sys.stdin).items():
        state[name] = state.get(name, {}) | value if isinstance(value, dict) else value


def judge(state: State) -> None:
    """Judge all that was collected."""
    outcomes = checks.judge(state)
    state["outcomes"] = [asdict(outcome) for outcome in outcomes]
    left_out = state.get("skipped") or {}
    wrong = [outcome for outcome in outcomes if not outcome.passed and outcome.key not in left_out]
    # What was not reached follows from what failed before it, if anything did.
    wrong.sort(key=lambda outcome: outcome.passed is None)
    state["first_failed"] = asdict(wrong[0]) if wrong else None
    state["passed"] = all(outcome.passed for outcome in outcomes if outcome.key not in left_out)


def cause(state: State) -> None:
    """Say what keeps data from coming, by what the caches' side shows (standard input)."""
    seen = causes.Seen(said=state["first_failed"]["found"], **json.load(sys.stdin))
    found = causes.find(seen)
    state["cause"] = asdict(found) if found else None


def write(state: State) -> None:
    """Write both reports, with the log lines of the service that failed (standard input)."""
    state["log"] = sys.stdin.read()
    folder = Path(state["settings"]["report_dir"])
    if "plot" in state:
        Path(state["settings"]["plot"]).write_bytes(base64.b64decode(state["plot"]))
    (folder / "report.json").write_text(report.as_json(state), encoding="utf-8")
    (folder / "report.html").write_text(report.as_html(state), encoding="utf-8")


STEPS: dict[str, Callable[[State], None]] = {
    "begin": begin,
    "first": first,
    "pool": pool,
    "probe": probe,
    "finish": finish,
    "note": note,
    "judge": judge,
    "cause": cause,
    "report": write,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="cmsaf_verify", description="Verify a facility as one of its users.")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("state", type=Path)
    options = parser.parse_args()
    state: State = json.loads(options.state.read_text(encoding="utf-8"))
    try:
        STEPS[options.step](state)
    except HubError as error:
        print(str(error), file=sys.stderr)
        return 1
    finally:
        part = options.state.with_suffix(".part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(state, file)
        part.replace(options.state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
