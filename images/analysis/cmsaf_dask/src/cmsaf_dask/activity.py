# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that goes on without anybody at the browser keeps the server: the hub stops those that report no activity.

Jupyter's server counts what a kernel says, not that it computes, and knows nothing of Dask. So a cluster's scheduler
marks a file while tasks run or wait, and an extension of Jupyter's server reports busy kernels and that mark.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin
from tornado.ioloop import PeriodicCallback

if TYPE_CHECKING:
    from distributed import Scheduler

__all__ = ["Marking", "computes", "report"]

# Seconds; the server tells the hub every five minutes.
INTERVAL = 10.0
_KERNELS, _DASK = "cmsaf-kernels", "cmsaf-dask"


def _mark() -> Path:
    return Path(os.environ.get("CMSAF_RUN", "/run/cmsaf")) / "computing"


# In the scheduler's process: a kernel, or Jupyter's server where the cluster is the sidebar's


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
            path = _mark()
            # Outside of a server there is nothing to keep.
            if computes(scheduler) and os.access(path.parent, os.W_OK):
                path.touch(mode=0o600)

        # The scheduler starts and stops what is there.
        scheduler.periodic_callbacks[self.name] = PeriodicCallback(look, self.interval * 1000)


# In Jupyter's server


def report(kernels: Iterable[Mapping[str, Any]], times: dict[str, datetime]) -> None:
    """Put into the server's times of activity what it does not see by itself."""
    if any(kernel["execution_state"] == "busy" for kernel in kernels):
        times[_KERNELS] = datetime.now(timezone.utc)
    try:
        times[_DASK] = datetime.fromtimestamp(_mark().stat().st_mtime, timezone.utc)
    except FileNotFoundError:
        return


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cmsaf_dask.activity"}]


def _load_jupyter_server_extension(server: Any) -> None:
    def look() -> None:
        report(server.kernel_manager.list_kernels(), server.web_app.settings["last_activity_times"])

    server.io_loop.add_callback(PeriodicCallback(look, INTERVAL * 1000).start)
