# SPDX-License-Identifier: GPL-3.0-or-later
"""How jobs end: orphans by themselves, evicted ones with their data handed over, closed ones at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from real_pool import IMAGE, POOL, PYTHON, SCHEDD, Queue, come, job_of_a_worker, kill_worker, needs_a_pool, until

pytestmark = needs_a_pool

ORPHAN = """
import time, dask
dask.config.set({"jobqueue.cmsaf.check-pool": False, "jobqueue.cmsaf.watch-interval": 2})
from cmsaf_dask import HTCondorCluster
options = dict(cores=1, memory="1 GiB", disk="100 MiB", worker_image=%(image)r, python=%(python)r, collector=%(pool)r,
               schedd=%(schedd)r, scheduler_options={"port": 0, "dashboard_address": ":0"})
runs = HTCondorCluster(name="orphan-runs", **options)
waits = HTCondorCluster(name="orphan-waits", job_extra_directives={"requirements": "false"}, **options)
runs.scale(3)
waits.scale(3)
runs.wait_for_workers(3)
print("ready", flush=True)
time.sleep(3600)
"""


def test_orphans_end_by_themselves(queue: Queue) -> None:
    script = ORPHAN % {"image": IMAGE, "python": PYTHON, "pool": POOL, "schedd": SCHEDD}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        # Longer than a lease: it is renewed while somebody is there.
        time.sleep(60)
        assert len(queue.jobs("orphan-waits")) == len(queue.jobs("orphan-runs")) == 3
    finally:
        process.kill()
        process.wait()
    waits = until(lambda: not queue.jobs("orphan-waits"), 60, lambda: queue.jobs("orphan-waits"))
    runs = until(
        lambda: not [ad for ad in queue.jobs("orphan-runs") if ad["JobStatus"] == 2], 90 - waits,
        lambda: queue.jobs("orphan-runs"),
    )  # fmt: skip
    print(f"orphans: idle gone after {waits:.0f} s, running after {waits + runs:.0f} s")


MEMORY = 40


def unique(client: Any, count: int = MEMORY) -> tuple[list[Any], list[Any]]:
    """Futures of what can be made once only, and their results."""
    futures = client.map(lambda number: (number, os.urandom(8)), range(count), pure=False)
    return futures, client.gather(futures)


@pytest.mark.parametrize("action", ["Vacate", "Remove"])
def test_an_evicted_worker_hands_its_data_over(make: Callable[..., Any], queue: Queue, action: str) -> None:
    cluster = make(n_workers=3)
    come(cluster, 3)
    with cluster.get_client() as client:
        futures, before = unique(client)
        holders = {address for places in client.who_has(futures).values() for address in places}
        assert len(holders) == 3
        job = job_of_a_worker(queue, cluster)
        queue.act(action, job)
        until(lambda: job["DaskWorkerName"] not in cluster.observed, 30, lambda: cluster.explain())
        assert client.gather(futures, direct=False) == before
        come(cluster, 3)


def test_an_evicted_worker_does_not_wait_for_its_task(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=1)
    come(cluster, 1)
    with cluster.get_client() as client:
        future = client.submit(time.sleep, 300)
        until(lambda: client.processing() and any(client.processing().values()), 20)
        job = job_of_a_worker(queue, cluster)
        queue.act("Vacate", job)
        took = until(lambda: job["DaskWorkerName"] not in cluster.observed, 30, lambda: cluster.explain())
        assert took < 15
        future.cancel()


def gone(queue: Queue, cluster: str, count: int, limit: float) -> float:
    """Jobs in every state, those that are being removed or have ended too."""
    return until(
        lambda: len(queue.jobs(cluster, leaving=True)) == count, limit, lambda: queue.jobs(cluster, leaving=True)
    )


def test_ended_jobs_leave_the_queue_at_once(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=4)
    come(cluster, 4)
    cluster.scale(2)
    print(f"scaled away: gone after {gone(queue, cluster._name, 2, 15):.1f} s")
    name = kill_worker(queue, cluster)
    until(lambda: name not in cluster.observed, 15)
    took = until(lambda: name not in {ad["DaskWorkerName"] for ad in queue.jobs(cluster._name, leaving=True)}, 10)
    print(f"killed: gone after {took:.1f} s")
    come(cluster, 2)
    cluster.close()
    print(f"closed: gone after {gone(queue, cluster._name, 0, 10):.1f} s")


def test_closing_removes_all_at_once(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=3)
    come(cluster, 3)
    cluster.close()
    assert not queue.jobs(cluster._name)


def test_closing_in_the_middle_of_a_submission(make: Callable[..., Any], queue: Queue) -> None:
    for pause in (0.0, 0.2, 0.5):
        cluster = make()
        cluster.scale(8)
        time.sleep(pause)
        cluster.close()
        assert not queue.jobs(cluster._name)
