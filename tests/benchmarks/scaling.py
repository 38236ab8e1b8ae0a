# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster class against stock dask-jobqueue's on one pool, measured in the same run, by turns. Prints ratios."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import operator
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import dask
import psutil
from distributed import Client, LocalCluster
from distributed.security import Security

POOL, SCHEDD = os.environ["CMSAF_TEST_POOL"], os.environ["CMSAF_TEST_SCHEDD"]
NEVER = {"requirements": "false"}
OURS, PEER = "cmsaf_dask", "dask-jobqueue"
started = 0


def _count(event: str, _: Any) -> None:
    global started
    started += event == "subprocess.Popen"


sys.addaudithook(_count)


def ours(**options: Any) -> Any:
    from cmsaf_dask import HTCondorCluster

    settings = {"cores": 1, "memory": "512 MiB", "disk": "100 MiB", "python": sys.executable, "collector": POOL,
                "schedd": SCHEDD, "scheduler_options": {"port": 0, "dashboard_address": ":0"}}  # fmt: skip
    with dask.config.set({"jobqueue.cmsaf.check-pool": False}):
        return HTCondorCluster(**(settings | options))


def peer(**options: Any) -> Any:
    from dask_jobqueue import HTCondorCluster

    at = ["-pool", POOL, "-name", SCHEDD]
    settings = {"cores": 1, "memory": "512 MiB", "disk": "100 MiB", "python": sys.executable, "processes": 1, "nanny": False,
                "submit_command_extra": [*at, "-spool"], "cancel_command_extra": at, "death_timeout": 60,
                "scheduler_options": {"port": 0, "dashboard_address": ":0"}}  # fmt: skip
    extra = {"should_transfer_files": "YES"} | options.pop("job_extra_directives", {})
    return HTCondorCluster(**(settings | options), job_extra_directives=extra)


KINDS: dict[str, Callable[..., Any]] = {OURS: ours, PEER: peer}


@functools.cache
def agent() -> Any:
    from cmsaf_dask.agent import Agent

    made = Agent()
    made.locate(POOL, SCHEDD)
    return made


def queue(states: str = "true") -> list[dict[str, Any]]:
    names = ["ClusterId", "ProcId", "JobStatus", "QDate", "JobCurrentStartDate", "JobCurrentStartExecutingDate"]
    found: list[dict[str, Any]] = agent().query(f'Owner == "alice" && ({states})', names)
    return found


def until(what: Callable[[], Any], limit: float, pause: float = 0.02) -> float | None:
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > limit:
            return None
        time.sleep(pause)
    return time.monotonic() - start


def empty(limit: float = 240) -> float | None:
    """Between two measurements nothing is left of the one before."""
    return until(lambda: not queue(), limit, 0.2)


def clean() -> None:
    agent().remove('Owner == "alice"', "benchmark")
    empty()


def cpu() -> float:
    """Of this process and its children, ended and living."""
    used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(child.cpu_times()[:2])
    return used


@contextlib.contextmanager
def cluster_of(kind: str, **options: Any) -> Iterator[Any]:
    cluster = KINDS[kind](**options)
    try:
        yield cluster
    finally:
        cluster.close()
        clean()


def ratio(left: float | None, right: float | None) -> float | None:
    return round(left / right, 2) if left is not None and right else None


def submitted(cluster: Any, count: int) -> bool:
    jobs = [job for job in cluster.workers.values() if getattr(job, "job_id", None) is not None]
    return len(jobs) >= count


def submit(sizes: list[int], rounds: int) -> dict[str, Any]:
    """Jobs that match nowhere: submission and removal alone; medians, and the ratios of those."""
    found = {}
    for size in sizes:
        taken = [_submit_once(size) for _ in range(rounds)]
        row: dict[str, Any] = {
            kind: {what: statistics.median(one[kind][what] for one in taken) for what in taken[0][kind]}
            for kind in taken[0]
        }
        row["ratios"] = {
            "wall, ours to bare": ratio(row[OURS]["wall"], row["bare"]["wall"]),
            "wall, peer to ours": ratio(row[PEER]["wall"], row[OURS]["wall"]),
            "cpu, peer to ours": ratio(row[PEER]["cpu"], row[OURS]["cpu"]),
            "cancel, peer to ours": ratio(row[PEER]["cancel"], row[OURS]["cancel"]),
        }
        found[str(size)] = row
    return found


def _submit_once(size: int) -> dict[str, dict[str, float]]:
    taken = {}
    with cluster_of(OURS, job_extra_directives=NEVER) as cluster:
        cluster.sync(cluster._jobs_in_queue)  # the process is there, as in a session
        taken[OURS] = _submit(cluster, size)
        lines = cluster._dummy_job.job_script().rpartition("\n\nqueue")[0]
        description = dict(line.split(" = ", 1) for line in lines.splitlines() if " = " in line)
        names = [f"bare-{index}" for index in range(size)]
        files = sorted(map(str, cluster._files.iterdir()))
        description |= {"transfer_input_files": ",".join(files), "initialdir": str(cluster._outputs)} if files else {}
        before, start = cpu(), time.monotonic()
        agent().submit(description, names)
        taken["bare"] = {"wall": time.monotonic() - start, "cpu": cpu() - before}
    with cluster_of(PEER, job_extra_directives=NEVER) as cluster:
        taken[PEER] = _submit(cluster, size)
    return taken


def _submit(cluster: Any, size: int) -> dict[str, Any]:
    before, processes, start = cpu(), started, time.monotonic()
    cluster.scale(size)
    # Looked at often: a submission of ten is over in some hundredths of a second.
    until(lambda: submitted(cluster, size), 900, 0.001)
    row: dict[str, Any] = {"wall": time.monotonic() - start, "cpu": cpu() - before, "processes": started - processes}
    until(lambda: len(queue("JobStatus == 1")) == size, 120, 0.1)
    start = time.monotonic()
    cluster.scale(0)
    until(lambda: not queue("JobStatus != 3"), 300, 0.05)
    row["cancel"] = time.monotonic() - start
    return row


def arrive(sizes: list[int], rounds: int) -> dict[str, Any]:
    """Seconds from scale() to the first, median and last worker; the stages are those of the last."""
    found = {}
    for size in sizes:
        row: dict[str, Any] = {}
        for kind in KINDS:
            rows = [_arrive(kind, size) for _ in range(rounds)]
            row[kind] = {name: statistics.median(one[name] for one in rows) for name in rows[0]}
            row[kind]["first, worst"] = max(one["first"] for one in rows)
        row["ratios"] = {name: ratio(row[PEER][name], row[OURS][name]) for name in ("first", "median", "last")}
        found[str(size)] = row
    return found


def _arrive(kind: str, size: int) -> dict[str, float]:
    with cluster_of(kind) as cluster:
        seen: dict[str, float] = {}
        wall, start = time.time(), time.monotonic()
        cluster.scale(size)

        def look() -> bool:
            for worker in cluster.scheduler_info["workers"].values():
                seen.setdefault(str(worker["name"]), time.monotonic() - start)
            return len(seen) >= size

        if until(look, 300) is None:
            raise TimeoutError(f"{kind}: {len(seen)} of {size} workers came in 300 s")
        times, jobs = sorted(seen.values()), queue()
        last = {name: max(float(job.get(name) or 0) for job in jobs) - wall for name in
                ("QDate", "JobCurrentStartDate", "JobCurrentStartExecutingDate")}  # fmt: skip
        return {"first": times[0], "median": statistics.median(times), "last": times[-1],
                "queued": last["QDate"], "matched": last["JobCurrentStartDate"],
                "executing": last["JobCurrentStartExecutingDate"]}  # fmt: skip


def _slow(number: int) -> int:
    time.sleep(0.5)
    return number


def adaptive(tasks: int, most: int) -> dict[str, Any]:
    """The workload of dask/distributed#4069."""
    row: dict[str, Any] = {}
    for kind in KINDS:
        with cluster_of(kind) as cluster, Client(cluster) as client:
            cluster.adapt(minimum=0, maximum=most)
            start = time.monotonic()
            slow = client.map(_slow, range(tasks), pure=False)
            total = client.submit(sum, client.map(operator.neg, slow))
            right = total.result(timeout=1800) == -sum(range(tasks))
            wall = time.monotonic() - start
            del slow, total
            row[kind] = {"wall": wall, "right": right, "jobs": cluster._i}
    row["ratios"] = {"wall, peer to ours": ratio(row[PEER]["wall"], row[OURS]["wall"])}
    return row


def _lost(cluster: Any, client: Client, keys: int) -> int:
    cluster.scale(8)
    client.wait_for_workers(8, timeout=90)
    futures = client.map(lambda _: os.urandom(8), range(keys), pure=False)
    before = client.gather(futures)
    cluster.scale(4)
    until(lambda: len(cluster.scheduler_info["workers"]) == 4, 120, 0.1)
    time.sleep(1)
    return sum(map(operator.ne, before, client.gather(futures)))


def lost(rounds: int, keys: int = 80) -> dict[str, Any]:
    """Keys whose result is not that of the first time, after scaling down from 8 to 4."""
    row: dict[str, Any] = {}
    for kind in KINDS:
        done, gone, problem = 0, 0, None
        with cluster_of(kind) as cluster, Client(cluster) as client:
            try:
                while done < rounds:
                    gone += _lost(cluster, client, keys)
                    done += 1
            except TimeoutError as error:
                problem = f"in round {done + 1}: {error}"
        row[kind] = {"keys": done * keys, "lost": gone, "problem": problem}
    return row


ORPHANS = "import sys, time; sys.argv = ['x', 'nothing']; import scaling; cluster = scaling.KINDS[%r](); " \
    "rest = scaling.KINDS[%r](job_extra_directives=scaling.NEVER); cluster.scale(4); rest.scale(4); " \
    "cluster.wait_for_workers(4); print('ready', flush=True); time.sleep(900)"  # fmt: skip


def killed(watch: float) -> dict[str, Any]:
    """What is left in queue and slots of a session that was killed with kill -9."""
    row: dict[str, Any] = {}
    for kind in KINDS:
        environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.abspath(__file__))}
        process = subprocess.Popen(
            [sys.executable, "-c", ORPHANS % (kind, kind)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        until(lambda: len(queue()) == 8, 60, 0.2)
        process.kill()
        process.wait()
        used, start, end = 0.0, time.monotonic(), 0.0
        while time.monotonic() - start < watch and (left := queue()):
            used += sum(job["JobStatus"] == 2 for job in left)
            time.sleep(1)
            end = time.monotonic() - start
        row[kind] = {"slot-seconds": used, "jobs left": len(queue()), "seconds": end}
        clean()
    return row


def tasks(count: int) -> dict[str, Any]:
    """Seconds of one empty task: one worker of the pool by TLS against one of a LocalCluster by plain TCP."""

    def one(client: Client) -> float:
        client.gather(client.map(operator.neg, range(50), pure=False))
        start = time.monotonic()
        client.gather(client.map(operator.neg, range(count), pure=False))
        return (time.monotonic() - start) / count

    with cluster_of(OURS, security=Security.temporary()) as cluster, Client(cluster) as client:
        cluster.scale(1)
        client.wait_for_workers(1, timeout=120)
        tls = one(client)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as local, Client(local) as client:
        plain = one(client)
    return {"tls on the pool": tls, "tcp on this host": plain, "ratio": ratio(tls, plain)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["submit", "arrive", "adaptive", "lost", "killed", "tasks"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 500], help="jobs of one submission")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32], help="workers that are waited for")
    parser.add_argument(
        "--rounds", type=int, default=3, help="repetitions of each submission and each waiting for workers"
    )
    parser.add_argument("--tasks", type=int, default=1000, help="tasks of the adaptive workload")
    parser.add_argument("--downs", type=int, default=100, help="times that are scaled down")
    parser.add_argument("--watch", type=float, default=180, help="seconds a killed session is watched")
    options = parser.parse_args()
    calls: dict[str, Callable[[], Any]] = {
        "submit": lambda: submit(options.sizes, options.rounds),
        "arrive": lambda: arrive(options.workers, options.rounds),
        "adaptive": lambda: adaptive(options.tasks, 8),
        "lost": lambda: lost(options.downs),
        "killed": lambda: killed(options.watch),
        "tasks": lambda: tasks(options.tasks),
    }
    for what in options.what:
        result = json.loads(json.dumps(calls[what]()), parse_float=lambda text: round(float(text), 4))
        print(json.dumps({what: result}, indent=1), flush=True)


if __name__ == "__main__":
    main()
