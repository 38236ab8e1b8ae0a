# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches behind redirectors, on hosts that are network namespaces: pods as role xcache writes them, without Kubernetes.

A host has its address, its folders, and what its pods mount of them. A container is what the image would run, in namespaces
of its own for mounts and processes; it ends as a whole. Origins and users are on the machine itself, 10.99.0.1.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kinds import (
    CACHE,
    CACHES,
    GRID,
    GRID_PORT,
    ORIGIN,
    ORIGINS,
    PUBLIC,
    PUBLIC_PORT,
    REDIRECTORS,
    STORAGE,
    STORAGE_PORT,
    WEB,
    WEB_PORT,
)
from lab import PROGRAMS, SERVER, Authority, empty, environment, private, run
from watched import Watched

HERE = "10.99.0.1"
TRUST = "/etc/ssl/certs/ca-certificates.crt"
AUTHORITIES = "/etc/grid-security/certificates"
WAIT = 40
# Mounts what the container sees, and becomes its program; without the lab's environment.
BOX = 'set -e; while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'
# Public files, and files for who shows a token that it knows.
NGINX = """\
worker_processes 1;
daemon off;
pid /run/nginx-public.pid;
error_log /dev/stderr;
events {{ worker_connections 256; }}
http {{
    log_format shown '$status $request_method $uri $http_authorization';
    access_log /tmp/web.log shown;
    ssl_certificate /etc/public/tls.crt;
    ssl_certificate_key /etc/public/tls.key;
    map $http_authorization $known {{ default 0; include /etc/public/tokens; }}
    server {{
        listen {public} ssl;
        root /outside/public;
        # A name without a password, as some would.
        if ($http_authorization) {{ return 401; }}
    }}
    server {{
        listen {web} ssl;
        root /outside/web;
        if ($known = 0) {{ return 403; }}
    }}
}}
"""
GRID_CONFIG = """\
all.adminpath /var/spool/xrootd/grid
all.pidpath /var/run/xrootd/grid
xrd.port {port}
xrootd.seclib libXrdSec.so
sec.protocol gsi -certdir:{authorities} -cert:/etc/grid/host.crt -key:/etc/grid/host.key -crl:0 -gmapopt:10 -moninfo:1
sec.protbind * only gsi
all.export /grid r/o
oss.localroot /outside/grid
xrootd.trace login
"""


def processes() -> dict[int, tuple[str, int]]:
    """Names and parents of all processes."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            name, parent = re.findall(r"(?m)^(?:Name|PPid):\s+(.+)$", status.read_text(encoding="utf-8"))
            found[int(status.parent.name)] = name, int(parent)
    return found


class Host:
    """An address of its own on the lab's network, and folders."""

    def __init__(self, name: str, address: str, number: int, folder: Path) -> None:
        self.name, self.address, self.folder = name, address, folder
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        mine = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == mine:
            time.sleep(0.01)
        run("ip", "link", "add", f"veth{number}", "type", "veth", "peer", "name", "eth0", "netns", str(self.holder.pid))
        run("ip", "link", "set", f"veth{number}", "master", "bench", "up")
        for command in (("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            run(*self.inside, "ip", *command)
        run(*self.inside, "ip", "link", "set", "lo", "up")

    @property
    def inside(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--"]

    def place(self, path: str) -> Path:
        """A folder or file of the host."""
        return self.folder / path.lstrip("/")


class Cluster(Watched):
    """Redirectors, caches, their origin, and origins of others."""

    # As role jupyterhub has it where there are redirectors.
    patience: Mapping[str, str] = {**Watched.patience, "XRD_CONNECTIONRETRY": "3"}

    def __init__(self, root: Path, config: Path, pause: float) -> None:
        super().__init__(root, config, pause, relay="0.0.0.0")
        self.hosts: dict[str, Host] = {}
        self.world, self.grid = Authority("world"), Authority("grid", grid=True)
        self.names = {
            "127.0.0.1": ("localhost",),
            HERE: (ORIGIN, STORAGE, PUBLIC, GRID),
            # As DNS has more addresses for one name.
            **{address: (name, CACHE) for name, address in REDIRECTORS.items()},
            **{address: (name,) for name, address in CACHES.items()},
        }

    def prepare(self, folders: Iterable[tuple[str, int, int]]) -> None:
        super().prepare(folders)
        # Of the cache that runs alone.
        (self.root / "etc/xrootd/origin/token").unlink()

    def network(self) -> None:
        """Once: a bridge, and the hosts on it."""
        (self.root / "etc/host.conf").write_text("multi on\n", encoding="ascii")
        run("ip", "link", "add", "bench", "type", "bridge")
        run("ip", "addr", "add", f"{HERE}/24", "dev", "bench")
        run("ip", "link", "set", "bench", "up")
        (self.root / "hosts").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(self.root / "hosts"))
        for number, (name, address) in enumerate({**REDIRECTORS, **CACHES}.items()):
            self.hosts[name] = Host(name, address, number, self.root / "hosts" / name)
            self.furnish(self.hosts[name])

    def furnish(self, host: Host) -> None:
        """What roles pki and xcache put on a host, and what the site does."""
        for role in ("xcache", "xcache-redirector"):
            self.certify(host.place(f"/etc/cmsaf/tls/{role}"))
        for path in (
            "/etc/cmsaf/xcache",
            "/etc/cmsaf/xcache-origin",
            "/etc/site/token",
            "/etc/site/web",
            "/etc/site/proxy",
        ):
            host.place(path).mkdir(parents=True)
        private(host.place("/etc/cmsaf/xcache/macaroon-secret"), self.secrets[CACHE], SERVER)
        self.token(ORIGIN, host.place("/etc/cmsaf/xcache-origin/token"), SERVER)
        host.place(TRUST).parent.mkdir(parents=True)
        host.place(TRUST).write_bytes(self.world.certificate)
        self.authorities(host.place(AUTHORITIES))
        for origin in ("facility", *(one["name"] for one in (*ORIGINS, WEB))):
            empty(host.place(f"/var/cache/xcache/{origin}"))
        run("chown", "-R", f"{SERVER}:{SERVER}", str(host.place("/var/cache/xcache")))

    def authorities(self, folder: Path) -> None:
        """The grid's, by the name that its software looks for."""
        folder.mkdir(parents=True)
        (folder / "grid.pem").write_bytes(self.grid.certificate)
        hashed = run("openssl", "x509", "-noout", "-hash", "-in", str(folder / "grid.pem")).strip()
        (folder / f"{hashed}.0").symlink_to("grid.pem")

    def run_pod(self, host: str, kind: str) -> None:
        """Start the servers of a pod on a host; see `serving`."""
        rendered, there = self.rendered(kind), self.hosts[host]
        volumes = self.volumes(there, kind, rendered.pod["volumes"], rendered.files)
        for name, container in rendered.containers.items():
            if not name.startswith("xrootd"):
                continue
            binds: list[str] = []
            for mount in container["volumeMounts"]:
                inside = self.root / mount["mountPath"].lstrip("/")
                if volumes[mount["name"]].is_dir():
                    inside.mkdir(parents=True, exist_ok=True)
                elif not inside.exists():
                    inside.touch()
                binds += [str(volumes[mount["name"]]), str(inside)]
            variables = {**PROGRAMS, "HOME": "/var/spool/xrootd", "CMSAF_NODE": host, **environment(container)}
            # The archive may have another release than the image.
            variables.pop("XROOTD_FLOOR")
            program = [*self.chroot(SERVER), "/usr/local/bin/cmsaf-xrootd"]
            argv = [*there.inside, "unshare", "--mount", "--pid", "--fork", "--kill-child"]
            with self.log(f"{host}-{name}").open("ab") as output:
                self.running[f"{host} {name}"] = subprocess.Popen(
                    [*argv, "sh", "-c", BOX, "sh", *binds, "--", *program],
                    env=variables,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

    def volumes(
        self, host: Host, kind: str, volumes: list[dict[str, Any]], files: Mapping[str, str]
    ) -> dict[str, Path]:
        """The folders that a pod's volumes are, by name. Those that are empty at first are so once more."""
        pod = host.place(f"/pods/{kind.replace(' ', '-')}")
        shutil.rmtree(pod, ignore_errors=True)
        found = {}
        for volume in volumes:
            place = pod / volume["name"]
            if "hostPath" in volume:
                place = host.place(volume["hostPath"]["path"])
                assert place.exists(), f"{place} is not there, and the pod would not start"
            elif "configMap" in volume:
                place.mkdir(parents=True)
                for name, text in files.items():
                    (place / name).write_text(text, encoding="utf-8")
            else:
                place.mkdir(parents=True)
                os.chown(place, SERVER, SERVER)
            found[volume["name"]] = place
        return found

    def up(self, caches: str, redirectors: str, hosts: int = 1) -> None:
        """Start all of them, with so many redirectors, and wait until these know all servers."""
        servers = {
            self.log(f"{host}-{name}"): (host, name, "CMSD_CONFIG" in environment(one))
            for host in list(REDIRECTORS)[:hosts]
            for name, one in self.rendered(redirectors).containers.items()
            if name.startswith("xrootd")
        }
        since = {log: log.stat().st_size if log.exists() else 0 for log in servers}
        for host in list(REDIRECTORS)[:hosts]:
            self.run_pod(host, redirectors)
        for host in CACHES:
            self.run_pod(host, caches)
        for log, (host, name, clustered) in servers.items():
            self.said(
                log, r"manager service enabled" if clustered else r"xrootd \S+ initialization completed", since[log]
            )
            for cache in CACHES if clustered else ():
                self.joined(host, cache, since[log], name)

    def joined(self, redirector: str, cache: str, since: int, server: str = "xrootd") -> None:
        """Wait until a redirector has taken up a cache, as its log says from a place on."""
        log = self.log(f"{redirector}-{server}")
        # Names of its own domain are short there.
        self.said(log, rf"server\.\S+@{cache.partition('.')[0]}\b\S* logged in\.", since)

    def said(self, log: Path, pattern: str, since: int) -> int:
        """Wait until a log says something from a place on; the place behind it."""
        end = time.monotonic() + WAIT
        while not (found := re.compile(pattern.encode()).search(log.read_bytes(), since)):
            assert time.monotonic() < end, f"{pattern} is not in {log}:\n{log.read_text(errors='replace')[-3000:]}"
            time.sleep(0.1)
        return found.end()

    def kill_host(self, host: str) -> float:
        """All that runs there is killed with -9, at once; when that was."""
        ended = {self.running[name].pid: name for name in self.running if name.startswith(f"{host} ")}
        assert ended, f"nothing runs on {host}"
        # The first process of a container, whose end is that of all others there.
        for process, (_name, parent) in processes().items():
            if parent in ended:
                os.kill(process, signal.SIGKILL)
        at = time.monotonic()
        for name in ended.values():
            self.running.pop(name).wait()
        return at

    def down(self) -> None:
        """Stop all pods, and forget what caches hold."""
        for host in self.hosts:
            if any(name.startswith(f"{host} ") for name in self.running):
                self.kill_host(host)
            for folder in self.hosts[host].place("/var/cache/xcache").iterdir():
                empty(folder)

    def servers(self, host: str) -> dict[str, int]:
        """Of each container of a host the process of its xrootd."""
        known = processes()
        boxes = {process.pid: name.split()[1] for name, process in self.running.items() if name.startswith(f"{host} ")}
        found = {}
        for process, (name, _parent) in known.items():
            above = process
            while above in known and above not in boxes:
                above = known[above][1]
            if name == "xrootd" and above in boxes:
                found[boxes[above]] = process
        return found

    def seen(self, process: int) -> bytes:
        """All that a server can read of what its client may show: environment, and files of the credentials' folder."""
        texts = [Path(f"/proc/{process}/environ").read_bytes()]
        folder = Path(f"/proc/{process}/root/etc/xrootd/origin")
        texts += [path.read_bytes() for path in folder.iterdir() if path.is_file()]
        return b"\n".join(texts)

    def held(self, host: str, origin: str = "facility") -> set[str]:
        """Paths of the files that a cache holds of an origin, whole or in parts."""
        names = self.hosts[host].place(f"/var/cache/xcache/{origin}/namespace")
        found = {f"/{path.relative_to(names)}".removesuffix(".cinfo") for path in names.rglob("*.cinfo")}
        # What the cache says of itself is there too.
        return {path for path in found if not path.startswith("/pfc-stats/")}

    def outside(self) -> None:
        """Origins of others: by token, by https, by proxy certificate."""
        (self.root / "outside").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(self.root / "outside"))
        self.secrets[STORAGE] = self.tokens.generate_secret()
        private(self.root / "etc/xrootd/secrets/storage", self.secrets[STORAGE], SERVER)
        for folder, authority, name in (
            ("etc/storage", self.world, STORAGE),
            ("etc/public", self.world, PUBLIC),
            ("etc/grid", self.grid, GRID),
        ):
            (self.root / folder).mkdir(exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", "mode=755", "none", str(self.root / folder))
            certificate, key = authority.certify(name, [name])
            stem = self.root / folder / ("host" if authority.grid else "tls")
            stem.with_suffix(".crt").write_bytes(certificate)
            private(stem.with_suffix(".key"), key, SERVER)
        self.authorities(self.root / "etc/grid/authorities")
        text = (self.root / "etc/xrootd/cmsaf/origin.cfg").read_text(encoding="utf-8")
        for old, new in (
            ("/etc/xrootd/tls/tls", "/etc/storage/tls"),
            ("/etc/xrootd/secrets/origin", "/etc/xrootd/secrets/storage"),
            ("BENCH-ORIGIN", "STORAGE"),
            ("oss.localroot /data", "oss.localroot /outside/storage"),
            ("/origin\n", "/storage\n"),
        ):
            assert old in text, f"the role's configuration of an origin has no {old}"
            text = text.replace(old, new)
        text = re.sub(r"(?m)^xrd\.port .*", f"xrd.port {STORAGE_PORT}", text)
        (self.root / "etc/xrootd/cmsaf/storage.cfg").write_text(text, encoding="utf-8")
        grid = GRID_CONFIG.format(port=GRID_PORT, authorities="/etc/grid/authorities")
        (self.root / "etc/xrootd/cmsaf/grid.cfg").write_text(grid, encoding="utf-8")
        for name in ("storage", "grid"):
            for folder in ("var/spool/xrootd", "run/xrootd"):
                (self.root / folder / name).mkdir(parents=True, exist_ok=True)
                os.chown(self.root / folder / name, SERVER, SERVER)
        nginx = NGINX.format(public=PUBLIC_PORT, web=WEB_PORT)
        (self.root / "etc/public/nginx.conf").write_text(nginx, encoding="utf-8")
        self.web_token("first")

    def start_outside(self) -> None:
        for name in ("storage", "grid"):
            self.start(name)
        argv = ["chroot", str(self.root), "nginx", "-c", "/etc/public/nginx.conf"]
        with self.log("public").open("ab") as output:
            self.running["public"] = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)

    def stop_outside(self) -> None:
        for name in ("storage", "grid", "public"):
            if name in self.running:
                self.stop(name)

    def storage_token(self, path: Path, seconds: int) -> None:
        """A token of the site's storage, put in another's place as whoever renews it does."""
        coming = path.with_suffix(".coming")
        made = self.mint(STORAGE, "STORAGE", "/store", seconds)
        private(coming, made.encode(), SERVER)
        coming.rename(path)

    def web_token(self, token: str) -> None:
        """What the web server wants to see, and what the caches have."""
        (self.root / "etc/public/tokens").write_text(f'"Bearer {token}" 1;\n', encoding="ascii")
        for host in CACHES:
            path = self.hosts[host].place("/etc/site/web/token")
            private(path.with_suffix(".coming"), f"{token}\n".encode(), SERVER)
            path.with_suffix(".coming").rename(path)
        if "public" in self.running:
            run("chroot", str(self.root), "nginx", "-c", "/etc/public/nginx.conf", "-s", "reload")

    def proxy(self, path: Path) -> None:
        """A proxy certificate, made by XRootD's own tool of a user's certificate."""
        certificate, key = self.grid.certify("cache")
        (self.root / "etc/grid/user.crt").write_bytes(certificate)
        private(self.root / "etc/grid/user.key", key, SERVER)
        made = "/tmp/proxy"
        command = ["xrdgsiproxy", "init", "-cert", "/etc/grid/user.crt", "-key", "/etc/grid/user.key", "-f", made]
        done = subprocess.run(
            [*self.chroot(SERVER), *command, "-certdir", "/etc/grid/authorities", "-valid", "12:00"],
            env={**PROGRAMS, "HOME": "/tmp"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        private(path, (self.root / made.lstrip("/")).read_bytes(), SERVER)
