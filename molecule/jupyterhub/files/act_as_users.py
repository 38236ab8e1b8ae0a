#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act as users of the hub from outside: act_as_users.py STEP STATE [PROGRAM [USER]]

STATE is a JSON file that the steps hand on to each other; it begins with url, ca, password_file and users. Steps:

start    every user logs in, after a wrong password was tried, and starts a server
choose   the first user asks for a profile that is not for him, looks at the page with those that are, then starts a second
         server of another profile, while a kernel of the first server computes in silence until the second one tells it to end
ask      runs PROGRAM in the kernel of the first user, or of the one named; standard input is JSON, which the program has
         as "given"
trespass the first user, by a token of his own, asks for what is the second one's, and the hub's
lure     the second user, logged in by a browser's cookies, opens a page of the first one's server, which asks for what is
         the second one's
fill     the first user fills his home while the second one writes, and starts one more server, where he makes room again
end      the first user stops the second server
again    the last user starts the server once more and looks for what was written for "fill"
running  names the users whose server runs, by the hub's own word
stop     every user stops the server

Prints what was found as one JSON object. The browser is that of the facility's own verification.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import websocket

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/verify/files/cmsaf_verify"))
from hub import Hub, HubError, Session  # type: ignore[import-not-found]

LIMIT = 600
ROOM = r"· ((?:more than )?[0-9]+ of these could start now|no room now[^<]*)"
SECOND = "second"
LATE = "late"
# Longer than what a server takes to notice that a kernel computes, and that takes seconds.
SILENCE = 25
WAIT = """
import os, pathlib, time
end = time.monotonic() + 300
while not pathlib.Path("~/go").expanduser().exists() and time.monotonic() < end:
    time.sleep(0.2)
pathlib.Path("~/go").expanduser().unlink()
answer(os.environ["CMSAF_DASK_NAME"])
"""
# At most what would show that nothing holds him to his size.
FILL = """
import os, pathlib
path, written, block = pathlib.Path("~/filled").expanduser(), 0, b"x" * 2**20
try:
    with open(path, "wb", buffering=0) as file:
        while written < 2**30:
            written += file.write(block)
    answer(["", written])
except OSError as error:
    answer([error.strerror, written])
"""
BESIDE = """
import os, pathlib
with open(pathlib.Path("~/beside").expanduser(), "wb") as file:
    written = file.write(b"y" * 20 * 2**20)
    file.flush()
    os.fsync(file.fileno())
answer(written)
"""
LOOK = """
import pathlib
answer(pathlib.Path("~/beside").expanduser().exists())
"""
NOTEBOOK = {"type": "notebook", "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}}
LONG_CELL = {"cell_type": "raw", "id": "long", "metadata": {}, "source": "z" * 2**23}
LONG_NOTEBOOK = {**NOTEBOOK, "content": {**NOTEBOOK["content"], "cells": [LONG_CELL]}}
FOREIGN = [
    ("GET", "/hub/api/users/{me}"),
    ("GET", "{mine}/api/contents"),
    ("GET", "/hub/admin"),
    ("GET", "/hub/api/users"),
    ("GET", "/hub/api/users/{other}"),
    ("POST", "/hub/api/users/{other}/servers/mine"),
    ("DELETE", "/hub/api/users/{other}/server"),
    ("POST", "/hub/api/users/{other}/tokens"),
    ("GET", "/hub/api/users/{other}/server/progress"),
    ("POST", "/hub/api/users/mallory"),
    ("GET", "/hub/api/proxy"),
    ("POST", "/hub/api/proxy"),
    ("POST", "/hub/api/shutdown"),
    ("GET", "{theirs}/lab"),
    ("GET", "{theirs}/api/contents"),
    ("GET", "{theirs}/files/note"),
    ("GET", "{theirs}/proxy/8787/status"),
    ("GET", "{theirs}/terminals/websocket/1"),
    # His path at one's own name.
    ("GET", "{here}/user/{other}/api/contents"),
    ("GET", "{here}/hub/api/users/{other}"),
]
# What a page of the first user's server would have the second one's browser ask for.
ASKED_FOR = [
    ("GET", "{theirs}/api/contents"),
    ("GET", "{theirs}/files/note"),
    ("POST", "{theirs}/api/terminals"),
    ("DELETE", "{theirs}/api/contents/note"),
    ("GET", "/hub/api/user"),
    ("POST", "/hub/api/users/{other}/tokens"),
    ("DELETE", "/hub/api/users/{other}/server"),
]
# By way of the gateway to its own scheduler and no other.
GO = """
import os, pathlib
from cmsaf_dask import HTCondorCluster
from distributed import Client
pathlib.Path("~/go").expanduser().touch()
name = os.environ["CMSAF_DASK_NAME"]
with HTCondorCluster(cores=1, memory="1 GiB") as cluster, Client(f"tls://{name}:8786") as client:
    answer(name if client.scheduler_info()["id"] == cluster.scheduler.id else "another one's scheduler")
"""


def start(state: dict[str, Any]) -> dict[str, Any]:
    password = Path(state["password_file"]).read_text(encoding="utf-8").strip()

    def one(user: str) -> tuple[bool, Hub]:
        hub = Hub(Session(url=state["url"], ca=state["ca"], user=user))
        refused = hub.refused("not-" + password)
        hub.login(password)
        hub.start(LIMIT)
        return refused, hub

    with ThreadPoolExecutor() as crowd:
        found = list(crowd.map(one, state["users"]))
    for _, hub in found:
        hub.open_kernel()
    state["sessions"] = [hub.session.as_dict() for _, hub in found]
    return {"wrong_password_refused": all(refused for refused, _ in found)}


def choose(state: dict[str, Any]) -> dict[str, Any]:
    first = Hub(Session(**state["sessions"][0]))
    second = Hub(Session(**{**state["sessions"][0], "server": SECOND, "kernel": ""}))
    try:
        second.start(LIMIT, state["closed"])
    except HubError as error:
        refusal = str(error)
    else:
        raise HubError(f"Asking for the profile {state['closed']}: it was given")
    visitor = Hub(Session(url=state["url"], ca=state["ca"], user=first.session.user))
    visitor.refused(Path(state["password_file"]).read_text(encoding="utf-8").strip())
    page = visitor.http.get(f"{state['url']}/hub/spawn/{first.user}/{SECOND}", timeout=30).text
    with ThreadPoolExecutor() as crowd:
        began = time.monotonic()
        waits = crowd.submit(first.run, WAIT, LIMIT)
        try:
            second.start(LIMIT, state["other"])
            second.open_kernel()
            time.sleep(max(0, began + SILENCE - time.monotonic()))
            quiet = first.quiet()
        finally:
            if second.session.kernel:
                names = second.run(GO, LIMIT)
    state["second"] = second.session.as_dict()
    soon = first.http.get(f"{first.place}/cmsaf/sessions", timeout=30).json()
    return {
        "refusal": refusal,
        "quiet": quiet,
        "names": [waits.result(), names],
        "soon": soon,
        "room": re.findall(ROOM, page),
    }


def fill(state: dict[str, Any]) -> dict[str, Any]:
    first, other = (Hub(Session(**session)) for session in state["sessions"][:2])
    late = Hub(Session(**{**state["sessions"][0], "server": LATE, "kernel": ""}))
    own = first.place

    def call(method: str, url: str, **options: Any) -> Any:
        return first.http.request(method, url, timeout=60, **options)

    def home(url: str) -> dict[str, Any]:
        found: dict[str, Any] = call("GET", f"{url}/cmsaf/home").json()
        return found

    call("PUT", f"{own}/api/contents/before.ipynb", json=NOTEBOOK).raise_for_status()
    found: dict[str, Any] = {"before": home(own)}
    found["refusal"], found["written"] = first.run(FILL, LIMIT)
    found["full"] = home(own)
    found["beside"] = other.run(BESIDE, LIMIT)
    found["others"] = other.http.get(f"{other.place}/cmsaf/home", timeout=60).json()
    try:
        late.start(LIMIT, state["other"])
        late.open_kernel()
        found["answer"] = late.run("answer(6 * 7)", LIMIT)
        found["late"] = home(late.place)
        found["opened"] = call("GET", f"{late.place}/api/contents/before.ipynb").status_code
        found["saved"] = call("PUT", f"{late.place}/api/contents/after.ipynb", json=LONG_NOTEBOOK).status_code
        found["removed"] = call("DELETE", f"{late.place}/api/contents/filled").status_code
        found["after"] = home(late.place)
    finally:
        late.stop(LIMIT)
    return found


def end(state: dict[str, Any]) -> dict[str, Any]:
    Hub(Session(**state["second"])).stop(LIMIT)
    return {"stopped": SECOND}


def ask(state: dict[str, Any]) -> Any:
    given, program = json.load(sys.stdin), Path(sys.argv[3]).read_text(encoding="utf-8")
    user = sys.argv[4] if len(sys.argv) > 4 else state["users"][0]
    session = next(session for session in state["sessions"] if session["user"] == user)
    return Hub(Session(**session)).run(f"given = {given!r}\n{program}", LIMIT)


def address(path: str, own: Hub, other: Hub) -> str:
    known = {"me": own.user, "mine": own.place, "here": origin(own), "other": other.user, "theirs": other.place}
    return urljoin(own.session.url, path.format(**known))


def origin(hub: Hub) -> str:
    return hub.place.removesuffix(urlsplit(hub.place).path)


def lure(state: dict[str, Any]) -> dict[str, Any]:
    own, other = (Hub(Session(**session)) for session in state["sessions"][:2])
    browser = Hub(Session(url=state["url"], ca=state["ca"], user=other.session.user))
    browser.refused(Path(state["password_file"]).read_text(encoding="utf-8").strip())
    # By way of the hub's own page, which gives the browser the server's cookies.
    browser.http.get(f"{other.place}/lab", timeout=30).raise_for_status()
    cookies = [(cookie.name, cookie.domain, cookie.domain_specified) for cookie in browser.http.cookies]
    mark = next(cookie.value for cookie in browser.http.cookies if cookie.name == "_xsrf" and "/user/" in cookie.path)

    def codes(page: dict[str, str]) -> dict[str, int]:
        headers = {"Sec-Fetch-Mode": "cors", **page}
        return {
            f"{method} {path}": browser.http.request(
                method, address(path, own, other), headers=headers, timeout=30, allow_redirects=False
            ).status_code
            for method, path in ASKED_FOR
        }

    def channel(came_from: str) -> str:
        sent = browser.http.prepare_request(requests.Request("GET", f"{other.place}/api/status")).headers["Cookie"]
        url = f"{other.place}/api/kernels/{other.session.kernel}/channels".replace("https", "wss", 1)
        try:
            websocket.create_connection(
                url, timeout=30, origin=came_from, cookie=sent, sslopt={"ca_certs": state["ca"]}, http_no_proxy=["*"]
            ).close()
        except websocket.WebSocketBadStatusException as refusal:
            return str(refusal.status_code)
        return "open"

    by_own = browser.http.get(
        f"{other.place}/api/contents",
        headers={"Origin": origin(other), "Sec-Fetch-Mode": "cors", "X-XSRFToken": mark},
        timeout=30,
    )
    return {
        "cookies": cookies,
        "own": [by_own.status_code, channel(origin(other))],
        "lured": codes({"Origin": origin(own), "Sec-Fetch-Site": "same-site"}),
        "channel": channel(origin(own)),
    }


def trespass(state: dict[str, Any]) -> dict[str, Any]:
    own, other = (Hub(Session(**session)) for session in state["sessions"][:2])
    found = {}
    for method, path in FOREIGN:
        answer = own.http.request(method, address(path, own, other), timeout=30, allow_redirects=False)
        found[f"{method} {path}"] = answer.status_code
    return found


def again(state: dict[str, Any]) -> dict[str, Any]:
    hub = Hub(Session(**{**state["sessions"][-1], "kernel": ""}))
    hub.start(LIMIT)
    hub.open_kernel()
    return {"beside": hub.run(LOOK, LIMIT)}


def running(state: dict[str, Any]) -> dict[str, Any]:
    sessions = [Session(**session) for session in state["sessions"]]
    return {"running": [session.user for session in sessions if Hub(session).runs()]}


def stop(state: dict[str, Any]) -> dict[str, Any]:
    for session in state["sessions"]:
        Hub(Session(**session)).stop(LIMIT)
    return {"stopped": state["users"]}


STEPS = {step.__name__: step for step in (start, choose, fill, end, ask, trespass, lure, again, running, stop)}


def main() -> int:
    step, path = sys.argv[1], Path(sys.argv[2])
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    try:
        found = STEPS[step](state)
    except HubError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        # It holds tokens.
        with open(os.open(path, os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(state, file)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
