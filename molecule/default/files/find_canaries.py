# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for secrets in places where none belongs.

find_canaries.py CANARIES [--look PATH]... [--ask COMMAND]... [--home PATH]...

CANARIES is a file of JSON lines {"name", "text"} or {"name", "path"}: a secret, or a file whose content is one. Looks
into every file below each PATH of --look, what each COMMAND prints, and the arguments and environment of every process of
this machine but its own forebears. What lies below a PATH of --home is where the secrets belong: they have to be found
there, or the search itself is blind.

Prints one line of JSON for each find, {"name", "where"}, and never the secret, and a last one with what was looked at.
Ends with 1 if there is a find or the search was blind.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

CHUNK = 1 << 22
LEAST = 16


def forms(secret: bytes) -> set[bytes]:
    """How a secret may be written down; a token's last letters are those of its signature, which is the secret in it."""
    text = secret.strip()
    found = {text, text[-40:], quote(text[-40:]).encode(), base64.b64encode(text), text.hex().encode()}
    return {form for form in found if len(form) >= LEAST}


def read_canaries(path: Path) -> dict[bytes, str]:
    known: dict[bytes, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        canary = json.loads(line)
        secret = Path(canary["path"]).read_bytes() if "path" in canary else canary["text"].encode()
        for form in forms(secret):
            known[form] = canary["name"]
    if not known:
        sys.exit(f"reading {path}: found no canary of {LEAST} bytes or more; hand over some")
    return known


class Search:
    def __init__(self, known: dict[bytes, str]) -> None:
        self.known = known
        # The longest first: a form may be a part of another.
        self.pattern = re.compile(b"|".join(re.escape(form) for form in sorted(known, key=len, reverse=True)))
        self.longest = max(map(len, known))
        self.bytes = 0

    def within(self, stream: Iterator[bytes]) -> set[str]:
        found: set[str] = set()
        rest = b""
        for part in stream:
            self.bytes += len(part)
            text = rest + part
            found |= {self.known[match[0]] for match in self.pattern.finditer(text)}
            rest = text[-self.longest :]
        return found

    def file(self, path: Path) -> set[str]:
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return set()
            with path.open("rb") as stream:
                return self.within(iter(lambda: stream.read(CHUNK), b""))
        except (FileNotFoundError, ProcessLookupError):
            return set()

    def tree(self, top: Path) -> Iterator[tuple[str, str]]:
        paths = (
            [top]
            if top.is_file()
            else sorted(Path(folder) / name for folder, _, names in os.walk(top) for name in names)
        )
        for path in paths:
            for name in self.file(path):
                yield name, str(path)

    def command(self, command: str) -> Iterator[tuple[str, str]]:
        done = subprocess.run(shlex.split(command), capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(
                f"asking '{command}': it ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"
            )
        for name in self.within(iter([done.stdout + done.stderr])):
            yield name, f"output of: {command}"

    def processes(self) -> Iterator[tuple[str, str]]:
        own = forebears()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in own:
                continue
            for what in ("cmdline", "environ"):
                try:
                    found = self.within(iter([(entry / what).read_bytes()]))
                    command = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
                except OSError:
                    continue
                for name in found:
                    yield name, f"{what} of process {entry.name} ({command})"


def forebears() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        match = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
        pid = int(match[1]) if match else 0
    return found


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("canaries", type=Path)
    options.add_argument("--look", type=Path, action="append", default=[])
    options.add_argument("--ask", action="append", default=[])
    options.add_argument("--home", type=Path, action="append", default=[])
    given = options.parse_args()
    known = read_canaries(given.canaries)
    search = Search(known)
    at_home = {name for path in given.home for name, _where in search.tree(path)}
    search.bytes = 0
    found: list[tuple[str, str]] = []
    for path in given.look:
        homes = tuple(map(str, given.home))
        found += [find for find in search.tree(path) if not find[1].startswith(homes)]
    for command in given.ask:
        found += search.command(command)
    found += search.processes()
    for name, where in found:
        print(json.dumps({"name": name, "where": where}))
    unseen = sorted(set(known.values()) - at_home) if given.home else []
    print(
        json.dumps({"canaries": len(set(known.values())), "bytes": search.bytes, "finds": len(found), "unseen": unseen})
    )
    return 1 if found or unseen else 0


if __name__ == "__main__":
    sys.exit(main())
