# SPDX-License-Identifier: GPL-3.0-or-later
"""An access point that refuses, hangs or starts again."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from real_pool import Queue, come, needs_a_pool, on, until

pytestmark = needs_a_pool


@contextlib.contextmanager
def refused_connections(share: float) -> Iterator[None]:
    """This share of new connections to the access point is refused."""
    rule = f"OUTPUT -p tcp --dport 9618 --syn -m statistic --mode random --probability {share} -j REJECT --reject-with tcp-reset"
    host = os.environ["CMSAF_TEST_CLIENT"]
    on(f"iptables -A {rule}", host)
    try:
        yield
    finally:
        on(f"iptables -D {rule}", host)


def test_submissions_that_fail_are_made_again(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make()
    with refused_connections(0.3):
        for count in range(1, 7):
            cluster.scale(count)
            time.sleep(1)
        come(cluster, 6, limit=150)
    until(lambda: len(queue.jobs(cluster._name)) == 6, 20)


@contextlib.contextmanager
def frozen_schedd() -> Iterator[None]:
    on("pkill -STOP -x condor_schedd")
    try:
        yield
    finally:
        on("pkill -CONT -x condor_schedd")


def stalls(cluster: Any, ended: threading.Event, found: list[float]) -> None:
    """How late the event loop is, again and again."""
    while not ended.is_set():
        asked = time.monotonic()
        done = threading.Event()
        cluster.loop.add_callback(done.set)
        done.wait(30)
        found.append(time.monotonic() - asked)
        time.sleep(0.02)


def test_a_frozen_access_point_freezes_nobody(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    found: list[float] = []
    ended = threading.Event()
    thread = threading.Thread(target=stalls, args=(cluster, ended, found))
    thread.start()
    with cluster.get_client() as client, frozen_schedd():
        start = time.monotonic()
        cluster.scale(4)
        assert time.monotonic() - start < 3
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3
        time.sleep(20)
        assert "could not be asked" in str(cluster.explain())
        assert len(cluster.observed) == 2
    ended.set()
    thread.join()
    assert sorted(found)[int(len(found) * 0.99)] < 0.5
    come(cluster, 4)
    until(lambda: len(queue.jobs(cluster._name)) == 4, 30, lambda: queue.jobs(cluster._name))


def test_closing_under_a_frozen_access_point_leaves_nothing(
    make: Callable[..., Any], queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    with frozen_schedd():
        cluster.scale(4)
        time.sleep(3)
        start = time.monotonic()
        cluster.close()
        assert time.monotonic() - start < 30
        assert "may be left. They end by themselves" in caplog.text
    until(lambda: not queue.jobs(cluster._name), 100, lambda: queue.jobs(cluster._name))


def test_a_restarted_access_point(make: Callable[..., Any], queue: Queue) -> None:
    cluster = make(n_workers=2)
    come(cluster, 2)
    on("pkill -KILL -x condor_schedd")
    cluster.scale(3)
    come(cluster, 3, limit=150)
    until(lambda: len(queue.jobs(cluster._name)) == 3, 60, lambda: queue.jobs(cluster._name))
    on("systemctl restart condor")
    cluster.scale(4)
    come(cluster, 4, limit=150)
    until(lambda: len(queue.jobs(cluster._name)) == 4, 60, lambda: queue.jobs(cluster._name))
