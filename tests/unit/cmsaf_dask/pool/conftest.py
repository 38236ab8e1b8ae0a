# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster class on a real pool, with faults made for real. Run by: make soak TARGET=pool"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from real_pool import IMAGE, POOL, PYTHON, SCHEDD, Queue, until


@pytest.fixture(scope="module")
def queue() -> Queue:
    return Queue()


@pytest.fixture(scope="session", autouse=True)
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All of Dask goes by TLS, with certificates where a user's server has them."""
    from cmsaf_dask import secrets
    from distributed.security import Security

    made = Security.temporary()
    leaf = f"{made.tls_worker_cert}{made.tls_worker_key}".encode()
    files = dict.fromkeys((secrets.SCHEDULER, secrets.CLIENT, secrets.WORKER), leaf)
    place = secrets.write_private(files | {secrets.CA: made.tls_ca_file.encode()}, str(tmp_path_factory.getbasetemp()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMSAF_SECRETS", str(place))
        yield


@pytest.fixture
def make(queue: Queue) -> Iterator[Callable[..., Any]]:
    """A cluster with short limits; whatever a test leaves is removed, and seen to be gone."""
    import dask
    from cmsaf_dask import HTCondorCluster

    made: list[Any] = []
    config = {
        "watch-interval": 2, "settled-interval": 4, "register-timeout": 40, "failed-rounds": 3, "lost-timeout": 5,
        "query-timeout": 8, "close-timeout": 8, "call-timeout": 15, "idle-grace": 20,
    }  # fmt: skip

    def cluster(**options: Any) -> Any:
        changed = {f"jobqueue.cmsaf.{name}": value for name, value in (config | options.pop("config", {})).items()}
        settings = {"cores": 1, "memory": "1 GiB", "disk": "100 MiB", "worker_image": IMAGE, "python": PYTHON,
                    "collector": POOL, "schedd": SCHEDD,
                    "scheduler_options": {"port": 0, "dashboard_address": ":0"}}  # fmt: skip
        with dask.config.set(changed):
            made.append(HTCondorCluster(**(settings | options)))
        return made[-1]

    yield cluster
    for one in made:
        one.close()
    for one in made:
        until(lambda name=one._name: not queue.jobs(name), 60, lambda name=one._name: queue.jobs(name))
