# SPDX-License-Identifier: GPL-3.0-or-later
"""HTCondorCluster: dask-jobqueue's, with the HTCondor bindings in place of a process for each job."""

from __future__ import annotations

import getpass
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import dask
import yaml
from cmsaf_dask import computing, description, found, renewal, secrets
from cmsaf_dask.check import Check, Refused
from cmsaf_dask.explain import Explaining
from cmsaf_dask.found import Findable
from cmsaf_dask.panel import Shown
from cmsaf_dask.pool import Batch, Pool, PoolError
from cmsaf_dask.scaling import Scaling
from cmsaf_dask.watch import PROJECTION
from dask_jobqueue.htcondor import HTCondorCluster as JobqueueCluster
from dask_jobqueue.htcondor import HTCondorJob as JobqueueJob
from distributed.core import Status
from distributed.security import Security

__all__ = ["HTCondorCluster", "HTCondorJob", "load_defaults"]

logger = logging.getLogger(__name__)

PASSED_ON = ("XCACHE_HOST", "XCACHE_PORT", "XCACHE_AUTHZ", "XRD_CONNECTIONRETRY")
DEFAULTS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "cmsaf.yaml").read_text())["jobqueue"]["cmsaf"]


def load_defaults(section: str) -> None:
    """Give Dask's configuration our defaults under jobqueue.<section>, below all that the user has set."""
    dask.config.update_defaults({"jobqueue": {section: DEFAULTS}})


load_defaults("cmsaf")


class HTCondorJob(JobqueueJob):
    """One worker's job. Its cluster submits and removes for it, together with others."""

    config_name: ClassVar[str] = "cmsaf"

    def __init__(self, scheduler: Any = None, name: Any = None, cluster: Any = None, **options: Any) -> None:
        self._owner = cluster
        super().__init__(scheduler=scheduler, name=name, **options)
        self.job_header_dict = {}

    def job_script(self) -> str:
        """The submit description, as condor_submit would take it."""
        lines = self._owner._describe(self, files=[Path(name) for name in self._owner._file_names()])
        text = "\n".join(f"{name} = {value}" for name, value in lines.items())
        return f"{text}\n\nqueue DaskName in ({self.name})\n"

    async def start(self) -> None:
        try:
            self.job_id = await self._owner._submit_batch(self)
        except BaseException:
            self.status = Status.failed
            raise
        self.status = Status.running

    async def close(self) -> None:
        if self.job_id is not None and self.status == Status.running:
            self.status = Status.closing
            await self._owner._remove_batch(self.job_id)
        self.gone()

    def gone(self) -> None:
        """There is no job any more, or not one of this cluster's."""
        self.status = Status.closed
        self._event_finished.set()


class HTCondorCluster(Shown, Explaining, Findable, Scaling, JobqueueCluster):
    """Dask workers as HTCondor jobs of the user.

    Made without arguments it takes all from the server it runs in (variables CMSAF_*, /etc/cmsaf-secrets) and from
    Dask's configuration, section jobqueue.cmsaf. All keywords of dask-jobqueue's class are taken; these are new:

    worker_image: image of the workers, Docker universe; default $CMSAF_WORKER_IMAGE
    scheduler_port, dashboard_port: default 8786, 8787; for further clusters of a server 8788, 8789 and so on
    collector, schedd: the pool and its access point; default $CMSAF_COLLECTOR, $CMSAF_SCHEDD_NAME
    environment: more variables for the workers

    >>> cluster = HTCondorCluster(cores=1, memory="2 GiB")    # doctest: +SKIP
    >>> cluster.scale(8)                                      # doctest: +SKIP
    >>> client = cluster.get_client()                         # doctest: +SKIP
    """

    job_cls = HTCondorJob

    def __init__(
        self,
        n_workers: int = 0,
        *,
        worker_image: str | None = None,
        scheduler_port: int | None = None,
        dashboard_port: int | None = None,
        collector: str | None = None,
        schedd: str | None = None,
        environment: Mapping[str, str] | None = None,
        security: Security | bool | None = None,
        scheduler_options: Mapping[str, Any] | None = None,
        config_name: str | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        section = config_name or self.job_cls.config_name
        config: dict[str, Any] = dict(dask.config.get(f"jobqueue.{section}"))
        self._config = config
        self.user: str | None = os.environ.get("CMSAF_USER") or os.environ.get("JUPYTERHUB_USER") or _login()
        self.worker_image: str | None = (
            worker_image or config["worker-image"] or os.environ.get("CMSAF_WORKER_IMAGE") or None
        )
        passed_on = {variable: os.environ[variable] for variable in PASSED_ON if os.environ.get(variable)}
        self.environment = passed_on | dict(config["environment"]) | dict(environment or {})
        self._files: Path | None = None
        self._outputs: Path | None = None
        self._checked = Check(self)
        # Made on the event loop, where the cluster's methods run.
        self._pool_address = (
            collector or os.environ.get("CMSAF_COLLECTOR"),
            schedd or os.environ.get("CMSAF_SCHEDD_NAME"),
        )
        self._pool: Pool | None = None
        self._submit_batch: Batch[HTCondorJob, tuple[int, int]] = Batch(self._submit)
        self._remove_batch: Batch[tuple[int, int], None] = Batch(self._remove)
        if security is None:
            security = secrets.security_of_server()
        elif security is True:
            security = Security.temporary()

        scheduler_options = dict(config["scheduler-options"]) | dict(scheduler_options or {})
        port = self._free_port(scheduler_options.get("port", scheduler_port))
        if dashboard_port is None:
            dashboard_port = config["dashboard-port"] if port == config["scheduler-port"] else port and port + 1
        scheduler = {
            "host": "0.0.0.0",  # noqa: S104 # a pod's own network: policies say who gets there
            "port": port,
            "dashboard_address": f":{dashboard_port}",
        }
        reached_as = os.environ.get("CMSAF_DASK_NAME")
        if reached_as and security:
            scheduler["contact_address"] = f"tls://{reached_as}:{port}"
        scheduler |= scheduler_options
        # New for each cluster: a plug-in belongs to one scheduler.
        own = [renewal.TokenPush(interval=config["token-check"]), computing.Marking()]
        scheduler["plugins"] = [*scheduler.get("plugins", ()), *own]
        super().__init__(
            security=security,
            scheduler_options=scheduler,
            config_name=section,
            name=name or f"dask-{os.urandom(4).hex()}",
            cluster=self,
            **options,
        )
        if n_workers:
            try:
                self.scale(n_workers)
            except BaseException:
                self.close()
                raise

    def _free_port(self, asked: int | None) -> int:
        """The first port that workers can come to and no other cluster of this server has; 0 is any."""
        if asked is not None:
            ports = [int(asked)]
        elif os.environ.get("CMSAF_DASK_PORTS"):
            ports = [int(port) for port in os.environ["CMSAF_DASK_PORTS"].split(",")]
        else:
            ports = [int(self._config["scheduler-port"]), 0]
        taken = {int(record.address.rpartition(":")[2]): record.name for record in found.records()}
        free = [port for port in ports if port not in taken]
        if free:
            return free[0]
        names = [taken[port] for port in ports]
        raise Refused(
            f"Making a cluster: the schedulers of {', '.join(map(repr, names))} have all ports of this server that "
            f"workers come to ({', '.join(map(str, ports))}). HTCondorCluster.from_name({names[0]!r}) uses that one from "
            "here, scales and closes it."
        )

    # What dask-jobqueue and distributed leave to their subclasses

    def _get_worker_security(self, security: Security | None) -> None:
        """The certificates travel as files of the job; the base class would put their paths into its command."""
        return

    async def _close(self) -> None:
        if self._watch is not None:
            await self._watch.stop()
        # A call that hangs holds the lock that the base class waits for.
        if self._pool is not None and self.status == Status.running:
            await self._pool.give_up(self._config["close-timeout"])
            if self._watch is not None and self._watch.doubtful and not self.workers:
                await self._remove([])
        await super()._close()
        if self._pool is not None:
            await self._pool.close()
        for path in (self._files, self._outputs):
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
        self._files = self._outputs = None

    # The pool

    def _describe(self, job: HTCondorJob, files: list[Path]) -> dict[str, str]:
        config = self._config
        return description.describe(
            description.WorkerJob(
                scheduler=str(job.scheduler),
                cluster=self._name,
                cores=job.worker_cores,
                memory=job.worker_memory,
                disk=job.worker_disk,
                processes=job.worker_processes,
                death_timeout=_option(self._job_kwargs, "death_timeout", config["death-timeout"]),
                lease=config["lease"],
                vacate_time=config["retire-timeout"],
                directory=None if self._outputs is None else str(self._outputs),
                image=self.worker_image,
                user=self.user,
                server=os.environ.get("CMSAF_SERVER"),
                group=config["accounting-group"],
                python=_option(self._job_kwargs, "python", config["python"])
                or (description.PYTHON if self.worker_image else sys.executable),
                local_directory=_option(self._job_kwargs, "local_directory", config["local-directory"]),
                arguments=_option(self._job_kwargs, "worker_extra_args", config["worker-extra-args"]),
                environment=self.environment,
                extra=dict(job.job_extra_directives or {}),
                skip=frozenset(job.job_directives_skip),
            ),
            files,
        )

    def _file_names(self) -> list[str]:
        return list(secrets.worker_files(self.security))

    def _connect(self) -> Pool:
        if self._pool is None:
            self._pool = Pool(*self._pool_address, timeout=self._config["call-timeout"])
        return self._pool

    async def _submit(self, jobs: list[HTCondorJob]) -> list[tuple[int, int]]:
        """Submit all of one round as one cluster; the files are those of this moment, tokens are renewed."""
        if self._files is not None:
            shutil.rmtree(self._files, ignore_errors=True)
        self._files = secrets.write_private(secrets.worker_files(self.security))
        if self._outputs is None:
            self._outputs = secrets.write_private({})
        lines = self._describe(jobs[0], sorted(self._files.iterdir()))
        names = [str(job.name) for job in jobs]
        cluster = await self._connect().call("submit", description=lines, names=names)
        numbers = [(cluster, proc) for proc in range(len(jobs))]
        if self._watch is not None:
            self._watch.submitted(zip(numbers, jobs, strict=True))
        return numbers

    async def _remove(self, jobs: list[tuple[int, int]]) -> list[None]:
        """Remove all of one round; what could not be removed the watcher sees and removes later."""
        if self._watch is not None:
            self._watch.forget(jobs)
        # At the end all that may be there, known or not.
        closing = self._watch is None or self._watch.over
        constraint = self._mine() if closing else description.jobs_constraint(jobs)
        limit = self._config["close-timeout" if closing else "query-timeout"]
        reason = "no longer needed by its Dask cluster"
        try:
            await self._connect().call("remove", limit=limit, constraint=constraint, reason=reason)
        except PoolError as error:
            later = (
                description.left_behind(jobs, self._config) if closing else "They are removed as soon as it answers."
            )
            logger.error("%s %s", error, later)
        return [None] * len(jobs)

    async def _ask(self, name: str, **arguments: Any) -> Any:
        """What the watcher, explain() and the like ask the pool."""
        if name == "outputs":
            arguments["directory"] = str(self._outputs)
        return await self._connect().call(name, limit=self._config["query-timeout"], **arguments)

    def _contact(self) -> str:
        return str(getattr(self.scheduler, "contact_address", None) or self.scheduler.address)

    def _mine(self) -> str:
        # A name can be given twice; an address is one scheduler's at a time.
        mine = {"DaskClusterName": self._name, "DaskSchedulerAddress": self._contact()}
        return " && ".join(f"{name} == {description.quote_string(value)}" for name, value in mine.items())

    async def _jobs_in_queue(self) -> list[dict[str, Any]]:
        constraint = self._mine()
        return await self._ask("query", constraint=constraint, projection=PROJECTION)  # type: ignore[no-any-return]

    def _check(self) -> Check:
        return self._checked


def _option(options: Mapping[str, Any], name: str, default: Any) -> Any:
    value = options.get(name)
    return default if value is None else value


def _login() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
