# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of the user's server that JupyterLab's page asks (see images/analysis/labextension)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tornado import web

__all__ = ["add"]


def add(server: Any, name: str, answer: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Have Jupyter's server answer at ``cmsaf/<name>``.

    :param answer: what the page is told, with ``again``, the seconds until it asks again; it may raise tornado's HTTPError
    """
    from jupyter_server.base.handlers import APIHandler
    from jupyter_server.utils import url_path_join

    class Handler(APIHandler):
        """Answers JupyterLab's page."""

        # A page that is merely open asks, too.
        _track_activity = False

        @web.authenticated
        async def get(self) -> None:
            self.finish(await answer())

    server.web_app.add_handlers(".*$", [(url_path_join(server.base_url, "cmsaf", name), Handler)])
