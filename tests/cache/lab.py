# SPDX-License-Identifier: GPL-3.0-or-later
"""An XRootD cache and its origin as role xcache sets them, without a cluster: servers in a root file system, and a user.

For programs that run as root in namespaces of their own, on loopback (lab.sh). All talk TLS and tokens as in a facility.
Between cache and origin stands a relay, which everybody takes for the origin: it delays, counts bytes, and refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Union

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

sys.path.insert(0, str(Path(__file__).resolve().parent))
from kinds import BEHIND, CACHE, ORIGIN, RELAY
from rendered import Rendered, read

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
SERVER, USER = 9940, 6440
FRONT = 1094
DAY = timedelta(days=1)
# As the image has it.
GUARD = "/usr/local/lib/cmsaf-xrootd-guard.so"
PROGRAMS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
READING = ("DOWNLOAD", "LIST", "READ_METADATA")
Key = Union[ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey]


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


class Authority:
    """A private authority. Grid software wants RSA of it and of all that it certifies."""

    def __init__(self, name: str, grid: bool = False) -> None:
        self.name, self.grid = name, grid
        self._key = self._generate()
        made = self._named(name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = self._signed(made)

    def certify(self, subject: str, names: Iterable[str] = ()) -> tuple[bytes, bytes]:
        """A certificate and its key, as PEM."""
        key = self._generate()
        made = self._named(subject, key).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            made = made.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
        form = serialization.PrivateFormat.PKCS8
        return self._signed(made), key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    def _generate(self) -> Key:
        if self.grid:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return ec.generate_private_key(ec.SECP256R1())

    def _named(self, subject: str, key: Key) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        name, issuer = (
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (subject, self.name)
        )
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        return made.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)

    def _signed(self, made: x509.CertificateBuilder) -> bytes:
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Relay(threading.Thread):
    """Passes bytes on after `pause` seconds, as a long line does: nothing waits for what is under way."""

    def __init__(self, pause: float, address: str = "127.0.0.1") -> None:
        super().__init__(daemon=True)
        self.pause, self.address = pause, address
        self.sent = 0
        self.ready = threading.Event()
        self.lines: set[asyncio.StreamWriter] = set()

    def run(self) -> None:
        asyncio.run(self._serve())

    def refuse(self) -> None:
        """As a host whose server has ended: connections are reset, new ones refused."""
        asyncio.run_coroutine_threadsafe(self._refuse(), self.loop).result()

    def accept(self) -> None:
        asyncio.run_coroutine_threadsafe(self._accept(), self.loop).result()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self._accept()
        self.ready.set()
        await asyncio.Event().wait()

    async def _accept(self) -> None:
        self.server = await asyncio.start_server(self._client, self.address, RELAY, limit=MIB)

    async def _refuse(self) -> None:
        self.server.close()
        for writer in self.lines:
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.add(writer)
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", BEHIND, limit=MIB)
            await asyncio.gather(
                self._pass(reader, forth, False), self._pass(back, writer, True), return_exceptions=True
            )
        except ConnectionRefusedError:
            writer.transport.abort()
        finally:
            self.lines.discard(writer)

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
                await queue.put((loop.time() + self.pause, data))
        await queue.put((loop.time() + self.pause, b""))
        with contextlib.suppress(OSError):
            await task


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """What a container's variables are set to, those apart that Kubernetes knows."""
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def empty(folder: Path) -> None:
    """An origin's folder on a cache's disk, as role xcache makes it, with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("", "namespace", "data", "meta"):
        (folder / name).mkdir(parents=True)
        os.chown(folder / name, SERVER, SERVER)


class Lab:
    """Servers in the root file system `root`, with what kinds.py wrote to `config`; `pause` seconds of line each way."""

    # Names by address.
    names: Mapping[str, tuple[str, ...]] = {"127.0.0.1": ("localhost", ORIGIN, CACHE)}

    def __init__(self, root: Path, config: Path, pause: float, relay: str = "127.0.0.1") -> None:
        self.root, self.config = root, config
        self.tokens = macaroons()
        self.relay = Relay(pause, relay)
        self.authority = Authority("bench")
        self.secrets: dict[str, bytes] = {}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def prepare(self, folders: Iterable[tuple[str, int, int]]) -> None:
        """Everything but servers that run. Folders: name below /store, number of files, bytes in each."""
        run("ip", "link", "set", "lo", "up")
        root = self.root
        hosts = "".join(f"{address} {' '.join(names)}\n" for address, names in self.names.items())
        (root / "etc/hosts").write_text(hosts, encoding="utf-8")
        for place in ("proc", "dev"):
            run("mount", "--bind", f"/{place}", str(root / place))
        own = [f"etc/xrootd/{name}" for name in ("tls", "secrets", "origin", "cmsaf")]
        for name in ("data", "cache", "tmp", "run", "user", *own):
            (root / name).mkdir(exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=1777" if name == "tmp" else "mode=755", "none", str(root / name))
        for name in ("var/spool/xrootd", "run/xrootd"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "etc/xrootd/cmsaf/authdb").write_text("", encoding="utf-8")
        self.certify(root / "etc/xrootd/tls")
        for name, place in ((ORIGIN, "origin"), (CACHE, "cache")):
            self.secrets[name] = self.tokens.generate_secret()
            private(root / f"etc/xrootd/secrets/{place}", self.secrets[name], SERVER)
        self.token(ORIGIN, root / "etc/xrootd/origin/token", SERVER)
        self.token(CACHE, root / "user/cache", USER)
        self.token(ORIGIN, root / "user/origin", USER)
        self.relay.start()
        self.relay.ready.wait()
        self.configure()
        self.files(folders)

    def files(self, folders: Iterable[tuple[str, int, int]]) -> None:
        """Random bytes: what is compared is not to be compressed, nor to be the same twice."""
        store = self.root / "data/store"
        for folder, number, size in folders:
            (store / folder).mkdir(parents=True)
            for index in range(number):
                with (store / folder / f"{index:03}").open("wb") as file:
                    for _at in range(0, size, MIB):
                        file.write(os.urandom(MIB))
        run("chown", "-R", f"{SERVER}:{SERVER}", str(self.root / "data"), str(self.root / "cache"))
        run("chown", "-R", f"{SERVER}:{SERVER}", str(self.root / "run/xrootd"), str(self.root / "var/spool/xrootd"))

    def certify(self, folder: Path) -> None:
        """As role pki does, one certificate for all."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = self.authority.certify(CACHE, {name for names in self.names.values() for name in names})
        (folder / "ca.crt").write_bytes(self.authority.certificate)
        (folder / "tls.crt").write_bytes(certificate)
        private(folder / "tls.key", key, SERVER)

    def token(self, site: str, path: Path, owner: int, prefix: str = "/store", seconds: int = 20 * 3600) -> None:
        """A file with a macaroon of the origin or of the cache."""
        location = "BENCH-ORIGIN" if site == ORIGIN else "BENCH-XCACHE"
        private(path, self.mint(site, location, prefix, seconds).encode(), owner)

    def mint(self, site: str, location: str, prefix: str, seconds: int) -> str:
        """A macaroon of a site's secret to read below a path, good for so many seconds."""
        made: str = self.tokens.mint(
            secret=self.secrets[site],
            location=location,
            name="",
            activities=READING,
            path=prefix,
            before=datetime.now(timezone.utc) + timedelta(seconds=seconds),
        )
        return made

    def rendered(self, kind: str) -> Rendered:
        return read(self.config, kind)

    def configure(self) -> None:
        """The role's files; the two servers keep their things apart, and the origin listens behind the relay."""
        for name in ("origin", "cache"):
            text = self.rendered(name).files["xrootd.cfg"]
            text = text.replace("/etc/xrootd/secrets/macaroon-secret", f"/etc/xrootd/secrets/{name}")
            text = re.sub(r"(?m)^(all\.(?:adminpath|pidpath) \S+)", rf"\1/{name}", text)
            # There is nobody to tell.
            text = re.sub(r"(?m)^(xrd\.report|xrootd\.mongstream) .*\n", "", text)
            if name == "origin":
                text = re.sub(r"(?m)^xrd\.port .*", f"xrd.port {BEHIND}", text)
            (self.root / f"etc/xrootd/cmsaf/{name}.cfg").write_text(text, encoding="utf-8")
            for folder in ("var/spool/xrootd", "run/xrootd"):
                (self.root / folder / name).mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, changed: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """Start one, with these directives changed, and wait until it serves."""
        path = self.root / f"etc/xrootd/cmsaf/{name}.cfg"
        text = path.read_text(encoding="utf-8")
        for setting, value in (changed or {}).items():
            text, count = re.subn(rf"(?m)^{re.escape(setting)} .*", f"{setting} {value}", text)
            if count != 1:
                sys.exit(f"the role's configuration has {setting} {count} times")
        path.with_suffix(".now").write_text(text, encoding="utf-8")
        # What the role gives to the cache means nothing to the origin.
        client = environment(self.rendered("cache").containers["xrootd"])
        env = {**PROGRAMS, "HOME": f"/var/spool/xrootd/{name}", **client}
        inside = [f"{variable}={value}" for variable, value in {"LD_PRELOAD": GUARD, **(environ or {})}.items()]
        argv = [*self.chroot(SERVER), "env", *inside, "xrootd", "-c", f"/etc/xrootd/cmsaf/{name}.now", "-n", name]
        log = self.log(name)
        with log.open("ab") as output:
            began = output.tell()
            self.running[name] = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.STDOUT)
        end = time.monotonic() + 20
        while not re.search(rb"xrootd \S+ initialization completed", log.read_bytes()[began:]):
            if self.running[name].poll() is not None or time.monotonic() > end:
                self.stop(name)
                raise RuntimeError(f"{name} does not start:\n" + log.read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def log(self, name: str) -> Path:
        return self.root / f"tmp/{name}.log"

    def stop(self, name: str) -> None:
        server = self.running.pop(name)
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def fresh(self, changed: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> None:
        """A cache that holds nothing."""
        if "cache" in self.running:
            self.stop("cache")
        disk = self.root / "cache/0"
        disk.mkdir(exist_ok=True)
        os.chown(disk, SERVER, SERVER)
        empty(disk / "facility")
        self.start("cache", changed, environ)

    def chroot(self, user: int) -> list[str]:
        return ["chroot", f"--userspec={user}:{user}", str(self.root)]

    def user(self, server: str) -> dict[str, str]:
        """Environment of a user's program that reads from the cache or from the origin."""
        return {
            **PROGRAMS,
            "HOME": "/tmp",
            "X509_CERT_FILE": "/etc/xrootd/tls/ca.crt",
            "BEARER_TOKEN_FILE": "/user/cache" if server == CACHE else "/user/origin",
        }
