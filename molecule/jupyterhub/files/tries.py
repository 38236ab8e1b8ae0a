# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried, and what came of it; for a user's kernel and for his jobs.

A try is a function without arguments. It gives what it got, or it raises OSError with the words of who refused. Any
other exception, and a name that is not known, says that the try itself is wrong: that is no refusal.
"""

import ctypes
import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 8
REFUSALS = (301, 302, 307, 308, 401, 403, 404, 405)


def look(tries, at_once=32):
    """By name of the try, one word and the reason: got, refused or broken."""

    def one(way):
        try:
            return ["got", repr(way())[:200]]
        except (socket.gaierror, urllib.error.ContentTooShortError) as error:
            return ["broken", repr(error)]
        except OSError as error:
            return ["refused", f"{type(error).__name__}: {error}"[:200]]
        except Exception as error:  # noqa: BLE001 # whatever it is, it is told
            return ["broken", repr(error)[:400]]

    with ThreadPoolExecutor(at_once) as crowd:
        return dict(zip(tries, crowd.map(one, tries.values())))


def something(found, otherwise):
    """What was found; nothing is a refusal too."""
    if not found:
        raise PermissionError(otherwise)
    return found


def refusing(call):
    """A call of HTCondor's bindings as a try: they have an exception of their own for what a daemon refuses."""
    import htcondor2

    def way():
        try:
            return call()
        except htcondor2.HTCondorException as error:
            raise PermissionError(str(error)) from error

    return way


def xrootd(status):
    """The status of a call of XRootD's bindings."""
    if not status.ok:
        raise PermissionError(status.message.strip())
    return "done"


def tcp(host, port):
    socket.create_connection((host, int(port)), timeout=SECONDS).close()
    return "open"


def tls_context(certificate=None):
    """Takes any server for what it says it is: who breaks in does not mind."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate)
    return context


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def http(url, method="GET", body=None, token=None, *, certificate=None, host=None):
    """The answer's beginning; a status that refuses is an OSError, any other bad one breaks the try."""
    headers = {"Authorization": f"token {token}"} if token else {}
    if host:
        headers["Host"] = host
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), _NoRedirects, urllib.request.HTTPSHandler(context=tls_context(certificate))
    )
    request = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return f"{answer.status} {answer.read(100)!r}"
    except urllib.error.HTTPError as error:
        if error.code not in REFUSALS:
            raise RuntimeError(f"{method} {url}: {error.code} {error.read(200)!r}") from error
        raise
    except urllib.error.URLError as error:
        # An OSError by itself, whatever is behind it: a name that is not known, too.
        raise error.reason if isinstance(error.reason, Exception) else error from None


def dask(address, name, certificate=None):
    """The first bytes that a Dask process sends to whom it takes for its own."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as plain:
        plain.settimeout(SECONDS)
        with tls_context(certificate).wrap_socket(plain, server_hostname=name) as secure:
            return something(secure.recv(64), "closed without a byte")


def write(path):
    Path(path).write_text("mine")
    return f"{path} written"


def run(*command):
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise PermissionError(done.stderr.decode(errors="replace").strip()[-150:] or f"exit code {done.returncode}")
    return done.stdout


def system_call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
    return f"{name} done"


def processes(*names):
    """Processes of these names, which belong to the host."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            found += [path.read_text().strip()]
        except OSError:
            continue
    return something([name for name in found if name in names], f"none among {sorted(set(found))}")


def capabilities():
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    # What is in the bounding set alone nobody gets who gets no new privileges (capabilities(7)).
    held = {name: status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status[name], 16)}
    if status["NoNewPrivs"] != "1":
        held["NoNewPrivs"] = status["NoNewPrivs"]
    if status["Seccomp"] != "2":
        held["Seccomp"] = status["Seccomp"]
    return something(held, f"none, and none to be had: {status['CapBnd']} at most")


def out_of_the_container(scratch):
    """Ways to the host that need no network."""
    disk = os.path.join(scratch, "disk")
    return {
        "keep capabilities": capabilities,
        "become root": lambda: os.setuid(0),
        "become root by su": lambda: run("su", "-c", "id -u"),
        "become root of a namespace": lambda: run("unshare", "--user", "--map-root-user", "id", "-u"),
        "mount a file system": lambda: system_call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
        "make a node of the disk": lambda: os.mknod(disk, 0o60600, os.makedev(253, 0)),
        "listen to the network": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close() or "heard",
        "send raw packets": lambda: (
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close() or "sent"
        ),
        "read the memory": lambda: Path("/dev/mem").open("rb").read(1),
        "name the program for crashes": lambda: write("/proc/sys/kernel/core_pattern"),
        "press a key of the kernel's": lambda: write("/proc/sysrq-trigger"),
        "make a control group": lambda: os.mkdir("/sys/fs/cgroup/mine") or "made",
        "read the passwords": lambda: Path("/etc/shadow").read_text(),
        "change a program": lambda: write("/usr/bin/mine"),
        "see the host's processes": lambda: processes("kubelet", "containerd", "dockerd", "condor_startd", "systemd"),
        "read the cluster's keys": lambda: os.listdir("/etc/kubernetes"),
        "read the kubelet's files": lambda: os.listdir("/var/lib/kubelet"),
        "read the pool's keys": lambda: os.listdir("/etc/condor/passwords.d"),
        "read the host by init's root": lambda: Path("/proc/1/root/etc/kubernetes/admin.conf").read_text(),
        "speak with Docker": lambda: _unix("/run/docker.sock"),
        "speak with containerd": lambda: _unix("/run/containerd/containerd.sock"),
    }


def _unix(path):
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(path)
        return "open"
