# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that hold a secret: never readable by others, not even while they are written.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

__all__ = ["SecretFileError", "read", "read_key", "write"]


class SecretFileError(ValueError):
    """A key file that more than its owner can use; the message says what to do."""


def read(path: str) -> bytes | None:
    """Content of the file, None if there is no such file."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def read_key(path: str, option: str) -> bytes | None:
    """Content of a key's file, None if there is none; refused if group or others have any right to it."""
    try:
        handle = open(path, "rb")  # noqa: SIM115 # closed by the next statement
    except FileNotFoundError:
        return None
    with handle:
        mode = stat.S_IMODE(os.fstat(handle.fileno()).st_mode)
        if mode & 0o077:
            raise SecretFileError(
                f"{option} {path} has mode {mode:04o}, which lets others than its owner use the key."
                f" Run chmod 0600 {path}, and make a new key if somebody may have read this one"
            )
        return handle.read()


def write(path: str, data: bytes, mode: int = 0o600) -> None:
    """Put data in place whole, with this mode; owner and group of a file already there are kept."""
    directory = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=".cmsaf-", dir=directory)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
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
