# SPDX-License-Identifier: GPL-3.0-or-later
"""Down without a loss, and up and down by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from real_pool import Queue, come, needs_a_pool, until

pytestmark = needs_a_pool


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
