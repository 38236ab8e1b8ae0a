# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Content keys and records of cached builds. Private to this collection; imports nothing of Ansible."""

from __future__ import annotations

__all__ = [
    "CacheError",
    "Output",
    "Record",
    "content_key",
    "digest_file",
    "digest_path",
    "install",
    "read_record",
    "reusable",
    "write_record",
]

import hashlib
import json
import os
import tempfile
import typing as t
from dataclasses import dataclass

from ansible_collections.cmsaf.facility.plugins.module_utils._tree import walk


class CacheError(Exception):
    """What was attempted, where, what was found and what sets it right."""


@dataclass(frozen=True)
class Output:
    """One file a build leaves behind: its name in the build, its place, its pinned sha256 ('' = not pinned)."""

    name: str
    path: str
    sha256: str = ""


@dataclass(frozen=True)
class Record:
    """What a finished build left: its key, and sha256 and size of each file, by place."""

    key: str
    files: dict[str, tuple[str, int]]


def digest_file(path: str) -> str:
    """The sha256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _entry(path: str) -> str:
    """What of one file or link counts: kind, executable or not, content."""
    if os.path.islink(path):
        return "link " + os.readlink(path)
    executable = "x" if os.stat(path).st_mode & 0o100 else "-"
    return f"file {executable} {digest_file(path)}"


def digest_path(path: str) -> str:
    """A digest of a file, or of all files below a folder by relative name; owners and times do not count."""
    if os.path.isdir(path):
        tree = "\n".join(
            f"{name}\0{entry}" for name, entry in ((name, _entry(found)) for name, found in sorted(walk(path)))
        )
        return hashlib.sha256(tree.encode()).hexdigest()
    return hashlib.sha256(_entry(path).encode()).hexdigest()


def content_key(
    *,
    name: str,
    inputs: t.Sequence[str],
    values: t.Sequence[str],
    argv: t.Sequence[str],
    environment: t.Mapping[str, str],
) -> str:
    """The key of a build: changes when anything that goes in changes, not when the same things lie elsewhere."""
    found = []
    for path in inputs:
        try:
            found.append([os.path.basename(path.rstrip("/")), digest_path(path)])
        except OSError as error:
            raise CacheError(
                f"Reading the input {path} of {name} failed: {error.strerror}. Set it by the option inputs."
            ) from error
    parts = [name, found, list(values), list(argv), sorted(environment.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_record(path: str) -> Record | None:
    """The record of the last finished build, or None where there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            raw = json.load(stream)
        files = {place: (entry["sha256"], entry["size"]) for place, entry in raw["files"].items()}
        return Record(key=raw["key"], files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_record(path: str, record: Record) -> None:
    """Write a record in one step. Nothing in it changes from build to build unless the outputs do."""
    raw = {
        "files": {place: {"sha256": sha256, "size": size} for place, (sha256, size) in sorted(record.files.items())},
        "key": record.key,
    }
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".record-")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(raw, stream, indent=1, sort_keys=True)
        stream.write("\n")
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def reusable(record: Record | None, key: str, outputs: t.Sequence[Output]) -> bool:
    """Whether the last build had this key and left these files, which still have the size they had."""
    if record is None or record.key != key:
        return False
    for output in outputs:
        sha256, size = record.files.get(output.path, ("", -1))
        if output.sha256 and sha256 != output.sha256:
            return False
        try:
            if os.stat(output.path).st_size != size:
                return False
        except OSError:
            return False
    return True


def install(name: str, folder: str, outputs: t.Sequence[Output]) -> dict[str, tuple[str, int]]:
    """Check what a build left in a folder, then move it to its places: all of it, or nothing when one file is wrong."""
    files: dict[str, tuple[str, int]] = {}
    for output in outputs:
        built = os.path.join(folder, output.name)
        if not os.path.isfile(built):
            there = ", ".join(sorted(os.listdir(folder))) or "nothing"
            raise CacheError(
                f"Building {name} ended without the file {output.name} in $OUTPUT; found there: {there}. See the option argv."
            )
        found = digest_file(built)
        if output.sha256 and found != output.sha256:
            raise CacheError(
                f"Installing {output.path}, built as {name}, refused: sha256 found {found}, expected {output.sha256} (option outputs)."
            )
        files[output.path] = (found, os.stat(built).st_size)
    for output in outputs:
        built = os.path.join(folder, output.name)
        os.makedirs(os.path.dirname(output.path), exist_ok=True)
        os.chmod(built, 0o755 if os.stat(built).st_mode & 0o100 else 0o644)
        os.replace(built, output.path)
    return files
