# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the tokens of this session, in words. Reads names and dates of tokens, never shows one."""

from __future__ import annotations

import base64
import binascii
import json
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cmsaf_dask.worker import startd_address

__all__ = ["claims", "complaint", "on_this_host"]

RENEW = (
    "Restart the server from the hub's control panel to get a new one."
    if "JUPYTERHUB_USER" in os.environ
    else "condor_token_fetch on the access point makes one, to be copied to here."
)


def claims(token: str) -> dict[str, Any] | None:
    """The payload of a token, unverified; None for what is no token.

    >>> claims("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.x")
    {'sub': 'a'}
    >>> claims("nothing")
    """
    try:
        _, payload, _ = token.strip().split(".")
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None


def _read(directory: Path) -> list[dict[str, Any]]:
    found = []
    for file in sorted(directory.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            found += [payload for line in file.read_text(errors="replace").splitlines() if (payload := claims(line))]
    return found


def on_this_host(address: str) -> bool:
    """Whether a daemon of this address is on this host: others' addresses cannot be bound.

    >>> on_this_host("<127.0.0.1:9618?sock=schedd>"), on_this_host("<192.0.2.1:9618?sock=schedd>")
    (True, False)
    """
    try:
        ip = startd_address(address).strip("[]")
        with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((ip, 0))
    except (OSError, ValueError):
        return False
    return True


def complaint(directories: Iterable[Path], now: float | None = None) -> str | None:
    """Say why no token of these directories can serve; None where one can."""
    now = time.time() if now is None else now
    places = list(directories)
    found: list[dict[str, Any]] = []
    for place in places:
        try:
            found += _read(place)
        except OSError:
            continue
    if not found:
        return f"There is no HTCondor token in {' or '.join(map(str, places))}. {RENEW}"
    ends = [payload.get("exp") for payload in found]
    if any(end is None or end > now for end in ends):
        return None
    last = max(end for end in ends if end is not None)
    past = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last))
    return f"The HTCondor token of this session expired at {past}. {RENEW}"
