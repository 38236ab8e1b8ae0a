# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive scaling that knows of the negotiation cycle."""

from __future__ import annotations

import time
from typing import Any

from distributed.deploy.adaptive import Adaptive

__all__ = ["PoolAdaptive"]

# After scaling has stopped because no worker came: as long as a load that goes on shall wait before it asks again.
RETRY = 300.0


class PoolAdaptive(Adaptive):
    """Leaves jobs alone that the pool has not had the time to match, and retires workers once, by the cluster."""

    async def recommendations(self, target: int) -> dict[str, Any]:
        found: dict[str, Any] = await super().recommendations(target)
        if found["status"] != "down":
            return found
        grace = self.cluster._config["idle-grace"]
        ages = {worker: self.cluster.idle_since(worker) for worker in found["workers"]}
        workers = [worker for worker, age in ages.items() if age is None or age >= grace]
        return {"status": "down", "workers": workers} if workers else {"status": "same"}

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
