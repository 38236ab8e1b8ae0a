# SPDX-License-Identifier: GPL-3.0-or-later
"""Extension of Jupyter's server: work that goes on without anybody at the browser keeps the server.

The hub stops servers that report no activity. Jupyter's server counts what a kernel says, not that it computes, and knows
nothing of Dask. So this reports busy kernels, and the mark that clusters leave while they compute (see computing).
It is imported at each start of a server, and imports little.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tornado.ioloop import PeriodicCallback

__all__ = ["INTERVAL", "mark", "report"]

# Seconds; the server tells the hub every five minutes.
INTERVAL = 10.0
_KERNELS, _DASK = "cmsaf-kernels", "cmsaf-dask"


def mark() -> Path:
    """The file that is touched while a cluster of this server computes."""
    return Path(os.environ.get("CMSAF_RUN", "/run/cmsaf")) / "computing"


def report(kernels: Iterable[Mapping[str, Any]], times: dict[str, datetime]) -> None:
    """Put into the server's times of activity what it does not see by itself."""
    if any(kernel["execution_state"] == "busy" for kernel in kernels):
        times[_KERNELS] = datetime.now(timezone.utc)
    try:
        times[_DASK] = datetime.fromtimestamp(mark().stat().st_mtime, timezone.utc)
    except FileNotFoundError:
        return


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cmsaf_dask.activity"}]


def _load_jupyter_server_extension(server: Any) -> None:
    def look() -> None:
        report(server.kernel_manager.list_kernels(), server.web_app.settings["last_activity_times"])

    server.io_loop.add_callback(PeriodicCallback(look, INTERVAL * 1000).start)
