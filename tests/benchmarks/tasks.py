# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task of Dask costs by way of TLS and the gateway: python tasks.py STATE

A user's server has three clusters of one worker with one thread each: on the pool, whose worker comes through the gateway by TLS; in
the server, by TLS with the same certificates; in the server, by TCP. Each by turns computes many tasks at once and single tasks one
after the other, and gives back a large result. Medians of all rounds, and their ratios to the cluster by TCP.
STATE, a directory, holds settings.json (url, ca, password_file).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from users import Facility, Hub, end, start_fresh  # type: ignore[import-not-found]  # found by the line before

USER = "measurer"
LIMIT = 1200
KINDS = ("pool, TLS and gateway", "server, TLS", "server, TCP")

# In the server's kernel, which has given and answer().
MEASURE = """
import operator, os, time
from contextlib import ExitStack

from cmsaf_dask import HTCondorCluster
from cmsaf_dask.secrets import security_of_server
from distributed import Client, LocalCluster

SINGLE = 50

def many(client):
    client.gather(client.map(operator.neg, range(50), pure=False))
    began = time.perf_counter()
    client.gather(client.map(operator.neg, range(given["tasks"]), pure=False))
    return (time.perf_counter() - began) / given["tasks"]

def single(client):
    began = time.perf_counter()
    for number in range(SINGLE):
        client.submit(operator.neg, number, pure=False).result()
    return (time.perf_counter() - began) / SINGLE

def large(client):
    made = client.submit(os.urandom, given["bytes"], pure=False)
    client.submit(len, made).result()
    began = time.perf_counter()
    assert len(made.result()) == given["bytes"]
    return time.perf_counter() - began

local = dict(n_workers=1, threads_per_worker=1, dashboard_address=":0")
with ExitStack() as stack:
    clusters = [
        stack.enter_context(HTCondorCluster(cores=1, memory="1 GiB", name="measured")),
        stack.enter_context(LocalCluster(protocol="tls://", security=security_of_server(), **local)),
        stack.enter_context(LocalCluster(**local)),
    ]
    clusters[0].scale(1)
    clients = [stack.enter_context(Client(cluster)) for cluster in clusters]
    for client in clients:
        client.wait_for_workers(1, timeout=300)
    rows = [
        [dict(many=many(client), single=single(client), large=large(client)) for client in clients]
        for _round in range(given["rounds"])
    ]
answer(rows)
"""


def medians(rows: list[list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of each kind the medians of all rounds."""
    return {
        kind: {what: statistics.median(row[place][what] for row in rows) for what in rows[0][place]}
        for place, kind in enumerate(KINDS)
    }


def show(found: dict[str, dict[str, float]], given: dict[str, int]) -> None:
    titles = {
        "many": f"one of {given['tasks']}, ms",
        "single": "a single one, ms",
        "large": f"{given['bytes'] / 1e6:.0f} MB back, ms",
    }
    print(f"{'':24}" + "".join(f"{title:>22}" for title in titles.values()))
    for kind, row in found.items():
        print(f"{kind:24}" + "".join(f"{row[what] * 1e3:22.2f}" for what in titles))
    bare = found[KINDS[-1]]
    for kind in KINDS[:-1]:
        print(f"{kind} to TCP: " + ", ".join(f"{what} {found[kind][what] / bare[what]:.2f}" for what in titles))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path, help="with settings.json and ca.crt")
    parser.add_argument("--tasks", type=int, default=1000, help="computed at once")
    parser.add_argument("--bytes", type=int, default=20_000_000, help="of the large result")
    parser.add_argument("--rounds", type=int, default=5, help="of each, by turns")
    options = parser.parse_args()
    facility = Facility.told(options.state)
    given = {"tasks": options.tasks, "bytes": options.bytes, "rounds": options.rounds}
    hub = Hub(facility.session(USER))
    try:
        start_fresh(hub, facility.password, LIMIT)
        rows: list[list[dict[str, Any]]] = hub.run(f"given = {given!r}\n{MEASURE}", LIMIT)
    finally:
        end(hub, LIMIT)
    found = medians(rows)
    show(found, given)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
