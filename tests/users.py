# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of a running facility, for the programs that act as such: where the hub is, a server that nobody has used.

STATE, a directory that tests/rotate/settings.yml fills, holds settings.json (url, ca, password_file).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "roles/verify/files/cmsaf_verify"))
from hub import Hub, HubError, Session  # type: ignore[import-not-found]  # noqa: E402 # after what it is found by

__all__ = ["ROOT", "Facility", "Hub", "HubError", "Session", "end", "start_fresh"]


@dataclass(frozen=True)
class Facility:
    """Where its hub is, and by what people enter."""

    url: str
    ca: str
    password: str = field(repr=False)

    @classmethod
    def told(cls, state: Path) -> Facility:
        settings = json.loads((state / "settings.json").read_text(encoding="utf-8"))
        password = Path(settings["password_file"]).read_text(encoding="utf-8").strip()
        return cls(settings["url"], settings["ca"], password)

    def session(self, user: str, **known: Any) -> Session:
        return Session(url=self.url, ca=self.ca, user=user, **known)


def start_fresh(hub: Hub, password: str, limit: float, profile: str = "") -> None:
    """Log in, start the user's server and open a kernel; what a run that was cut off has left goes before."""
    hub.login(password)
    if hub.runs():
        hub.stop(limit)
        # The token went back with the server.
        hub.login(password)
    hub.start(limit, profile)
    hub.open_kernel()


def end(hub: Hub, limit: float) -> None:
    """Stop the server of whoever is logged in, once."""
    if hub.session.token:
        hub.stop(limit)
        hub.session.token = ""
