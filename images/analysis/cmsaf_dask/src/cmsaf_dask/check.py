# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is submitted, in words."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

from cmsaf_dask.pool import PoolError, PoolUnreachable

__all__ = ["Check", "Refused", "image_complaint"]

logger = logging.getLogger(__name__)

KEEP = 300.0
# What a container system takes: host and port, lower case path, tag, digest.
IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


class Refused(PoolError, ValueError):
    """What was asked for can never be had; the message says why and what could be."""


def image_complaint(image: str | None) -> str | None:
    """Say what is wrong with an image's name; None where nothing is.

    >>> image_complaint("mirror.example.org:5000/cmsaf/analysis:1.0")
    >>> image_complaint("docker://cmsaf/Analysis")
    "worker_image='docker://cmsaf/Analysis' is no name of an image: write [host[:port]/]path[:tag][@sha256:...], in \
lower case and without docker://."
    """
    if image is None or IMAGE.fullmatch(image):
        return None
    return (
        f"worker_image={image!r} is no name of an image: write [host[:port]/]path[:tag][@sha256:...], in lower case "
        "and without docker://."
    )


def _gib(value: float) -> str:
    return f"{value:.3g} GiB"


class Check:
    """The pool's size, asked of the collector and kept for a while."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._room: dict[str, Any] | None = None
        self._asked = 0.0

    async def refuse(self, jobs: int) -> None:
        """Raise Refused where this many jobs cannot be; a pool that does not answer now is not asked to prove it."""
        config = self.cluster._config
        if not config["check-pool"]:
            return
        if complaint := image_complaint(self.cluster.worker_image):
            raise Refused(complaint)
        job = self.cluster._dummy_job
        request = {
            "Cpus": job.worker_cores,
            "Memory": -(-job.worker_memory // 2**20),
            "Disk": -(-job.worker_disk // 2**10),
        }
        try:
            async with asyncio.timeout(config["check-timeout"]):
                room = self._room
                if room is None or time.monotonic() - self._asked > KEEP or room_complaint(room, request, jobs):
                    # What is refused is refused by what the pool is now.
                    room = await self._ask(request)
        except (PoolUnreachable, TimeoutError) as error:
            logger.warning(
                "%s; the workers are asked for all the same", error or "The pool did not say how large it is"
            )
            return
        if complaint := room_complaint(room, request, jobs):
            raise Refused(complaint)

    async def _ask(self, request: dict[str, float]) -> dict[str, Any]:
        docker = self.cluster.worker_image is not None
        self._room = room = await self.cluster._ask("room", request=request, docker=docker)
        self._asked = time.monotonic()
        return room  # type: ignore[no-any-return]


def room_complaint(room: dict[str, Any], request: dict[str, float], jobs: int) -> str | None:
    """Say why the pool cannot have this many jobs, even when it is empty; None where it can."""
    if not room["slots"]:
        # Hosts may be on their way: nothing is known that speaks against it.
        return None
    if room["jobs"] >= jobs:
        return None
    size = f"cores={request['Cpus']:g}, memory {_gib(request['Memory'] / 2**10)}, disk {_gib(request['Disk'] / 2**20)}"
    wait = "jobqueue.cmsaf.check-pool: false waits for hosts that are still to come."
    if room["jobs"]:
        return (
            f"Scaling to {jobs} jobs of {size}: the pool's {room['hosts']} hosts have room for {room['jobs']} of them, "
            f"even with nothing else running. Ask for at most {room['jobs']}, or for smaller ones. {wait}"
        )
    largest = room["largest"]
    return (
        f"Scaling to {jobs} jobs of {size}: none of the pool's {room['hosts']} hosts is large enough for one. The most "
        f"that one slot has: {largest['Cpus']:g} cores, {_gib(largest['Memory'] / 2**10)} of memory, "
        f"{_gib(largest['Disk'] / 2**20)} of disk. Ask for less with cores=, memory=, disk=. {wait}"
    )
