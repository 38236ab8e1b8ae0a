# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotate secrets under a session that works: python rotate.py INVENTORY STATE REPORT [CLASS ...]

A user's server keeps a Dask cluster of two workers on the pool. Every few seconds it reads through the cache as a new
process and in a worker that runs all the time, submits and removes a job as a new process, and has a task computed.
Meanwhile the playbook replaces one class after the other. Then what was good before is shown to the daemons again. For
issuer_key the cache is told of an issuer, and somebody reads by one of its tokens all the time.
STATE holds settings.json (url, ca, password_file); REPORT gets the playbooks' output and rotate.json.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from users import ROOT, Facility, Hub, HubError, end, start_fresh  # type: ignore[import-not-found]  # found by the line before

CLASSES = ("certificates", "hub_cookies", "issuer_key", "macaroon_secret", "origin_secret", "pool_key", "users_key")
USER = "rotator"
LIMIT = 600
# Kinds of old credentials that are to be refused after a class; all others are to be good still. `service` is the hub's
# certificate, shown to the token service.
REFUSED = {
    "certificates": {"service"},
    "issuer_key": {"issued"},
    "macaroon_secret": {"cache"},
    "origin_secret": {"origin"},
    "pool_key": {"collector"},
    "users_key": {"queue"},
}
# Seconds for which an issuer's old key is good beside the new one: tests/rotate/issuer_vars.yml.
OVERLAP = 90
# Seconds without a good answer: nothing but the pool's key stops a service on purpose (docs/secrets.md).
LONGEST = {("pool_key", "queue"): 120}

BEGIN = '''
import json, os, subprocess, sys, tempfile, threading, time
import missing_et
from cmsaf_dask import HTCondorCluster

FILES = missing_et.files()
RUN = os.environ.get("CMSAF_RUN", "/run/cmsaf")
CREDENTIALS = {"cache": RUN + "/bearer_token", "queue": RUN + "/tokens.d/condor_token"}
READ = """
import sys
from XRootD import client
from XRootD.client.flags import OpenFlags
file = client.File()
status, _ = file.open(sys.argv[1], OpenFlags.READ)
if status.ok:
    status, data = file.read(0, 65536)
sys.exit(None if status.ok else "refused: " + " ".join(status.message.split()))
"""
QUEUE = """
import os
from cmsaf_dask.agent import Agent
agent = Agent()
agent.locate(os.environ["CMSAF_COLLECTOR"], os.environ["CMSAF_SCHEDD_NAME"])
lines = dict(universe="vanilla", executable="/bin/true", transfer_executable="false", requirements="false")
agent.remove("ClusterId == %d" % agent.submit(lines, ["probe"]), "probe")
"""

def process(program, *arguments, **environment):
    done = subprocess.run([sys.executable, "-c", program, *arguments], env={**os.environ, **environment}, text=True,
                          capture_output=True, timeout=240)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["exit %d" % done.returncode])[-1])

def in_worker(url):
    from XRootD import client
    from XRootD.client.flags import OpenFlags
    file = client.File()
    status, _ = file.open(url, OpenFlags.READ)
    if status.ok:
        status, data = file.read(0, 65536)
        file.close()
    if not status.ok:
        raise RuntimeError(" ".join(status.message.split()))
    return len(data)

cluster = HTCondorCluster(cores=1, memory=1500 * 2**20)
cluster.scale(2)
client = cluster.get_client()
client.wait_for_workers(2, timeout=300)
workers = sorted(worker.name for worker in list(cluster.scheduler.workers.values()))
turn = dict(cache=0, worker=0, issued=0)

def url(kind):
    turn[kind] += 1
    return FILES[turn[kind] % len(FILES)]

def read_with(token, path, **environment):
    """By this token and no other."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "token")
        with open(os.open(place, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(token)
        process(READ, path, BEARER_TOKEN_FILE=place, CMSAF_SECRETS=folder, CMSAF_RUN=folder, **environment)

PROBES = {
    "cache": lambda: process(READ, url("cache")),
    "worker": lambda: client.submit(in_worker, url("worker"), pure=False).result(timeout=240),
    "queue": lambda: process(QUEUE),
    "task": lambda: client.submit(sum, range(1000), pure=False).result(timeout=240),
}
seen = dict((kind, []) for kind in PROBES)
over = threading.Event()

def watch(probe, records, end):
    while not end.is_set():
        began = time.monotonic()
        try:
            probe()
            said = ""
        except Exception as problem:
            said = "%s: %s" % (type(problem).__name__, problem)
        records.append((began, time.monotonic(), said))
        end.wait(4)

threads = [threading.Thread(target=watch, args=(PROBES[kind], seen[kind], over), daemon=True) for kind in PROBES]
for thread in threads:
    thread.start()
answer({"workers": workers})
'''

# With `issued`, a token.
ISSUED = """
reads, issued_over = [], threading.Event()
read_with(issued, url("issued"))
reader = threading.Thread(target=watch, daemon=True,
                          args=(lambda token=issued: read_with(token, url("issued")), reads, issued_over))
reader.start()
answer(True)
"""

# With `issued`, a new one.
ISSUED_AFTER = """
issued_over.set()
reader.join(60)
read_with(issued, url("issued"))
good = [record[1] for record in reads if not record[2]]
bad = [record for record in reads if record[2]]
answer({
    "good": len(good),
    "refused": len(bad),
    "mixed": bool(good and bad and good[-1] > bad[0][0]),
    "last_good": time.time() - time.monotonic() + good[-1],
    "said": bad[-1][2] if bad else "good",
})
"""

KEEP = """
kept = dict((kind, open(path).read()) for kind, path in CREDENTIALS.items())
mark = time.monotonic()
answer(True)
"""

LOOK = """
def gap(records):
    good = [mark] + [end for begin, end, said in records if not said and end > mark] + [time.monotonic()]
    return round(max(later - earlier for earlier, later in zip(good, good[1:])), 1)

def submit_with(token):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.open(os.path.join(folder, "token"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(token)
        process(QUEUE, HOME=folder, _CONDOR_SEC_TOKEN_DIRECTORY=folder, _CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY=folder)

def old(kind):
    try:
        if kind == "cache":
            read_with(kept[kind], FILES[0], XRD_CONNECTIONRETRY="1")
        else:
            submit_with(kept[kind])
    except RuntimeError as problem:
        return str(problem)
    return "good"

now = sorted(worker.name for worker in list(cluster.scheduler.workers.values()))
answer({
    "workers": now,
    "probes": dict((kind, {
        "asked": len([1 for record in records if record[1] > mark]),
        "failed": [said for begin, end, said in records if end > mark and said],
        "gap": gap(records),
    }) for kind, records in ((kind, list(records)) for kind, records in seen.items())),
    "renewed": [kind for kind, path in CREDENTIALS.items() if open(path).read() != kept[kind]],
    "old": dict((kind, old(kind)) for kind in CREDENTIALS),
})
"""

END = """
over.set()
for thread in threads:
    thread.join(60)
client.close()
cluster.close()
answer(cluster.status.name)
"""


def playbook(inventory: str, name: str, log: Path, *more: str, **values: str) -> None:
    command = ["ansible-playbook", "-i", inventory, str(ROOT / name), *more]
    for key, value in values.items():
        command += ["-e", f"{key}={value}"]
    with log.open("a", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, check=False)
    if done.returncode:
        raise HubError(f"{name} {values}: exit {done.returncode}; see {log}")


def judge(name: str, began: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is wrong after a class."""
    wrong = []
    if found["workers"] != began["workers"]:
        wrong.append(f"workers were {began['workers']} and are {found['workers']}")
    for kind, probe in found["probes"].items():
        allowed = LONGEST.get((name, kind))
        if probe["failed"] and allowed is None:
            wrong.append(f"{kind}: {len(probe['failed'])} of {probe['asked']} failed: {probe['failed'][0]}")
        if allowed is not None and probe["gap"] > allowed:
            wrong.append(f"{kind}: nothing good for {probe['gap']} s")
        if not probe["asked"]:
            wrong.append(f"{kind}: was never asked")
    for kind, said in found["old"].items():
        if (said != "good") != (kind in REFUSED.get(name, set())):
            wrong.append(f"{kind}: the old one is {said}")
    if name == "issuer_key":
        wrong += judge_issued(found)
    if name == "hub_cookies" and found["cookie"]:
        wrong.append("the old cookie is still good")
    return wrong


def judge_issued(found: dict[str, Any]) -> list[str]:
    """What is wrong with the reads by a token of the issuer's old key: good until the overlap has ended, then refused."""
    reads = found["issued"]
    wrong = []
    if reads["mixed"]:
        wrong.append("issued: the old token was refused, and good again later")
    early = round(found["ended"] - reads["last_good"])
    if early >= OVERLAP:
        wrong.append(f"issued: the old token was refused {early} s before the end, within the overlap of {OVERLAP} s")
    return wrong


class Browser:
    """Whoever is logged in by a cookie."""

    def __init__(self, facility: Facility) -> None:
        hub = Hub(facility.session(USER))
        if hub.refused(facility.password):
            raise HubError(f"Logging in at {facility.url} as {USER}: turned away")
        self.http: requests.Session = hub.http
        self.url = facility.url

    def known(self) -> bool:
        answer = self.http.get(f"{self.url}/hub/home", timeout=30, allow_redirects=False)
        return bool(answer.status_code == 200)


@contextlib.contextmanager
def issuer(hub: Hub, inventory: str, state: Path, log: Path) -> Iterator[tuple[str, ...]]:
    """An issuer that the cache knows, by one of whose tokens somebody reads; what a playbook has to be told of it."""
    told = (
        *("-i", str(ROOT / "tests/rotate/issuer_host.yml"), "-e", f"@{ROOT / 'tests/rotate/issuer_vars.yml'}"),
        *("-e", f"rotate_state={state}"),
    )
    try:
        playbook(inventory, "tests/rotate/issuer.yml", log, *told, rotate_step="begin")
        playbook(inventory, "playbooks/cache.yml", log, *told)
        hub.run(issued(inventory, state, log, told) + ISSUED, LIMIT)
        yield told
    finally:
        playbook(inventory, "tests/rotate/issuer.yml", log, *told, rotate_step="end")
        playbook(inventory, "playbooks/cache.yml", log)


def issued(inventory: str, state: Path, log: Path, told: tuple[str, ...]) -> str:
    """A new token of the issuer, as code."""
    playbook(inventory, "tests/rotate/issuer.yml", log, *told, rotate_step="token")
    token = (state / "issuer-token").read_text(encoding="utf-8").strip()
    return f"issued = {token!r}\n"


def rotate(name: str, hub: Hub, facility: Facility, paths: tuple[str, Path, Path]) -> dict[str, Any]:
    inventory, state, report = paths
    log = report / f"{name}.log"
    if name != "issuer_key":
        return replace(name, hub, facility, paths)
    with issuer(hub, inventory, state, log) as told:
        found = replace(name, hub, facility, paths, told)
        found["issued"] = hub.run(issued(inventory, state, log, told) + ISSUED_AFTER, LIMIT)
    found["old"]["issued"] = found["issued"]["said"]
    return found


def replace(
    name: str, hub: Hub, facility: Facility, paths: tuple[str, Path, Path], told: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Run the playbook, with what was good before it kept and shown after it."""
    inventory, state, report = paths
    log = report / f"{name}.log"
    browser = Browser(facility)
    if not browser.known():
        raise HubError("a cookie that was just given is not known")
    playbook(inventory, "tests/rotate/old.yml", log, rotate_step="keep", rotate_state=str(state))
    before = json.loads((state / "answers.json").read_text(encoding="utf-8"))
    if any(before["refused"].values()):
        raise HubError(f"the daemons' own credentials are not good before the rotation: {before}")
    hub.run(KEEP, LIMIT)
    clock = time.monotonic()
    playbook(inventory, "playbooks/rotate_secrets.yml", log, *told, rotate=name)
    seconds, ended = round(time.monotonic() - clock), time.time()
    playbook(inventory, "tests/rotate/old.yml", log, rotate_step="ask", rotate_state=str(state))
    after = json.loads((state / "answers.json").read_text(encoding="utf-8"))
    playbook(inventory, "tests/rotate/old.yml", log, rotate_step="forget", rotate_state=str(state))
    found: dict[str, Any] = hub.run(LOOK, LIMIT)
    for kind, refused in after["refused"].items():
        found["old"][kind] = after["said"][kind] or "refused" if refused else "good"
    return found | {"seconds": seconds, "ended": ended, "cookie": browser.known()}


def show(name: str, found: dict[str, Any], wrong: list[str]) -> None:
    probes = "; ".join(
        f"{kind} {probe['asked']} asked, {len(probe['failed'])} failed, longest pause {probe['gap']} s"
        for kind, probe in found["probes"].items()
    )
    old = ", ".join(f"{kind} {'good' if said == 'good' else 'refused'}" for kind, said in found["old"].items())
    print(f"rotate: {name}: {found['seconds']} s; {probes}; old ones: {old}", flush=True)
    for line in wrong:
        print(f"rotate: {name}: WRONG: {line}", flush=True)


def main() -> int:
    inventory, state, report = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    names = sys.argv[4:] or CLASSES
    facility = Facility.told(state)
    hub = Hub(facility.session(USER))
    results: dict[str, Any] = {}
    failed = 0
    try:
        start_fresh(hub, facility.password, LIMIT)
        began = hub.run(BEGIN, LIMIT)
        for name in names:
            found = rotate(name, hub, facility, (inventory, state, report))
            wrong = judge(name, began, found)
            results[name] = found | {"wrong": wrong}
            failed += bool(wrong)
            show(name, found, wrong)
        hub.run(END, LIMIT)
    except HubError as problem:
        print(f"rotate: {problem}", file=sys.stderr)
        failed += 1
    finally:
        (report / "rotate.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        end(hub, LIMIT)
    print(f"rotate: {len(results)} of {len(names)} classes replaced, {failed} with something wrong")
    return 1 if failed or len(results) < len(names) else 0


if __name__ == "__main__":
    sys.exit(main())
