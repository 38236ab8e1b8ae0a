# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache beside what it is measured by: python cache.py ROOT CONFIG REPORT

ROOT is a root file system with XRootD and nginx, CONFIG holds what role xcache writes for origin and cache. Runs as root in
namespaces of its own, on loopback. All talk TLS and tokens as in a facility. Between cache and origin stands a relay that
delays each direction by half of BENCH_RTT (0.020 s) and counts bytes; "direct" is a client at the origin by way of the same
relay. Caches of several settings take turns, each cold at first.

cold    BENCH_COLD (256 MiB), read once: whole, and as columns (32 kB of each MiB by vector reads)
mixes   files of which 90, 50, 10 of 100 are in the cache already, read whole
hot     BENCH_HOT (2048 MiB) in 16 files, by 1, 4 and 16 streams: whole, and by vector reads of 32 kB
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
RTT = float(os.environ.get("BENCH_RTT", "0.020"))
COLD = int(os.environ.get("BENCH_COLD", "256")) * MIB
HOT = int(os.environ.get("BENCH_HOT", "2048")) * MIB
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
FILES = 16
STREAMS = (1, 4, 16)
CHUNK = 32 * 1024
SERVER, USER = 9940, 6440
ORIGIN, CACHE = "origin.bench.test", "xcache.bench.test"
# The relay is what everybody takes for the origin.
BEHIND, RELAY, FRONT, WEB = 3094, 2094, 1094, 8443
DAY = timedelta(days=1)
# Settings in place of the role's, by the name of the kind.
KINDS: dict[str, dict[str, str]] = {
    "role": {},
    "XRootD's defaults": {"blocksize": "128k", "prefetch": "10"},
    "1m, prefetching": {"blocksize": "1m", "prefetch": "10"},
    "1m": {"blocksize": "1m", "prefetch": "0"},
    "256k": {"blocksize": "256k", "prefetch": "0"},
    "64k": {"blocksize": "64k", "prefetch": "0"},
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


def macaroons() -> Any:
    """The collection's own minting code."""
    spec = importlib.util.spec_from_file_location("macaroon", ROOT / "plugins/module_utils/_macaroon.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["macaroon"] = module
    spec.loader.exec_module(module)
    return module


def run(*argv: str) -> str:
    """Run what has to succeed."""
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


def private(path: Path, text: bytes, owner: int) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    os.chown(path, owner, owner)


class Relay(threading.Thread):
    """Passes bytes on after a pause, as a long line does: nothing waits for what is under way."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.ready = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", RELAY, limit=MIB)
        self.ready.set()
        async with server:
            await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", BEHIND, limit=MIB)
        await asyncio.gather(self._pass(reader, forth, False), self._pass(back, writer, True), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: bool) -> None:
        loop = asyncio.get_running_loop()
        # What a line of this length holds at 10 Gbit/s, and twice that.
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1024)

        async def out() -> None:
            while True:
                due, data = await queue.get()
                pause = due - loop.time()
                if pause > 0:
                    await asyncio.sleep(pause)
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        task = asyncio.create_task(out())
        with contextlib.suppress(OSError):
            while data := await reader.read(256 * 1024):
                if count:
                    self.sent += len(data)
                await queue.put((loop.time() + RTT / 2, data))
        await queue.put((loop.time() + RTT / 2, b""))
        with contextlib.suppress(OSError):
            await task


class Lab:
    """Servers in the root file system, and a user."""

    def __init__(self, root: Path, config: Path) -> None:
        self.root, self.config = root, config
        self.tokens = macaroons()
        self.relay = Relay()
        self.secrets: dict[str, bytes] = {}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self) -> None:
        run("ip", "link", "set", "lo", "up")
        root = self.root
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {ORIGIN} {CACHE}\n", encoding="utf-8")
        for place, options in (("proc", ()), ("dev", ())):
            run("mount", "--bind", f"/{place}", str(root / place), *options)
        for name in ("data", "cache", "tmp", "run", "etc/xrootd", "user"):
            (root / name).mkdir(exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=1777" if name == "tmp" else "mode=755", "none", str(root / name))
        for name in ("etc/xrootd/tls", "etc/xrootd/secrets", "etc/xrootd/cmsaf", "var/spool/xrootd", "run/xrootd"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "etc/xrootd/cmsaf/authdb").write_text("", encoding="utf-8")
        self.certify()
        for name, place in ((ORIGIN, "origin"), (CACHE, "cache")):
            self.secrets[name] = self.tokens.generate_secret()
            private(root / f"etc/xrootd/{place}-secret", self.secrets[name], SERVER)
        self.token(ORIGIN, root / "etc/xrootd/secrets/origin-token", SERVER)
        self.token(CACHE, root / "user/cache", USER)
        self.token(ORIGIN, root / "user/origin", USER)
        self.relay.start()
        self.relay.ready.wait()
        self.configure()
        self.files()

    def files(self) -> None:
        """Random bytes: what is compared is not to be compressed, nor to be the same twice."""
        store = self.root / "data/store"
        for folder, number, size in (
            ("hot", FILES, HOT // FILES),
            ("cold", FILES, COLD // FILES),
            ("mix", 20, 8 * MIB),
        ):
            (store / folder).mkdir(parents=True)
            for index in range(number):
                with (store / folder / f"{index:03}").open("wb") as file:
                    for _ in range(0, size, MIB):
                        file.write(os.urandom(MIB))
        run("chown", "-R", f"{SERVER}:{SERVER}", str(self.root / "data"), str(self.root / "cache"))
        run("chown", "-R", f"{SERVER}:{SERVER}", str(self.root / "run/xrootd"), str(self.root / "var/spool/xrootd"))

    def certify(self) -> None:
        """A private authority, and one certificate for all."""
        now = datetime.now(timezone.utc)

        def named(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
            name = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
            made = x509.CertificateBuilder().subject_name(name[0]).issuer_name(name[1]).public_key(key)
            return (
                made.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)
            )

        above, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority = named("bench", "bench", above.public_key())
        authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        host = named(CACHE, "bench", key.public_key())
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in (ORIGIN, CACHE)])
        host = host.add_extension(names, critical=False)
        pem = serialization.Encoding.PEM
        tls = self.root / "etc/xrootd/tls"
        (tls / "ca.crt").write_bytes(authority.sign(above, hashes.SHA256()).public_bytes(pem))
        (tls / "tls.crt").write_bytes(host.sign(above, hashes.SHA256()).public_bytes(pem))
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        private(tls / "tls.key", secret, SERVER)

    def token(self, site: str, path: Path, owner: int) -> None:
        location = "BENCH-ORIGIN" if site == ORIGIN else "BENCH-XCACHE"
        made = self.tokens.mint(
            secret=self.secrets[site],
            location=location,
            name="",
            activities=("DOWNLOAD", "LIST", "READ_METADATA"),
            path="/store",
            before=datetime.now(timezone.utc) + timedelta(hours=20),
        )
        private(path, made.encode(), owner)

    def configure(self) -> None:
        """The role's files; the two servers keep their things apart, and the origin listens behind the relay."""
        for name in ("origin", "cache"):
            text = (self.config / f"{name}.cfg").read_text(encoding="utf-8")
            text = text.replace("/etc/xrootd/secrets/macaroon-secret", f"/etc/xrootd/{name}-secret")
            text = re.sub(r"(?m)^(all\.(?:adminpath|pidpath) \S+)", rf"\1/{name}", text)
            # There is nobody to tell.
            text = re.sub(r"(?m)^(xrd\.report|xrootd\.mongstream) .*\n", "", text)
            if name == "origin":
                text = re.sub(r"(?m)^xrd\.port .*", f"xrd.port {BEHIND}", text)
            (self.root / f"etc/xrootd/cmsaf/{name}.cfg").write_text(text, encoding="utf-8")
            for folder in ("var/spool/xrootd", "run/xrootd"):
                (self.root / folder / name).mkdir(parents=True, exist_ok=True)

    def start(self, name: str, changed: dict[str, str] | None = None) -> None:
        path = self.root / f"etc/xrootd/cmsaf/{name}.cfg"
        text = path.read_text(encoding="utf-8")
        for setting, value in (changed or {}).items():
            text, count = re.subn(rf"(?m)^pfc\.{setting} .*", f"pfc.{setting} {value}", text)
            if count != 1:
                sys.exit(f"the role's configuration sets pfc.{setting} {count} times")
        path.with_suffix(".now").write_text(text, encoding="utf-8")
        log = self.root / f"tmp/{name}.log"
        env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": f"/var/spool/xrootd/{name}",
            "BEARER_TOKEN_FILE": "/etc/xrootd/secrets/origin-token",
            "X509_CERT_FILE": "/etc/xrootd/tls/ca.crt",
        }
        argv = [*self.chroot(SERVER), "xrootd", "-c", f"/etc/xrootd/cmsaf/{name}.now", "-n", name]
        with log.open("wb") as output:
            self.running[name] = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.STDOUT)
        end = time.monotonic() + 20
        while not re.search(rb"xrootd \S+ initialization completed", log.read_bytes()):
            if self.running[name].poll() is not None or time.monotonic() > end:
                sys.exit(f"{name} does not start:\n" + log.read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def stop(self, name: str) -> None:
        server = self.running.pop(name)
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def fresh(self, changed: dict[str, str]) -> None:
        """A cache that holds nothing."""
        if "cache" in self.running:
            self.stop("cache")
        disk = self.root / "cache/0"
        shutil.rmtree(disk, ignore_errors=True)
        for folder in (disk, *(disk / name for name in ("namespace", "data", "meta"))):
            folder.mkdir()
            os.chown(folder, SERVER, SERVER)
        self.start("cache", changed)

    def web(self) -> None:
        (self.root / "etc/nginx/nginx.conf").write_text(NGINX.format(address="127.0.0.1", port=WEB), encoding="utf-8")
        argv = ["chroot", str(self.root), "nginx"]
        self.running["nginx"] = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)

    def chroot(self, user: int) -> list[str]:
        return ["chroot", f"--userspec={user}:{user}", str(self.root)]

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
        env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/tmp",
            "X509_CERT_FILE": "/etc/xrootd/tls/ca.crt",
            "BEARER_TOKEN_FILE": "/user/cache" if server == CACHE else "/user/origin",
            "XRD_CONNECTIONRETRY": "1",
        }
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


GET = """
import sys, urllib.request
buffer = bytearray(1 << 20)
for url in sys.argv[1:]:
    with urllib.request.urlopen(url) as answer:
        while answer.readinto(buffer):
            pass
"""


def cold(lab: Lab) -> dict[str, Any]:
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
                f"  {kind:20} {asked[shape] / seconds / 1e6:7.0f} MB/s, {one['ratio']:5.2f} times direct's time, "
                f"origin sent {one['bytes']:6.2f} times what was asked",
                flush=True,
            )
    return found


def mixes(lab: Lab) -> dict[str, Any]:
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


def hot(lab: Lab) -> dict[str, Any]:
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
    lab = Lab(root, config)
    lab.prepare()
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
