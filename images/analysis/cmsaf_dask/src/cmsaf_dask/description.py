# SPDX-License-Identifier: GPL-3.0-or-later
"""The submit description of one round of workers: pure functions, compared whole in the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "LEASE", "WorkerJob", "accounting_group", "describe", "jobs_constraint", "quote_arguments", "quote_environment",
    "quote_string",
]  # fmt: skip

FIRST_PORT = 8786
# Until when, by the access point's clock, a job may wait without a sign of its Dask cluster.
LEASE = "DaskLease"
KEEP = 30
INPUTS = "transfer_input_files"
PYTHON = "/opt/cmsaf/bin/python"


@dataclass(frozen=True)
class WorkerJob:
    """What all workers of one cluster have in common."""

    scheduler: str
    cluster: str
    cores: int
    memory: int
    disk: int
    processes: int = 1
    death_timeout: float = 60
    lease: int = 45
    vacate_time: float = 60
    directory: str | None = None
    image: str | None = None
    user: str | None = None
    server: str | None = None
    group: str | None = None
    python: str = PYTHON
    local_directory: str | None = None
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    skip: frozenset[str] = frozenset()


def _doubled(text: str) -> str:
    return text.replace("'", "''").replace('"', '""')


def _quoted(text: str) -> str:
    text = _doubled(text)
    return f"'{text}'" if not text or re.search(r"[\s']", text) else text


def quote_arguments(arguments: Iterable[str]) -> str:
    """HTCondor's new quoting of an argument list.

    >>> print(quote_arguments(["-c", "print('a b')", ""]))
    "-c 'print(''a b'')' ''"
    """
    return '"' + " ".join(_quoted(argument) for argument in arguments) + '"'


def quote_environment(variables: Mapping[str, str]) -> str:
    """HTCondor's new quoting of an environment.

    >>> quote_environment({"A": "1", "B": "two words"})
    '"A=1 B=\\'two words\\'"'
    """
    pairs = []
    for name, value in sorted(variables.items()):
        text = _doubled(value)
        pairs.append(f"{name}='{text}'" if re.search(r"[\s']", text) else f"{name}={text}")
    return '"' + " ".join(pairs) + '"'


def quote_string(value: str) -> str:
    """A ClassAd string literal."""
    return json.dumps(value, ensure_ascii=False)


def accounting_group(group: str | None, user: str | None) -> str | None:
    """The group with the user's name behind it; a dot in the name would make a sub-group of it.

    >>> accounting_group("cms.other.coffea", "jane.doe@cern.ch")
    'cms.other.coffea.jane_doe_cern_ch'
    """
    if not group or not user:
        return None
    return f"{group}.{re.sub('[^A-Za-z0-9_-]', '_', user)}"


def describe(job: WorkerJob, files: Sequence[Path]) -> dict[str, str]:
    """The submit description; the worker's name comes from the item data, variable DaskName."""
    arguments = ["-m", "cmsaf_dask.worker", "--scheduler", job.scheduler, "--name", "$(DaskName)"]
    arguments += ["--nthreads", str(max(1, job.cores // job.processes))]
    arguments += ["--memory-limit", str(job.memory // job.processes), "--death-timeout", f"{job.death_timeout:g}"]
    arguments += ["--vacate-time", f"{job.vacate_time:g}"]
    arguments += ["--processes", str(job.processes)] if job.processes > 1 else []
    arguments += ["--local-directory", job.local_directory] if job.local_directory else []
    lines = {
        "universe": "docker" if job.image else "vanilla",
        "executable": job.python,
        "transfer_executable": "false",
        "arguments": quote_arguments([*arguments, *map(str, job.arguments)]),
        "request_cpus": str(job.cores),
        "request_memory": str(-(-job.memory // 2**20)),
        "request_disk": str(-(-job.disk // 2**10)),
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_output_files": '""',
        "output": "$(DaskName).out",
        "error": "$(DaskName).err",
        "batch_name": job.cluster,
        # By default a spooled job stays for ten days after its end. Ours goes at once; where something went wrong, after
        # as long as it takes to fetch what it wrote.
        "leave_in_queue": "JobStatus == 4 && (ExitBySignal || ExitCode =!= 0) "
        f"&& time() - EnteredCurrentStatus < {KEEP} && (StageOutFinish ?: 0) == 0",
        # What an execute host gives a job between the word and the kill, to hand its data over.
        "job_max_vacate_time": f"{job.vacate_time:g}",
        # Whoever made it is gone. The one on the right is renewed while he is there; the left one gives him time to.
        "periodic_remove": f"(JobStatus == 1 || JobStatus == 5) && time() - EnteredCurrentStatus > {job.lease} "
        f"&& time() > ({LEASE} ?: 0)",
        "MY.DaskWorkerName": quote_string("$(DaskName)"),
        "MY.DaskClusterName": quote_string(job.cluster),
        "MY.DaskSchedulerAddress": quote_string(job.scheduler),
        "MY.DaskWorkerCores": str(job.cores),
        "MY.DaskWorkerMemory": str(job.memory),
        "MY.DaskWorkerDisk": str(job.disk),
        "MY.CoffeaCasaWorkerType": quote_string("dask"),
    }
    if job.directory:
        lines["initialdir"] = job.directory
    if job.image:
        lines["docker_image"] = job.image
        services = ["dask", *(f"dask{index}" for index in range(1, job.processes))]
        lines["container_service_names"] = ",".join(services)
        lines |= {f"{name}_container_port": str(FIRST_PORT + index) for index, name in enumerate(services)}
    own = [name.strip() for name in str(job.extra.get(INPUTS, "")).split(",") if name.strip()]
    if files or own:
        lines[INPUTS] = ",".join([*map(str, files), *own])
        lines["encrypt_input_files"] = "*"
    if job.environment:
        lines["environment"] = quote_environment(job.environment)
    if job.user:
        lines["MY.CmsafUser"] = quote_string(job.user)
    if job.server:
        lines["MY.CmsafServer"] = quote_string(job.server)
    group = accounting_group(job.group, job.user)
    if group:
        lines["MY.AccountingGroup"] = quote_string(group)
    if "periodic_remove" in job.extra:
        lines["periodic_remove"] = f"({lines['periodic_remove']}) || ({job.extra['periodic_remove']})"
    lines |= {name: str(value) for name, value in job.extra.items() if name not in ("periodic_remove", INPUTS)}
    return {name: value for name, value in lines.items() if name not in job.skip}


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def jobs_constraint(jobs: Iterable[tuple[int, int]]) -> str:
    """One constraint that names exactly these (cluster, proc).

    >>> jobs_constraint([(7, 0), (7, 1), (7, 2), (7, 5), (9, 0)])
    '(ClusterId == 7 && (ProcId >= 0 && ProcId <= 2 || ProcId == 5)) || (ClusterId == 9 && (ProcId == 0))'
    """
    clusters: dict[int, list[int]] = {}
    for cluster, proc in jobs:
        clusters.setdefault(cluster, []).append(proc)
    parts = []
    for cluster, procs in sorted(clusters.items()):
        ranges = (
            f"ProcId == {first}" if first == last else f"ProcId >= {first} && ProcId <= {last}"
            for first, last in _ranges(procs)
        )
        parts.append(f"(ClusterId == {cluster} && ({' || '.join(ranges)}))")
    return " || ".join(parts)


def left_behind(jobs: Iterable[tuple[int, int]], config: Mapping[str, float]) -> str:
    """What becomes of jobs that could not be removed.

    >>> left_behind([(7, 0), (7, 1)], {"lease": 45, "death-timeout": 60})
    'Jobs 7.0, 7.1 may be left. They end by themselves: a waiting one when its lease of 45 s has run out, a running one \
60 s after it has lost its scheduler.'
    """
    named = sorted(jobs)
    text = ", ".join(f"{cluster}.{proc}" for cluster, proc in named[:20]) + (", ..." if len(named) > 20 else "")
    text = text or "of a submission that was not finished"
    return (
        f"Jobs {text} may be left. They end by themselves: a waiting one when its lease of {config['lease']:g} s has "
        f"run out, a running one {config['death-timeout']:g} s after it has lost its scheduler."
    )
