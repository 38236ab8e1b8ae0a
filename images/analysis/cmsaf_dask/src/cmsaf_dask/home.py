# SPDX-License-Identifier: GPL-3.0-or-later
"""Extension of Jupyter's server: JupyterLab's page learns how much of the user's home is used, and how much there is.

A home that is a file system of its own (Ceph's block device, an image), or that has a quota (CephFS, a project of XFS or ext4,
over NFS too), says so by itself. Where nothing limits it the file system says the size of the whole disk, which is not the
user's. So the two are told apart by the size that the claim of the home has, which the hub knows.

In a home that is full the server has to work for as long as it takes to make room: Jupyter notes in a data base there which
notebooks are trusted, and by itself opens none when it cannot.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmsaf_dask import page

__all__ = ["Home", "claimed", "look"]

# Seconds between two questions of a page.
_AGAIN = 30.0
# Of the claim: who makes volumes rounds up.
_ROUNDED = 1.1
_NEAR = 0.9
# Bytes of which a notebook could still be saved.
_LEFT = 1 << 20
# JupyterLab cuts a message at 140 letters.
_MESSAGES = {
    "near": "Your home is nearly full: {used} of {size}. Remove what you do not need any more, or move it elsewhere.",
    "files": "Your home has nearly as many files as it may have. Remove what you do not need any more, such as environments.",
    "full": "Your home is full: {used} of {size}. Nothing can be saved. Remove something in the file browser or a terminal.",
    "disk": "The disk that all homes are on is full: nothing can be saved. Please tell the facility's admins.",
}
_STATES = {"near": ", nearly full", "files": ", nearly too many files", "full": ", full", "disk": ", disk is full"}


@dataclass(frozen=True)
class Home:
    """What is used of a home, and how much there is, in bytes; no size where nothing limits it."""

    used: int
    size: int | None
    level: str

    def answer(self) -> dict[str, Any]:
        """For the page: a text for the status bar, and a message once the level is reached."""
        sizes = {"used": _words(self.used), "size": _words(self.size or 0)}
        what = "no limit" if self.size is None else "{used} of {size}".format(**sizes)
        return {
            "again": _AGAIN,
            "used": None if self.size is None else self.used,
            "size": self.size,
            "text": f"Home: {what}{_STATES.get(self.level, '')}",
            "level": self.level,
            "message": _MESSAGES.get(self.level, "").format(**sizes),
        }


def claimed(environment: Mapping[str, str]) -> int | None:
    """Size of the home's claim, as the hub has told the server; nothing where it tells none."""
    text = environment.get("CMSAF_HOME_BYTES")
    return int(text) if text else None


def look(home: Path, claim: int) -> Home:
    """Ask the file system.

    :param claim: bytes of the home's claim: of a file system that is larger the home has a part without a limit
    """
    found = os.statvfs(home)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    left = found.f_bavail * found.f_frsize
    # Some say of files that there is any number of them.
    files = found.f_files if found.f_favail <= found.f_files else 0
    if used + left > claim * _ROUNDED:
        return Home(used, None, "disk" if left < _LEFT else "")
    if left < _LEFT or (files and not found.f_favail):
        level = "full"
    elif used >= _NEAR * (used + left):
        level = "near"
    else:
        level = "files" if files - found.f_favail >= _NEAR * files > 0 else ""
    return Home(used, used + left, level)


def _words(size: float) -> str:
    """A size as people read it.

    >>> _words(0), _words(1023), _words(300 * 2**20), _words(9.74 * 2**30)
    ('0 KiB', '1 KiB', '300 MiB', '9.7 GiB')
    """
    units, size = ["KiB", "MiB", "GiB", "TiB"], size / 1024
    while size >= 1000 and len(units) > 1:
        units, size = units[1:], size / 1024
    return f"{size:.1f} {units[0]}" if 0 < size < 9.95 and units[0] not in ("KiB", "MiB") else f"{size:.0f} {units[0]}"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "cmsaf_dask.home"}]


def _open_untrusted(notary: Any) -> None:
    """Have notebooks opened where the data base takes no note of them, as those that are not trusted yet."""
    from nbformat.sign import SQLiteSignatureStore

    class Store(SQLiteSignatureStore):  # type: ignore[misc]  # the library has no types
        def check_signature(self, digest: str, algorithm: str) -> bool:
            try:
                return bool(super().check_signature(digest, algorithm))
            except sqlite3.Error as problem:
                self.log.warning("Looking whether a notebook is trusted, in %s: %s", self.db_file, problem)
                return False

        def store_signature(self, digest: str, algorithm: str) -> None:
            try:
                super().store_signature(digest, algorithm)
            except sqlite3.Error as problem:
                self.log.warning("Noting that a notebook is trusted, in %s: %s", self.db_file, problem)

    notary.store_factory = lambda: Store(notary.db_file, parent=notary)


def _load_jupyter_server_extension(server: Any) -> None:
    _open_untrusted(server.contents_manager.notary)
    claim = claimed(os.environ)
    if claim is None:
        return

    async def answer() -> dict[str, Any]:
        # In a thread: while an NFS server is away, the question waits for it.
        return (await asyncio.to_thread(look, Path.home(), claim)).answer()

    page.add(server, "home", answer)
