# SPDX-License-Identifier: GPL-3.0-or-later
"""The clusters of this server, found again: from another kernel, or those that the sidebar has made.

A cluster lives in the process that made it. It leaves a record beside the server's other private files, and its scheduler
answers whoever has the server's certificates.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmsaf_dask.secrets import client_security, replace_private, security_of_server

if TYPE_CHECKING:
    from cmsaf_dask.explain import Explanation
    from distributed import Client
    from distributed.security import Security

__all__ = ["Findable", "FoundCluster", "Record", "ask", "find", "list_clusters", "records"]


@dataclass(frozen=True)
class Record:
    """Where a cluster is. began tells its process from a later one of the same number, and made_by is the notebook or
    console whose kernel the process is."""

    name: str
    address: str
    dashboard: str
    host: str
    process: int
    began: str
    made_by: str = ""


def _directory() -> Path:
    run = Path(os.environ.get("CMSAF_RUN", "/run/cmsaf"))
    return (run if os.access(run, os.W_OK) else Path.home() / ".cache" / "cmsaf") / "clusters"


def _began(process: int) -> str:
    """When a process began, in the kernel's clock ticks (proc_pid_stat(5), field 22); empty where it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def records() -> list[Record]:
    """Those whose process lives, oldest first; what others left is removed."""
    found: list[tuple[float, Record]] = []
    for path in _directory().glob("*.json"):
        with suppress(OSError, ValueError, TypeError):
            record = Record(**json.loads(path.read_text(encoding="utf-8")))
            if record.host != socket.gethostname():
                continue
            if record.began == _began(record.process):
                found.append((path.stat().st_mtime, record))
            else:
                path.unlink()
    return [record for _, record in sorted(found, key=lambda one: one[0])]


def list_clusters() -> list[FoundCluster]:
    """All clusters of this server, oldest first."""
    return [FoundCluster(record) for record in records()]


def find(name: str | None = None) -> FoundCluster:
    """Find the cluster of a name, or the only one there is."""
    there = list_clusters()
    chosen = [one for one in there if name in (None, one.name)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(one.name for one in there) or "none"
    if not chosen:
        what = "a cluster" if name is None else f"the cluster {name!r}"
        raise LookupError(f"Finding {what} of this server: there is {names}. HTCondorCluster() makes one.")
    raise LookupError(
        f"Finding the one cluster of this server: there are {names}. Name one of them: from_name('{chosen[-1].name}')."
    )


async def ask(record: Record, what: str, **arguments: Any) -> Any:
    """Ask a cluster of this or another process, as _asked answers; raises OSError where it is not to be reached."""
    from distributed.core import rpc

    security = client_security({"address": record.address})
    options = {} if security is None else security.get_connection_args("client")
    async with rpc(record.address, connection_args=options) as scheduler:
        return await scheduler.cmsaf_cluster(what=what, arguments=arguments)


class FoundCluster:
    """A cluster of another process of this server. It can be used, scaled, asked and closed from here.

    Sync, for notebooks. close() ends the cluster for all; the cluster stays when this object goes.
    """

    def __init__(self, record: Record, security: Security | None = None) -> None:
        self.name = record.name
        self.scheduler_address = record.address
        self.dashboard_link = record.dashboard
        self._security = security or (security_of_server() if record.address.startswith("tls://") else None)
        self._client: Client | None = None

    def __repr__(self) -> str:
        return f"<FoundCluster {self.name!r} at {self.scheduler_address}>"

    def get_client(self) -> Client:
        """Make a client of it, the default one from now on."""
        from distributed import Client

        return Client(self.scheduler_address, security=self._security)

    def scale(self, n: int) -> None:
        """Ask for so many workers, as the cluster's own scale() does."""
        self._ask("scale", n=n)

    def explain(self) -> Explanation:
        """Say why workers are not there."""
        from cmsaf_dask.explain import Explanation

        said = self._ask("explain")
        return Explanation(said["headline"], tuple(said["reasons"]), said["fine"])

    def logs(self) -> dict[str, str]:
        """Read what workers have written."""
        return dict(self._ask("logs"))

    def close(self) -> None:
        """End the cluster."""
        self._ask("close")
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ask(self, what: str, **arguments: Any) -> Any:
        from distributed import Client

        if self._client is None:
            self._client = Client(self.scheduler_address, security=self._security, set_as_default=False)
        return self._client.sync(self._client.scheduler.cmsaf_cluster, what=what, arguments=arguments)


class Findable:
    """Makes a cluster one that can be found. Between HTCondorCluster and its bases."""

    _record: Path | None = None

    @classmethod
    def from_name(cls, name: str | None = None) -> FoundCluster:
        """Find a cluster of this server again by its name; the only one where none is given."""
        return find(name)

    async def _start(self) -> None:
        await super()._start()  # type: ignore[misc]
        if self._record is None:
            scheduler: Any = self.scheduler  # type: ignore[attr-defined]
            scheduler.handlers["cmsaf_cluster"] = self._asked
            self._record = self._write(scheduler.address)

    async def _close(self) -> None:
        if self._record is not None:
            self._record.unlink(missing_ok=True)
            self._record = None
        await super()._close()  # type: ignore[misc]

    def _write(self, address: str) -> Path:
        cluster: Any = self
        directory = _directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = Record(
            name=str(cluster.name),
            address=address,
            dashboard=str(cluster.dashboard_link),
            host=socket.gethostname(),
            process=os.getpid(),
            began=_began(os.getpid()),
            # Jupyter's server gives it to kernels: the path of what they are opened for.
            made_by=Path(os.environ.get("JPY_SESSION_NAME", "")).name,
        )
        # A name is the user's, and may be no file's.
        descriptor, path = tempfile.mkstemp(suffix=".json", dir=directory)
        os.close(descriptor)
        replace_private(Path(path), json.dumps(asdict(record)).encode())
        return Path(path)

    async def _asked(self, what: str, arguments: dict[str, Any]) -> Any:
        """Answer another process; on the cluster's event loop, where its own methods run."""
        cluster: Any = self
        if what == "scale":
            await cluster._scale_checked(cluster._jobs_for(int(arguments["n"]), 0, None, None))
            return None
        if what == "explain":
            return {**asdict(await cluster._explain()), "last_lines": cluster._last_lines()}
        if what == "logs":
            return {name: str(text) for name, text in (await cluster._worker_logs()).items()}
        if what == "close":
            # After the answer, which goes by the scheduler that ends.
            asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(cluster._close()))
            return None
        raise ValueError(f"a cluster cannot be asked for {what!r}")
