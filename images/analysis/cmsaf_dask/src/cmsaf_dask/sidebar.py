# SPDX-License-Identifier: GPL-3.0-or-later
"""Extension of Jupyter's server: JupyterLab's sidebar learns why workers of the user's Dask clusters are not there.

Clusters of the sidebar live in the server's own process, those of notebooks in their kernels'. Each has left a record and is
asked by its scheduler, wherever it lives. A cluster is asked once at a time, however many pages are open: its questions to the
pool come after one another, and submissions are among them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from cmsaf_dask import page
from cmsaf_dask.found import Record, ask, records

__all__ = ["Clusters"]

# Seconds between two questions of a page, which asks only while its sidebar is seen.
_AGAIN = 15.0
_LIMIT = 10.0


class Clusters:
    """Those of this server, asked for their explanations."""

    def __init__(self, limit: float = _LIMIT) -> None:
        """
        :param limit: seconds an answer is waited for
        """
        self._limit = limit
        self._asked: dict[Record, asyncio.Task[dict[str, Any]]] = {}

    async def answer(self, titles: Mapping[str, str]) -> dict[str, Any]:
        """For the page: the clusters, oldest first.

        :param titles: what the sidebar calls its own clusters, by their schedulers' addresses
        """
        asked = {}
        for record in records():
            before = self._asked.get(record)
            asked[record] = before if before and not before.done() else asyncio.create_task(_explained(record))
        self._asked = asked
        if asked:
            await asyncio.wait(asked.values(), timeout=self._limit)
        clusters = [
            _described(record, titles) | (task.result() if task.done() else self._late())
            for record, task in asked.items()
        ]
        return {"again": _AGAIN, "clusters": clusters}

    def _late(self) -> dict[str, Any]:
        return _unknown(
            f"It has not answered in {self._limit:g} s.",
            "Its kernel may be busy with something that lets nothing else run, or the pool takes long to answer.",
        )


def _described(record: Record, titles: Mapping[str, str]) -> dict[str, Any]:
    title = titles.get(record.address)
    if title is not None:
        made = f"made here; its name is {record.name}"
    elif record.process == os.getpid():
        made = "made by this server"
    else:
        made = f"made by {record.made_by or f'process {record.process} of this server'}"
    return {"address": record.address, "title": title or record.name, "made": made}


async def _explained(record: Record) -> dict[str, Any]:
    try:
        said: dict[str, Any] = await ask(record, "explain")
    except (OSError, RuntimeError) as problem:
        return _unknown("It could not be asked.", f"{record.address}: {problem or type(problem).__name__}")
    return said


def _unknown(headline: str, reason: str) -> dict[str, Any]:
    return {"headline": headline, "reasons": [reason], "fine": False, "last_lines": {}}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cmsaf_dask.sidebar"}]


def _load_jupyter_server_extension(server: Any) -> None:
    clusters = Clusters()

    async def answer() -> dict[str, Any]:
        from dask_labextension.manager import manager

        return await clusters.answer({one["scheduler_address"]: one["name"] for one in manager.list_clusters()})

    page.add(server, "clusters", answer)
