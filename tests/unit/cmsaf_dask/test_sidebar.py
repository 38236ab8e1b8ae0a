# SPDX-License-Identifier: GPL-3.0-or-later
"""What JupyterLab's sidebar is told of clusters, by real ones of this and of another process; no pool is there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from cmsaf_dask import explain, found, secrets, sidebar

SOURCE = Path(sidebar.__file__).parents[1]
# As a notebook's kernel.
KERNEL = """
import sys
from cmsaf_dask import HTCondorCluster
with HTCondorCluster(cores=1, memory="1 GiB", scheduler_port=0, dashboard_port=0, protocol="tcp://", name="skim"):
    print("made", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def kernel(run: Path) -> Iterator[subprocess.Popen[str]]:
    given = {"PYTHONPATH": str(SOURCE), "CMSAF_RUN": str(run), "JPY_SESSION_NAME": "/home/alice/sub/skim.ipynb"}
    command = [sys.executable, "-c", KERNEL]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, **given}, text=True, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "made\n"
        yield process
        process.send_signal(signal.SIGCONT)


def test_clusters_of_the_sidebar_and_of_notebooks(make: Callable[..., Any], kernel: Any) -> None:
    here = make(scheduler_port=0, name="dask-1a2b")
    here._watch.outputs["w-1"] = "\n".join(["first", *["line"] * (explain.LINES - 1), "last"])
    answer = asyncio.run(sidebar.Clusters().answer({here.scheduler_address: "HTCondorCluster 1"}))
    # As it goes to the page.
    notebook, own = json.loads(json.dumps(answer))["clusters"]
    assert (notebook["title"], notebook["made"]) == ("skim", "made by skim.ipynb")
    assert (own["title"], own["made"]) == ("HTCondorCluster 1", "made here; its name is dask-1a2b")
    for one in (notebook, own):
        assert one["headline"] == "0 of 0 workers are here." and not one["fine"]
        assert one["reasons"][0].startswith("The pool could not be asked: ")
    assert notebook["last_lines"] == {}
    assert own["last_lines"] == {"w-1": "\n".join(["line"] * (explain.LINES - 1) + ["last"])}


def test_by_the_server_s_certificates(make: Callable[..., Any], run: Path) -> None:
    from distributed.security import Security

    made = Security.temporary()
    (run / "none").mkdir()
    (run / "none" / secrets.CA).write_text(made.tls_ca_file)
    for name in (secrets.SCHEDULER, secrets.CLIENT, secrets.WORKER):
        (run / "none" / name).write_text(made.tls_client_cert + made.tls_client_key)
    make(scheduler_port=0, protocol="tls://")
    (one,) = asyncio.run(sidebar.Clusters().answer({}))["clusters"]
    assert one["address"].startswith("tls://") and one["headline"] == "0 of 0 workers are here."


def test_without_clusters_the_page_asks_on(run: Path) -> None:
    answer = asyncio.run(sidebar.Clusters().answer({}))
    assert answer["clusters"] == [] and answer["again"] >= 15


def test_one_that_does_not_answer_is_not_asked_again_meanwhile(kernel: Any) -> None:
    async def live() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        clusters = sidebar.Clusters(limit=0.5)
        kernel.send_signal(signal.SIGSTOP)
        (first,) = (await clusters.answer({}))["clusters"]
        (asked,) = clusters._asked.values()
        (second,) = (await clusters.answer({}))["clusters"]
        assert list(clusters._asked.values()) == [asked]
        kernel.send_signal(signal.SIGCONT)
        await asyncio.wait_for(asked, 30)
        clusters = sidebar.Clusters()
        (third,) = (await clusters.answer({}))["clusters"]
        return first, second, third

    first, second, third = asyncio.run(live())
    assert first == second and first["headline"] == "It has not answered in 0.5 s." and not first["fine"]
    assert third["headline"] == "0 of 0 workers are here."


def test_one_that_cannot_be_asked_does_not_hide_the_others(make: Callable[..., Any], run: Path) -> None:
    make(scheduler_port=0, name="there")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        record = found.Record("lost", address, "", socket.gethostname(), os.getppid(), found._began(os.getppid()))
        (run / "clusters" / "lost.json").write_text(json.dumps(vars(record)))
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
            there, lost = asyncio.run(sidebar.Clusters().answer({}))["clusters"]
    assert there["headline"] == "0 of 0 workers are here." and there["made"] == "made by this server"
    assert lost["headline"] == "It could not be asked." and address in lost["reasons"][0]
    assert lost["made"] == f"made by process {os.getppid()} of this server"
