# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the credentials of a user's server are, and what of them a worker gets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed.security import Security

__all__ = [
    "client_security",
    "find_bearer_token",
    "replace_private",
    "security_of_server",
    "worker_files",
    "write_private",
]

DEFAULT_DIRECTORY = "/etc/cmsaf-secrets"
CA = "ca.pem"
SCHEDULER = "hostcert.pem"
CLIENT = "usercert.pem"
WORKER = "workercert.pem"
TOKEN = "bearer_token"  # noqa: S105 # the name of its file
FACILITY_CA = "facility-ca.crt"


def directory(environ: Mapping[str, str] = os.environ) -> Path:
    return Path(environ.get("CMSAF_SECRETS") or environ.get("CERT_DIR") or DEFAULT_DIRECTORY)


def security_of_server(path: Path | None = None) -> Security | None:
    """The TLS files of this server; None where there are none (certificate and key stand in one file each)."""
    from distributed.security import Security

    path = directory() if path is None else path
    if not (path / CA).is_file():
        return None
    missing = [name for name in (SCHEDULER, CLIENT, WORKER) if not (path / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Reading this server's Dask certificates in {path}: {', '.join(missing)} not found beside {CA}. "
            "Restart the server from the hub's control panel to get new ones."
        )
    files = {"scheduler": SCHEDULER, "client": CLIENT, "worker": WORKER}
    pairs = {f"tls_{role}_{part}": str(path / name) for role, name in files.items() for part in ("cert", "key")}
    return Security(require_encryption=True, tls_ca_file=str(path / CA), **pairs)


def client_security(info: Mapping[str, Any]) -> Security | None:
    """Dask's distributed.client.security-loader: Client("tls://...") finds this server's certificates by itself."""
    return security_of_server() if str(info["address"]).startswith("tls://") else None


def find_bearer_token(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Path | None:
    """The token file by WLCG's order of discovery, then the one of this server."""
    uid = os.getuid() if uid is None else uid
    places = [environ.get("BEARER_TOKEN_FILE")]
    places += [f"{environ[name]}/bt_u{uid}" for name in ("XDG_RUNTIME_DIR",) if environ.get(name)]
    places += [f"/tmp/bt_u{uid}", str(directory(environ) / TOKEN)]  # noqa: S108 # WLCG names this place
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def _pem(value: str) -> bytes:
    return value.encode() if "\n" in value else Path(value).read_bytes()


def worker_files(security: Security | None, environ: Mapping[str, str] = os.environ) -> dict[str, bytes]:
    """Content of each file that travels with a worker's job, by the name it has there."""
    files: dict[str, bytes] = {}
    if security is not None:
        tls = security.get_tls_config_for_role("worker")
        if tls["ca_file"] and tls["cert"]:
            files[CA] = _pem(tls["ca_file"])
            certificate = _pem(tls["cert"])
            key = b"" if tls["key"] in (None, tls["cert"]) else _pem(tls["key"])
            files[WORKER] = certificate + key
    token = find_bearer_token(environ)
    if token is not None:
        files[TOKEN] = token.read_bytes()
    authority = environ.get("X509_CERT_FILE")
    if authority and Path(authority).is_file():
        files[FACILITY_CA] = Path(authority).read_bytes()
    return files


def write_private(files: Mapping[str, bytes], parent: str | None = None) -> Path:
    """Write the files, owner-only, to a new directory; in memory (/run/cmsaf) where the server has that."""
    run = os.environ.get("CMSAF_RUN", "/run/cmsaf")
    if parent is None and os.access(run, os.W_OK):
        parent = run
    path = Path(tempfile.mkdtemp(prefix="worker-", dir=parent))
    for name, content in files.items():
        descriptor = os.open(path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return path


def replace_private(path: Path, content: bytes) -> None:
    """Put content at path, owner-only and in one step: a reader sees the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
