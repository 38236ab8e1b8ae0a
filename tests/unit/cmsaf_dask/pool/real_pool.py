# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on a real pool share: where it is, how one waits, and the queue by other eyes than the cluster's."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = [
    "IMAGE", "MANAGER", "POOL", "PYTHON", "SCHEDD", "SSH", "Queue", "come", "host_of", "job_of_a_worker", "kill_worker",
    "needs_a_pool", "on", "tokens_in", "until",
]  # fmt: skip

POOL = os.environ.get("CMSAF_TEST_POOL")
SCHEDD = os.environ.get("CMSAF_TEST_SCHEDD")
# Of the workers, in the registry that the pool's hosts know, with the Python that is named here in it.
IMAGE = os.environ.get("CMSAF_TEST_IMAGE")
# Puts a command on the access point or an execute host, as root: ssh with its options and without a host.
SSH = os.environ.get("CMSAF_TEST_SSH")
MANAGER = os.environ.get("CMSAF_TEST_MANAGER", POOL or "")
PYTHON = os.environ.get("CMSAF_TEST_PYTHON", sys.executable)

# In each file of tests: pytestmark = needs_a_pool
needs_a_pool = [
    pytest.mark.condor,
    pytest.mark.skipif(
        not (POOL and SCHEDD and IMAGE and SSH),
        reason="needs a pool of its own: 'make soak TARGET=pool' makes one and sets CMSAF_TEST_POOL, _SCHEDD, _IMAGE, _SSH",
    ),
]


def until(what: Callable[[], Any], limit: float, say: Callable[[], Any] = lambda: "") -> float:
    """Wait until it is so; the seconds it took."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > limit:
            pytest.fail(f"not so after {limit} s: {say()}")
        time.sleep(0.2)
    return time.monotonic() - start


def on(command: str, host: str = MANAGER) -> str:
    done = subprocess.run(
        [*shlex.split(str(SSH)), f"root@{host}", command], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


class Queue:
    """The queue by other eyes than the cluster's."""

    def __init__(self) -> None:
        from cmsaf_dask.agent import Agent

        self.agent = Agent()
        self.agent.locate(POOL, SCHEDD)

    def jobs(self, cluster: str, leaving: bool = False, more: Sequence[str] = ()) -> list[dict[str, Any]]:
        names = [
            "ClusterId",
            "ProcId",
            "JobStatus",
            "DaskWorkerName",
            "EnteredCurrentStatus",
            "ServerTime",
            "RemoteHost",
        ]
        state = "" if leaving else " && JobStatus != 3"
        for _ in range(30):
            try:
                self.agent.locate(POOL, SCHEDD)
                return self.agent.query(f'DaskClusterName == "{cluster}"{state}', [*names, *more])
            except Exception:  # noqa: BLE001 # an access point that was started again has another address
                self.agent.schedd = None
                time.sleep(2)
        pytest.fail("the access point does not come back")

    def act(self, action: str, job: dict[str, Any]) -> None:
        from htcondor2 import JobAction

        self.agent.schedd.act(getattr(JobAction, action), f"{job['ClusterId']}.{job['ProcId']}")


def come(cluster: Any, count: int, limit: float = 90) -> float:
    return until(lambda: len(cluster.observed) == count, limit, lambda: (cluster.explain(), cluster.observed))


def job_of_a_worker(queue: Queue, cluster: Any) -> dict[str, Any]:
    return next(ad for ad in queue.jobs(cluster._name) if ad["DaskWorkerName"] in cluster.observed)


def host_of(job: dict[str, Any]) -> str:
    return str(job["RemoteHost"]).rpartition("@")[2]


def kill_worker(queue: Queue, cluster: Any) -> str:
    """Kill the process of a worker on its host, which sees into the containers; the worker's name."""
    job = job_of_a_worker(queue, cluster)
    name = str(job["DaskWorkerName"])
    on(f"pkill -KILL -f -- '^[^ ]*python .*--name {name} '", host_of(job))
    return name


@contextlib.contextmanager
def tokens_in(directory: Path) -> Iterator[None]:
    """Have the user no other tokens than those there."""
    name = "_CONDOR_SEC_TOKEN_DIRECTORY"
    before = os.environ.get(name)
    os.environ[name] = str(directory)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
