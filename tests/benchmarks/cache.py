# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache beside what it is measured by: python cache.py ROOT CONFIG REPORT

ROOT is a root file system with XRootD and nginx, CONFIG holds what role xcache writes for origin and cache (tests/cache/lab.sh).
The relay between cache and origin delays each direction by half of BENCH_RTT (0.020 s); "direct" is a client at the origin by
way of the same relay. Caches of several settings take turns, each cold at first.

cold    BENCH_COLD (256 MiB), read once: whole, and as columns (32 kB of each MiB by vector reads)
mixes   files of which 90, 50, 10 of 100 are in the cache already, read whole
hot     BENCH_HOT (2048 MiB) in 16 files, by 1, 4 and 16 streams: whole, and by vector reads of 32 kB
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cache"))
from lab import BEHIND, CACHE, FRONT, MIB, ORIGIN, RELAY, USER, Lab

RTT = float(os.environ.get("BENCH_RTT", "0.020"))
COLD = int(os.environ.get("BENCH_COLD", "256")) * MIB
HOT = int(os.environ.get("BENCH_HOT", "2048")) * MIB
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
FILES = 16
STREAMS = (1, 4, 16)
CHUNK = 32 * 1024
WEB = 8443
# Settings in place of the role's, by the name of the kind.
KINDS: dict[str, dict[str, str]] = {
    "role": {},
    "XRootD's defaults": {
        "pfc.blocksize": "128k",
        "pfc.prefetch": "10",
        "pfc.cschk": "net",
        "xrootd.async": "timeout 45",
    },
    "role, prefetching": {"pfc.prefetch": "10"},
    "role, 8 times 64k at once": {"xrootd.async": "timeout 360"},
    "role, line checked twice": {"pfc.cschk": "net cache"},
    "role, disk not checked": {"pfc.cschk": "off"},
    "role, 64k": {"pfc.blocksize": "64k"},
    "role, 256k": {"pfc.blocksize": "256k"},
    "role, 1m": {"pfc.blocksize": "1m"},
}
CLIENT = """
import json, sys, threading
from XRootD import client
from XRootD.client.flags import OpenFlags

urls, chunk, stride = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def one(url):
    file = client.File()
    status, _ = file.open(url, OpenFlags.READ)
    if not status.ok:
        raise SystemExit(url + ": " + status.message)
    status, info = file.stat()
    places = [(at, min(chunk, info.size - at)) for at in range(0, info.size, stride)]
    size = 0
    for first in range(0, len(places), 64):
        status, answer = file.vector_read(places[first:first + 64])
        if not status.ok:
            raise SystemExit(url + ": " + status.message)
        size += answer.size
    file.close()
    return size

total = sum(one(url) for url in urls)
print(total)
"""
GET = """
import sys, urllib.request
buffer = bytearray(1 << 20)
for url in sys.argv[1:]:
    with urllib.request.urlopen(url) as answer:
        while answer.readinto(buffer):
            pass
"""
NGINX = """\
worker_processes 2;
daemon off;
pid /run/nginx.pid;
error_log /dev/stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    server {{
        listen {address}:{port};
        root /data;
    }}
}}
"""


class Bench(Lab):
    """With clients that are measured, and nginx beside."""

    def web(self) -> None:
        (self.root / "etc/nginx/nginx.conf").write_text(NGINX.format(address="127.0.0.1", port=WEB), encoding="utf-8")
        argv = ["chroot", str(self.root), "nginx"]
        self.running["nginx"] = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)

    def read(self, server: str, folder: str, streams: int = 1, columns: int = 0, some: slice = slice(None)) -> float:
        """Seconds for all of a folder's files, shared out to streams: whole, or CHUNK of every so many bytes."""
        paths = sorted((self.root / f"data/store/{folder}").iterdir())[some]
        shares = [paths[number::streams] for number in range(streams)]
        commands = []
        for share in shares:
            names = [f"store/{folder}/{path.name}" for path in share]
            if server == "copy":
                commands.append(["cat", *(f"/data/{name}" for name in names)])
            elif server == "nginx":
                commands.append(["python3", "/user/get.py", *(f"http://127.0.0.1:{WEB}/{name}" for name in names)])
            else:
                port = {CACHE: FRONT, ORIGIN: RELAY, "origin": BEHIND}[server]
                urls = [f"roots://{ORIGIN if server == 'origin' else server}:{port}//{name}" for name in names]
                size, stride = (CHUNK, columns) if columns else (8 * MIB, 0)
                if columns:
                    commands.append(["python3", "/user/client.py", json.dumps(urls), str(size), str(stride)])
                else:
                    commands.append(
                        ["sh", "-c", 'for url; do xrdcp --nopbar --silent "$url" - || exit 1; done', "-", *urls]
                    )
        env = {**self.user(server), "XRD_CONNECTIONRETRY": "1"}
        began = time.monotonic()
        started = [
            subprocess.Popen(
                self.chroot(USER) + command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            for command in commands
        ]
        said = [process.communicate()[1] for process in started]
        seconds = time.monotonic() - began
        if any(process.returncode for process in started):
            logs = [path.read_text(errors="replace")[-1500:] for path in sorted((self.root / "tmp").glob("*.log"))]
            sys.exit("\n".join([f"reading {folder} from {server}: {said}", *logs]))
        return seconds


def cold(lab: Bench) -> dict[str, Any]:
    """Once through, beside a client at the origin over the same line."""
    found: dict[str, Any] = {}
    asked = {"whole": COLD, "columns": COLD // MIB * CHUNK}
    for shape, columns in (("whole", 0), ("columns", MIB)):
        direct = statistics.median(lab.read(ORIGIN, "cold", columns=columns) for _ in range(ROUNDS))
        print(f"cold, {shape}: direct {asked[shape] / direct / 1e6:.0f} MB/s ({direct:.2f} s)", flush=True)
        for kind, changed in KINDS.items():
            times, sent = [], 0
            for _ in range(ROUNDS):
                lab.fresh(changed)
                before = lab.relay.sent
                times.append(lab.read(CACHE, "cold", columns=columns))
                # What is fetched ahead comes later.
                time.sleep(2)
                sent = lab.relay.sent - before
            seconds = statistics.median(times)
            one = {"seconds": seconds, "direct": direct, "ratio": seconds / direct, "bytes": sent / asked[shape]}
            found[f"{shape}, {kind}"] = one
            print(
                f"  {kind:26} {asked[shape] / seconds / 1e6:7.0f} MB/s, {one['ratio']:5.2f} times direct's time, "
                f"origin sent {one['bytes']:6.2f} times what was asked",
                flush=True,
            )
    return found


def mixes(lab: Bench) -> dict[str, Any]:
    """Files of which some are cached."""
    found = {}
    for kind in ("role", "XRootD's defaults"):
        for share in (90, 50, 10):
            lab.fresh(KINDS[kind])
            lab.read(CACHE, "mix", some=slice(0, 20 * share // 100))
            seconds = lab.read(CACHE, "mix", streams=4)
            found[f"{share} %, {kind}"] = seconds
            print(f"mix, {share} % cached, {kind}: {20 * 8 * MIB / seconds / 1e6:.0f} MB/s", flush=True)
    return found


def hot(lab: Bench) -> dict[str, Any]:
    """From the cache, beside the origin without the line between, nginx and a copy."""
    found: dict[str, Any] = {}
    lab.fresh({})
    lab.read(CACHE, "hot", streams=4)
    for shape, columns in (("whole", 0), ("vector", CHUNK * 2)):
        size = HOT if not columns else HOT // 2
        for streams in STREAMS:
            times: dict[str, list[float]] = {}
            names = [CACHE, "origin", *(() if columns else ("nginx", "copy"))]
            for turn in range(ROUNDS):
                # Every second round in the other order, so that what else goes on falls on all.
                for name in names if turn % 2 == 0 else reversed(names):
                    times.setdefault(name, []).append(lab.read(name, "hot", streams, columns))
            rates = {name: size / statistics.median(all_of) / 1e6 for name, all_of in times.items()}
            found[f"{shape}, {streams}"] = rates
            print(
                f"hot, {shape}, {streams:2} streams: cache {rates[CACHE]:.0f} MB/s, direct {rates['origin']:.0f} "
                f"(ratio {rates[CACHE] / rates['origin']:.2f})"
                + "".join(f", {name} {rates[name]:.0f}" for name in names[2:]),
                flush=True,
            )
    return found


def main() -> None:
    root, config, report = map(Path, sys.argv[1:])
    lab = Bench(root, config, RTT / 2)
    lab.prepare([("hot", FILES, HOT // FILES), ("cold", FILES, COLD // FILES), ("mix", 20, 8 * MIB)])
    for name, text in (("client.py", CLIENT), ("get.py", GET)):
        (root / "user" / name).write_text(text, encoding="utf-8")
    lab.start("origin")
    lab.web()
    wanted = os.environ.get("BENCH_PARTS", "cold mixes hot").split()
    parts = {"cold": cold, "mixes": mixes, "hot": hot}
    found = {name: parts[name](lab) for name in wanted}
    report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
