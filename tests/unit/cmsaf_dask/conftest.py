# SPDX-License-Identifier: GPL-3.0-or-later
"""The analysis image's own package, from the source tree, and real clusters of it without a pool."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "images" / "analysis" / "cmsaf_dask" / "src"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CMSAF_RUN", str(tmp_path))
    monkeypatch.setenv("CMSAF_SECRETS", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def make(run: Path) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def one(**options: Any) -> Any:
        from cmsaf_dask import HTCondorCluster

        settings = {"cores": 1, "memory": "1 GiB", "dashboard_port": 0, "protocol": "tcp://"}
        cluster = HTCondorCluster(**(settings | options))
        made.append(cluster)
        return cluster

    yield one
    for cluster in made:
        cluster.close()
