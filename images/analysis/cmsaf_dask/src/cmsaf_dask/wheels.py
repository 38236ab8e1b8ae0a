# SPDX-License-Identifier: GPL-3.0-or-later
"""A package of the user's own, from its wheel: sent once to the scheduler and to each worker, those too that come later.

distributed's Client.upload_file does so for modules and archives of them, and knows no wheels. What the package depends on is
not looked for: there is no way out to fetch it by.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

if TYPE_CHECKING:
    from distributed import Client, Scheduler, Worker

__all__ = ["Wheel", "upload_wheel"]


@dataclass(frozen=True)
class Wheel:
    """The file's name and content."""

    name: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, path: str | Path) -> Wheel:
        """Read a wheel that fits this Python; the workers' is the same."""
        path = Path(path)
        try:
            *_, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            raise ValueError(
                f"Sending {path}: its name is none of a wheel, such as mine-1.0-py3-none-any.whl."
            ) from None
        if tags.isdisjoint(sys_tags()):
            raise ValueError(
                f"Sending {path}: it is for {', '.join(sorted(map(str, tags)))}, and Python here and on the workers is"
                f" {next(sys_tags())}. Make a wheel for that: 'pip wheel --no-deps' does here."
            )
        return cls(path.name, path.read_bytes())

    def unpack(self, directory: Path) -> None:
        """Have this process find its modules."""
        place = directory / self.name.removesuffix(".whl")
        try:
            with ZipFile(BytesIO(self.content)) as archive:
                archive.extractall(place)
        except BadZipFile as error:
            raise ValueError(f"Unpacking {self.name}: {error}.") from None
        for found in (place, *sorted(place.glob("*.data/*lib"))):
            if str(found) not in sys.path:
                sys.path.insert(0, str(found))
        importlib.invalidate_caches()


class _OnWorker(WorkerPlugin):
    def __init__(self, wheel: Wheel) -> None:
        self.wheel = wheel

    async def setup(self, worker: Worker) -> None:
        await asyncio.to_thread(self.wheel.unpack, Path(worker.local_directory))


class _OnScheduler(SchedulerPlugin):
    def __init__(self, wheel: Wheel) -> None:
        self.wheel = wheel

    async def start(self, scheduler: Scheduler) -> None:
        await asyncio.to_thread(self.wheel.unpack, Path(scheduler.local_directory))


def upload_wheel(client: Client, path: str | Path) -> Any:
    """Let the workers, now and later, import what is in a wheel. Awaitable where the client is asynchronous."""
    wheel = Wheel.read(path)
    name = f"cmsaf-wheel-{wheel.name}"

    async def register() -> None:
        await client.register_plugin(_OnScheduler(wheel), name=name)
        await client.register_plugin(_OnWorker(wheel), name=name)

    return client.sync(register)
