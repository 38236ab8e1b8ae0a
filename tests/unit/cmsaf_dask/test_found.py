# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters found again from another process, by real schedulers; no pool is asked for anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
from cmsaf_dask import HTCondorCluster, Refused, found, list_clusters

SOURCE = Path(found.__file__).parents[1]
# A process of its own, as another kernel is.
OTHER = """
import json, sys
from cmsaf_dask import HTCondorCluster
cluster = HTCondorCluster.from_name()
client = cluster.get_client()
said = {"name": cluster.name, "id": client.scheduler_info()["id"], "explained": str(cluster.explain()), "logs": cluster.logs()}
client.close()
if sys.argv[1:] == ["close"]:
    cluster.close()
print(json.dumps(said))
"""


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def other(run: Path, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "CMSAF_RUN": str(run)}
    command = [sys.executable, "-c", OTHER, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_another_process_uses_and_closes_it(make: Callable[..., Any], run: Path) -> None:
    cluster = make(scheduler_port=free_port(), name="mine")
    said = other(run)
    # No pool is there, which is said too.
    assert said.pop("explained").startswith("0 of 0 workers are here.")
    assert said == {"name": "mine", "id": cluster.scheduler.id, "logs": {}}
    other(run, "close")
    for _ in range(100):
        if cluster.status.name == "closed":
            break
        cluster.sync(_wait)
    assert cluster.status.name == "closed"
    assert list_clusters() == []


async def _wait() -> None:
    import asyncio

    await asyncio.sleep(0.05)


def test_records_are_private_and_go_with_the_cluster(make: Callable[..., Any], run: Path) -> None:
    cluster = make(scheduler_port=free_port(), name="../of a user's own")
    (record,) = (run / "clusters").iterdir()
    assert (record.stat().st_mode & 0o777, record.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [one.name for one in list_clusters()] == ["../of a user's own"]
    cluster.close()
    assert list((run / "clusters").iterdir()) == []


def test_what_a_dead_process_left_is_no_cluster(run: Path) -> None:
    directory = run / "clusters"
    directory.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    import socket

    left = found.Record("left", "tcp://127.0.0.1:1", "", socket.gethostname(), int(ended.stdout), "1")
    again = found.Record("again", "tcp://127.0.0.1:1", "", socket.gethostname(), os.getpid(), "1")
    elsewhere = found.Record(
        "elsewhere", "tcp://127.0.0.1:1", "", "another.host", os.getpid(), found._began(os.getpid())
    )
    for record in (left, again, elsewhere):
        (directory / f"{record.name}.json").write_text(json.dumps(vars(record)))
    (directory / "broken.json").write_text("{")
    assert list_clusters() == []
    assert sorted(path.name for path in directory.iterdir()) == ["broken.json", "elsewhere.json"]


def port_of(cluster: Any) -> int:
    return int(cluster.scheduler_address.rpartition(":")[2])


def test_clusters_of_a_server_have_the_ports_that_are_open(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [free_port(), free_port()]
    monkeypatch.setenv("CMSAF_DASK_PORTS", ",".join(map(str, ports)))
    first, second = make(name="first"), make(name="second")
    assert [port_of(first), port_of(second)] == ports
    with pytest.raises(
        Refused, match=rf"'first', 'second' have all ports .*{ports[0]}, {ports[1]}.*from_name\('first'\)"
    ):
        make()
    first.close()
    assert port_of(make(name="third")) == ports[0]


def test_a_port_that_another_cluster_has_is_refused_with_the_way_to_it(make: Callable[..., Any]) -> None:
    port = free_port()
    make(scheduler_port=port, name="first")
    with pytest.raises(Refused, match=r"schedulers of 'first' have all ports .*from_name\('first'\) uses that one"):
        make(scheduler_port=port)


def test_without_a_gateway_any_port_will_do(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMSAF_DASK_PORTS", raising=False)
    with dask.config.set({"jobqueue.cmsaf.scheduler-port": free_port()}):
        assert port_of(make()) == dask.config.get("jobqueue.cmsaf.scheduler-port") != port_of(make())


def test_names_are_said_where_none_or_many_fit(make: Callable[..., Any]) -> None:
    with pytest.raises(LookupError, match="there is none"):
        HTCondorCluster.from_name()
    make(scheduler_port=free_port(), name="one")
    make(scheduler_port=free_port(), name="two")
    with pytest.raises(LookupError, match=r"there are one, two\. Name one of them: from_name\('two'\)"):
        HTCondorCluster.from_name()
    with pytest.raises(LookupError, match="the cluster 'three' of this server: there is one, two"):
        HTCondorCluster.from_name("three")
    assert HTCondorCluster.from_name("two").name == "two"


def test_a_scheduler_that_does_not_start_says_why(make: Callable[..., Any]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # where schedulers listen
        taken.listen()
        with pytest.raises(RuntimeError, match="Cluster failed to start"):
            make(scheduler_port=taken.getsockname()[1])
