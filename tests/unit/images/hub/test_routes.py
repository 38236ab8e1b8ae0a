# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The watched proxy against a table of routes that is served over HTTP and can be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cmsaf_hub import routes
from jupyterhub.objects import Hub, Server
from traitlets.config import Config


class Table:
    """What the proxy's API serves."""

    def __init__(self) -> None:
        self.routes: dict[str, Any] = {}
        self.whole = 0

    async def answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"] or "/"
        if request.method == "POST":
            self.routes[path] = await request.json()
            return web.Response(status=201)
        if request.method == "DELETE":
            del self.routes[path]
            return web.Response(status=204)
        if path == "/":
            self.whole += 1
            return web.json_response(self.routes)
        return web.json_response(self.routes[path]) if path in self.routes else web.Response(status=404)


def user(name: str, ready: bool) -> SimpleNamespace:
    spawner = SimpleNamespace(
        ready=ready, pending=None, name="", proxy_spec=f"/user/{name}/", server=Server(ip="127.0.0.1", port=1)
    )
    return SimpleNamespace(
        name=name, spawners={"": spawner}, proxy_spec=f"/user/{name}/", server=spawner.server, settings={}
    )


@asynccontextmanager
async def watched(users: dict[str, Any], **traits: Any) -> AsyncIterator[tuple[routes.WatchedProxy, Table]]:
    table = Table()
    application = web.Application()
    application.router.add_route("*", "/api/routes{path:.*}", table.answer)
    hub = Hub(ip="127.0.0.1", port=2, routespec="/")
    async with TestServer(application) as server:
        place = f"http://127.0.0.1:{server.port}"
        config = Config({"ConfigurableHTTPProxy": {"should_start": False, "api_url": place, **traits}})
        proxy = routes.WatchedProxy(
            config=config, auth_token="x", app=SimpleNamespace(hub=hub), hub=hub, db_factory=lambda: None
        )
        try:
            await proxy.check_routes(users, {})
            yield proxy, table
        finally:
            if proxy._watch:
                proxy._watch.cancel()


async def until(true: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if true():
            break
        await asyncio.sleep(0.01)
    return true()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_EVERY", 0.02)


def test_routes_come_back() -> None:
    async def run() -> None:
        users = {"alice": user("alice", True), "bob": user("bob", False), "carol": user("carol", True)}
        async with watched(users) as (_, table):
            wanted = {"/", "/user/alice", "/user/carol"}
            assert table.routes.keys() == wanted
            table.routes.clear()
            assert await until(lambda: table.routes.keys() == wanted)

    asyncio.run(run())


def test_the_table_is_read_only_when_a_route_is_missing() -> None:
    async def run() -> None:
        async with watched({"alice": user("alice", True)}) as (_, table):
            await asyncio.sleep(0.3)
            assert table.whole == 1

    asyncio.run(run())


def test_without_servers_there_is_nothing_to_ask_for() -> None:
    async def run() -> None:
        async with watched({"bob": user("bob", False)}) as (_, table):
            table.routes.clear()
            await asyncio.sleep(0.2)
            assert table.whole == 1

    asyncio.run(run())


def test_a_server_that_is_being_stopped_has_no_route() -> None:
    async def run() -> None:
        alice = user("alice", True)
        async with watched({"alice": alice}) as (proxy, table):
            asked = proxy.api_request

            async def stopped_meanwhile(*arguments: Any, **options: Any) -> Any:
                alice.spawners[""].ready = False
                return await asked(*arguments, **options)

            proxy.api_request = stopped_meanwhile
            table.routes.clear()
            assert await until(lambda: not alice.spawners[""].ready)
            await asyncio.sleep(0.1)
            assert table.routes == {}

    asyncio.run(run())


def test_a_proxy_that_the_hub_starts_is_its_own_business() -> None:
    async def run() -> None:
        async with watched({"alice": user("alice", True)}, should_start=True) as (proxy, _):
            assert proxy._watch is None

    asyncio.run(run())
