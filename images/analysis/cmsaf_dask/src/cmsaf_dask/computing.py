# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that computes leaves a mark, by which its server is not taken for idle (see activity)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cmsaf_dask.activity import INTERVAL, mark
from distributed.diagnostics.plugin import SchedulerPlugin
from tornado.ioloop import PeriodicCallback

if TYPE_CHECKING:
    from distributed import Scheduler

__all__ = ["Marking", "computes"]


def computes(scheduler: Scheduler) -> bool:
    """Whether a scheduler has tasks that run, or that wait for workers."""
    waits = scheduler.queued or scheduler.unrunnable
    return bool(waits or any(worker.processing for worker in scheduler.workers.values()))


class Marking(SchedulerPlugin):
    """Marks the work of a scheduler for as long as it lives."""

    name = "cmsaf-activity"

    def __init__(self, interval: float = INTERVAL) -> None:
        self.interval = interval

    async def start(self, scheduler: Scheduler) -> None:
        def look() -> None:
            path = mark()
            # Outside of a server there is nothing to keep.
            if computes(scheduler) and os.access(path.parent, os.W_OK):
                path.touch(mode=0o600)

        # The scheduler starts and stops what is there.
        scheduler.periodic_callbacks[self.name] = PeriodicCallback(look, self.interval * 1000)
