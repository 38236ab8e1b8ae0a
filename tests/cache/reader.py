# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients that read and compare each byte: python3 reader.py URL MOST FIRST CLIENTS PATH...

URL is roots://host:port. Of each file MOST bytes are read, all if it is 0, and compared with /data in front of its path.
The clients are named from FIRST on, as each name has a connection of its own. If there are more of them than paths, they
share these. Prints "reading" when the first bytes have come, and at the end a line of JSON.
"""

from __future__ import annotations

import json
import mmap
import sys
import threading
import time
from pathlib import Path

from XRootD import client
from XRootD.client.flags import OpenFlags

CHUNK = 1 << 20


class Reader:
    def __init__(self, url: str, most: int) -> None:
        self.scheme, self.server = url.split("://")
        self.most = most
        self.lock = threading.Lock()
        # When an answer came that was right, by CLOCK_MONOTONIC.
        self.good: list[float] = []
        self.reads: list[dict[str, object]] = []

    def client(self, name: str, paths: list[str]) -> None:
        for path in paths:
            one: dict[str, object] = {"path": path, "read": 0, "wrong": 0, "error": ""}
            self.read(f"{self.scheme}://{name}@{self.server}/{path}", one)
            with self.lock:
                self.reads.append(one)

    def read(self, url: str, one: dict[str, object]) -> None:
        with Path(f"/data{one['path']}").open("rb") as file:
            right = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        file = client.File()
        status, _answer = file.open(url, OpenFlags.READ)
        at, end = 0, min(len(right), self.most or len(right))
        while status.ok and at < end:
            status, data = file.read(at, min(CHUNK, end - at))
            if not status.ok:
                break
            if not data:
                one["error"] = f"no bytes at {at}"
                break
            wanted = right[at : at + len(data)]
            if data == wanted:
                self.answered()
            else:
                one["wrong"] += sum(a != b for a, b in zip(data, wanted, strict=True))
            at += len(data)
        one["read"] = at
        if not status.ok:
            one["error"] = status.message.strip()
        file.close()

    def answered(self) -> None:
        with self.lock:
            if not self.good:
                print("reading", flush=True)
            self.good.append(time.monotonic())


def main() -> None:
    url, most, first, clients = sys.argv[1], *map(int, sys.argv[2:5])
    paths = sys.argv[5:]
    turns = range(max(clients, len(paths)))
    reader = Reader(url, most)
    threads = [
        threading.Thread(
            target=reader.client,
            args=(f"u{first + number}", [paths[turn % len(paths)] for turn in turns[number::clients]]),
        )
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"good": reader.good, "reads": reader.reads}))


if __name__ == "__main__":
    main()
