# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page is told of servers that the hub is about to stop."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from cmsaf_dask import sessions
from tornado import web
from tornado.httpclient import HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

NOW = datetime(2026, 1, 8, 12, 0, tzinfo=timezone.utc)
LIMITS = sessions.Limits(timedelta(days=1), timedelta(days=7))
MINUTE, HOUR, DAY = 60, 3600, 86400


def server(used: float, started: float) -> dict[str, Any]:
    """As the hub's API has it, by seconds that have passed."""
    times = [(NOW - timedelta(seconds=ago)).isoformat().replace("+00:00", "Z") for ago in (used, started)]
    return {"last_activity": times[0], "started": times[1], "ready": True, "pending": None}


def said(**servers: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Of servers by name, the first one's is `first`."""
    named = {"" if name == "first" else name: one for name, one in servers.items()}
    return [(one["server"], one["stage"], one["seconds"]) for one in sessions.warnings(named, "", LIMITS, NOW)]


@pytest.mark.parametrize(
    ("used", "started", "expected"),
    [
        (0, 0, []),
        (DAY - HOUR - 1, DAY, []),
        (DAY - HOUR, DAY, [(HOUR, HOUR)]),
        (DAY - 10 * MINUTE, DAY, [(10 * MINUTE, 10 * MINUTE)]),
        # Of a day nothing is said a day before.
        (5 * HOUR, 5 * HOUR, []),
        (0, 6 * DAY - 1, []),
        (0, 6 * DAY, [(DAY, DAY)]),
        (0, 7 * DAY - 30 * MINUTE, [(HOUR, 30 * MINUTE)]),
        (0, 7 * DAY - MINUTE, [(10 * MINUTE, MINUTE)]),
        # The culler comes by every few minutes.
        (0, 7 * DAY + MINUTE, [(10 * MINUTE, 0)]),
        # What comes first counts.
        (DAY - HOUR, 7 * DAY - 5 * MINUTE, [(10 * MINUTE, 5 * MINUTE)]),
    ],
)
def test_it_is_said_in_stages(used: float, started: float, expected: list[tuple[float, float]]) -> None:
    assert said(first=server(used, started)) == [("", *one) for one in expected]


def test_all_servers_of_the_user_are_named_the_next_first() -> None:
    found = said(first=server(0, 6 * DAY), second=server(DAY - MINUTE, DAY), third=server(0, HOUR))
    assert [name for name, _, _ in found] == ["second", ""]


@pytest.mark.parametrize("change", [{"ready": False}, {"started": None}])
def test_a_server_that_does_not_run_is_not_stopped(change: dict[str, Any]) -> None:
    assert said(first={**server(7 * DAY, 7 * DAY), **change}) == []


def test_a_server_that_was_never_used_counts_from_its_start() -> None:
    assert said(first={**server(0, DAY - MINUTE), "last_activity": None}) == [("", 10 * MINUTE, MINUTE)]


@pytest.mark.parametrize(
    ("name", "own", "used", "begins", "says"),
    [
        ("", "", DAY, "This server is stopped about {when} if nobody", "Run a cell"),
        ("", "", 0, "This server is stopped about {when}, at the end of its time", "its Dask clusters end too"),
        ("", "second", DAY, "Your first server is stopped about {when} if nobody", "Open its page"),
        ("second", "", 0, "Your server “second” is stopped about {when}, at the end", "Save what you have in it"),
        ("n" * 60, "", DAY, f"Your server “{'n' * 23}…” is stopped", "Open its page"),
    ],
)
def test_the_words(name: str, own: str, used: float, begins: str, says: str) -> None:
    (found,) = sessions.warnings({name: server(used, 7 * DAY - 1 if not used else DAY)}, own, LIMITS, NOW)
    assert found["message"].startswith(begins) and says in found["message"]
    # JupyterLab cuts what is longer.
    assert len(found["message"].replace("{when}", "Wed 12:00 AM")) <= 140


@pytest.mark.parametrize(("idle", "longest", "again"), [(DAY, 7 * DAY, 300), (900, DAY, 112.5), (90, 240, 11.25)])
def test_pages_ask_often_enough(idle: float, longest: float, again: float) -> None:
    assert sessions.Limits(timedelta(seconds=idle), timedelta(seconds=longest)).again == again


def test_limits_are_those_of_the_hub() -> None:
    assert (
        sessions.Limits.from_environment({"CMSAF_IDLE_SECONDS": "86400", "CMSAF_LONGEST_SECONDS": "604800"}) == LIMITS
    )
    assert sessions.Limits.from_environment({}) is None


def test_the_hub_is_asked_by_the_server_s_token() -> None:
    asked: list[tuple[str, str]] = []

    class Api(web.RequestHandler):
        def get(self) -> None:
            asked.append((self.request.uri or "", self.request.headers["Authorization"]))
            if "bob" in asked[-1][0]:
                self.send_error(404)
            else:
                self.write(json.dumps({"kind": "user", "name": "a@b.test", "servers": {"": {"ready": True}}}))

    async def live() -> dict[str, Any]:
        socket, port = bind_unused_port()
        place = HTTPServer(web.Application([("/hub/api/users/.*", Api)]))
        place.add_socket(socket)
        own = {"JUPYTERHUB_API_URL": f"http://127.0.0.1:{port}/hub/api", "JUPYTERHUB_API_TOKEN": "t0ken"}
        try:
            with pytest.raises(HTTPClientError):
                await sessions.servers_of({**own, "JUPYTERHUB_USER": "bob"})
            return await sessions.servers_of({**own, "JUPYTERHUB_USER": "a@b.test"})
        finally:
            place.stop()

    assert asyncio.run(live()) == {"": {"ready": True}}
    assert asked[-1] == ("/hub/api/users/a%40b.test", "token t0ken")
