# SPDX-License-Identifier: GPL-3.0-or-later
"""The watcher: reads a cluster's jobs back from the access point, and says which of them have to be replaced.

One query an interval, made by the pool's process, never on the event loop. What is in the queue is the truth: a job
that is held, gone, ended, sent back or runs without its worker is given up, removed where need be, and another is
submitted in its place. Rounds that bring no worker at all are followed by growing pauses; after a few of them scaling
stops and says why. Idle jobs carry a lease that only this renews: without it the access point removes them by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cmsaf_dask import description, words
from cmsaf_dask.pool import PoolError, PoolUnreachable

__all__ = ["Limits", "Sighting", "Watch", "judge"]

logger = logging.getLogger(__name__)

Id = tuple[int, int]
PROJECTION = [
    "ClusterId", "ProcId", "JobStatus", "EnteredCurrentStatus", "QDate", "ServerTime", "NumShadowStarts",
    "JobCurrentStartDate", "JobCurrentStartExecutingDate", "HoldReason", "HoldReasonCode", "HoldReasonSubCode",
    "RemoveReason", "ExitCode", "ExitSignal", "ExitBySignal", "RemoteHost", "LastRemoteHost",
    "LastRejMatchReason", "LastRejMatchTime", "DaskWorkerName",
]  # fmt: skip
KEPT = 50
# The access point evaluates no lease while it waits for a job's files. Whoever was killed while he sent them leaves
# such jobs for ever; the next cluster of the same user removes them.
ABANDONED = (
    "DaskClusterName isnt undefined && JobStatus == 5 && HoldReasonCode == 16 && time() - EnteredCurrentStatus > 300"
)


@dataclass(frozen=True)
class Limits:
    """Seconds and counts of jobqueue.cmsaf."""

    interval: float = 5
    settled: float = 15
    lease: float = 45
    spool: float = 60
    start: float = 900
    register: float = 120
    lost: float = 15
    rounds: int = 5
    pause: float = 60

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Limits:
        return cls(
            interval=config["watch-interval"],
            settled=max(config["watch-interval"], config["settled-interval"]),
            lease=config["lease"],
            spool=config["call-timeout"],
            start=config["start-timeout"],
            register=config["register-timeout"],
            lost=config["lost-timeout"],
            rounds=config["failed-rounds"],
        )


@dataclass
class Sighting:
    """What is known of one job of this cluster."""

    job: Any
    submitted: float
    ad: dict[str, Any] = field(default_factory=dict)
    came: bool = False
    missed: float | None = None


def judge(ad: Mapping[str, Any] | None, seen: Sighting, limits: Limits, here: bool, now: float) -> str | None:
    """Why this job's worker will not come, or has gone; None where all is well or may still become so.

    Times in the ad are the access point's, ServerTime among them; ``now`` is this process's monotonic clock.
    """
    if ad is None:
        return words.ended({})
    status = int(ad.get("JobStatus", 0))
    clock = float(ad.get("ServerTime") or time.time())
    if status == words.HELD:
        if ad.get("HoldReasonCode") == words.SPOOLING and now - seen.submitted < limits.spool:
            return None
        return words.held(ad)
    if status in (words.REMOVED, words.COMPLETED):
        return words.ended(ad)
    if status == words.IDLE:
        if not ad.get("NumShadowStarts"):
            return None
        return f"sent back by {ad.get('LastRemoteHost', 'its execute host')}"
    if seen.came:
        if here:
            return None
        return "lost its connection" if seen.missed is not None and now - seen.missed >= limits.lost else None
    host = ad.get("RemoteHost", "its execute host")
    began = ad.get("JobCurrentStartExecutingDate") or 0
    matched = ad.get("JobCurrentStartDate") or ad.get("EnteredCurrentStatus") or clock
    if began >= matched and clock - began > limits.register:
        return f"runs on {host} and did not come to the scheduler in {limits.register:g} s"
    if began < matched and clock - matched > limits.start:
        return f"was not started by {host} in {limits.start:g} s"
    return None


class Watch:
    """The watcher of one cluster, on its event loop."""

    def __init__(self, cluster: Any, limits: Limits) -> None:
        self.cluster = cluster
        self.limits = limits
        self.jobs: dict[Id, Sighting] = {}
        self.doubtful = False
        self.over = False
        self._swept = False
        self.rounds = 0
        self.stopped: str | None = None
        self.stopped_at = 0.0
        self.unreachable: str | None = None
        self.looked: float | None = None
        self.troubles: deque[tuple[float, str, str]] = deque(maxlen=KEPT)
        self.outputs: OrderedDict[str, str] = OrderedDict()
        self._not_before = 0.0
        self._renewed = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What the cluster tells

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self.over = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def submitted(self, jobs: Iterable[tuple[Id, Any]]) -> None:
        now = time.monotonic()
        self.jobs |= {number: Sighting(job, now) for number, job in jobs}
        self.unreachable = None
        self._wake.set()

    def forget(self, jobs: Iterable[Id]) -> None:
        """These are being removed. What of them is still seen in the queue later is removed again."""
        for number in jobs:
            self.jobs.pop(number, None)
        self.doubtful = True

    def not_submitted(self, error: PoolError) -> None:
        # An access point that did not answer may have taken the jobs all the same.
        self.doubtful = True
        if isinstance(error, PoolUnreachable):
            self._pause()
            self._say_unreachable(error)
        else:
            self._failed([("submission", str(error))])

    def came(self, name: str) -> None:
        """A worker has come to the scheduler."""
        job = self.cluster.workers.get(self.cluster._job_of(name))
        seen = self.jobs.get(job.job_id) if job is not None else None
        if seen is not None:
            seen.came = True
            self.rounds, self._not_before = 0, 0.0

    def went(self) -> None:
        """A worker has left the scheduler: see now what became of its job."""
        self._wake.set()

    def resume(self) -> None:
        """The user asks anew: forget how it went so far."""
        self.rounds, self.stopped, self._not_before = 0, None, 0.0

    def may_submit(self) -> bool:
        return self.stopped is None and time.monotonic() >= self._not_before

    def pause_left(self) -> float:
        return max(0.0, self._not_before - time.monotonic())

    # The loop

    async def _run(self) -> None:
        while True:
            try:
                await self._pass()
            except PoolError as error:
                self._say_unreachable(error)
            except Exception:
                logger.exception("Watching the jobs of %s", self.cluster._name)
            self._wake.clear()
            try:
                async with asyncio.timeout(self._interval()):
                    await self._wake.wait()
            except TimeoutError:
                continue
            # One look for all that happens together, and time for the access point to hear of it.
            await asyncio.sleep(min(1.0, self.limits.interval))

    def _interval(self) -> float:
        settled = all(seen.came for seen in self.jobs.values()) and self.cluster._settled()
        return self.limits.settled if settled else self.limits.interval

    async def _pass(self) -> None:
        if self.jobs or self.doubtful:
            await self._look()
        self.cluster._submit_missing()

    async def _look(self) -> None:
        before = set(self.jobs)
        ads = await self.cluster._jobs_in_queue()
        if not self._swept:
            self._swept = True
            await self.cluster._ask("remove", constraint=ABANDONED, reason="its files never came")
        self.unreachable, self.looked = None, time.monotonic()
        found = {(ad["ClusterId"], ad["ProcId"]): ad for ad in ads}
        strays = [number for number in found if number not in self.jobs and not _leaving(found[number])]
        self.doubtful = bool(strays)
        here = self.cluster.observed
        now = time.monotonic()
        given_up: list[tuple[Id, Sighting, str]] = []
        for number in before & set(self.jobs):
            seen = self.jobs[number]
            seen.ad = found.get(number, seen.ad)
            present = self.cluster._names_at_scheduler(seen.job.name) <= here
            seen.came = seen.came or present
            seen.missed = None if present else seen.missed or now
            why = judge(found.get(number), seen, self.limits, present, now)
            if why:
                given_up.append((number, seen, why))
        if given_up:
            await self._give_up(given_up, found)
        strays += [number for number, _, _ in given_up if number in found and not _leaving(found[number])]
        if strays:
            await self._remove(strays)
        await self._renew([number for number in self.jobs if number in found], found)

    async def _give_up(self, given_up: list[tuple[Id, Sighting, str]], found: Mapping[Id, Mapping[str, Any]]) -> None:
        for number, seen, _ in given_up:
            self.jobs.pop(number, None)
            self.cluster._replace(seen.job)
        ended = [number for number, _, _ in given_up if found.get(number, {}).get("JobStatus") == words.COMPLETED]
        if ended:
            await self._fetch_outputs(ended, found)
        failed = []
        for number, seen, why in given_up:
            name = str(seen.job.name)
            lines = self.outputs.get(name, "").strip().splitlines()
            text = f"{why}; its last line: {lines[-1]}" if lines and not seen.came else why
            self.troubles.append((time.time(), name, text))
            logger.info("Worker %s, job %d.%d: %s", name, *number, text)
            if not seen.came:
                failed.append((name, text))
        if failed:
            self._failed(failed)

    def _failed(self, failed: list[tuple[str, str]]) -> None:
        """A round of submission came to nothing. Any new worker sets the count back."""
        self.rounds += 1
        if failed[0][0] == "submission":
            self.troubles.append((time.time(), *failed[0]))
        if self.rounds < self.limits.rounds:
            self._pause()
            return
        wanted = self.cluster._give_up_missing()
        name, why = failed[-1]
        self.stopped_at = time.monotonic()
        self.stopped = (
            f"{wanted} of the workers asked for do not come, and no more jobs are submitted: {self.rounds} rounds in a "
            f"row brought none. The last was {name}: {why}. cluster.explain() says more; cluster.scale() tries again."
        )
        logger.error("%s", self.stopped)

    def _pause(self) -> None:
        self._not_before = time.monotonic() + min(self.limits.pause, 2.0 ** max(0, self.rounds - 1))

    def _say_unreachable(self, error: PoolError) -> None:
        if self.unreachable is None:
            logger.warning("%s; trying again", error)
        self.unreachable = str(error)

    async def _remove(self, jobs: list[Id]) -> None:
        self.doubtful = True
        await self.cluster._ask(
            "remove", constraint=description.jobs_constraint(jobs), reason="given up by its Dask cluster"
        )

    async def _renew(self, jobs: list[Id], found: Mapping[Id, Mapping[str, Any]]) -> None:
        """Running jobs need no lease: their workers end without a scheduler."""
        waiting = [number for number in jobs if found[number].get("JobStatus") in (words.IDLE, words.HELD)]
        now = time.monotonic()
        if not waiting or now - self._renewed < self.limits.lease / 4:
            return
        clock = int(found[waiting[0]].get("ServerTime") or time.time())
        constraint = description.jobs_constraint(waiting)
        await self.cluster._ask(
            "edit", constraint=constraint, attribute=description.LEASE, value=str(clock + int(self.limits.lease))
        )
        self._renewed = now

    async def _fetch_outputs(self, jobs: list[Id], found: Mapping[Id, Mapping[str, Any]]) -> None:
        """What ended workers have written; only of some, the rest is of no use and could be many."""
        chosen = jobs[:5]
        try:
            texts = await self.cluster._ask("outputs", constraint=description.jobs_constraint(chosen))
        except PoolError as error:
            logger.info("Output of ended workers: %s", error)
            return
        for name, text in texts.items():
            self.outputs[name] = text
            self.outputs.move_to_end(name)
        while len(self.outputs) > KEPT:
            self.outputs.popitem(last=False)


def _leaving(ad: Mapping[str, Any]) -> bool:
    return ad.get("JobStatus") == words.REMOVED
