# SPDX-License-Identifier: GPL-3.0-or-later
"""How long adaptive scaling leaves a job in the queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cmsaf_dask import adaptive
from cmsaf_dask.pool import PoolTimeout
from distributed.deploy.adaptive import Adaptive

NAMES = ["here", "new", "old"]


class Cluster:
    """One worker is here, two wait, for 50 and for 500 seconds; the pool tells its cycle, or nothing."""

    def __init__(self, cycle: float | None) -> None:
        self.cycle = cycle
        self.asked = 0
        self._config = {"idle-grace": 60}

    def idle_since(self, worker: Any) -> float | None:
        return {"here": None, "new": 50.0, "old": 500.0}[worker]

    async def _ask(self, call: str) -> float:
        assert call == "cycle"
        self.asked += 1
        if self.cycle is None:
            raise PoolTimeout("cycle at nowhere: no answer in 20 s")
        return self.cycle


@pytest.mark.parametrize(
    ("cycle", "taken"),
    [
        (20.0, ["here", "old"]),
        (60.0, ["here", "old"]),
        (251.0, ["here"]),
        (0.0, ["here", "old"]),
        (None, ["here", "old"]),
    ],
)
def test_a_job_is_left_for_two_cycles(monkeypatch: pytest.MonkeyPatch, cycle: float | None, taken: list[str]) -> None:
    async def down(self: Adaptive, target: int) -> dict[str, Any]:
        return {"status": "down", "workers": list(NAMES)}

    monkeypatch.setattr(Adaptive, "recommendations", down)
    monkeypatch.setattr(adaptive.time, "monotonic", lambda: clock[0])
    clock = [1000.0]
    scaling = adaptive.PoolAdaptive.__new__(adaptive.PoolAdaptive)
    scaling.state = "stopped"
    scaling.cluster = cluster = Cluster(cycle)

    def again() -> dict[str, Any]:
        return asyncio.run(scaling.recommendations(0))

    assert again() == again() == {"status": "down", "workers": taken}
    assert cluster.asked == 1
    clock[0] += adaptive.KEEP + 1
    # A pool that has become slower is believed; one that says nothing is what it was.
    cluster.cycle = 251.0 if cycle is not None else None
    assert again()["workers"] == (["here"] if cycle is not None else taken)
    assert cluster.asked == 2


def test_nobody_who_waits_is_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(self: Adaptive, target: int) -> dict[str, Any]:
        return {"status": "down", "workers": ["here"]}

    monkeypatch.setattr(Adaptive, "recommendations", down)
    scaling = adaptive.PoolAdaptive.__new__(adaptive.PoolAdaptive)
    scaling.state = "stopped"
    scaling.cluster = cluster = Cluster(20.0)
    assert asyncio.run(scaling.recommendations(0)) == {"status": "down", "workers": ["here"]}
    assert cluster.asked == 0
