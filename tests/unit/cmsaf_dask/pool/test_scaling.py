# SPDX-License-Identifier: GPL-3.0-or-later
"""Down without a loss, and up and down by itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from real_pool import Queue, come, host_of, needs_a_pool, on, until

pytestmark = needs_a_pool


def test_workers_in_containers_on_both_hosts(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=4)
    come(cluster, 4)
    jobs = queue.jobs(cluster._name, more=["WantDocker"])
    hosts = {host_of(job) for job in jobs}
    assert len(hosts) == 2
    assert all(job["WantDocker"] for job in jobs)

    def containers() -> str:
        return "".join(
            on(f"docker ps --all --quiet --filter name=HTCJob{jobs[0]['ClusterId']}_", host) for host in hosts
        )

    assert len(containers().split()) == 4
    with cluster.get_client() as client:
        workers = list(cluster.scheduler_info["workers"])
        assert all(worker.startswith("tls://") for worker in workers)
        # Each has what the others need: workers reach each other, in the same host and in the other one.
        parts = [client.submit(os.urandom, 2**20, workers=[worker], pure=False) for worker in workers]
        sums = [
            client.submit(lambda data: sum(map(len, data)), parts, workers=[worker], pure=False) for worker in workers
        ]
        assert client.gather(sums) == [4 * 2**20] * 4
    cluster.close()
    until(lambda: not containers(), 30)


def test_plain_processes_where_no_image_is_named(make: Callable[..., Any], queue: Queue) -> None:
    # In the shared file system: the session's own Python is the workers'.
    cluster = make(n_workers=2, worker_image=None, python=None)
    come(cluster, 2)
    assert not any("WantDocker" in job for job in queue.jobs(cluster._name, more=["WantDocker"]))
    with cluster.get_client() as client:
        assert set(client.run(lambda: sys.executable).values()) == {sys.executable}


def test_scaling_down_loses_nothing(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=4)
    come(cluster, 4)
    with cluster.get_client() as client:
        for _ in range(3):
            # Each of these can be made once only.
            futures = client.map(lambda number: (number, os.urandom(8)), range(40), pure=False)
            before = client.gather(futures)
            cluster.scale(1)
            come(cluster, 1, limit=30)
            assert client.gather(futures) == before
            until(lambda: len(queue.jobs(cluster._name)) == 1, 20)
            cluster.scale(4)
            come(cluster, 4)


def test_the_idle_are_retired_first(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=3)
    come(cluster, 3)
    with cluster.get_client() as client:
        busy = next(iter(cluster.scheduler_info["workers"]))
        future = client.submit(time.sleep, 25, workers=[busy])
        time.sleep(2)
        cluster.scale(1)
        come(cluster, 1, limit=30)
        assert busy in cluster.scheduler_info["workers"]
        assert future.result(timeout=60) is None


def test_adaptive_settles(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make()
    cluster.adapt(minimum=0, maximum=4)
    names: set[str] = set()
    with cluster.get_client() as client:
        futures = client.map(lambda number: time.sleep(0.3) or number, range(120), pure=False)
        start = time.monotonic()
        while not all(future.done() for future in futures):
            assert time.monotonic() - start < 180
            names |= {ad["DaskWorkerName"] for ad in queue.jobs(cluster._name)}
            time.sleep(0.5)
        assert client.gather(futures) == list(range(120))
        del futures
        come(cluster, 0, limit=60)
    # No more jobs than workers at a time: none was taken back before it could match.
    assert len(names) <= 5, names
    until(lambda: not queue.jobs(cluster._name), 20)


def test_adaptive_leaves_waiting_jobs_their_time(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(job_extra_directives={"requirements": "false"}, config={"check-pool": False})
    cluster.adapt(minimum=0, maximum=4, interval="500ms")
    with cluster.get_client() as client:
        future = client.submit(time.sleep, 1)
        until(lambda: queue.jobs(cluster._name), 20)
        since = time.monotonic()
        future.cancel()
        del future
        until(lambda: not queue.jobs(cluster._name), 60)
        assert time.monotonic() - since > 15


def test_the_pool_says_how_long_its_cycles_are(queue: Queue) -> None:
    queue.jobs("nobody")
    # It has had several, of which each is looked at as far back as the one before it.
    assert 0 < queue.agent.cycle() < 120


def test_processes_and_threads_as_asked(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=4, cores=4, processes=2, memory="2 GiB")
    come(cluster, 4)
    workers = cluster.scheduler_info["workers"].values()
    assert {(worker["nthreads"], worker["memory_limit"]) for worker in workers} == {(2, 2**30)}
    names = ["RequestCpus", "RequestMemory"]
    jobs = queue.jobs(cluster._name, more=names)
    assert [[job[name] for name in names] for job in jobs] == [[4, 2048]] * 2
    before = set(cluster.observed)
    queue.act("Hold", jobs[0])
    lost = {f"{jobs[0]['DaskWorkerName']}-{number}" for number in range(2)}
    until(lambda: not lost & set(cluster.observed), 30, lambda: cluster.explain())
    come(cluster, 4)
    # The other job's two are those from before.
    assert before - lost < set(cluster.observed)
    cluster.scale(2)
    come(cluster, 2, limit=30)
    until(lambda: len(queue.jobs(cluster._name)) == 1, 20)
