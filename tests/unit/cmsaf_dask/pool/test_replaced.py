# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs and workers that are lost: seen, replaced, and in the end given up in words."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from real_pool import Queue, come, job_of_a_worker, kill_worker, needs_a_pool, until

pytestmark = needs_a_pool


@pytest.mark.parametrize("action", ["Hold", "Remove", "Vacate", "VacateFast"])
def test_a_job_taken_away_is_replaced(make: Callable[..., Any], queue: Queue, action: str) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    job = job_of_a_worker(queue, cluster)
    queue.act(action, job)
    until(lambda: job["DaskWorkerName"] not in cluster.plan, 15, lambda: cluster.explain())
    # It hands over first, which takes what the machine has.
    until(lambda: job["DaskWorkerName"] not in cluster.observed, 60, lambda: cluster.explain())
    come(cluster, 2)
    assert job["DaskWorkerName"] not in cluster.observed
    assert len(queue.jobs(cluster._name)) == 2
    assert len(cluster.plan) == len(cluster.requested) == 2


def test_a_waiting_job_taken_away_is_replaced(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=1, job_extra_directives={"requirements": "false"}, config={"check-pool": False})
    until(lambda: queue.jobs(cluster._name), 15)
    for action in ("Hold", "Remove"):
        # Not while its files are still on the way.
        until(lambda: [ad["JobStatus"] for ad in queue.jobs(cluster._name)] == [1], 20)
        job = queue.jobs(cluster._name)[0]
        queue.act(action, job)
        until(
            lambda job=job: (
                [ad["DaskWorkerName"] for ad in queue.jobs(cluster._name)] not in ([], [job["DaskWorkerName"]])
            ),
            20,
            lambda: cluster.explain(),
        )


def test_a_killed_worker_is_replaced(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    name = kill_worker(queue, cluster)
    until(lambda: name not in cluster.observed, 15)
    come(cluster, 2)


def test_a_worker_that_cannot_start_is_said(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=1, python="/bin/sleep")
    until(lambda: cluster._watch.stopped, 120, lambda: cluster.explain())
    assert "ended with exit status 1" in cluster._watch.stopped
    assert "sleep" in cluster._watch.stopped


def test_a_stopped_process_is_not_a_worker(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, python=os.environ["CMSAF_TEST_STUCK"], config={"register-timeout": 5})
    until(lambda: cluster._watch.stopped, 150, lambda: cluster.explain())
    assert "did not come to the scheduler in 5 s" in cluster._watch.stopped


def test_restart_of_the_client(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    before = set(cluster.observed)
    with cluster.get_client() as client:
        client.restart(timeout=90)
        assert not before & set(cluster.observed)
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
        cluster.scale(3)
        come(cluster, 3)


def test_scaling_stops_and_says_why(make: Callable[..., Any], queue: Queue) -> None:
    from cmsaf_dask import PoolError

    cluster = make(n_workers=2, worker_extra_args=["--no-such-option"])
    with pytest.raises(PoolError, match=r"do not come.*exit status 2.*no-such-option"):
        cluster.wait_for_workers(2, timeout=120)
    until(lambda: not queue.jobs(cluster._name), 15)
    assert not cluster.plan
    assert "Scaling has stopped" in str(cluster.explain())
    assert any("no-such-option" in str(log) for log in cluster.logs().values())
    cluster._job_kwargs["worker_extra_args"] = []
    cluster.scale(1)
    come(cluster, 1)


def test_a_fifth_of_the_workers_dies_before_it_connects(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=6, python=os.environ["CMSAF_TEST_FLAKY"], config={"failed-rounds": 6})
    come(cluster, 6, limit=180)
    assert len(queue.jobs(cluster._name)) == 6
