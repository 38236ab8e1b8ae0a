#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""copy_database.py FROM TO: copy a SQLite data base as of one moment, while others write to it.

The copy has the owner and the mode of the original.
"""

import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from urllib.parse import quote


def copy(source: str, target: str) -> None:
    """Copy, and read all of the copy. Raises sqlite3.Error if either is not a sound data base."""
    Path(target).unlink(missing_ok=True)
    # Not read-only: what a hub that was killed left half written is rolled back by whoever opens it next.
    there = sqlite3.connect(f"file:{quote(source)}?mode=rw", uri=True, timeout=60)
    with contextlib.closing(there), contextlib.closing(sqlite3.connect(target)) as here:
        there.backup(here)
        (found,) = here.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"{source}: {found}")
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, status.st_mode & 0o777)


def main() -> int:
    os.umask(0o077)
    try:
        copy(sys.argv[1], sys.argv[2])
    except sqlite3.Error as error:
        sys.exit(f"Copying the data base {sys.argv[1]}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
