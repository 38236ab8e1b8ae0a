# SPDX-License-Identifier: GPL-3.0-or-later
"""Users who log in and start servers all at once, and what a hub does meanwhile.

The hub is JupyterHub with its own login, database and pages, on this machine; in the place of its proxy and of the pods
stand objects that do nothing, so that it is the hub alone that is measured. Before it is HAProxy with what role gateway has for
browsers, but for TLS. Each user does what a browser does: the login page, the login, the start, the stream of its progress.
Beside them a clock asks the hub's API twenty times a second, the same way.

Compared are our hooks, the same without the gateway, a hub without any hooks (what it can do at best), one with a hook that
blocks, each with a limit of spawns that is above the storm, and, as others have it, a hub without hooks and gateway with the
limit of 64 that Zero to JupyterHub's chart sets.

Then servers of a thousand users run, and each says by a token of its own that it was used, as JupyterLab's server does: many
at a time, which shows what the hub can take, and at the pace of servers that do so every five minutes. Meanwhile the hub reads
from its proxy when each of them was used last, which it does all at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jinja2
from aiohttp import web

HUB, PODS, GATEWAY = 18081, 18888, 18443
STRAIGHT, BY_GATEWAY = f"http://127.0.0.1:{HUB}", f"http://127.0.0.1:{GATEWAY}"
KINDS = {
    "hooks": {"kind": "hooks", "limit": 1000, "way": BY_GATEWAY},
    "hooks, no gateway": {"kind": "hooks", "limit": 1000, "way": STRAIGHT},
    "no hooks": {"kind": "none", "limit": 1000, "way": BY_GATEWAY},
    "blocking": {"kind": "blocking", "limit": 1000, "way": BY_GATEWAY},
    "plain, limit 64": {"kind": "none", "limit": 64, "way": STRAIGHT},
}
TEMPLATE = Path(__file__).resolve().parents[2] / "roles/gateway/templates/etc/haproxy/haproxy.cfg.j2"
LIMIT = aiohttp.ClientTimeout(total=300)
# Posts at once, starts at once.
TOGETHER, STARTS = 16, 50
# Seconds between two posts of a server, and how long they are looked at. The hub looks at its proxy in the same way every
# five minutes, here as often as LOOKS.
PACE, LASTS, LOOKS = 300, 60, 20


async def pods() -> web.AppRunner:
    """What answers where the servers would."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({}, headers={"X-JupyterHub-Version": "6"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PODS).start()
    return runner


def gateway_configuration() -> str:
    """The role's own, of what browsers meet, without TLS."""
    # Of no account for what is kept of it.
    others = (
        "ansible_managed gateway_maxconn _gateway_dns facility_hub_name _gateway_tls_dir _gateway_hub _gateway_dask_name"
        " gateway_namespace gateway_cluster_domain facility_pod_network"
    )
    given = {
        **dict.fromkeys(others.split(), "none"),
        "gateway_address": "127.0.0.1",
        "gateway_idle_timeout": "1h",
        "_gateway_names": ["127.0.0.1"],
        "facility_ceph_name": "",
        "facility_user_subdomains": False,
        "_facility_dask_ports": [],
        "groups": {"kube_control_plane": []},
    }
    text = jinja2.Template(TEMPLATE.read_text(), undefined=jinja2.StrictUndefined).render(given)
    text = re.sub(r"(bind 127\.0\.0\.1):443 .*", rf"\1:{GATEWAY}", text)
    # The hub would have its cookies come by HTTPS only.
    text = re.sub(r".* X-Forwarded-Proto https\n", "", text)
    text = re.sub(r"server proxy \S+ resolvers .* init-addr none", f"server proxy 127.0.0.1:{HUB}", text)
    sections = re.split(r"\n(?=\w)", text)
    kept = ("defaults", "frontend https\n", "backend hub\n", "backend pages\n")
    return "\n".join(["global", "  maxconn 4000", *(one for one in sections if one.startswith(kept)), ""])


@contextlib.contextmanager
def gateway() -> Iterator[None]:
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(gateway_configuration())
        file.flush()
        subprocess.run(["haproxy", "-c", "-q", "-f", file.name], check=True)
        process = subprocess.Popen(["haproxy", "-db", "-q", "-f", file.name])
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def start(given: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(Path(__file__).with_name("hub_config.py"))],
            env={**os.environ, "BENCH": json.dumps(given)},
            cwd=given["directory"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def tail(log: Path) -> str:
    return log.read_text()[-3000:]


@contextlib.asynccontextmanager
async def hub(settings: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """A hub with an empty database."""
    with tempfile.TemporaryDirectory() as directory:
        given = {**settings, "hub": HUB, "pods": PODS, "directory": directory, "password": secrets.token_hex(32)}
        given["token"] = secrets.token_hex(32)
        log = Path(directory, "hub.log")
        process = start(given, log)
        try:
            async with aiohttp.ClientSession(timeout=LIMIT) as session:
                for _turn in range(300):
                    if process.poll() is not None:
                        sys.exit(f"the hub ended:\n{tail(log)}")
                    with contextlib.suppress(aiohttp.ClientConnectionError):
                        async with session.get(f"{STRAIGHT}/hub/api/") as answer:
                            if answer.ok:
                                break
                    await asyncio.sleep(0.1)
                else:
                    sys.exit(f"the hub is not there after 30 s:\n{tail(log)}")
            yield given
        finally:
            process.terminate()
            process.wait(30)


async def user(way: str, name: str, password: str) -> float:
    """Log in, start, wait; the seconds from the click on start to the server. Raises where a user would see a failure."""
    async with aiohttp.ClientSession(timeout=LIMIT, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:

        async def call(method: str, path: str, **options: Any) -> str:
            async with session.request(method, way + path, **options) as answer:
                text = await answer.text()
                if answer.status >= 400:
                    raise RuntimeError(
                        f"{answer.status} {text[:60]!r}" if path.startswith("/hub/api") else answer.status
                    )
                return text

        def xsrf(page: str) -> str:
            found = re.search(r'xsrf_token: "([^"]+)"', page) or re.search(r'name="_xsrf" value="([^"]+)"', page)
            assert found, page[:2000]
            return found.group(1)

        page = await call("GET", "/hub/login")
        form = {"username": name, "password": password, "_xsrf": xsrf(page)}
        # Not yet to the start, whose time is taken.
        await call("POST", "/hub/login?next=/hub/home", data=form)
        began = time.perf_counter()
        await call("GET", "/hub/spawn", allow_redirects=False)
        ready = False
        async with session.get(
            f"{way}/hub/api/users/{name}/server/progress?_xsrf={xsrf(await call('GET', '/hub/home'))}"
        ) as stream:
            async for line in stream.content:
                event = json.loads(line[5:]) if line.startswith(b"data:") else {}
                if event.get("failed"):
                    raise RuntimeError(event.get("message", "failed"))
                ready = ready or bool(event.get("ready"))
        if not ready:
            raise RuntimeError("the progress ended before the server was ready")
        return time.perf_counter() - began


class Clock:
    """How long the API takes, asked twenty times a second by another user's page, and what it answered but 200."""

    def __init__(self, way: str, token: str) -> None:
        self.took: list[float] = []
        self.refused: list[int] = []
        self._way = way
        self._token = token
        self._over = asyncio.Event()

    async def __aenter__(self) -> Clock:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_raised: object) -> None:
        # What is under way counts too: it is the slow ones that are.
        self._over.set()
        await self._task

    async def _run(self) -> None:
        headers = {"Authorization": f"token {self._token}"}
        async with aiohttp.ClientSession(timeout=LIMIT, headers=headers) as session, asyncio.TaskGroup() as group:
            while not self._over.is_set():
                group.create_task(self._ask(session))
                await asyncio.sleep(0.05)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        began = time.perf_counter()
        async with session.get(f"{self._way}/hub/api/user") as answer:
            await answer.read()
            if answer.status != 200:
                self.refused.append(answer.status)
        self.took.append(time.perf_counter() - began)


def part(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


async def storm(settings: dict[str, Any], users: int) -> dict[str, Any]:
    """All users at once, at a hub of their own."""
    async with hub(settings) as given:
        async with Clock(given["way"], given["token"]) as clock:
            names = [f"user{number}" for number in range(users)]
            found = await asyncio.gather(
                *(user(given["way"], name, given["password"]) for name in names), return_exceptions=True
            )
        ready = [one for one in found if isinstance(one, float)]
        failures = [str(one) for one in found if not isinstance(one, float)]
        failures += [f"API {status}" for status in clock.refused]
        return {
            "ready": len(ready),
            "failures": sorted(set(failures))[:3],
            "median": statistics.median(ready) if ready else None,
            "last": max(ready, default=None),
            "api": 1e3 * part(clock.took, 0.99),
        }


async def serve(session: aiohttp.ClientSession, names: list[str]) -> None:
    """Have a server of each run; raises where one does not."""
    gate = asyncio.Semaphore(STARTS)

    async def start_one(name: str) -> None:
        place = f"{STRAIGHT}/hub/api/users/{name}"
        async with gate:
            async with session.post(f"{place}/server") as answer:
                assert answer.status in (201, 202), await answer.text()
            for _turn in range(600):
                async with session.get(place) as answer:
                    if (await answer.json())["servers"].get("", {}).get("ready"):
                        return
                await asyncio.sleep(0.5)
        raise RuntimeError(f"the server of {name} is not ready")

    async with session.post(f"{STRAIGHT}/hub/api/users", json={"usernames": names}) as answer:
        assert answer.status == 201, await answer.text()
    await asyncio.gather(*(start_one(name) for name in names))


def read_tokens(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


async def activity(settings: dict[str, Any], posts: int, users: int) -> dict[str, dict[str, float]]:
    """Posts of activity, each by a running server's own token: many at a time, then at their pace."""
    async with hub({**settings, "looks": LOOKS}) as given:
        names = [f"user{number}" for number in range(users)]
        async with aiohttp.ClientSession(
            timeout=LIMIT, headers={"Authorization": f"token {given['token']}"}
        ) as session:
            await serve(session, names)
        tokens = read_tokens(Path(given["directory"], "tokens"))
        rows = {}
        async with aiohttp.ClientSession(timeout=LIMIT) as session:

            async def post(number: int, took: list[float]) -> None:
                name = names[number % users]
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                body = {"servers": {"": {"last_activity": now}}, "last_activity": now}
                began = time.perf_counter()
                async with session.post(
                    f"{STRAIGHT}/hub/api/users/{name}/activity",
                    json=body,
                    headers={"Authorization": f"token {tokens[name]}"},
                ) as answer:
                    assert answer.status == 200, await answer.text()
                took.append(time.perf_counter() - began)

            async def together(took: list[float]) -> None:
                gate = asyncio.Semaphore(TOGETHER)

                async def one(number: int) -> None:
                    async with gate:
                        await post(number, took)

                await asyncio.gather(*(one(number) for number in range(posts)))

            async def paced(took: list[float]) -> None:
                async with asyncio.TaskGroup() as group:
                    for number in range(users * LASTS // PACE):
                        group.create_task(post(number, took))
                        await asyncio.sleep(PACE / users)

            for name, load in ((f"{TOGETHER} at a time", together), (f"each every {PACE} s", paced)):
                took: list[float] = []
                began = time.perf_counter()
                async with Clock(given["way"], given["token"]) as clock:
                    await load(took)
                assert not clock.refused, clock.refused
                rows[name] = {
                    "rate": len(took) / (time.perf_counter() - began),
                    **{f"post {share}": 1e3 * part(took, share) for share in (0.5, 0.99, 1)},
                    **{f"api {share}": 1e3 * part(clock.took, share) for share in (0.5, 0.99, 1)},
                }
        return rows


async def show_storms(sizes: list[int], kinds: list[str]) -> list[str]:
    """:return: whom this hub did not serve"""
    failures = []
    print(f"{'users':>5}  {'hub':20}{'ready':>6}{'median, s':>11}{'last, s':>9}{'API p99, ms':>13}  failures")
    for users in sizes:
        rows = {}
        for name in kinds:
            row = rows[name] = await storm(KINDS[name], users)
            times = "".join(
                f"{row[key]:{width}.1f}" if row[key] else " " * width for key, width in (("median", 11), ("last", 9))
            )
            print(
                f"{users:5}  {name:20}{row['ready']:6}{times}{row['api']:13.0f}  {'; '.join(row['failures'])}",
                flush=True,
            )
        if "hooks" in rows:
            ours = rows.pop("hooks")
            failures += [f"{users - ours['ready']} of {users}: {one}" for one in ours["failures"]]
            for name, row in rows.items():
                print(f"{'':7}API p99, {name} to hooks: {row['api'] / ours['api']:.2f}")
    return failures


async def show_activity(posts: int, users: int) -> None:
    heads = ("posts/s", "p50, ms", "p99, ms", "longest", "API p50, ms", "p99, ms", "longest")
    print(f"{'activity of':>12} {users} servers {'':12}" + "".join(f"{head:>13}" for head in heads), flush=True)
    tables = {kind: await activity(KINDS[kind], posts, users) for kind in ("hooks", "no hooks")}
    for kind, rows in tables.items():
        for name, row in rows.items():
            print(f"{kind:10}{name:24}  " + "".join(f"{figure:13.1f}" for figure in row.values()), flush=True)
    for name, row in tables["hooks"].items():
        other = tables["no hooks"][name]["api 0.99"]
        print(f"{'':7}API p99, {name}, no hooks to hooks: {other / row['api 0.99']:.2f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--users", type=int, nargs="*", default=[25, 100, 200], help="that come at once; none to leave it"
    )
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--active", type=int, default=1000, help="users whose servers post activity, 0 to leave it")
    parser.add_argument("--posts", type=int, default=3000, help="of activity that come at once")
    options = parser.parse_args()
    failures: list[str] = []
    runner = await pods()
    try:
        with gateway():
            if options.users:
                failures = await show_storms(options.users, options.kinds)
            if options.active:
                await show_activity(options.posts, options.active)
    finally:
        await runner.cleanup()
    if failures:
        sys.exit("Not served: " + "; ".join(failures))


if __name__ == "__main__":
    asyncio.run(main())
