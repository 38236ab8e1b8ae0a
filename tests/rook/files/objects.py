# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes objects into a pool, or reads all of them back and compares; the last line says how it went, as JSON.

write POOL COUNT    write COUNT objects, some at a time
check POOL COUNT    read them all, but those that standard input lists as not acknowledged
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time

import rados

THREADS, SIZE = 16, 4096


def content(number: int) -> bytes:
    """What object of this number holds: as much as is wanted of a hash that nobody writes by accident."""
    return (hashlib.sha256(f"object {number}".encode()).digest() * (SIZE // 32))[:SIZE]


class Run:
    """One run over all objects, in threads."""

    def __init__(self, ioctx: rados.Ioctx, mode: str, count: int, left_out: set[int]) -> None:
        self.ioctx, self.mode, self.count, self.left_out = ioctx, mode, count, left_out
        self.good: list[int] = []
        self.bad: dict[int, str] = {}
        self.slowest = 0.0
        self.lock = threading.Lock()

    def one(self, number: int) -> str:
        """Write or check one object; what is wrong with it, if anything."""
        name = f"soak-{number}"
        try:
            if self.mode == "write":
                self.ioctx.write_full(name, content(number))
            elif self.ioctx.read(name, SIZE + 1) != content(number):
                return "other content"
        except rados.Error as error:
            return str(error)
        return ""

    def work(self, first: int) -> None:
        for number in range(first, self.count, THREADS):
            if number in self.left_out:
                continue
            began = time.monotonic()
            problem = self.one(number)
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - began)
                if problem:
                    self.bad[number] = problem
                else:
                    self.good.append(number)

    def all(self) -> dict[str, object]:
        began = time.monotonic()
        threads = [threading.Thread(target=self.work, args=(first,)) for first in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        return {
            "mode": self.mode,
            "good": len(self.good),
            "bad": self.bad,
            "seconds": round(seconds, 1),
            "per_second": round(len(self.good) / seconds),
            "slowest": round(self.slowest, 1),
        }


def main() -> None:
    mode, pool, count, left_out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster, cluster.open_ioctx(pool) as ioctx:
        print(json.dumps(Run(ioctx, mode, count, set(map(int, left_out))).all()))


if __name__ == "__main__":
    main()
