# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a cache, made for real: no wrong byte is delivered, and it serves again (make soak TARGET=cache).

How long it took is printed, and written to a file of CACHE_LAB_REPORT.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from lab import GUARD, MIB, RELAY, USER, run
from watched import LIMIT, Watched

# Each way between cache and origin, in seconds: a file of 32 MiB takes a while.
PAUSE = 0.01
FILL = [f"/store/fill/{number:03}" for number in range(8)]
MANY = [f"/store/many/{number:03}" for number in range(128)]
SMALL = "/store/small/000"
COLUMNS = -1
DROP = (
    "add table inet fault; add chain inet fault input { type filter hook input priority 0; };"
    f"add rule inet fault input tcp dport {RELAY} drop; add rule inet fault input tcp sport {RELAY} drop"
)
CLOCK = "/tmp/clock"
FAKETIME = {
    "LD_PRELOAD": f"{GUARD} /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "FAKETIME_TIMESTAMP_FILE": CLOCK,
    # Else it jumps some seconds after it was told.
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
}

# Of random pieces of random pages, what went before included; then how long each takes for a page, in microseconds.
CHECKSUMS = """
import ctypes, json, os, random, sys, time

page = 4096
data = os.urandom(64 * page)
kept = ctypes.create_string_buffer(data, len(data))

def made(library):
    found = ctypes.CDLL(library)._Z6crc32cjPKvm
    found.argtypes, found.restype = [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t], ctypes.c_uint32
    return found

def microseconds(function):
    began = time.perf_counter()
    for number in range(6400):
        function(0, ctypes.addressof(kept) + number % 64 * page, page)
    return (time.perf_counter() - began) / 6400 * 1e6

theirs, guarded = map(made, sys.argv[1:])
wrong = 0
for _ in range(20000):
    length = random.randrange(3 * page)
    at = ctypes.addressof(kept) + random.randrange(len(data) - length)
    before = random.choice([0, random.getrandbits(32)])
    wrong += theirs(before, at, length) != guarded(before, at, length)
print(json.dumps([wrong, guarded(0, b"123456789", 9), microseconds(theirs), microseconds(guarded)]))
"""


class Faulty(Watched):
    """A lab whose servers, disks, lines and clock break."""

    def kill(self, name: str) -> float:
        server = self.running.pop(name)
        server.kill()
        server.wait()
        return time.monotonic()

    def cached(self, path: str, suffix: str = "") -> Path:
        """The file on the cache's disk, behind the link in its name space."""
        link = self.root / f"cache/0/facility/namespace{path}{suffix}"
        return self.root / os.readlink(link).lstrip("/")

    def memory(self, name: str) -> int:
        """The most that a server had in memory, in bytes."""
        text = Path(f"/proc/{self.running[name].pid}/status").read_text(encoding="ascii")
        (found,) = re.findall(r"VmHWM:\s+(\d+) kB", text)
        return int(found) * 1024


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


@pytest.fixture(scope="module")
def lab() -> Iterator[Faulty]:
    place = Faulty(Path(os.environ["CACHE_LAB_ROOT"]), Path(os.environ["CACHE_LAB_CONFIG"]), PAUSE)
    place.prepare([("fill", len(FILL), 32 * MIB), ("many", len(MANY), 16 * MIB), ("small", 1, 4 * MIB)])
    place.start("origin")
    yield place
    place.report("faults")


@pytest.mark.parametrize("wait", [0.1, 0.3, 0.6])
def test_killed_while_it_fills(lab: Faulty, wait: float) -> None:
    lab.fresh()
    reading = lab.reading(FILL, clients=4)
    reading.begun()
    time.sleep(wait)
    fault = lab.kill("cache")
    lab.start("cache")
    started = time.monotonic() - fault
    other = lab.reading(FILL[-1:])
    reading.well()
    assert [at for at in reading.good if at > fault], "it was not in the middle of anything"
    lab.say(
        f"killed after {wait} s",
        started=started,
        new_reader=other.well().after(fault),
        waiting_reader=reading.after(fault),
    )
    lab.settled()
    lab.reading(FILL, clients=4).well()


def test_disk_full(lab: Faulty) -> None:
    lab.fresh()
    lab.stop("cache")
    disk = lab.root / "cache/0"
    run("mount", "-t", "tmpfs", "-o", "size=96m", "none", str(disk))
    try:
        lab.fresh()
        # What others put there is not the cache's to remove.
        others = disk / "others"
        others.write_bytes(bytes(4 * MIB))
        lab.reading(FILL, clients=4).well()
        lab.kill("cache")
        lab.start("cache")
        lab.reading(FILL, clients=4).well()
        with others.open("ab", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(MIB))
        lab.reading(FILL, clients=4).well()
        lab.stop("cache")
        try:
            lab.start("cache")
            starts = True
        except RuntimeError as error:
            starts = False
            print(error)
        os.truncate(others, others.stat().st_size - 2 * MIB)
        if not starts:
            lab.start("cache")
        began = time.monotonic()
        lab.reading(FILL[:1]).well()
        # It makes room of what is its own.
        while shutil.disk_usage(disk).free < 8 * MIB:
            assert time.monotonic() < began + LIMIT, "nothing was purged"
            time.sleep(1)
        purged = time.monotonic() - began
        lab.settled()
        before = lab.relay.sent
        lab.reading([SMALL]).well()
        lab.settled()
        lab.reading([SMALL]).well()
        assert lab.relay.sent - before < 5 * MIB, "the cache keeps nothing after it was full"
        lab.say("disk full", purged_after=purged, starts_when_others_left_nothing=starts)
    finally:
        if "cache" in lab.running:
            lab.stop("cache")
        run("umount", str(disk))


def lose(lab: Faulty, how: str) -> None:
    if how == "refused":
        lab.relay.refuse()
    else:
        run("nft", DROP)


def bring_back(lab: Faulty, how: str) -> None:
    if how == "refused":
        lab.relay.accept()
    else:
        run("nft", "delete table inet fault")


@pytest.mark.parametrize("outage", [3, 20, 75])
@pytest.mark.parametrize("how", ["refused", "silent"])
def test_origin_lost_and_back(lab: Faulty, how: str, outage: int) -> None:
    lab.fresh()
    lab.reading([SMALL]).well()
    lab.settled()
    waiting = lab.reading(FILL[:4], clients=2)
    waiting.begun()
    lose(lab, how)
    try:
        began = time.monotonic()
        hot = lab.reading([SMALL]).well().after(began)
        other = lab.reading(FILL[-1:])
        time.sleep(max(0, began + outage - time.monotonic()))
    finally:
        back = time.monotonic()
        bring_back(lab, how)
    lab.say(
        f"origin {how} for {outage} s",
        hot=hot,
        waiting_reader=waiting.well().after(back),
        new_reader=other.well().after(back),
    )


def test_origin_back_after_the_cache_gave_up(lab: Faulty) -> None:
    lab.fresh(environ={"XRD_CONNECTIONRETRY": "2"})
    lab.relay.refuse()
    try:
        refused = lab.reading([SMALL]).end()
    finally:
        lab.relay.accept()
    assert refused.errors, "it did not give up"
    lab.say("origin back after the cache gave up", said=refused.errors, new_reader=lab.again(SMALL))


@pytest.mark.parametrize("whole", [True, False])
def test_flipped_byte_in_a_cached_block(lab: Faulty, whole: bool) -> None:
    path = FILL[0]
    lab.fresh()
    lab.reading([path], most=0 if whole else 8 * MIB).well()
    lab.settled()
    flip(lab.cached(path), 5 * MIB + 17)
    found = lab.reading([path]).end()
    assert found.errors, "nobody noticed"
    kind = "complete" if whole else "partial"
    lab.say(
        f"flipped byte in a {kind} file", read=found.reads[0]["read"], said=found.errors, new_reader=lab.again(path)
    )


def test_flipped_byte_in_its_checksums(lab: Faulty) -> None:
    lab.fresh()
    lab.reading([SMALL]).well()
    lab.settled()
    size = lab.cached(f"/.xrdt{SMALL}", ".xrdt").stat().st_size
    said, longest = set(), 0.0
    for at in range(0, size, max(1, size // 12)):
        flip(lab.cached(f"/.xrdt{SMALL}", ".xrdt"), at)
        said.update(lab.reading([SMALL]).end().errors)
        longest = max(longest, lab.again(SMALL))
        lab.settled()
    lab.say("flipped byte in the checksums", bytes=size, said=sorted(said), new_reader=longest)


def test_flipped_byte_in_cinfo(lab: Faulty) -> None:
    lab.fresh()
    lab.reading([SMALL]).well()
    lab.settled()
    size = lab.cached(SMALL, ".cinfo").stat().st_size
    for at in range(0, size, max(1, size // 24)):
        flip(lab.cached(SMALL, ".cinfo"), at)
        lab.reading([SMALL]).well()
        lab.settled()
    lab.say("flipped byte in cinfo", bytes=size)


def test_cut_off_file(lab: Faulty) -> None:
    lab.fresh()
    lab.reading([SMALL]).well()
    lab.settled()
    with lab.cached(SMALL).open("r+b") as file:
        file.truncate(3 * MIB)
    lab.reading([SMALL]).well()


def test_checksums_are_those_of_xrootd(lab: Faulty) -> None:
    """What caches have on their disks stays good with the guard, and without it."""
    said = run(*lab.chroot(USER), "python3", "-c", CHECKSUMS, "libXrdUtils.so.6", GUARD)
    wrong, known, theirs, guarded = json.loads(said)
    lab.say("a page's checksum, in microseconds", by_xrootd=theirs, guarded=guarded)
    assert wrong == 0
    # The check value of CRC-32C in the catalogue of parametrised CRC algorithms.
    assert known == 0xE3069283


def test_clock_jumps(lab: Faulty) -> None:
    clock = lab.root / CLOCK.lstrip("/")

    def jump(seconds: int) -> None:
        # At once: the server must not find half of it.
        clock.with_suffix(".new").write_text(f"{seconds:+}\n", encoding="ascii")
        clock.with_suffix(".new").rename(clock)

    jump(0)
    for seconds in (7200, -7200):
        lab.fresh(environ=FAKETIME)
        reading = lab.reading(FILL, clients=2)
        reading.begun()
        fault = time.monotonic()
        jump(seconds)
        new = lab.reading([SMALL]).well().after(fault)
        lab.say(f"clock jumped by {seconds} s", waiting_reader=reading.well().after(fault), new_reader=new)
        lab.reading(FILL, clients=2).well()
        jump(0)
        lab.reading(FILL, clients=2).well()
    # Beyond the end of tokens and certificates.
    jump(2 * 86400)
    refused = lab.reading(FILL[:1]).end()
    assert refused.errors and not refused.reads[0]["read"]
    jump(0)
    lab.reading(FILL[:1]).well()
    lab.stop("cache")


def test_many_files_by_many_clients(lab: Faulty) -> None:
    lab.fresh()
    began = time.monotonic()
    # Each file is read by two.
    each = 16
    readings = [lab.reading((MANY * 2)[first : first + each], clients=each) for first in range(0, 256, each)]
    for reading in readings:
        reading.well()
    (ram,) = re.findall(r"(?m)^pfc\.ram (\d+)g$", lab.rendered("cache").files["xrootd.cfg"])
    used, most = lab.memory("cache"), 1.2 * int(ram) * 1024 * MIB
    lab.say("128 files by 256 clients", seconds=time.monotonic() - began, memory=f"{used / MIB:.0f} MiB")
    assert used <= most, f"{used} bytes in memory, more than {most:.0f}"


@pytest.mark.parametrize("ram", ["1g", "3g"])
def test_columns_of_many_files_at_once(lab: Faulty, ram: str) -> None:
    """A piece that is asked for wants a whole block in memory; one that finds no place is read past the cache, and not kept."""
    lab.fresh({"pfc.ram": ram})
    sent = []
    for _turn in range(2):
        before = lab.relay.sent
        lab.reading(MANY, clients=len(MANY), most=COLUMNS).well()
        lab.settled()
        sent.append((lab.relay.sent - before) / MIB)
    lab.say(
        f"columns of 128 files by 128 clients, {ram}",
        memory=f"{lab.memory('cache') / MIB:.0f} MiB",
        origin_sent="{:.0f} MiB, then {:.0f} MiB".format(*sent),
    )
    if ram == "3g":
        assert sent[1] < 16, "there was room for all, and it was not kept"
