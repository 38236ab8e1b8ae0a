# SPDX-License-Identifier: GPL-3.0-or-later
"""Extension of Jupyter's server: JupyterLab's page learns which of the user's servers the hub is about to stop, and why.

It is the hub's own view that is asked, as servers are stopped by it. What the hub knows of a server's use is some minutes old,
so a server that is used again may still be warned of for that long. An open page is use to the hub: of idleness a page hears
for the user's other servers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from cmsaf_dask import page
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

__all__ = ["Limits", "servers_of", "warnings"]

# Seconds before the end at which it is said, once each: those that are no more than a quarter of the whole time.
_STAGES = (86400.0, 3600.0, 600.0)
# Seconds between two questions of a page, at most.
_AGAIN = 300.0
_CALL_SECONDS = 10
# JupyterLab cuts a message at 140 letters; the page writes the time, in its own zone, for {when}.
_NAME_LENGTH = 24
_OWN_IDLE = "This server is stopped about {when} if nobody uses it until then. Run a cell or open a file, and it stays."
_OWN_LONGEST = (
    "This server is stopped about {when}, at the end of its time. Save your work; its Dask clusters end too. Then start it"
    " again."
)
_IDLE = " is stopped about {when} if nobody uses it until then. Open its page, and it stays."
_LONGEST = " is stopped about {when}, at the end of its time. Save what you have in it."


@dataclass(frozen=True)
class Limits:
    """How long the hub lets a server be: without use, and at most."""

    idle: timedelta
    longest: timedelta

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Limits | None:
        """As the hub has told the server; nothing where it tells none."""
        try:
            idle, longest = (float(environment[name]) for name in ("CMSAF_IDLE_SECONDS", "CMSAF_LONGEST_SECONDS"))
        except KeyError:
            return None
        return cls(timedelta(seconds=idle), timedelta(seconds=longest))

    @property
    def again(self) -> float:
        """Seconds until a page may ask again without missing a stage."""
        return min(_AGAIN, *(stage / 2 for limit in (self.idle, self.longest) for stage in _stages(limit)))


def warnings(servers: Mapping[str, Mapping[str, Any]], own: str, limits: Limits, now: datetime) -> list[dict[str, Any]]:
    """What to say of servers that are stopped soon, the next first.

    :param servers: by name, as the hub's API has them
    :param own: name of the server that asks
    :returns: for each ``server`` the ``seconds`` that are left, the ``stage`` that it has come to, and a ``message``
    """
    found = []
    for name, server in servers.items():
        if not server.get("ready") or not server.get("started"):
            continue
        used = _time(server.get("last_activity") or server["started"]) + limits.idle
        oldest = _time(server["started"]) + limits.longest
        idle = used < oldest
        left = (min(used, oldest) - now).total_seconds()
        reached = [stage for stage in _stages(limits.idle if idle else limits.longest) if left <= stage]
        if reached:
            message = _message(name, name == own, idle)
            found.append({"server": name, "seconds": max(left, 0), "stage": min(reached), "message": message})
    return sorted(found, key=lambda one: one["seconds"])


async def servers_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """The user's servers as the hub has them, asked by the token of this one."""
    url = f"{environment['JUPYTERHUB_API_URL']}/users/{quote(environment['JUPYTERHUB_USER'], safe='')}"
    headers = {"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}"}
    answer = await AsyncHTTPClient().fetch(url, headers=headers, request_timeout=_CALL_SECONDS)
    servers: dict[str, Any] = json.loads(answer.body)["servers"]
    return servers


def _stages(limit: timedelta) -> list[float]:
    quarter = limit.total_seconds() / 4
    return [stage for stage in _STAGES if stage <= quarter] or [quarter]


def _message(name: str, own: bool, idle: bool) -> str:
    if own:
        return _OWN_IDLE if idle else _OWN_LONGEST
    short = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    return (f"Your server “{short}”" if name else "Your first server") + (_IDLE if idle else _LONGEST)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cmsaf_dask.sessions"}]


def _load_jupyter_server_extension(server: Any) -> None:
    limits = Limits.from_environment(os.environ)
    if limits is None:
        return

    async def answer() -> dict[str, Any]:
        try:
            servers = await servers_of(os.environ)
        except (OSError, HTTPClientError) as problem:
            # The page keeps what it has said, and asks again.
            raise web.HTTPError(503, f"Asking the hub for this user's servers: {problem}") from problem
        own = os.environ.get("JUPYTERHUB_SERVER_NAME", "")
        return {"again": limits.again, "warnings": warnings(servers, own, limits, datetime.now(timezone.utc))}

    page.add(server, "sessions", answer)
