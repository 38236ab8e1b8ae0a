# SPDX-License-Identifier: GPL-3.0-or-later
"""How the cluster comes to the workers it was asked for: what dask-jobqueue and distributed leave undone.

A mixin for JobQueueCluster. The plan (worker_spec) says how many are wanted, workers says which jobs there are. This
opens and closes jobs until both agree, asks the watcher whether it may, and never counts a job that was not submitted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable
from typing import Any

from cmsaf_dask.adaptive import PoolAdaptive
from cmsaf_dask.check import Check
from cmsaf_dask.pool import PoolError
from cmsaf_dask.watch import Limits, Watch
from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.deploy.spec import SpecCluster

__all__ = ["Scaling"]

logger = logging.getLogger(__name__)


class Scaling:
    """Between HTCondorCluster and dask-jobqueue's class."""

    # Set by the classes around this one.
    _name: str
    _config: dict[str, Any]
    _lock: asyncio.Lock
    _watch: Watch | None = None
    workers: dict[Any, Any]
    worker_spec: dict[Any, Any]

    async def _start(self) -> None:
        await super()._start()  # type: ignore[misc]
        if self._watch is None:
            self._watch = Watch(self, Limits.read(self._config))
            self._watch.start()

    # Asked by the user

    def scale(self, n: int | None = None, jobs: int = 0, memory: str | None = None, cores: int | None = None) -> Any:
        """Ask for this many workers; refused at once where the pool could never have them."""
        if self.status in (Status.closing, Status.closed, Status.failed):
            # dask-jobqueue's own asks the scheduler for its address, and it may be that which did not start.
            return SpecCluster.scale(self, 0)
        jobs = self._jobs_for(n, jobs, memory, cores)
        if self.asynchronous:
            return asyncio.ensure_future(self._scale_checked(jobs))
        self.sync(self._scale_checked, jobs)
        return None

    def _jobs_for(self, n: int | None, jobs: int, memory: str | None, cores: int | None) -> int:
        if n is not None:
            jobs = math.ceil(n / self._dummy_job.worker_processes)
        if memory is not None:
            from dask.utils import parse_bytes

            jobs = max(jobs, math.ceil(parse_bytes(memory) / self._dummy_job.worker_memory))
        if cores is not None:
            jobs = max(jobs, math.ceil(cores / self._dummy_job.worker_cores))
        return int(jobs)

    async def _scale_checked(self, jobs: int) -> None:
        if self._watch is not None:
            self._watch.resume()
        if jobs > len(self.worker_spec):
            await self._check().refuse(jobs)
        self._set_plan(jobs)
        if jobs < len(self.worker_spec):
            for name in await self._least_needed(len(self.worker_spec) - jobs):
                self.worker_spec.pop(name, None)
        asyncio.ensure_future(self._correct_state()).add_done_callback(_tell)

    def _set_plan(self, jobs: int) -> None:
        """More are planned at once; of fewer, those go first that nobody has seen."""
        while len(self.worker_spec) < jobs:
            self.worker_spec.update(self.new_worker_spec())
        surplus = len(self.worker_spec) - jobs
        if surplus > 0:
            unseen = [name for name in self.worker_spec if not self._names_at_scheduler(name) & self.observed]
            for name in unseen[::-1][:surplus]:
                del self.worker_spec[name]

    async def _least_needed(self, count: int) -> list[Any]:
        """The scheduler knows which workers are idle and hold little."""
        chosen = await self.scheduler_comm.workers_to_close(n=count * self._processes(), attribute="name")
        jobs = dict.fromkeys(self._job_of(name) for name in chosen)
        rest = [name for name in reversed(list(self.worker_spec)) if name not in jobs]
        return [*(name for name in jobs if name in self.worker_spec), *rest][:count]

    def adapt(self, *args: Any, **options: Any) -> Any:
        """dask-jobqueue's adapt, by a class that knows that a job in the queue needs time to match."""
        if not args:
            options.setdefault("Adaptive", PoolAdaptive)
        if self._watch is not None:
            self._watch.resume()
        return super().adapt(*args, **options)  # type: ignore[misc]

    async def _wait_for_workers(self, n_workers: int = 0, timeout: float | None = None) -> None:
        """As in the base class, but it does not wait for what will not come."""
        waiting = asyncio.ensure_future(super()._wait_for_workers(n_workers, timeout))  # type: ignore[misc]
        try:
            while not (await asyncio.wait([waiting], timeout=0.5))[0]:
                if self._watch is not None and self._watch.stopped:
                    raise PoolError(self._watch.stopped)
            waiting.result()
        finally:
            waiting.cancel()

    # Names

    def _processes(self) -> int:
        return len(self.new_spec.get("group", [""]))

    def _names_at_scheduler(self, name: Any) -> set[str]:
        return {f"{name}{suffix}" for suffix in self.new_spec.get("group", [""])}

    def _job_of(self, worker: Any) -> Any:
        name = str(worker)
        return name if name in self.worker_spec or self._processes() == 1 else name.rpartition("-")[0]

    def new_worker_spec(self) -> dict[Any, Any]:
        """A name is never used twice: the worker that had it may not be gone yet."""
        self._i += 1
        return super().new_worker_spec()  # type: ignore[misc, no-any-return]

    # Asked by the watcher

    def _settled(self) -> bool:
        return set(self.worker_spec) == set(self.workers)

    def _submit_missing(self) -> None:
        watch = self._watch
        if self.status == Status.running and watch is not None and watch.may_submit() and not self._settled():
            asyncio.ensure_future(self._correct_state()).add_done_callback(_tell)

    def _replace(self, job: Any) -> None:
        """This job's worker will not come (back): plan another of another name."""
        if self.workers.get(job.name) is job:
            del self.workers[job.name]
            if self.worker_spec.pop(job.name, None) is not None:
                self.worker_spec.update(self.new_worker_spec())
        job.gone()

    def _give_up_missing(self) -> int:
        missing = set(self.worker_spec) - set(self.workers)
        for name in missing:
            del self.worker_spec[name]
        return len(missing)

    # What distributed calls

    def _update_worker_status(self, op: str, msg: Any) -> None:
        # Not SpecCluster's: it would close the job by name fifteen seconds later, whoever has that name by then.
        workers = dict(msg["workers"]) if op == "add" else {}
        Cluster._update_worker_status(self, op, msg)
        if self._watch is not None:
            for worker in workers.values():
                self._watch.came(str(worker["name"]))
            if op == "remove":
                self._watch.went()

    async def _correct_state_internal(self) -> None:
        async with self._lock:
            self._correct_state_waiting = None
            await self._close_surplus()
            if self._watch is None or self._watch.may_submit():
                await self._open_missing()

    async def _close_surplus(self) -> None:
        names = set(self.workers) - set(self.worker_spec)
        if not names:
            return
        if self.status == Status.running:
            await self._retire({name for name in names if self._names_at_scheduler(name) & self.observed})
        await asyncio.gather(*(self.workers[name].close() for name in names if name in self.workers))
        for name in names:
            self.workers.pop(name, None)

    async def _open_missing(self) -> None:
        missing = [name for name in self.worker_spec if name not in self.workers]
        if not missing:
            return
        address = self._contact()
        jobs = {}
        for name in missing:
            spec = self.worker_spec[name]
            jobs[name] = spec["cls"](address, **({"name": name} | spec["options"]))
        self._created.update(jobs.values())
        results = await asyncio.gather(*(job.start() for job in jobs.values()), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        self.workers.update(
            {name: job for (name, job), result in zip(jobs.items(), results, strict=True) if result is None}
        )
        known = [error for error in errors if isinstance(error, PoolError)]
        if known and self._watch is not None and self.status == Status.running:
            self._watch.not_submitted(known[0])
        for error in errors:
            if not isinstance(error, PoolError):
                raise error

    async def _retire(self, names: Iterable[Any]) -> None:
        """Have the workers' data moved before they go; the base class gives names where addresses are expected."""
        known = [worker for name in names for worker in self._names_at_scheduler(name)]
        if not known:
            return
        try:
            async with asyncio.timeout(self._config["retire-timeout"]):
                await self.scheduler_comm.retire_workers(names=known, close_workers=True, remove=True)
        except (OSError, TimeoutError) as error:
            logger.warning(
                "Moving the data of %d workers: %s; they are removed all the same", len(known), error or "no answer"
            )

    def _check(self) -> Check:
        raise NotImplementedError

    def idle_since(self, worker: Any) -> float | None:
        """Seconds since the job of this worker was submitted, where it has not come yet."""
        job = self.workers.get(self._job_of(worker))
        seen = self._watch.jobs.get(job.job_id) if self._watch is not None and job is not None else None
        return None if seen is None or seen.came else time.monotonic() - seen.submitted


def _tell(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("Scaling: %s", task.exception(), exc_info=task.exception())
