# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from cmsaf_dask import description
from cmsaf_dask.description import WorkerJob, accounting_group, describe, jobs_constraint, quote_arguments

DOCKER = WorkerJob(
    scheduler="tls://alice.dask.example.org:8786",
    cluster="dask-1",
    cores=2,
    memory=2 * 2**30,
    disk=4 * 2**30,
    image="registry.example.org/cmsaf/analysis@sha256:0123",
    user="alice@example.org",
    server="alice--",
    group="cms.other.coffea",
    environment={"XCACHE_PORT": "1094", "XCACHE_HOST": "xcache.example.org"},
)


def test_whole_description() -> None:
    files = [Path("/run/cmsaf/worker-1/ca.pem"), Path("/run/cmsaf/worker-1/workercert.pem")]
    assert describe(DOCKER, files) == {
        "universe": "docker",
        "docker_image": "registry.example.org/cmsaf/analysis@sha256:0123",
        "executable": "/opt/cmsaf/bin/python",
        "transfer_executable": "false",
        "arguments": '"-m cmsaf_dask.worker --scheduler tls://alice.dask.example.org:8786 --name $(DaskName) '
        '--nthreads 2 --memory-limit 2147483648 --death-timeout 60 --vacate-time 60"',
        "request_cpus": "2",
        "request_memory": "2048",
        "request_disk": "4194304",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_output_files": '""',
        "transfer_input_files": "/run/cmsaf/worker-1/ca.pem,/run/cmsaf/worker-1/workercert.pem",
        "encrypt_input_files": "*",
        "environment": '"XCACHE_HOST=xcache.example.org XCACHE_PORT=1094"',
        "output": "$(DaskName).out",
        "error": "$(DaskName).err",
        "batch_name": "dask-1",
        "leave_in_queue": "JobStatus == 4 && (ExitBySignal || ExitCode =!= 0) "
        "&& time() - EnteredCurrentStatus < 30 && (StageOutFinish ?: 0) == 0",
        "job_max_vacate_time": "60",
        "periodic_remove": "(JobStatus == 1 || JobStatus == 5) && time() - EnteredCurrentStatus > 45 "
        "&& time() > (DaskLease ?: 0)",
        "container_service_names": "dask",
        "dask_container_port": "8786",
        "MY.DaskWorkerName": '"$(DaskName)"',
        "MY.DaskClusterName": '"dask-1"',
        "MY.DaskSchedulerAddress": '"tls://alice.dask.example.org:8786"',
        "MY.DaskWorkerCores": "2",
        "MY.DaskWorkerMemory": "2147483648",
        "MY.DaskWorkerDisk": "4294967296",
        "MY.CoffeaCasaWorkerType": '"dask"',
        "MY.CmsafUser": '"alice@example.org"',
        "MY.CmsafServer": '"alice--"',
        "MY.AccountingGroup": '"cms.other.coffea.alice_example_org"',
    }


def test_without_container_files_or_user() -> None:
    lines = describe(WorkerJob("tcp://10.0.0.1:8786", "c", cores=1, memory=1, disk=1), [])
    assert lines["universe"] == "vanilla"
    assert (lines["request_memory"], lines["request_disk"]) == ("1", "1")
    assert not {"docker_image", "container_service_names", "transfer_input_files", "MY.AccountingGroup"} & set(lines)


def test_several_processes_share_the_job() -> None:
    job = WorkerJob("tls://s:8786", "c", cores=4, memory=4096, disk=1, processes=2, image="i")
    lines = describe(job, [])
    assert lines["container_service_names"] == "dask,dask1"
    assert (lines["dask_container_port"], lines["dask1_container_port"]) == ("8786", "8787")
    assert "--nthreads 2 --memory-limit 2048 --death-timeout 60 --vacate-time 60 --processes 2" in lines["arguments"]


def test_own_lines_come_last_and_lines_can_be_left_out() -> None:
    job = WorkerJob("s", "c", cores=1, memory=1, disk=1, extra={"request_cpus": 3}, skip=frozenset({"batch_name"}))
    lines = describe(job, [])
    assert lines["request_cpus"] == "3"
    assert "batch_name" not in lines


def test_own_files_travel_beside_ours() -> None:
    own = {"transfer_input_files": " a.whl, data/b.txt "}
    lines = describe(WorkerJob("s", "c", cores=1, memory=1, disk=1, extra=own), [Path("/r/ca.pem")])
    assert lines["transfer_input_files"] == "/r/ca.pem,a.whl,data/b.txt"
    assert describe(WorkerJob("s", "c", cores=1, memory=1, disk=1, extra=own), [])["encrypt_input_files"] == "*"


def test_own_policy_stands_beside_the_lease() -> None:
    own = {"periodic_remove": "NumJobStarts > 3"}
    lines = describe(WorkerJob("s", "c", cores=1, memory=1, disk=1, lease=7, directory="/o", extra=own), [])
    assert "EnteredCurrentStatus > 7 " in lines["periodic_remove"]
    assert lines["periodic_remove"].endswith("|| (NumJobStarts > 3)")
    assert lines["initialdir"] == "/o"


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        ([], '""'),
        ([""], "\"''\""),
        (["a b"], "\"'a b'\""),
        (["it's"], "\"'it''s'\""),
        (['say "x"'], '"\'say ""x""\'"'),
        (["tab\there"], "\"'tab\there'\""),
        (["é"], '"é"'),
    ],
)
def test_quoting(arguments: list[str], quoted: str) -> None:
    assert quote_arguments(arguments) == quoted


@pytest.mark.parametrize(
    ("user", "group"),
    [(None, None), ("", None), ("a.b", "g.a_b"), ("A-1_x", "g.A-1_x"), ("ü@x", "g.__x"), ('a"b', "g.a_b")],
)
def test_accounting_group_cannot_be_left(user: str | None, group: str | None) -> None:
    assert accounting_group("g", user) == group


def test_constraint_names_the_jobs_and_no_other() -> None:
    assert jobs_constraint([]) == ""
    assert jobs_constraint([(3, 4)]) == "(ClusterId == 3 && (ProcId == 4))"
    assert jobs_constraint((1, proc) for proc in range(500)) == "(ClusterId == 1 && (ProcId >= 0 && ProcId <= 499))"


def test_examples_in_the_text() -> None:
    assert doctest.testmod(description).failed == 0
