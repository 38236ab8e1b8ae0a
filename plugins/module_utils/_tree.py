# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Folders packed into an archive that is the same each time. Private to this collection; imports nothing of Ansible."""

from __future__ import annotations

__all__ = ["IGNORED", "TreeError", "pack", "walk"]

import fnmatch
import os
import tarfile
import typing as t

IGNORED = ("__pycache__", "*.pyc", ".git", ".*_cache", "*.egg-info")


class TreeError(Exception):
    """Which folder was wanted, and what was found."""


def _kept(names: t.Iterable[str]) -> list[str]:
    return sorted(name for name in names if not any(fnmatch.fnmatch(name, glob) for glob in IGNORED))


def walk(root: str) -> t.Iterator[tuple[str, str]]:
    """All files and links below a folder that count, as relative name and path."""
    for folder, names, files in os.walk(root):
        kept = _kept(names)
        links = [name for name in kept if os.path.islink(os.path.join(folder, name))]
        names[:] = [name for name in kept if name not in links]
        for name in _kept([*files, *links]):
            path = os.path.join(folder, name)
            yield os.path.relpath(path, root), path


def _members(folders: t.Mapping[str, str]) -> dict[str, str]:
    members: dict[str, str] = {}
    for prefix, root in folders.items():
        if not os.path.isdir(root):
            raise TreeError(f"{root} is no folder on the controller. Set it by the option folders.")
        for name, path in walk(root):
            members[os.path.normpath(os.path.join(prefix, name))] = path
    return members


def pack(folders: t.Mapping[str, str], stream: t.IO[bytes]) -> None:
    """Write the folders to a stream as a tar archive, by the name that each has in it."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, path in sorted(_members(folders).items()):
            info = tarfile.TarInfo(name)
            if os.path.islink(path):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
                archive.addfile(info)
                continue
            with open(path, "rb") as content:
                found = os.fstat(content.fileno())
                info.size = found.st_size
                info.mode = 0o755 if found.st_mode & 0o100 else 0o644
                archive.addfile(info, content)
