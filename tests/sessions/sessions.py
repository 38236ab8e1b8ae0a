# SPDX-License-Identifier: GPL-3.0-or-later
"""Many users work while parts of the facility are killed: python sessions.py INVENTORY STATE REPORT

Each user has a server, a kernel with a variable that counts, and, as many as CLUSTERS says, a Dask cluster of one worker on the
pool with a long computation and a question a second. Under them each of faults.py is made for real. All the time every user's
page, his kernel by REST and its channel by websocket are asked, through gateway and proxy. After each fault every kernel has to
be the one it was and to have counted on, every cluster to have its worker and to answer, and no user may see an error once that
which was killed is back. How long it took is printed, and not judged.
STATE holds settings.json (url, ca, password_file); REPORT gets sessions.json.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from faults import FAULTS, Fault, Hosts
from faults import USERS as NAME

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from users import Facility, Hub, HubError, Session, end, start_fresh  # type: ignore[import-not-found]  # found by the line before

USERS = int(os.environ.get("SOAK_USERS", "20"))
CLUSTERS = int(os.environ.get("SOAK_CLUSTERS", str(USERS)))
LIMIT = 900
# So many start at a time: two processors have them all.
TOGETHER = 4
# Seconds between two turns of a user, and how long an answer may take.
PERIOD, PATIENCE = 4, 15
# Seconds after the end of a fault in which an error is still that of the fault: a browser tries again by itself.
GRACE = 10
# Seconds that a kernel may not have counted: nothing that is killed is between it and its processor.
LONGEST_PAUSE = 15
# Seconds in which nothing is killed, to begin with.
QUIET = 30
INSIDE = (Path(__file__).parent / "files/inside.py").read_text(encoding="utf-8")
WAYS = ("page", "kernel", "channel")
# Of a job, in HTCondor's numbers.
RUNNING = 2


@dataclass(frozen=True)
class Turn:
    """What was asked, from when to when, and what was wrong with the answer."""

    way: str
    began: float
    ended: float
    problem: str


class Watch(threading.Thread):
    """Asks in all its ways, again and again."""

    def __init__(self, ways: dict[str, Callable[[], Any]], period: float) -> None:
        super().__init__(daemon=True)
        self.ways = ways
        self.period = period
        self.turns: list[Turn] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for way, ask in self.ways.items():
                began = time.time()
                try:
                    problem = ask() or ""
                except (HubError, requests.RequestException, ValueError) as error:
                    problem = f"{type(error).__name__}: {error}"
                self.turns.append(Turn(way, began, time.time(), problem))
            self.over.wait(self.period)

    def since(self, when: float, way: str) -> list[Turn]:
        return [turn for turn in list(self.turns) if turn.way == way and turn.ended >= when]

    def good_after(self, when: float) -> bool:
        """Whether in each way the last answer is good, and was asked for after then."""
        last = [self.since(when, way)[-1:] for way in self.ways]
        return all(turns and turns[0].began > when and not turns[0].problem for turns in last)

    def away(self, when: float, way: str) -> float:
        """Seconds from then to the first good answer after the last bad one; nothing where none was bad."""
        turns = self.since(when, way)
        bad = [number for number, turn in enumerate(turns) if turn.problem]
        good = turns[bad[-1] + 1 :] if bad else []
        return round(good[0].ended - when, 1) if good else 0.0


class User:
    """One user and what he has."""

    def __init__(self, name: str, facility: Facility, cluster: bool) -> None:
        self.name = name
        self.cluster = cluster
        self.hub = Hub(facility.session(name))
        self.password = facility.password
        self.first: dict[str, Any] = {}
        self.watch: Watch | None = None

    def start(self) -> None:
        start_fresh(self.hub, self.password, LIMIT, "minimal")
        self.first = self.hub.run(f"given = {{'cluster': {self.cluster}}}\n{INSIDE}", LIMIT)
        self.first["started"] = self.hub.servers()[""]["started"]

    def begin(self) -> None:
        # Of its own: a session of requests is one thread's.
        browser = Hub(Session(**self.hub.session.as_dict()), timeout=PATIENCE)
        place = browser.place

        def get(path: str) -> requests.Response:
            answer: requests.Response = browser.http.get(f"{place}/{path}", timeout=PATIENCE, allow_redirects=False)
            if answer.status_code != 200:
                raise HubError(f"GET {path}: {answer.status_code} {answer.reason}")
            return answer

        def page() -> str:
            return "" if "jupyter-config-data" in get("lab").text else "not JupyterLab's page"

        def kernel() -> str:
            return (
                "" if get(f"api/kernels/{browser.session.kernel}").json()["id"] == browser.session.kernel else "another"
            )

        def channel() -> str:
            return self.changed(browser.run("answer(state())", PATIENCE))

        self.watch = Watch(dict(zip(WAYS, (page, kernel, channel), strict=True)), PERIOD)
        self.watch.start()

    def changed(self, found: dict[str, Any]) -> str:
        """What is not as it was at first."""
        return (
            "" if all(found[name] == self.first[name] for name in ("mark", "process")) else "the kernel is another one"
        )

    def seen(self, since: float) -> dict[str, Any]:
        found: dict[str, Any] = self.hub.run(f"answer(seen({since}))", LIMIT)
        return found

    def stop(self) -> None:
        if self.watch:
            self.watch.over.set()
            self.watch.join(3 * PATIENCE)
        end(self.hub, LIMIT)


def each(users: Iterable[User], do: Callable[[User], Any], together: int = USERS) -> list[Any]:
    with ThreadPoolExecutor(together) as crowd:
        return list(crowd.map(do, users))


def watches(users: Iterable[User]) -> list[Watch]:
    return [user.watch for user in users if user.watch]


def settle(users: list[User], page: Watch, back: float) -> list[str]:
    """Wait until everybody has good answers; whoever does not get them."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        waiting = [user.name for user in users if user.watch and not user.watch.good_after(back)]
        if not waiting and page.good_after(back):
            return []
        time.sleep(1)
    return [f"no good answers after {LIMIT} s: {', '.join(waiting) or 'the hub'}"]


def dask_settled(users: list[User], killed: float) -> None:
    """Wait until each cluster has its worker and answers, or for so long as one may take to replace it."""
    end = time.monotonic() + LIMIT
    waiting = [user for user in users if user.cluster]
    while waiting and time.monotonic() < end:
        found = each(waiting, lambda user: user.seen(killed)["dask"])
        waiting = [
            user for user, dask in zip(waiting, found, strict=True) if len(dask["workers"]) != 1 or dask["last"] > GRACE
        ]
        time.sleep(2)


def judge(user: User, fault: Fault, before: dict[str, Any], after: dict[str, Any], back: float) -> list[str]:
    """What is wrong with a user's session."""
    wrong = [user.changed(after)] if user.changed(after) else []
    if after["count"] <= before["count"]:
        wrong.append(f"the variable was {before['count']} and is {after['count']}")
    if after["pause"] > LONGEST_PAUSE:
        wrong.append(f"the kernel did not count for {after['pause']} s")
    server = user.hub.servers().get("", {})
    if not server.get("ready") or server.get("started") != user.first["started"]:
        wrong.append(f"the hub says of the server: {server}")
    late = [turn for way in WAYS for turn in user.watch.since(back, way) if turn.problem and turn.began > back + GRACE]
    if late:
        wrong.append(f"{len(late)} errors after the fault, the last {late[-1].began - back:.0f} s: {late[-1].problem}")
    if user.cluster:
        wrong += judge_dask(fault, before["dask"], after["dask"])
    return [f"{user.name}: {said}" for said in wrong]


def judge_dask(fault: Fault, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    wrong = [f"Dask: {said}" for said in after["problems"][:1]]
    running = [job for job in after["jobs"] if job[2] == RUNNING]
    if len(after["workers"]) != 1 or len(running) != 1:
        wrong.append(f"Dask: workers {after['workers']}, jobs {after['jobs']}")
    if fault.keeps_workers and after["process"] != before["process"]:
        wrong.append("Dask: the worker is another one")
    if after["long"] != "pending" or not after["answers"] or after["last"] > GRACE:
        wrong.append(
            f"Dask: {after['answers']} answers, the last {after['last']} s ago, long computation {after['long']}"
        )
    return wrong


def figures(users: list[User], page: Watch, killed: float, before: list[Any], after: list[Any]) -> dict[str, Any]:
    """What a fault was felt like, in seconds from it."""
    found: dict[str, Any] = {"hub": [page.away(killed, "hub")]}
    for way in WAYS:
        found[way] = sorted(watch.away(killed, way) for watch in watches(users))
    with_dask = [(old["dask"], new["dask"]) for old, new in zip(before, after, strict=True) if "dask" in new]
    found["dask"] = sorted(new["pause"] for old, new in with_dask)
    found["replaced"] = sum(old["process"] != new["process"] for old, new in with_dask)
    found["count"] = sorted(one["pause"] for one in after)
    turns = [turn for watch in [page, *watches(users)] for way in watch.ways for turn in watch.since(killed, way)]
    found["errors"] = sorted(
        (round(turn.began - killed, 1), round(turn.ended - killed, 1), turn.way, turn.problem)
        for turn in turns
        if turn.problem
    )
    return found


def told(seconds: list[float]) -> str:
    """How many it was felt by, and how long by the middle one of them and by the last."""
    felt = [one for one in seconds if one]
    return f"{len(felt)} for {statistics.median(felt):.1f} to {max(felt):.1f} s" if felt else "nobody"


def show(name: str, took: float, found: dict[str, Any], wrong: list[str]) -> None:
    print(
        f"sessions: {name}: back in {took:.1f} s; errors: hub's page {told(found['hub'])}, JupyterLab's page "
        f"{told(found['page'])}, kernel {told(found['kernel'])}, its channel {told(found['channel'])}; longest without an "
        f"answer of Dask {max(found['dask'], default=0):.1f} s, {found['replaced']} workers replaced; longest without a "
        f"count {max(found['count']):.1f} s",
        flush=True,
    )
    for line in wrong:
        print(f"sessions: {name}: WRONG: {line}", flush=True)


def suffer(fault: Fault, users: list[User], page: Watch, hosts: Hosts) -> tuple[float, dict[str, Any], list[str]]:
    """One fault, from before it until all is well again; seconds until it was back, figures, what is wrong."""
    pods = hosts.servers()
    since = each(users, lambda user: user.hub.run("answer(begin())", LIMIT))[0]
    before = each(users, lambda user: user.seen(since - QUIET))
    killed, back = fault.strike(hosts)
    wrong = settle(users, page, back)
    dask_settled(users, killed)
    time.sleep(GRACE + 2 * PERIOD)
    after = each(users, lambda user: user.seen(killed))
    for user, old, new in zip(users, before, after, strict=True):
        wrong += judge(user, fault, old, new, back)
    if hosts.servers() != pods:
        wrong.append(f"the users' pods were {pods} and are {hosts.servers()}")
    return back - killed, figures(users, page, killed, before, after), wrong


def leave(users: list[User], hosts: Hosts) -> list[str]:
    """Every second user closes his cluster, the others leave it to their server's end; then all of it has to be gone."""
    wrong = []
    ends = [user for user in users if user.cluster]
    rounds = each(ends, lambda user: user.hub.run(f"answer(end({ends.index(user) % 2 == 0}))", LIMIT))
    wrong += [
        f"{user.name}: the long computation has done nothing"
        for user, done in zip(ends, rounds, strict=True)
        if not done
    ]
    had = hosts.left()
    began = time.monotonic()
    each(users, User.stop)
    stopped = time.monotonic() - began
    while time.monotonic() - began < LIMIT:
        left = hosts.left()
        if not any(left.values()):
            break
        time.sleep(2)
    print(
        f"sessions: {len(users)} servers stopped in {stopped:.0f} s; of {had} left after "
        f"{time.monotonic() - began:.0f} s: {left}; rounds of the long computations {min(rounds, default=0)} to {max(rounds, default=0)}",
        flush=True,
    )
    return wrong + ([f"not all is gone: {left}"] if any(left.values()) else [])


def main() -> int:
    inventory, state, report = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    names = [name for name in os.environ.get("SOAK_FAULTS", "").split(",") if name]
    if unknown := set(names) - {fault.name for fault in FAULTS}:
        sys.exit(f"SOAK_FAULTS has {sorted(unknown)}. Take of these: {', '.join(fault.name for fault in FAULTS)}.")
    facility = Facility.told(state)
    hosts = Hosts(inventory)
    users = [User(f"{NAME}{number:02}", facility, number < CLUSTERS) for number in range(USERS)]
    outside = Hub(facility.session("nobody"), timeout=PATIENCE)

    def login_page() -> str:
        answer = outside.http.get(f"{facility.url}/hub/login", timeout=PATIENCE, allow_redirects=False)
        return "" if answer.status_code == 200 else f"{answer.status_code} {answer.reason}"

    page = Watch({"hub": login_page}, 1)
    results: dict[str, Any] = {}
    failed = 0
    began = time.monotonic()
    try:
        each(users, User.start, TOGETHER)
        print(
            f"sessions: {USERS} users with a server and a kernel, {min(CLUSTERS, USERS)} of them with a cluster, after "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
        page.start()
        for user in users:
            user.begin()
        time.sleep(QUIET)
        quiet = Fault("nothing", lambda hosts: (time.time() - QUIET, time.time() - QUIET))
        for fault in (quiet, *(fault for fault in FAULTS if not names or fault.name in names)):
            took, found, wrong = suffer(fault, users, page, hosts)
            results[fault.name] = {"seconds": took, "found": found, "wrong": wrong}
            show(fault.name, took, found, wrong)
            failed += bool(wrong)
        results["end"] = leave(users, hosts)
        for line in results["end"]:
            print(f"sessions: end: WRONG: {line}", flush=True)
        failed += bool(results["end"])
    finally:
        (report / "sessions.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        each(users, User.stop)
    faults = len(results.keys() - {"nothing", "end"})
    print(f"sessions: {faults} faults, {failed} times something wrong, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
