# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes objects into a pool, or reads all that were acknowledged back and compares; the last line says how it went, as JSON.

write POOL NAME RATE    write RATE objects a second until the file /tmp/NAME.stop is there, and leave what was acknowledged in
                        /tmp/NAME.json; each second a line says how many are
check POOL NAME...      read all of these writers' objects
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import rados

THREADS, SIZE = 16, 4096
# Seconds before the end in which a writer has to have written still.
TAIL = 5


def content(name: str) -> bytes:
    """What the object of this name holds: as much as is wanted of a hash that nobody writes by accident."""
    return (hashlib.sha256(name.encode()).digest() * (SIZE // 32))[:SIZE]


def in_threads(work: Callable[[int], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


class Writer:
    """One writer. Object n belongs to thread n % THREADS, so each thread's are written in their order."""

    def __init__(self, ioctx: rados.Ioctx, name: str, rate: float) -> None:
        self.ioctx, self.name, self.pause = ioctx, name, THREADS / rate
        self.good: list[str] = []
        self.refused: dict[str, str] = {}
        self.slowest = self.longest = 0.0
        self.last = time.monotonic()
        self.times: list[float] = []
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def one(self, name: str) -> None:
        began = time.monotonic()
        problem = ""
        try:
            self.ioctx.write_full(name, content(name))
        except rados.Error as error:
            problem = str(error)
        now = time.monotonic()
        with self.lock:
            if problem:
                self.refused[name] = problem
                return
            self.good.append(name)
            self.times.append(now)
            self.slowest = max(self.slowest, now - began)
            self.longest = max(self.longest, now - self.last)
            self.last = now

    def work(self, number: int) -> None:
        due = time.monotonic()
        while not self.stop.is_set():
            self.one(f"soak-{self.name}-{number}")
            number += THREADS
            due = max(due + self.pause, time.monotonic() - self.pause)
            self.stop.wait(max(0.0, due - time.monotonic()))

    def run(self) -> dict[str, object]:
        began = time.monotonic()
        threads = in_threads(self.work)
        while not Path(f"/tmp/{self.name}.stop").exists():
            print(json.dumps({"acknowledged": len(self.good)}), flush=True)
            time.sleep(1)
        ended = time.monotonic()
        self.stop.set()
        for thread in threads:
            thread.join()
        Path(f"/tmp/{self.name}.json").write_text(json.dumps(self.good), encoding="utf-8")
        return {
            "acknowledged": len(self.good),
            "refused": len(self.refused),
            "words": sorted(set(self.refused.values())),
            "seconds": round(ended - began, 1),
            "slowest": round(self.slowest, 1),
            "nothing_acknowledged_for": round(self.longest, 1),
            "in_the_last_seconds": sum(moment > ended - TAIL for moment in self.times),
        }


def checked(ioctx: rados.Ioctx, names: Iterable[str]) -> dict[str, object]:
    """How many objects hold what was written, and what is wrong with the others."""
    listed = list(names)
    good: list[str] = []
    bad: dict[str, str] = {}

    def work(first: int) -> None:
        for name in listed[first::THREADS]:
            try:
                found = ioctx.read(name, SIZE + 1)
            except rados.Error as error:
                bad[name] = str(error)
                continue
            if found == content(name):
                good.append(name)
            else:
                bad[name] = f"other content, {len(found)} bytes"

    for thread in in_threads(work):
        thread.join()
    return {"good": len(good), "bad": dict(list(bad.items())[:20]), "bad_count": len(bad)}


def main() -> None:
    mode, pool, *arguments = sys.argv[1:]
    with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster, cluster.open_ioctx(pool) as ioctx:
        if mode == "write":
            name, rate = arguments
            print(json.dumps(Writer(ioctx, name, float(rate)).run()))
        else:
            lists = (json.loads(Path(f"/tmp/{name}.json").read_text(encoding="utf-8")) for name in arguments)
            print(json.dumps(checked(ioctx, (name for names in lists for name in names))))


if __name__ == "__main__":
    main()
