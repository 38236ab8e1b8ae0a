# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches behind redirectors, and caches of origins of several kinds (make soak TARGET=cache).

What is read is compared byte by byte, and what the origin sends is counted. How long things took is printed, and written to a
file of CACHE_LAB_REPORT.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cluster import Cluster
from kinds import CACHES, REDIRECTORS
from lab import CACHE, MIB, SERVER, USER, run

PAUSE = 0.01
SIZE = 8 * MIB
HOT = [f"/store/hot/{number:03}" for number in range(16)]
COLD = [f"/store/cold/{number:03}" for number in range(16)]
MORE = [f"/store/more/{number:03}" for number in range(8)]
FIRST, SECOND = CACHES
REDIRECTOR, OTHER = REDIRECTORS
SERVERS = 1095
# Longer than this nobody may wait for a cache that is lost, in seconds.
LOST = 60


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    place = Cluster(Path(os.environ["CACHE_LAB_ROOT"]), Path(os.environ["CACHE_LAB_CONFIG"]), PAUSE)
    place.prepare([(name, number, SIZE) for name, number in (("hot", 16), ("cold", 16), ("more", 8))])
    place.network()
    place.outside()
    stock(place)
    place.start("origin")
    yield place
    place.report("cluster")


def stock(lab: Cluster) -> None:
    """Files of others' origins. Readers compare with what is in /data under the path that the cache serves."""
    for origin in ("public", "web", "grid"):
        folder = lab.root / f"outside/{origin}/{origin}"
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{number:03}").write_bytes(os.urandom(SIZE))
        (lab.root / f"data/{origin}").symlink_to(f"/outside/{origin}/{origin}")
    shutil.copytree(lab.root / "data/store/more", lab.root / "outside/storage/store/more")
    run("chown", "-R", f"{SERVER}:{SERVER}", str(lab.root / "outside"))


@pytest.fixture
def alike(lab: Cluster) -> Iterator[Cluster]:
    """Two caches of one origin, and two redirectors."""
    lab.up("caches", "redirectors", hosts=2)
    yield lab
    lab.down()


@pytest.fixture
def several(lab: Cluster) -> Iterator[Cluster]:
    """Two caches of four origins, and a redirector."""
    lab.start_outside()
    for host in CACHES:
        lab.storage_token(lab.hosts[host].place("/etc/site/token/storage"), 20 * 3600)
        lab.proxy(lab.hosts[host].place("/etc/site/proxy/x509"))
    lab.up("caches of origins", "redirectors of origins")
    yield lab
    lab.down()
    lab.stop_outside()


def spread(lab: Cluster, origin: str = "facility") -> dict[str, set[str]]:
    return {host: lab.held(host, origin) for host in CACHES}


def bytes_of(paths: Sequence[str]) -> int:
    return SIZE * len(paths)


def test_files_are_spread_and_read_where_they_are(alike: Cluster) -> None:
    before = alike.relay.sent
    began = time.monotonic()
    alike.reading(HOT, clients=8).well()
    cold, sent = time.monotonic() - began, alike.relay.sent - before
    alike.settled()
    held = spread(alike)
    assert held[FIRST] | held[SECOND] == set(HOT)
    assert not held[FIRST] & held[SECOND], "a file is in two caches, which halves what they hold"
    assert min(map(len, held.values())) >= len(HOT) // 4, held
    assert bytes_of(HOT) <= sent <= 1.1 * bytes_of(HOT)
    before, began = alike.relay.sent, time.monotonic()
    alike.reading(HOT, clients=8).well()
    hot, again = time.monotonic() - began, alike.relay.sent - before
    assert again < MIB, "what a cache has was fetched once more"
    # Redirectors that know nothing yet ask the caches.
    for redirector in REDIRECTORS:
        alike.kill_host(redirector)
        since = alike.log(f"{redirector}-xrootd").stat().st_size
        alike.run_pod(redirector, "redirectors")
        for cache in CACHES:
            alike.joined(redirector, cache, since)
        alike.said(alike.log(f"{redirector}-xrootd"), "manager service enabled", since)
    before = alike.relay.sent
    alike.reading(HOT, clients=8).well()
    assert alike.relay.sent - before < MIB, "redirectors that were new did not find what caches have"
    assert spread(alike) == held
    alike.say(
        "16 files through two redirectors",
        cold=cold,
        hot=hot,
        origin_sent=f"{sent / bytes_of(HOT):.2f} of their size, then {again} bytes",
        held={host: len(files) for host, files in held.items()},
    )


@pytest.mark.parametrize("what", ["host", "server"])
def test_a_cache_is_killed(alike: Cluster, what: str) -> None:
    alike.reading(HOT, clients=8).well()
    alike.settled()
    lost = sorted(alike.held(FIRST))
    assert lost
    # Who reads what is hot there, who reads what nobody has, and who comes in that moment.
    reading = alike.reading((HOT + COLD) * 4, clients=8)
    reading.begun()
    before = alike.relay.sent
    if what == "host":
        fault = alike.kill_host(FIRST)
    else:
        os.kill(alike.servers(FIRST)["xrootd"], signal.SIGKILL)
        fault = time.monotonic()
    new = alike.reading(lost, clients=2)
    reading.well()
    waited, newcomer = longest_pause(reading.good, fault), new.well().after(fault)
    assert max(waited, newcomer) < LOST
    # What was there is fetched once more, and nothing else that was hot.
    sent = alike.relay.sent - before
    assert sent <= 1.2 * bytes_of(lost + COLD), (
        f"{sent} bytes for {len(lost)} files that were lost and {len(COLD)} cold ones"
    )
    if what == "host":
        since = alike.log(f"{REDIRECTOR}-xrootd").stat().st_size
        alike.run_pod(FIRST, "caches")
        alike.joined(REDIRECTOR, FIRST, since)
    else:
        # Ended as a whole, as Kubernetes wants it to start it again.
        assert alike.running.pop(f"{FIRST} xrootd").wait(20) != 0
        alike.run_pod(FIRST, "caches")
    alike.reading(HOT, clients=4).well()
    alike.say(f"a cache's {what} killed", longest_pause=waited, new_reader=newcomer, lost=len(lost), origin_sent=sent)


def longest_pause(good: Sequence[float], fault: float) -> float:
    """The longest time from a right answer to the next, of those around a time and after it."""
    times = [max([at for at in good if at <= fault], default=fault), *(at for at in good if at > fault)]
    return max((after - before for before, after in zip(times, times[1:])), default=0.0)


def test_a_redirector_is_killed(alike: Cluster) -> None:
    alike.reading(HOT, clients=4).well()
    before = alike.relay.sent
    reading = alike.reading(HOT * 4, clients=4)
    reading.begun()
    fault = alike.kill_host(REDIRECTOR)
    new = alike.reading(HOT, clients=4)
    reading.well()
    waited, newcomer = longest_pause(reading.good, fault), new.well().after(fault)
    assert max(waited, newcomer) < LOST
    assert alike.relay.sent - before < MIB
    alike.say("one of two redirectors killed", longest_pause=waited, new_reader=newcomer)


def test_tokens_are_checked_at_redirector_and_cache(alike: Cluster) -> None:
    alike.reading(HOT[:2]).well()
    alike.settled()
    (cache,) = (host for host in CACHES if HOT[0] in alike.held(host))
    alike.token(CACHE, alike.root / "user/expired", USER, seconds=-60)
    alike.token(CACHE, alike.root / "user/sibling", USER, prefix="/store/cold")
    doors = {"redirector": f"{CACHE}:1094", "cache": f"{cache}:{SERVERS}"}
    # Hot, and of no cache yet.
    for door, server in doors.items():
        for path in (HOT[0], HOT[5]):
            for token, words in (
                ("/nowhere", "Auth failed"),
                ("/user/expired", "Auth failed"),
                ("/user/sibling", "[3010]"),
            ):
                refused = alike.reading([path], server=server, token=token).end()
                assert refused.errors and not refused.good, f"{token} at the {door} reads {path}"
                assert all(words in error for error in refused.errors), (door, token, refused.errors)
    assert not any(HOT[5] in held for held in spread(alike).values()), "a cache fetched for who may not read"
    # Refused where they came in: no cache has heard of them.
    logins = [len(re.findall("login as", alike.log(f"{host}-xrootd").read_text(errors="replace"))) for host in CACHES]
    for token in ("/nowhere", "/user/expired"):
        alike.reading([HOT[0]], token=token).end()
    after = [len(re.findall("login as", alike.log(f"{host}-xrootd").read_text(errors="replace"))) for host in CACHES]
    assert logins == after
    # What it is good for, it is.
    alike.reading(COLD[:1], token="/user/sibling").well()


def test_nobody_else_is_given_readers(alike: Cluster) -> None:
    """A host that is no cache of the inventory cannot make itself one."""
    log = alike.log(f"{REDIRECTOR}-xrootd")
    asks = f"import socket; socket.create_connection(('{REDIRECTORS[REDIRECTOR]}', 3121), 5).recv(1)"
    for inside, words in (
        ([], "Unable to accept TCP connection from origin.bench.test; permission denied"),
        # A cache is listened to, and has to say who it is.
        (alike.hosts[FIRST].inside, "@cache1 terminated login not received"),
    ):
        since = log.stat().st_size
        run(*inside, "python3", "-c", asks)
        alike.said(log, words, since)


def test_origins_of_four_kinds(several: Cluster) -> None:
    public, grid = ([f"/{name}/{number:03}" for number in range(2)] for name in ("public", "grid"))
    several.token(CACHE, several.root / "user/all", USER, prefix="/")
    figures = {}
    before = several.relay.sent
    for name, paths in (("token", MORE), ("https", public), ("x509", grid)):
        began = time.monotonic()
        several.reading(paths, clients=2, token="/user/all").well()
        figures[name] = time.monotonic() - began
    several.settled()
    assert several.relay.sent - before < MIB, "the second origin was asked for what the first has"
    began = time.monotonic()
    several.reading(COLD, clients=4).well()
    figures["what the first does not have"] = time.monotonic() - began
    several.settled()
    sent = several.relay.sent - before
    assert bytes_of(COLD) <= sent <= 1.1 * bytes_of(COLD)
    for origin, paths in (("storage", MORE), ("facility", COLD), ("public", public), ("grid", grid)):
        held = spread(several, origin)
        assert held[FIRST] | held[SECOND] == set(paths), origin
        assert not held[FIRST] & held[SECOND], origin
    # What caches have needs no origin, if it is of the first that may have it.
    several.stop_outside()
    before = several.relay.sent
    several.reading([*MORE, *public, *grid], clients=8, token="/user/all").well()
    several.start_outside()
    assert several.relay.sent - before < MIB
    several.say("origins of four kinds", **figures, origin_sent=f"{sent / bytes_of(COLD):.2f} of what it was asked for")


def test_what_no_origin_has_is_missing(several: Cluster) -> None:
    began = time.monotonic()
    said = several.copied("/store/none/000")
    assert "[3011]" in said
    several.say("a file that no origin has", said=said.strip(), after=time.monotonic() - began)


def test_each_origin_sees_its_own_credential_alone(several: Cluster) -> None:
    """Nothing that the cache shows to one origin comes to another."""
    several.token(CACHE, several.root / "user/all", USER, prefix="/")
    several.reading([*MORE[:1], *COLD[:1], "/grid/000", "/public/000"], token="/user/all").well()
    places = {
        "xrootd": "/etc/site/token/storage",
        "xrootd-facility": "/etc/cmsaf/xcache-origin/token",
        "xrootd-grid": "/etc/site/proxy/x509",
    }
    for host in CACHES:
        texts = {name: several.hosts[host].place(place).read_bytes().strip() for name, place in places.items()}
        servers = several.servers(host)
        assert sorted(servers) == sorted([*places, "xrootd-public"])
        for name, process in servers.items():
            seen = [other for other, text in texts.items() if text in several.seen(process)]
            assert seen == ([name] if name in texts else []), f"{name} sees what is for {seen}"
    web = (several.root / "tmp/web.log").read_text(encoding="utf-8")
    assert re.search(r"(?m)^20[06] GET /public/000 -$", web)
    assert not re.search(r"/public/\S+ [^-]", web), "public files were asked for with a name or a token"


def test_a_token_that_the_site_renews(several: Cluster) -> None:
    """The storage judges each open by the token of the login: the cache has to log in with each new one."""
    tokens = [several.hosts[host].place("/etc/site/token/storage") for host in CACHES]
    since = {host: several.log(f"{host}-xrootd").stat().st_size for host in CACHES}
    for token in tokens:
        several.storage_token(token, 45)
    ends = time.monotonic() + 45
    for host in CACHES:
        several.said(several.log(f"{host}-xrootd"), "is another one", since[host])
    several.reading(MORE[:2], clients=2).well()
    since = {host: several.log(f"{host}-xrootd").stat().st_size for host in CACHES}
    for token in tokens:
        several.storage_token(token, 20 * 3600)
    reading = several.reading(MORE * 16, clients=2)
    for host in CACHES:
        several.said(several.log(f"{host}-xrootd"), "is another one", since[host])
    time.sleep(max(0, ends - time.monotonic()) + 1)
    before = several.relay.sent
    # Not in any cache yet, and the first token has ended.
    several.reading(MORE[4:], clients=2).well()
    reading.well()
    assert several.relay.sent - before < MIB
    several.say("a token renewed", longest_pause=longest_pause(reading.good, reading.good[0]))


def test_a_token_of_https_that_the_site_renews(lab: Cluster) -> None:
    """Each request has what is in the file: nothing restarts."""
    lab.start_outside()
    lab.up("caches of the web", "redirectors of the web")
    try:
        lab.token(CACHE, lab.root / "user/all", USER, prefix="/")
        lab.reading(["/web/000", HOT[0]], token="/user/all").well()
        lab.web_token("second")
        lab.reading(["/web/001"], token="/user/all").well()
        web = (lab.root / "tmp/web.log").read_text(encoding="utf-8")
        assert [re.findall(rf"(?m)^20[06] GET /web/00{number} (.+)$", web)[0] for number in range(2)] == [
            "Bearer first",
            "Bearer second",
        ]
        logs = [lab.log(f"{host}-xrootd-web").read_text(errors="replace") for host in CACHES]
        assert not any("is another one" in log for log in logs)
    finally:
        lab.web_token("first")
        lab.down()
        lab.stop_outside()
