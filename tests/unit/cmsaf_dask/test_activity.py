# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a server that nobody looks at: a busy kernel, and work in a real scheduler."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cmsaf_dask import activity, computing
from distributed import Client, Event, Scheduler, Worker
from tornado.ioloop import IOLoop

JUPYTER = Path(__file__).parents[3] / "images" / "analysis" / "jupyter"


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMSAF_RUN", str(tmp_path))
    return tmp_path


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not come to that in a minute"
        await asyncio.sleep(0.02)


def test_tasks_that_run_or_wait_are_marked(run: Path) -> None:
    mark = run / "computing"

    async def quiet() -> bool:
        """Whether the scheduler leaves the file alone."""
        mark.unlink(missing_ok=True)
        await asyncio.sleep(0.2)
        return not mark.exists()

    def hold(name: str) -> int:
        Event(name).wait()
        return 1

    async def live() -> None:
        options: dict[str, Any] = {"dashboard": False, "dashboard_address": ":0", "host": "127.0.0.1", "port": 0}
        async with (
            Scheduler(plugins=[computing.Marking(interval=0.02)], **options) as scheduler,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            assert await quiet()
            waits = client.submit(hold, "go")
            await until(mark.exists)
            assert mark.stat().st_mode & 0o777 == 0o600
            async with Worker(scheduler.address):
                await until(lambda: bool(scheduler.workers) and not scheduler.unrunnable)
                assert not await quiet()
                await Event("go").set()
                assert await waits == 1
                assert await quiet()

    asyncio.run(live())


def test_outside_of_a_server_nothing_is_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMSAF_RUN", str(run / "none"))

    async def live() -> None:
        scheduler = SimpleNamespace(queued=["task"], unrunnable=(), workers={}, periodic_callbacks={})
        await computing.Marking().start(scheduler)  # type: ignore[arg-type] # no more of it is looked at
        scheduler.periodic_callbacks["cmsaf-activity"].callback()

    asyncio.run(live())
    assert not (run / "none").exists()


@pytest.mark.parametrize(
    ("states", "counts"), [([], False), (["idle", "dead", "starting"], False), (["idle", "busy"], True)]
)
def test_a_busy_kernel_counts(states: list[str], counts: bool) -> None:
    times: dict[str, datetime] = {"terminals": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    activity.report([{"execution_state": state} for state in states], times)
    new = [when for name, when in times.items() if name != "terminals"]
    assert bool(new) is counts
    assert all(datetime.now(timezone.utc) - when < timedelta(seconds=5) for when in new)


def test_a_marked_cluster_counts_as_of_its_mark(run: Path) -> None:
    (run / "computing").touch()
    os.utime(run / "computing", (1_800_000_000, 1_800_000_000))
    times: dict[str, datetime] = {}
    activity.report([], times)
    assert list(times.values()) == [datetime.fromtimestamp(1_800_000_000, timezone.utc)]


def test_jupyter_s_server_loads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file in the image, and what Jupyter's server looks for in the module that it names."""
    monkeypatch.setattr(activity, "INTERVAL", 0.01)
    enabled = json.loads((JUPYTER / "jupyter_server_config.d" / "cmsaf_dask.json").read_text())
    names = [name for name, on in enabled["ServerApp"]["jpserver_extensions"].items() if on]
    points = [point for name in names for point in import_module(name)._jupyter_server_extension_points()]
    assert [point["module"] for point in points] == names
    assert names == ["cmsaf_dask.activity", "cmsaf_dask.home", "cmsaf_dask.sessions", "cmsaf_dask.sidebar"]
    times: dict[str, datetime] = {}

    async def live() -> None:
        server = SimpleNamespace(
            io_loop=IOLoop.current(),
            kernel_manager=SimpleNamespace(list_kernels=lambda: [{"execution_state": "busy"}]),
            web_app=SimpleNamespace(settings={"last_activity_times": times}),
        )
        # Without a hub sessions has nothing to say; the others want a real Jupyter server, which the hub's scenario and the lab have.
        for name in ("cmsaf_dask.activity", "cmsaf_dask.sessions"):
            import_module(name)._load_jupyter_server_extension(server)
        await until(lambda: bool(times))

    asyncio.run(live())
