# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients that read and compare each byte: python3 reader.py URL MOST FIRST CLIENTS PATH...

URL is roots://host:port. Of each file MOST bytes are read, all if it is 0, the first 32 KiB of each MiB by vector reads if it is
-1, and compared with /data in front of its path. The clients are named from FIRST on, as each name has a connection of its own.
If there are more of them than paths, they share these. Prints "reading" when the first bytes have come, and at the end a line of
JSON.
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
COLUMN = 32 * 1024
# Pieces that a vector read asks for.
PIECES = 64


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
        if status.ok:
            status = self.columns(file, right, one) if self.most < 0 else self.straight(file, right, one)
        if not status.ok:
            one["error"] = status.message.strip()
        file.close()

    def straight(self, file: client.File, right: mmap.mmap, one: dict[str, object]) -> object:
        at, end = 0, min(len(right), self.most or len(right))
        while at < end:
            status, data = file.read(at, min(CHUNK, end - at))
            if not status.ok:
                return status
            if not data:
                one["error"] = f"no bytes at {at}"
                return status
            self.compare(data, right[at : at + len(data)], one)
            at += len(data)
        return status

    def columns(self, file: client.File, right: mmap.mmap, one: dict[str, object]) -> object:
        pieces = [(at, min(COLUMN, len(right) - at)) for at in range(0, len(right), CHUNK)]
        for first in range(0, len(pieces), PIECES):
            status, answer = file.vector_read(pieces[first : first + PIECES])
            if not status.ok:
                return status
            for piece in answer.chunks:
                self.compare(piece.buffer, right[piece.offset : piece.offset + piece.length], one)
        return status

    def compare(self, data: bytes, wanted: bytes, one: dict[str, object]) -> None:
        if data == wanted:
            self.answered()
        else:
            one["wrong"] += sum(a != b for a, b in zip(data, wanted, strict=True))
        one["read"] += len(data)

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
