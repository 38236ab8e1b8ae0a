# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose jobs, and what they reach: clusters apart, the access point's rules, files of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_pool import Queue, come, needs_a_pool, until

pytestmark = needs_a_pool


def test_two_clusters_of_one_user_do_not_meet(make: Callable[..., Any], queue: Queue) -> None:
    one, other = make(n_workers=2), make(n_workers=2)
    come(one, 2)
    come(other, 2)
    assert one._name != other._name
    assert not set(one.observed) & set(other.observed)
    one.close()
    assert not queue.jobs(one._name)
    with other.get_client() as client:
        assert client.submit(sum, [1, 2]).result(timeout=20) == 3
    assert len(queue.jobs(other._name)) == len(other.observed) == 2


def test_another_process_finds_and_scales_it(make: Callable[..., Any]) -> None:
    cluster = make(name="to-be-found")
    program = """
from cmsaf_dask import HTCondorCluster
found = HTCondorCluster.from_name("to-be-found")
found.scale(2)
found.get_client().wait_for_workers(2, timeout=90)
print(found.explain())
found.scale(1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 workers are here." in done.stdout
    come(cluster, 1)


def test_the_access_point_says_whose_share_it_is(make: Callable[..., Any], queue: Queue) -> None:
    lines = {"MY.AccountingGroup": '"cms.prio.bob"', "accounting_group": "cms.prio", "accounting_group_user": "bob"}
    cluster = make(n_workers=1, job_extra_directives=lines | {"requirements": "false"}, config={"check-pool": False})
    until(lambda: [ad["JobStatus"] for ad in queue.jobs(cluster._name)] == [1], 20)
    names = ["AccountingGroup", "AcctGroup", "AcctGroupUser", "DaskClusterName", "CmsafUser", "Owner"]
    (job,) = queue.jobs(cluster._name, more=names)
    assert [job[name] for name in names] == [
        "cms.other.coffea.alice", "cms.other.coffea", "alice", cluster._name, "alice", "alice"
    ]  # fmt: skip
    with pytest.raises(Exception, match="edit"):
        queue.agent.edit(f"ClusterId == {job['ClusterId']}", "AccountingGroup", '"cms.prio.bob"')
    (job,) = queue.jobs(cluster._name, more=names)
    assert job["AccountingGroup"] == "cms.other.coffea.alice"


KEY = "/etc/condor/passwords.d/cmsaf-hub"
SMALL = {
    "universe": "vanilla", "executable": "/bin/sleep", "transfer_executable": "false", "arguments": "1",
    "should_transfer_files": "YES", "when_to_transfer_output": "ON_EXIT", "initialdir": "/tmp",
    "request_cpus": "1", "request_memory": "128", "request_disk": "1000", "requirements": "false",
}  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ({"transfer_input_files": KEY}, "submit with -spool"),
        ({"log": "/etc/condor/passwords.d/mine"}, "submit with -spool"),
        ({"universe": "scheduler"}, "runs nothing itself"),
        ({"universe": "local"}, "runs nothing itself"),
    ],
)
def test_the_access_point_opens_and_runs_nothing_of_its_own(queue: Queue, lines: dict[str, str], says: str) -> None:
    queue.jobs("nobody")
    with pytest.raises(Exception, match=says):
        queue.agent.submit(SMALL | lines, ["thief"], spool=False)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("UserLog", '"/etc/condor/passwords.d/mine"'), ("TransferInput", f'"{KEY}"'), ("Iwd", '"/etc/condor/passwords.d"'),
     ("JobUniverse", "7"), ("HoldReasonCode", "1")],
)  # fmt: skip
def test_a_spooled_job_stays_in_its_directory(queue: Queue, attribute: str, value: str) -> None:
    queue.jobs("nobody")
    cluster = queue.agent.submit(SMALL, ["thief"])
    try:
        with pytest.raises(Exception, match="edit"):
            queue.agent.edit(f"ClusterId == {cluster}", attribute, value)
        assert queue.agent.query(f"ClusterId == {cluster}", [attribute])[0].get(attribute) != value.strip('"')
        queue.agent.edit(f"ClusterId == {cluster}", "JobPrio", "1")
    finally:
        queue.agent.remove(f"ClusterId == {cluster}", "seen")


def test_an_execute_host_can_still_hold(queue: Queue) -> None:
    queue.jobs("nobody")
    cluster = queue.agent.submit(SMALL | {"executable": "/no/such", "requirements": "true"}, ["broken"])
    names = ["JobStatus", "HoldReasonCode"]
    try:
        until(
            lambda: queue.agent.query(f"ClusterId == {cluster}", names)[0].get("HoldReasonCode") == 6, 40,
            lambda: queue.agent.query(f"ClusterId == {cluster}", []),
        )  # fmt: skip
    finally:
        queue.agent.remove(f"ClusterId == {cluster}", "seen")


def test_own_files_travel_beside_the_certificates(make: Callable[..., Any], queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")
    cluster = make(n_workers=1, job_extra_directives={"transfer_input_files": str(tmp_path / "mine.txt")})
    come(cluster, 1)
    with cluster.get_client() as client:
        found = client.run(lambda: Path(os.environ["_CONDOR_SCRATCH_DIR"], "mine.txt").read_text())
    assert list(found.values()) == ["mine\n"]
