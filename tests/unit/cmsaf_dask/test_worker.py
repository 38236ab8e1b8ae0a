# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import doctest
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cmsaf_dask import worker

AD = 'ContainerServiceNames = "dask"\nStartdIpAddr = "<10.0.0.7:9618?addrs=10.0.0.7-9618>"\n'


def test_port_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / ".job.ad"
    path.write_text(AD + "dask_HostPort = undefined\n")

    def later() -> None:
        time.sleep(0.3)
        path.write_text(AD + "dask_HostPort = 33001\n")

    thread = threading.Thread(target=later)
    thread.start()
    assert worker.wait_for_contact(path, "dask", limit=5) == "10.0.0.7:33001"
    thread.join()


def test_a_port_that_never_comes_is_said(tmp_path: Path) -> None:
    path = tmp_path / ".job.ad"
    path.write_text(AD + "dask_HostPort = undefined\n")
    with pytest.raises(TimeoutError, match=r"dask_HostPort in .*: found undefined.*container_service_names"):
        worker.wait_for_contact(path, "dask", limit=0.2)


def test_environment_points_to_the_files_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "bearer_token").write_text("t")
    (tmp_path / "bearer_token").chmod(0o644)
    environ = {"BEARER_TOKEN_FILE": "/run/cmsaf/bearer_token"}
    worker.prepare_environment(tmp_path, environ)
    assert environ == {
        "BEARER_TOKEN_FILE": str(tmp_path / "bearer_token"),
        "HOME": str(tmp_path / ".home"),
        "USER": "dask-worker",
        "LOGNAME": "dask-worker",
    }
    assert (tmp_path / "bearer_token").stat().st_mode & 0o777 == 0o600


def test_arguments_are_those_of_the_description() -> None:
    given = "--scheduler=tls://s:1 --name=n --nthreads=2 --memory-limit=5 --death-timeout=60 --processes=2"
    options = worker.parse(shlex.split(given))
    assert (options.scheduler, options.name, options.nthreads, options.memory_limit) == ("tls://s:1", "n", 2, 5)


def test_a_job_is_there_with_all_its_processes_or_not_at_all() -> None:
    lasting = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    children = [*lasting, subprocess.Popen(["sh", "-c", "exit 3"])]
    assert worker.wait_for_all(children) == signal.SIGTERM
    assert all(child.returncode == -signal.SIGTERM for child in lasting)


def test_examples_in_the_text() -> None:
    assert doctest.testmod(worker).failed == 0
