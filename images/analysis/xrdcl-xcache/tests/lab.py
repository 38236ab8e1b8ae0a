#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plug-in at real servers: an origin and a cache with tokens over TLS, and clients of releases 5 and 6.

Runs as root in namespaces of its own, see lab.sh; what it starts ends with it.

lab.py check SERVER_ROOT CLIENT_ROOT    say of each claim whether it holds
lab.py bench SERVER_ROOT CLIENT_ROOT    print what the plug-in costs
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[3]
ADDRESS = "10.89.57.2"
ORIGIN = "origin.xc.test"
CACHE = "cache.xc.test"
PORTS = {ORIGIN: 2094, CACHE: 1094}
SERVER = 9940
USER = 6440
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
COMMON = """\
all.adminpath /var/spool/xrootd/{name}
all.pidpath /var/run/xrootd/{name}
xrd.port {port}
xrd.tlsca certfile /lab/ca.pem
xrd.tls /lab/host.pem /lab/host.key
xrootd.tls all
xrootd.seclib libXrdSec.so
sec.protocol ztn -tokenlib libXrdMacaroons.so -expiry optional
sec.protbind * only ztn
ofs.authorize 1
ofs.authlib libXrdMacaroons.so
acc.authdb /lab/authdb
macaroons.secretkey /lab/{name}.secret
macaroons.onmissing deny
macaroons.trace error warning info
macaroons.maxduration 864000
xrootd.trace login
"""
CONFIGS = {
    ORIGIN: "all.sitename ORIGIN\nall.export /store\noss.localroot /data\nxrootd.chksum max 2 adler32\n",
    CACHE: f"all.sitename CACHE\nall.export /store r/o\nofs.osslib libXrdPss.so\npss.cachelib libXrdPfc.so\n"
    f"pss.origin roots://{ORIGIN}:{PORTS[ORIGIN]}\noss.localroot /cache\npfc.ram 1g\npfc.blocksize 1m\n",
}
SITES = {ORIGIN: "ORIGIN", CACHE: "CACHE"}
WRITE = ("DOWNLOAD", "UPLOAD", "LIST", "DELETE", "MANAGE", "UPDATE_METADATA", "READ_METADATA")
READ = ("DOWNLOAD", "LIST", "READ_METADATA")
# Each client by its name: a Python that has it, and what was built with it.
CLIENTS = {
    "release 6, PyPI": {"python": "/opt/pypi/bin/python", "build": "/build/6"},
    "release 5.8, Debian 13": {"python": "/opt/debian/bin/python", "build": "/build/5"},
}


def load_macaroon() -> object:
    """The collection's own minting code."""
    spec = importlib.util.spec_from_file_location("macaroon", TREE / "plugins/module_utils/_macaroon.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["macaroon"] = module
    spec.loader.exec_module(module)
    return module


MACAROON = load_macaroon()


class Lab:
    """Servers and clients, and what has been found."""

    def __init__(self, server: Path, client: Path) -> None:
        self.server = server
        self.client = client
        self.secrets = {name: MACAROON.generate_secret() for name in SITES}
        self.failed: list[str] = []
        self.passed = 0
        self.running: dict[str, subprocess.Popen] = {}

    def claim(self, what: str, holds: bool, seen: str = "") -> None:
        """Count it, and show what was seen where it does not hold."""
        if holds:
            self.passed += 1
            print(f"  ok      {what}", flush=True)
        else:
            self.failed.append(what)
            print(f"  FAILED  {what}\n          {seen.strip()[-2000:]}", flush=True)

    def token(self, site: str, seconds: int, activities: tuple[str, ...] = READ, path: str = "/store") -> str:
        """Make a token that ends in some seconds."""
        before = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        return MACAROON.mint(
            secret=self.secrets[site], location=SITES[site], name="", activities=activities, path=path, before=before
        )

    # -- what is there -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Network, names, certificates, configurations and files."""
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{ADDRESS}/24", "dev", "lo")
        hosts = f"127.0.0.1 localhost\n{ADDRESS} {ORIGIN} {CACHE}\n"
        for root in (self.server, self.client):
            (root / "etc/hosts").write_text(hosts)
            run("mount", "--bind", "/proc", str(root / "proc"))
            run("mount", "--bind", "/dev", str(root / "dev"))
            for name in ("tmp", "lab", "user", "install"):
                (root / name).mkdir(exist_ok=True)
            for name in ("tmp", "lab"):
                run(
                    "mount", "-t", "tmpfs", "-o", "mode=1777" if name == "tmp" else "mode=755", "none", str(root / name)
                )
        run("mount", "-t", "tmpfs", "none", str(self.client / "user"))
        # The server's root has the tools of a third client.
        for name in ("user", "install"):
            run("mount", "--bind", str(self.client / name), str(self.server / name))
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(self.server / "run"))
        self.certificates()
        shutil.copy(self.server / "lab/ca.pem", self.client / "user/ca.pem")
        shutil.copy(HERE / "client.py", self.client / "user/client.py")
        lab = self.server / "lab"
        (lab / "authdb").write_text("")
        for name, host in (("origin", ORIGIN), ("cache", CACHE)):
            config = COMMON.format(name=name, port=PORTS[host]) + CONFIGS[host]
            (lab / f"{name}.cfg").write_text(config)
            private(lab / f"{name}.secret", self.secrets[host].decode())
            for folder in ("var/spool/xrootd", "run/xrootd"):
                (self.server / folder / name).mkdir(parents=True, exist_ok=True)
                run("chown", "-R", f"{SERVER}:{SERVER}", str(self.server / folder))
        private(lab / "origin.token", self.token(ORIGIN, 86400))
        for name in ("data", "cache"):
            (self.server / name).mkdir(exist_ok=True)
            run("mount", "-t", "tmpfs", "none", str(self.server / name))
        alice = self.server / "data/store/user/alice"
        alice.mkdir(parents=True)
        for number in range(1, 9):
            (alice / f"f{number}").write_bytes(os.urandom(100_000))
        (alice / "big").write_bytes(os.urandom(4 << 20))
        shutil.copy(self.client / "lab-events.root", alice / "events.root")
        # A folder of which nothing is read: a cache cannot list one that it holds files of.
        (self.server / "data/store/listing").mkdir()
        (self.server / "data/store/listing/one").write_text("1")
        run("chown", "-R", f"{SERVER}:{SERVER}", *(str(self.server / name) for name in ("data", "cache", "lab")))
        run("chown", "-R", f"{USER}:{USER}", str(self.client / "user"))

    def certificates(self) -> None:
        """A private authority, and one certificate for both servers."""
        lab = self.server / "lab"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        run(
            "openssl",
            "req",
            "-x509",
            *curve,
            "-subj",
            "/CN=lab",
            "-keyout",
            str(lab / "ca.key"),
            "-out",
            str(lab / "ca.pem"),
        )
        names = f"subjectAltName=DNS:{ORIGIN},DNS:{CACHE}"
        run(
            "openssl", "req", "-x509", *curve, "-subj", f"/CN={CACHE}", "-addext", names,
            "-CA", str(lab / "ca.pem"), "-CAkey", str(lab / "ca.key"), "-addext", "basicConstraints=critical,CA:FALSE",
            "-keyout", str(lab / "host.key"), "-out", str(lab / "host.pem"),
        )  # fmt: skip
        (lab / "ca.key").unlink()
        (lab / "host.key").chmod(0o400)

    def start(self, host: str) -> None:
        """Start a server as an ordinary user, and wait for its port."""
        name = host.partition(".")[0]
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": f"/var/spool/xrootd/{name}",
            "BEARER_TOKEN_FILE": "/lab/origin.token",
            "X509_CERT_FILE": "/lab/ca.pem",
        }
        log = self.server / f"lab/{name}.log"
        self.running[host] = subprocess.Popen(
            [CHROOT, f"--userspec={SERVER}:{SERVER}", str(self.server), "xrootd", "-c", f"/lab/{name}.cfg", "-n", name],
            env=env, stdout=log.open("ab"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        for _ in range(150):
            if re.search(rb"initialization completed|xrootd .*:\d+ initialization", log.read_bytes()):
                return
            if self.running[host].poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"{host} does not start:\n" + log.read_text(errors="replace")[-4000:])

    # -- the user ------------------------------------------------------------------------------------------------

    def environment(self, **changed: str | None) -> dict[str, str]:
        """Of a user whose settings are good; None takes a variable away."""
        env: dict[str, str | None] = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",
            "XRD_PLUGINCONFDIR": "/install/etc/xrootd/client.plugins.d",
            "XRD_CONNECTIONRETRY": "1",
            "XRD_CONNECTIONWINDOW": "10",
            "X509_CERT_FILE": "/user/ca.pem",
            "XCACHE_HOST": CACHE,
            "XCACHE_PORT": str(PORTS[CACHE]),
            "BEARER_TOKEN_FILE": "/user/token",
        }
        env.update(changed)
        return {name: value for name, value in env.items() if value is not None}

    def command(self, *argv: str, root: Path | None = None) -> list[str]:
        """A command line of the user's."""
        return [CHROOT, f"--userspec={USER}:{USER}", str(root or self.client), *argv]

    def ask(self, *argv: str, timeout: int = 120, root: Path | None = None, **changed: str | None) -> tuple[int, str]:
        """Run as the user; exit status and all that was said."""
        done = subprocess.run(
            self.command(*argv, root=root), env=self.environment(**changed), text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def user_file(self, name: str, text: str, mode: int = 0o600) -> None:
        """Put a file of the user's below /user, at once."""
        path = self.client / "user" / name
        part = path.with_name(f".{name}.part")
        private(part, text, mode)
        os.chown(part, USER, USER)
        part.replace(path)


def run(*argv: str) -> None:
    """Run what has to succeed."""
    done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}: {done.stdout}")


def private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that was never open to others."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    path.chmod(mode)


def check_commands(lab: Lab, root: Path) -> None:
    """xrdcp and xrdfs read through the alias. PyPI's client has no such tools, so release 6 is forky's here."""
    rc, said = lab.ask("xrdcp", "--version", root=root)
    print(f"xrdcp and xrdfs {said.strip()}:", flush=True)
    rc, said = lab.ask("xrdcp", "-f", "-s", "root://xcache//store/user/alice/big", "/tmp/big", root=root)
    same = rc == 0 and (root / "tmp/big").read_bytes() == (lab.server / "data/store/user/alice/big").read_bytes()
    lab.claim("xrdcp copies what the origin has", same, said)
    rc, said = lab.ask("xrdfs", "root://xcache", "stat", "/store/user/alice/big", root=root)
    lab.claim("xrdfs stat", rc == 0 and re.search(r"Size:\s+4194304", said) is not None, said)
    rc, said = lab.ask("xrdfs", "root://xcache/", "ls", "/store/listing", root=root)
    lab.claim("xrdfs ls", rc == 0 and "/store/listing/one" in said, said)
    rc, said = lab.ask("xrdfs", "xcache", "stat", "/store/user/alice/big", root=root)
    lab.claim("xrdfs by the bare name", rc == 0, said)
    rc, said = lab.ask("xrdfs", "root://xcache", "stat", "/store/user/alice/big", root=root, XRD_PLUGINCONFDIR=None)
    lab.claim("and it is the plug-in that does it", rc != 0, said)
    lab.user_file("other", lab.token(CACHE, 3600, path="/store/user/bob"))
    copy = ("xrdcp", "-f", "-s", "root://xcache//store/user/alice/f8", "/tmp/f8")
    rc, said = lab.ask(*copy, root=root, BEARER_TOKEN_FILE="/user/other")
    lab.claim("another's token reads nothing", rc != 0 and "denied" in said, said)
    rc, said = lab.ask(*copy, root=root, BEARER_TOKEN_FILE="/user/none")
    lab.claim("xrdcp names a wrong setting", rc != 0 and "BEARER_TOKEN_FILE leads to '/user/none'" in said, said)


def check_python(lab: Lab, client: dict[str, str]) -> None:
    """Uproot by fsspec-xrootd."""
    rc, said = lab.ask(client["python"], "/user/client.py", "read", "root://xcache//store/user/alice/events.root")
    lab.claim("uproot with fsspec-xrootd", rc == 0 and "1000 entries" in said and "fsspec_xrootd" in said, said)


def check_renewal(lab: Lab, client: dict[str, str]) -> None:
    """A token renewed in the middle of a session, while the straight client stays with the ended one."""
    seconds = 8
    lab.user_file("renewing", lab.token(CACHE, seconds))
    end = time.monotonic() + seconds
    (lab.client / "user/renewed").unlink(missing_ok=True)
    process = subprocess.Popen(
        lab.command(client["python"], "/user/client.py", "renew", "root://xcache/", f"root://{CACHE}:{PORTS[CACHE]}/", "/user"),
        env=lab.environment(BEARER_TOKEN_FILE="/user/renewing"), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    first = process.stdout.readline()
    in_time = time.monotonic() < end
    ok = "[SUCCESS]"
    lab.claim("first token", in_time and f"kept='open' alias='read' straight='read' stat='{ok}" in first, first)
    lab.user_file("renewing", lab.token(CACHE, 3600))
    time.sleep(max(0, end - time.monotonic()) + 2)
    lab.user_file("renewed", "")
    rest = process.communicate(timeout=120)[0]
    line = next((text for text in rest.splitlines() if text.startswith("renewed ")), rest)
    lab.claim("renewed token: new files open through the alias", " alias='read'" in line, rest)
    lab.claim(
        "renewed token: an older FileSystem object asks on", f" stat='{ok}" in line and f" query='{ok}" in line, rest
    )
    lab.claim(
        "renewed token: the file that was open reads on", " kept='read'" in line and "kept='closed'" in rest, rest
    )
    lab.claim("without the plug-in the same session is refused", "straight='[ERROR]" in line and "denied" in line, rest)


def check_settings(lab: Lab, client: dict[str, str]) -> None:
    """Wrong settings name the variable, and take no time."""
    lab.user_file("group", lab.token(CACHE, 3600), 0o640)
    lab.user_file("shut", lab.token(CACHE, 3600), 0o600)
    os.chown(lab.client / "user/shut", 0, 0)
    cases: list[tuple[str, dict[str, str | None], list[str]]] = [
        ("XCACHE_HOST unset", {"XCACHE_HOST": None}, ["XCACHE_HOST is not set"]),
        ("XCACHE_HOST empty", {"XCACHE_HOST": ""}, ["XCACHE_HOST is not set"]),
        ("XCACHE_HOST a URL", {"XCACHE_HOST": "root://cache"}, ["XCACHE_HOST is 'root://cache'"]),
        ("XCACHE_PORT unset", {"XCACHE_PORT": None}, ["XCACHE_PORT is not set"]),
        ("XCACHE_PORT 0", {"XCACHE_PORT": "0"}, ["XCACHE_PORT is '0'", "1 to 65535"]),
        ("XCACHE_PORT 65536", {"XCACHE_PORT": "65536"}, ["XCACHE_PORT is '65536'"]),
        ("XCACHE_AUTHZ yes", {"XCACHE_AUTHZ": "yes"}, ["XCACHE_AUTHZ is 'yes'"]),
        (
            "token file missing",
            {"BEARER_TOKEN_FILE": "/user/none"},
            ["BEARER_TOKEN_FILE", "/user/none", "No such file"],
        ),
        ("token file unreadable", {"BEARER_TOKEN_FILE": "/user/shut"}, ["BEARER_TOKEN_FILE", "Permission denied"]),
        ("token file group readable", {"BEARER_TOKEN_FILE": "/user/group"}, ["BEARER_TOKEN_FILE", "0640", "0600"]),
        ("no token", {"BEARER_TOKEN_FILE": None}, ["BEARER_TOKEN_FILE", "no token was found"]),
        ("XCACHE_AUTHZ without a token", {"BEARER_TOKEN_FILE": None, "XCACHE_AUTHZ": "1"}, ["XCACHE_AUTHZ is 1"]),
    ]
    program = (
        "import sys; from XRootD import client; "
        "f = client.File(); s = f.open('root://xcache//store/user/alice/f1')[0]; print(s.message); "
        "t = client.FileSystem('root://xcache').stat('/store/user/alice/f1')[0]; print(t.message); "
        "sys.exit(s.ok or t.ok)"
    )
    for what, changed, parts in cases:
        rc, said = lab.ask(client["python"], "-c", program, **changed)
        lines = [line for line in said.splitlines() if all(part in line for part in parts)]
        lab.claim(f"{what}: file and file system say so", rc == 0 and len(lines) == 2, said)
        if lines:
            print(f"          {lines[0].strip()}")


def check_logs(lab: Lab, client: dict[str, str], root: Path) -> None:
    """No token in what the client says or logs, by ztn or in URLs, whether it is taken or refused."""
    good = lab.token(CACHE, 3600)
    refused = lab.token(CACHE, 3600, path="/store/user/bob")
    urls = ("/store/user/alice/f1", "/store/user/alice/none")
    said_all = ""
    sent = 0
    for token in (good, refused):
        lab.user_file("canary", token)
        for authz in (None, "1"):
            base = {"XRD_LOGLEVEL": "Dump", "BEARER_TOKEN_FILE": "/user/canary", "XCACHE_AUTHZ": authz}
            for url in urls:
                program = (
                    f"from XRootD import client; f = client.File(); print(f.open('root://xcache/{url}')[0].message); "
                    "print(f.get_property('LastURL')); f.read(0, 10); f.close(); fs = client.FileSystem('root://xcache'); "
                    f"print(fs.stat('{url}')[0].message, fs.locate('{url}', 0)[0].message, fs.dirlist('/store')[0].message, "
                    f"fs.query(3, '{url}')[0].message, fs.rm('{url}')[0].message, fs.mv('{url}', '{url}2')[0].message)"
                )
                said = lab.ask(client["python"], "-c", program, **base)[1]
                copy = ("xrdcp", "-d", "3", "-f", f"root://xcache/{url}", "/tmp/x")
                said += lab.ask(*copy, root=root, **base)[1]
                sent += said.count("authz=Bearer%20REDACTED") if authz else 0
                said_all += said
    found = [part for token in (good, refused) for part in pieces(token) if part in said_all]
    size = len(said_all)
    lab.claim(f"no token in {size} characters of log at level Dump", size > 100_000 and not found, str(len(found)))
    lab.claim("where asked for it was sent in URLs, and the log has it redacted", sent > 0, said_all)
    said = lab.ask(
        client["python"], "-c",
        "from XRootD import client; f = client.File(); print(f.open('root://xcache//store/user/alice/f1')[0].message)",
        BEARER_TOKEN_FILE=None, BEARER_TOKEN=good, XCACHE_AUTHZ="1",
    )[1]  # fmt: skip
    lab.claim("a hot file opens with the token in the URL", "[SUCCESS]" in said, said)


def pieces(token: str) -> list[str]:
    """The token, and parts of it that no log could have by chance."""
    return [
        token,
        urllib.parse.quote(token, safe=""),
        *(token[i : i + 24] for i in range(0, len(token) - 24, 8) if i > 60),
    ]


def check_forwarding(lab: Lab, client: dict[str, str]) -> None:
    """Each function of the interface, straight and through the plug-in, with address and undefined sanitizers."""
    lab.user_file("writing", lab.token(ORIGIN, 3600, WRITE))
    rc, said = lab.ask(
        f"{client['build']}/forward_test", ORIGIN, str(PORTS[ORIGIN]), "/store/user/alice/forward", timeout=600,
        BEARER_TOKEN_FILE="/user/writing", ASAN_OPTIONS="detect_leaks=0", XRD_PLUGINCONFDIR=None,
    )  # fmt: skip
    lab.claim("every function does the same straight and through the plug-in", rc == 0, said)
    for line in said.splitlines():
        if "functions" in line:
            print(f"          {line}")


def check(lab: Lab) -> None:
    """All claims, for each client."""
    lab.user_file("token", lab.token(CACHE, 86400))
    for (name, client), root in zip(CLIENTS.items(), (lab.server, lab.client)):
        check_commands(lab, root)
        print(f"{name}:", flush=True)
        for part in (check_python, check_settings, check_forwarding, check_renewal):
            part(lab, client)
        check_logs(lab, client, root)
    print(f"plugin: {lab.passed} claims hold, {len(lab.failed)} do not")
    for name in lab.failed:
        print(f"  {name}")


def bench(lab: Lab) -> None:
    """What the plug-in costs, at the cache and with the file in it."""
    lab.user_file("token", lab.token(CACHE, 86400))
    for name, client in CLIENTS.items():
        print(f"{name}:", flush=True)
        argv = (f"{client['build']}/bench", CACHE, str(PORTS[CACHE]), "/store/user/alice/big")
        passed_on = {key: value for key, value in os.environ.items() if key.startswith("BENCH_")}
        rc, said = lab.ask(*argv, timeout=1800, **passed_on)
        print(said, end="", flush=True)
        if rc != 0:
            lab.failed.append(name)


def main() -> None:
    what, server, client = sys.argv[1:]
    lab = Lab(Path(server), Path(client))
    lab.prepare()
    for host in (ORIGIN, CACHE):
        lab.start(host)
    {"check": check, "bench": bench}[what](lab)
    sys.exit(1 if lab.failed else 0)


if __name__ == "__main__":
    main()
