# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive scaling that knows of the negotiation cycle."""

from __future__ import annotations

import logging
import time
from typing import Any

from cmsaf_dask.analysis import CYCLES
from cmsaf_dask.pool import PoolError
from distributed.deploy.adaptive import Adaptive

__all__ = ["PoolAdaptive"]

logger = logging.getLogger(__name__)

# After scaling has stopped because no worker came: as long as a load that goes on shall wait before it asks again.
RETRY = 300.0
# How long the pool's word on its cycles is taken for true.
KEEP = 300.0


class PoolAdaptive(Adaptive):
    """Leaves jobs alone that the pool has not had the time to match, and retires workers once, by the cluster."""

    _cycle = 0.0
    _asked: float | None = None

    async def recommendations(self, target: int) -> dict[str, Any]:
        found: dict[str, Any] = await super().recommendations(target)
        if found["status"] != "down":
            return found
        ages = {worker: self.cluster.idle_since(worker) for worker in found["workers"]}
        waiting = any(age is not None for age in ages.values())
        grace = await self._grace() if waiting else 0.0
        workers = [worker for worker, age in ages.items() if age is None or age >= grace]
        return {"status": "down", "workers": workers} if workers else {"status": "same"}

    async def _grace(self) -> float:
        """Seconds for which a job is left in the queue: as it is set, and as long as the pool takes to look at it for sure."""
        now = time.monotonic()
        if self._asked is None or now - self._asked > KEEP:
            self._asked = now
            try:
                self._cycle = await self.cluster._ask("cycle")
            except PoolError as error:
                logger.info("The length of a negotiation cycle: %s", error)
        return float(max(self.cluster._config["idle-grace"], CYCLES * self._cycle))

    async def scale_up(self, n: int) -> None:
        watch = self.cluster._watch
        if watch is not None and watch.stopped:
            if time.monotonic() - watch.stopped_at < RETRY:
                return
            watch.resume()
        self.cluster._set_plan(self.cluster._jobs_for(n, 0, None, None))
        await self.cluster._correct_state()

    async def scale_down(self, workers: list[Any]) -> None:
        await self.cluster.scale_down(workers)
