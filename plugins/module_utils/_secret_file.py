# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that hold a secret: never readable by others, not even while they are written.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import tempfile

__all__ = ["read", "write"]


def read(path: str) -> bytes | None:
    """Content of the file, None if there is no such file."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def write(path: str, data: bytes) -> None:
    """Put data in place whole, mode 0600; owner and group of a file already there are kept."""
    directory = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=".cmsaf-", dir=directory)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(path)
                os.fchown(stream.fileno(), there.st_uid, there.st_gid)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
