# SPDX-License-Identifier: GPL-3.0-or-later
"""Why workers are not there, and what is refused at once, in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from real_pool import IMAGE, come, needs_a_pool, tokens_in, until

pytestmark = needs_a_pool


def test_explain_which_clause_fails(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, memory="900 GiB", config={"check-pool": False})
    until(lambda: "No slot fits" in str(cluster.explain()), 20, lambda: cluster.explain())
    assert "memory (921600 MiB asked for, 16384 MiB is the most there is) holds for 0" in str(cluster.explain())


def test_explain_a_requirement_of_the_users(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, job_extra_directives={"requirements": 'Machine == "nowhere"'})
    until(lambda: 'Machine == "nowhere" holds for 0' in str(cluster.explain()), 20, lambda: cluster.explain())


def test_explain_that_all_is_in_use(make: Callable[..., Any]) -> None:
    # Of sixteen cores each host has one left.
    first = make(n_workers=2, cores=15)
    come(first, 2)
    second = make(n_workers=1, cores=2)
    until(lambda: "slots that fit are in use" in str(second.explain()), 20, lambda: second.explain())


def test_explain_that_there_is_no_such_image(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1, worker_image=f"{str(IMAGE).partition('@')[0]}:absent")
    until(lambda: cluster._watch.stopped, 120, lambda: cluster.explain())
    said = str(cluster.explain())
    assert "its image is not to be had; look at worker_image" in said
    assert "worker:absent" in said


def test_output_of_living_workers(make: Callable[..., Any]) -> None:
    cluster = make(n_workers=1)
    come(cluster, 1)
    with cluster.get_client() as client:
        client.run(lambda: os.write(2, b"a line of its own\n"))
    assert any("a line of its own" in str(log) for log in cluster.logs().values())


@pytest.mark.parametrize(("place", "says"), [("none", "There is no HTCondor token"), ("expired", "expired at 20")])
def test_without_a_good_token_it_is_refused(make: Callable[..., Any], place: str, says: str) -> None:
    from cmsaf_dask import PoolError

    with tokens_in(Path.home() / place):
        start = time.monotonic()
        with pytest.raises(PoolError, match=says):
            make(n_workers=1)
        assert time.monotonic() - start < 10
        cluster = make()
        cluster._watch.jobs.clear()
        assert says in str(cluster.explain())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schedd": "nobody@nowhere"}, "knows no access point nobody@nowhere"),
        ({"n_workers": 33}, "have room for 32 of them"),
        ({"memory": "900 GiB"}, "none of the pool's 2 hosts is large enough"),
        ({"worker_image": "docker://a/B"}, "is no name of an image"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[..., Any], options: dict[str, Any], says: str) -> None:
    from cmsaf_dask import PoolError

    start = time.monotonic()
    with pytest.raises(PoolError, match=says):
        make(**({"n_workers": 1} | options))
    assert time.monotonic() - start < 10
