# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Servers that start are noticed when they listen, with a port that begins to be one."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest
from cmsaf_hub import arrival
from cmsaf_hub.arrival import Arrivals


class Spawner:
    """Knows pods as KubeSpawner does, and counts how often it is asked."""

    namespace = "hub"
    log = logging.getLogger("spawner")

    def __init__(self, port: int) -> None:
        self.port = port
        self.pod_reflector = SimpleNamespace(pods={})
        self.asked = 0

    def is_pod_running(self, pod: Any) -> bool:
        self.asked += 1
        return pod is not None

    def run(self) -> None:
        self.pod_reflector.pods["hub/jupyter-alice"] = {"status": {"podIP": "127.0.0.1"}}


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_is_noticed_when_it_listens(port: int) -> None:
    async def live() -> tuple[int, int]:
        spawner = Spawner(port)
        waits = asyncio.create_task(Arrivals().wait(spawner, "jupyter-alice"))
        await asyncio.sleep(0.3)
        spawner.run()
        await asyncio.sleep(0.7)
        assert not waits.done()
        async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port):
            before = spawner.asked
            await asyncio.wait_for(waits, 5)
        return before, spawner.asked - before

    before, after = asyncio.run(live())
    # Ten looks in that second where nothing else runs; pauses that double, as JupyterHub's do, allow four.
    assert before >= 6
    assert 1 <= after <= 2


def test_many_cost_no_more_than_a_few(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "_LIMIT", 2.0)
    monkeypatch.setattr(arrival, "_LOOKS", 20)

    async def live() -> int:
        arrivals, spawners = Arrivals(), [Spawner(port) for _ in range(100)]
        await asyncio.gather(*(arrivals.wait(spawner, "jupyter-alice") for spawner in spawners))
        return sum(spawner.asked for spawner in spawners)

    # All at once to begin with, then twenty in each of two seconds.
    assert asyncio.run(live()) <= 100 + 2 * 20


def test_one_that_never_comes_is_left_to_the_usual_way(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "_LIMIT", 0.3)
    spawner = Spawner(port)
    spawner.run()
    began = time.monotonic()
    asyncio.run(Arrivals().wait(spawner, "jupyter-alice"))
    assert 0.3 <= time.monotonic() - began < 2
