# SPDX-License-Identifier: GPL-3.0-or-later
"""A Dask worker inside an HTCondor job: python -m cmsaf_dask.worker

In a container the worker is reached through a port of the execute host that HTCondor chooses and writes into the
job's ad once the container runs. So this waits for that port, takes the host's address from the ad, and tells the
scheduler both. Outside of a container it listens on a port of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Worker
    from distributed.security import Security

from cmsaf_dask import secrets

FIRST_PORT = 8786
PORT_WAIT = 60.0
# Of the time between SIGTERM and the kill, for the end itself.
LAST = 5.0


def read_ad(text: str) -> dict[str, str]:
    """The attributes of a job ad in its long form, names in lower case, strings without their quotes.

    >>> read_ad('dask_HostPort = 33001\\nStartdIpAddr = "<10.0.0.7:9618?addrs=10.0.0.7-9618>"')
    {'dask_hostport': '33001', 'startdipaddr': '<10.0.0.7:9618?addrs=10.0.0.7-9618>'}
    """
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip().strip('"')
    return found


def startd_address(sinful: str) -> str:
    """The IP address in HTCondor's form of an address.

    >>> startd_address("<10.0.0.7:9618?addrs=10.0.0.7-9618&alias=e1>")
    '10.0.0.7'
    >>> startd_address("<[2001:db8::7]:9618?sock=startd>")
    '[2001:db8::7]'
    """
    match = re.match(r"<(\[[0-9a-fA-F:.]+\]|[0-9.]+):\d+", sinful)
    if match is None:
        raise ValueError(f"no IP address in {sinful!r}")
    return match.group(1)


def contact(ad: Mapping[str, str], service: str) -> str | None:
    """host:port under which others reach this worker; None while HTCondor has not written the port."""
    port = ad.get(f"{service}_hostport".lower(), "")
    return f"{startd_address(ad['startdipaddr'])}:{port}" if port.isdigit() and int(port) > 0 else None


def wait_for_contact(path: Path, service: str, limit: float = PORT_WAIT) -> str:
    """Read the ad again until the port is there."""
    end = time.monotonic() + limit
    ad: dict[str, str] = {}
    while time.monotonic() < end:
        ad = read_ad(path.read_text(errors="replace"))
        found = contact(ad, service)
        if found:
            return found
        time.sleep(0.1)
    seen = ad.get(f"{service}_hostport".lower(), "not in it")
    raise TimeoutError(
        f"Waiting for {service}_HostPort in {path} for {limit:g} s: found {seen}. Does the execute host run this job "
        "in the Docker universe, and was container_service_names kept in the submit description?"
    )


def prepare_environment(scratch: Path, environ: dict[str, str]) -> None:
    """Point to the job's files; it runs as an account without a home, and tokens must be the owner's alone."""
    named = {"BEARER_TOKEN_FILE": secrets.TOKEN, "X509_CERT_FILE": secrets.FACILITY_CA}
    for variable, name in named.items():
        path = scratch / name
        if path.is_file():
            path.chmod(0o600)
            environ[variable] = str(path)
    home = scratch / ".home"
    home.mkdir(mode=0o700, exist_ok=True)
    environ["HOME"] = str(home)
    environ.setdefault("USER", "dask-worker")
    environ.setdefault("LOGNAME", environ["USER"])


def worker_security(scratch: Path) -> Security | None:
    """TLS by the files of the job; the worker's own leaf serves its listener and its connections."""
    from distributed.security import Security

    ca, leaf = str(scratch / secrets.CA), str(scratch / secrets.WORKER)
    if not (os.path.exists(ca) and os.path.exists(leaf)):
        return None
    return Security(require_encryption=True, tls_ca_file=ca, tls_worker_cert=leaf, tls_worker_key=leaf)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cmsaf_dask.worker", description="A Dask worker inside an HTCondor job.")
    parser.add_argument("--scheduler", required=True, help="tls://name:port of the scheduler")
    parser.add_argument("--name", required=True, help="name of the worker")
    parser.add_argument("--nthreads", type=int, default=1, help="threads of a process")
    parser.add_argument("--memory-limit", type=int, default=None, help="bytes of a process")
    parser.add_argument("--death-timeout", type=float, default=60, help="seconds without a scheduler until the end")
    parser.add_argument("--vacate-time", type=float, default=60, help="seconds between HTCondor's SIGTERM and its kill")
    parser.add_argument("--processes", type=int, default=1, help="worker processes of this job")
    parser.add_argument("--index", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--local-directory", default=None, help="default: the job's scratch directory")
    parser.add_argument("--lifetime", default=None, help="end gracefully after this time, for example '2 hours'")
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace, scratch: Path) -> None:
    from cmsaf_dask import renewal
    from distributed import Worker

    index = options.index or 0
    extra: dict[str, Any] = {}
    protocol = options.scheduler.partition("://")[0]
    ad = os.environ.get("_CONDOR_JOB_AD")
    if ad and "containerservicenames" in read_ad(await asyncio.to_thread(Path(ad).read_text, errors="replace")):
        place = await asyncio.to_thread(wait_for_contact, Path(ad), f"dask{index or ''}")
        extra = {"port": FIRST_PORT + index, "contact_address": f"{protocol}://{place}"}
    worker = Worker(
        options.scheduler,
        name=options.name if options.index is None else f"{options.name}-{index}",
        nthreads=options.nthreads,
        memory_limit=options.memory_limit or "auto",
        death_timeout=options.death_timeout,
        local_directory=options.local_directory or str(scratch),
        security=worker_security(scratch),
        host="0.0.0.0" if extra else None,  # noqa: S104 # inside a container; HTCondor forwards one port to it
        protocol=protocol,
        dashboard=False,
        lifetime=options.lifetime,
        **renewal.announcement(),
        **extra,
    )
    renewal.accept_tokens(worker, scratch)
    loop = asyncio.get_running_loop()
    ending: set[asyncio.Task[Any]] = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        # HTCondor's soft kill: hand over what is in memory, then go.
        loop.add_signal_handler(number, lambda: ending.add(loop.create_task(hand_over(worker, options.vacate_time))))
    async with worker:
        await worker.finished()


async def hand_over(worker: Worker, limit: float) -> None:
    """Give away what is in memory and end, before HTCondor kills. A task that runs does not end earlier for waiting."""
    from distributed.core import Status

    if worker.status in (Status.closing, Status.closing_gracefully, Status.closed):
        return
    try:
        async with asyncio.timeout(max(1.0, limit - LAST)):
            await worker.scheduler.retire_workers(
                workers=[worker.address], close_workers=False, remove=True, stimulus_id=f"evicted-{time.time()}"
            )
    except (OSError, TimeoutError) as error:
        print(f"Handing over the data of {worker.name}: {error or 'no answer in time'}", file=sys.stderr)
    await worker.close(timeout=LAST / 2, executor_wait=False, nanny=False, reason="evicted")


def wait_for_all(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """A job is there with all its processes or not at all: when one has ended, the others hand over and go."""
    while all(child.poll() is None for child in children):
        time.sleep(0.2)
    for child in children:
        child.terminate()
    return max(abs(child.wait()) for child in children)


def main() -> int:
    options = parse()
    scratch = Path(os.environ.get("_CONDOR_SCRATCH_DIR") or os.getcwd())
    if options.processes > 1 and options.index is None:
        command = [sys.executable, "-m", "cmsaf_dask.worker", *sys.argv[1:], "--index"]
        children = [subprocess.Popen([*command, str(index)]) for index in range(options.processes)]
        signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
        return wait_for_all(children)
    prepare_environment(scratch, os.environ)  # type: ignore[arg-type]
    asyncio.run(run(options, scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
