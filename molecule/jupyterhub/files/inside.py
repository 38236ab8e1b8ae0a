# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user's server holds and reaches; runs in its kernel, which has "given" and answer()."""

import base64
import json
import os
import pwd
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uproot
from cmsaf_dask.agent import Agent


def modes(folder):
    paths = (path for path in Path(folder).rglob("*") if path.is_file() and not path.parent.name.startswith(".."))
    return {str(path): f"{path.stat().st_mode & 0o7777:o}" for path in paths}


def reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return "open"


def shared():
    """What is there, after a file was left in each, for all who have it."""
    spaces = sorted(os.listdir("/shared"))
    for space in spaces:
        Path("/shared", space, "note").write_text(f"for {space}")
    return spaces


def claims(token):
    body = Path(token).read_text().split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def events(url):
    with uproot.open(url) as file:
        return file["Events"].num_entries


def job_owner():
    """Submits a job that matches nowhere, and says whose it is."""
    agent = Agent()
    agent.locate(os.environ["CMSAF_COLLECTOR"], os.environ["CMSAF_SCHEDD_NAME"])
    lines = {"universe": "vanilla", "executable": "/bin/true", "transfer_executable": "false", "requirements": "false"}
    mine = f"ClusterId == {agent.submit(lines, ['check'])}"
    try:
        return agent.query(mine, ["User"])[0]["User"]
    finally:
        agent.remove(mine, "it was only to see")


secrets = modes("/etc/cmsaf-secrets")
with ThreadPoolExecutor(32) as crowd:
    doors = dict(zip(given["doors"], crowd.map(reached, given["doors"])))  # noqa: F821
answer(  # noqa: F821
    {
        "uid": os.getuid(),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "secrets": {Path(path).name: mode for path, mode in secrets.items()},
        "writable": [path for path in secrets if os.access(path, os.W_OK) or os.access(Path(path).parent, os.W_OK)],
        "private": modes("/run/cmsaf"),
        "private_keys": sorted(Path(path).name for path in secrets if "PRIVATE KEY" in Path(path).read_text()),
        "account": Path("/var/run/secrets/kubernetes.io").exists(),
        "claims": claims("/etc/cmsaf-secrets/condor_token"),
        "doors": doors,
        "shared": shared(),
        "events": events(given["url"]),  # noqa: F821
        "job_owner": job_owner(),
    }
)
