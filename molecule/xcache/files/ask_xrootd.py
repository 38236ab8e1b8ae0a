# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask XRootD servers, each question as another holder of a token: ask_xrootd.py QUESTIONS

QUESTIONS is a JSON list of {"who": name of a token's file, "do": what, "url": where}. Prints a JSON list of answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from XRootD import client
from XRootD.client.flags import OpenFlags, QueryCode

TOKENS = "/run/cmsaf"


def open_for(url: str, flags: Any, use: Callable[[client.File], Any]) -> dict[str, Any]:
    with client.File() as file:
        status, _ = file.open(url, flags)
        if status.ok:
            status, found = use(file)
            if status.ok and found is not None:
                return {"ok": True, "bytes": len(found), "sha256": hashlib.sha256(found).hexdigest()}
    return {"ok": status.ok, "says": " ".join(status.message.split())}


def ask_about(url: str, use: Callable[[client.FileSystem, str], Any]) -> dict[str, Any]:
    address = client.URL(url)
    status, found = use(client.FileSystem(f"{address.protocol}://{address.hostid}"), address.path)
    says = found.decode() if isinstance(found, bytes) else status.message
    return {"ok": status.ok, "says": " ".join(says.replace("\0", "").split())}


ACTIONS: dict[str, Callable[[str], dict[str, Any]]] = {
    "read": lambda url: open_for(url, OpenFlags.READ, lambda file: file.read()),
    "create": lambda url: open_for(url, OpenFlags.NEW | OpenFlags.UPDATE, lambda file: file.write(b"written")),
    "overwrite": lambda url: open_for(url, OpenFlags.UPDATE, lambda file: file.write(b"written")),
    "remove": lambda url: ask_about(url, lambda server, path: server.rm(path)),
    "version": lambda url: ask_about(url, lambda server, _: server.query(QueryCode.CONFIG, "version")),
}


def in_a_process(question: dict[str, str]) -> dict[str, Any]:
    """A connection keeps the token it began with, so every question has a process of its own."""
    environment = dict(os.environ, BEARER_TOKEN_FILE=f"{TOKENS}/{question['who']}")
    done = subprocess.run(
        [sys.executable, __file__, question["do"], question["url"]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{question}: {done.stderr.strip()}")
    return {**question, **json.loads(done.stdout)}


if len(sys.argv) == 2:
    print(json.dumps([in_a_process(question) for question in json.loads(sys.argv[1])]))
else:
    print(json.dumps(ACTIONS[sys.argv[1]](sys.argv[2])))
