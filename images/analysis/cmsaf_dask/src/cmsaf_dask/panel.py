# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's widget in a notebook: beside distributed's own tabs one that says why workers are not there."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cmsaf_dask.pool import PoolError
from tornado.ioloop import PeriodicCallback

__all__ = ["Shown", "logs_html"]

# The pool's slots are read for an explanation, and a widget stays when nobody looks at it any more.
INTERVAL = 30.0
LINES = 200


def logs_html(logs: Mapping[str, str]) -> str:
    """Each worker's last lines, folded. What workers write is not ours: nothing of it is taken as HTML.

    >>> logs_html({"w-1": "<b>"})
    '<details><summary>w-1</summary><pre>&lt;b&gt;</pre></details>'
    >>> logs_html({})
    '<p>No worker has written anything yet.</p>'
    """
    if not logs:
        return "<p>No worker has written anything yet.</p>"
    found = []
    for name, text in sorted(logs.items()):
        tail = "\n".join(str(text).splitlines()[-LINES:])
        found.append(f"<details><summary>{html.escape(name)}</summary><pre>{html.escape(tail)}</pre></details>")
    return "".join(found)


class Shown:
    """The cluster in a notebook."""

    def _widget(self) -> Any:
        first = not hasattr(self, "_cached_widget")
        tab = super()._widget()  # type: ignore[misc]
        if first and tab is not None:
            self._add_workers(tab)
        return tab

    def _add_workers(self, tab: Any) -> None:
        from ipywidgets import HTML, Button, HBox, VBox

        cluster: Any = self
        why, logs = HTML(), HTML()
        ask, read = Button(description="Ask again"), Button(description="Read logs")

        shown: list[tuple[int, int]] = []

        async def explain() -> None:
            shown[:] = [(len(cluster.observed), len(cluster.plan))]
            explanation = await cluster._explain()
            why.value = explanation._repr_html_()

        async def read_logs() -> None:
            logs.value = logs_html(await cluster._worker_logs())

        async def explain_anew() -> None:
            counts = (len(cluster.observed), len(cluster.plan))
            if counts[0] < counts[1] or [counts] != shown:
                await explain()

        def by(pane: Any, work: Callable[[], Awaitable[None]]) -> Callable[[Any], None]:
            async def visibly() -> None:
                try:
                    await work()
                except (OSError, RuntimeError, PoolError) as error:
                    pane.value = f"<p>{html.escape(f'The cluster did not answer: {error!r}')}</p>"

            return lambda _button: cluster.loop.add_callback(visibly)

        ask.on_click(by(why, explain))
        read.on_click(by(logs, read_logs))
        tab.children = [*tab.children, VBox([why, HBox([ask, read]), logs])]
        tab.set_title(len(tab.children) - 1, "Workers")

        def install() -> None:
            again = PeriodicCallback(explain_anew, INTERVAL * 1000)
            cluster.periodic_callbacks["cluster-workers"] = again
            again.start()

        cluster.loop.add_callback(install)
        by(why, explain)(None)
