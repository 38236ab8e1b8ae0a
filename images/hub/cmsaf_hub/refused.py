# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Users who may not enter any more, told by the hub to its renewal, which has no rights at the hub.

A file of the hub's pod, that only the hub's account reads. It is empty after a restart: the hub asks again for whoever uses it,
and each running server does every few minutes.
"""

from __future__ import annotations

import json
import os
import tempfile

from cmsaf_mint import _secret_file

__all__ = ["RefusedUsers", "read"]


class RefusedUsers:
    """Their names, written whenever they change."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._write()

    def add(self, name: str) -> None:
        if name not in self._names:
            self._names.add(name)
            self._write()

    def discard(self, name: str) -> None:
        if name in self._names:
            self._names.discard(name)
            self._write()

    def _write(self) -> None:
        _secret_file.write(_path(), json.dumps(sorted(self._names)).encode())


def read() -> frozenset[str]:
    """Nobody where no login of this hub keeps any."""
    return frozenset(json.loads(_secret_file.read(_path()) or "[]"))


def _path() -> str:
    return os.path.join(tempfile.gettempdir(), "cmsaf-refused-users.json")
