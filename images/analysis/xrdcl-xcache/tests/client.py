# SPDX-License-Identifier: GPL-3.0-or-later
"""What lab.py runs as a user: uproot and the client's Python binding, through the alias.

client.py read URL                      sum a branch by uproot
client.py renew ALIAS STRAIGHT FOLDER   one process over a renewal of its token
"""

from __future__ import annotations

import os
import sys
import time

from XRootD import client
from XRootD.client.flags import OpenFlags, QueryCode


def read(url: str) -> None:
    """Read by uproot and say which file system of fsspec did it."""
    import fsspec
    import uproot

    scheme = type(fsspec.core.url_to_fs(url)[0]).__module__
    with uproot.open({url: "Events"}) as events:
        print(f"{events.num_entries} entries, sum {events['pt'].array(library='np').sum():.0f}, by {scheme}")


def outcome(server: str, path: str) -> str:
    """Open a file and read of it; what the status says."""
    with client.File() as file:
        status, _ = file.open(server + path, OpenFlags.READ)
        if not status.ok:
            return status.message.strip()
        status, data = file.read(0, 10)
        return "read" if status.ok and len(data) == 10 else status.message.strip()


def tell(what: str, **facts: str) -> None:
    """Print one line for lab.py."""
    print(what, *(f"{name}={value!r}" for name, value in facts.items()), flush=True)


def wait_for(path: str) -> None:
    """Return once lab.py has made the file."""
    for _ in range(600):
        if os.path.exists(path):
            return
        time.sleep(0.1)
    sys.exit(f"{path} has not come in 60 s")


def renew(alias: str, straight: str, folder: str) -> None:
    """Open files with a first token, and again after lab.py has put a second in its place and the first has ended."""
    kept = client.File()
    status, _ = kept.open(alias + "/store/user/alice/f1", OpenFlags.READ)
    system = client.FileSystem(alias)
    tell(
        "first",
        kept="open" if status.ok else status.message.strip(),
        alias=outcome(alias, "/store/user/alice/f2"),
        straight=outcome(straight, "/store/user/alice/f2"),
        stat=system.stat("/store/user/alice/f1")[0].message.strip(),
    )
    wait_for(f"{folder}/renewed")
    status, data = kept.read(0, 10)
    tell(
        "renewed",
        kept="read" if status.ok and len(data) == 10 else status.message.strip(),
        alias=outcome(alias, "/store/user/alice/f3"),
        straight=outcome(straight, "/store/user/alice/f4"),
        stat=system.stat("/store/user/alice/f5")[0].message.strip(),
        query=system.query(QueryCode.CONFIG, "role")[0].message.strip(),
    )
    status, _ = kept.close()
    tell("closed", kept="closed" if status.ok else status.message.strip())


if __name__ == "__main__":
    {"read": read, "renew": renew}[sys.argv[1]](*sys.argv[2:])
