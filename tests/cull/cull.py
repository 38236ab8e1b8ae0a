# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers are stopped with a warning, and their Dask clusters with them: python cull.py STATE REPORT

A user has JupyterLab of the first server open in a browser. A second server has a cluster with a worker on the pool, and
nobody uses it: the page says so before it is stopped, and its job leaves the queue. The first server, whose page is open all
the time, is stopped at the end of its longest time, after a warning of its own.
STATE holds settings.json (url, ca, password_file); the hub has the times of vars.yml. REPORT gets pictures and cull.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "lab")]
from browser import JOBS, browser_page, open_lab, picture, until  # type: ignore[import-not-found]  # noqa: E402 # after what it is found by
from users import Facility, Hub, Session  # type: ignore[import-not-found]  # noqa: E402 # after what it is found by

USER, SECOND = "leaver", "second"
LIMIT = 600
IDLE = "Your server \N{LEFT DOUBLE QUOTATION MARK}second\N{RIGHT DOUBLE QUOTATION MARK} is stopped about"
LONGEST = "This server is stopped about"

CLUSTER = """
from cmsaf_dask import HTCondorCluster
cluster = HTCondorCluster(cores=1, memory="1 GiB")
cluster.scale(1)
with cluster.get_client() as client:
    client.wait_for_workers(1, timeout=300)
answer(cluster.name)
"""


def main() -> int:
    state, report = (Path(argument) for argument in sys.argv[1:3])
    facility = Facility.told(state)
    found: dict[str, Any] = {}

    first = Hub(facility.session(USER))
    first.login(facility.password)
    first.start(LIMIT)
    began = time.monotonic()
    first.open_kernel()
    second = Hub(Session(**{**first.session.as_dict(), "server": SECOND, "kernel": ""}))
    second.start(LIMIT)
    second.open_kernel()
    second.run(CLUSTER, LIMIT)
    if not first.run(JOBS, LIMIT):
        sys.exit("cull: the second server's worker is no job of the user's")

    with browser_page() as page:
        open_lab(page, facility.url, USER, facility.password)

        page.get_by_text(IDLE).first.wait_for(timeout=LIMIT * 1000)
        picture(page, report / "idle.png")
        if SECOND not in first.servers():
            sys.exit("cull: the second server was stopped before the page said so")
        found["from the warning to the end of the idle server"] = until(
            "The idle server is stopped", lambda: SECOND not in first.servers(), LIMIT
        )
        found["from its end to that of its jobs"] = until(
            "Its jobs are gone", lambda: not first.run(JOBS, LIMIT), LIMIT
        )
        page.get_by_text(IDLE).first.wait_for(state="hidden")

        page.get_by_text(LONGEST).first.wait_for(timeout=LIMIT * 1000)
        picture(page, report / "longest.png")
        if "" not in first.servers():
            sys.exit("cull: the first server was stopped before its page said so")
        found["from the warning to the end of the server in use"] = until(
            "It is stopped all the same", lambda: "" not in first.servers(), LIMIT
        )
        found["age of the server in use"] = round(time.monotonic() - began, 1)
        # JupyterLab's own word for it.
        page.get_by_text("is not running").first.wait_for(timeout=LIMIT * 1000)
        picture(page, report / "stopped.png")
    for hub in (second, first):
        hub.stop(LIMIT)
    (report / "cull.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
