# SPDX-License-Identifier: GPL-3.0-or-later
"""An account of the access point itself: HTCondor knows it by FS, and it has no token."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from real_pool import IMAGE, MANAGER, PYTHON, SSH, needs_a_pool, on, until

pytestmark = needs_a_pool

# As its README has it: neither pool nor access point are named, they are those of the host's configuration.
MAKE = f"""
from pathlib import Path
from cmsaf_dask import HTCondorCluster
assert not Path("~/.condor/tokens.d").expanduser().exists()
cluster = HTCondorCluster(cores=1, memory="1 GiB", disk="100 MiB", security=True, worker_image={IMAGE!r}, python={PYTHON!r})
"""
SESSION = """
with cluster, cluster.get_client() as client:
    cluster.scale(1)
    client.wait_for_workers(1, timeout=120)
    print("ready", flush=True)
    input()
    cluster.scale(2)
    client.wait_for_workers(2, timeout=150)
    print(cluster.scheduler_address, client.submit(sum, range(4)).result(timeout=30), cluster.explain())
"""

ASKED = """
import time
cluster.scale(1)
while "SEC_FS_ENFORCE_CHANNEL_BINDING = False" not in str(cluster.explain()):
    time.sleep(1)
cluster.close()
"""


def as_bob(*command: str) -> str:
    return shlex.join(["runuser", "-l", "bob", "-c", shlex.join(command)])


def begun(*command: str) -> subprocess.Popen[str]:
    call = [*shlex.split(str(SSH)), f"root@{MANAGER}", as_bob(*command)]
    return subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("fault", ["true", "pkill -KILL -x condor_schedd"])
def test_without_a_token(fault: str) -> None:
    session = begun(PYTHON, "-c", MAKE + SESSION)
    assert session.stdin is not None and session.stdout is not None
    try:
        said = [session.stdout.readline()]
        while said[-1] not in ("ready\n", ""):
            said.append(session.stdout.readline())
        assert said[-1], said
        assert on(as_bob("condor_q", "-af", "Owner", "WantDocker")).split() == ["bob", "true"]
        on(fault)
        session.stdin.write("\n")
        session.stdin.flush()
        said.append(session.stdout.read())
        assert session.wait() == 0, said
    finally:
        session.kill()
    assert "tls://" in said[-1] and " 6 2 of 2 workers are here." in said[-1], said
    assert "HTCondor token" not in "".join(said)
    until(lambda: not on(as_bob("condor_q", "-af", "Owner")).strip(), 30)


def test_it_is_fs_that_knows_the_account() -> None:
    assert " FS " in on(as_bob("condor_ping", "-type", "SCHEDD", "-table", "WRITE"))


def test_an_access_point_that_is_too_old_for_the_bindings() -> None:
    session = begun("env", "_CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=True", "timeout", "60", PYTHON, "-c", MAKE + ASKED)
    said, _ = session.communicate(timeout=90)
    assert session.returncode == 0, said
