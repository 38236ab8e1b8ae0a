# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's data base, where it is a file of SQLite."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

__all__ = ["commit_without_waiting"]


def commit_without_waiting() -> None:
    """Have SQLite write ahead, and not wait for the disk at each commit.

    JupyterHub commits a dozen times for a start, in the thread that serves everybody. A hub that is killed loses nothing by
    this; a machine that loses its power loses the commits of the last moments, and the data base is sound all the same.
    """
    if not event.contains(Engine, "connect", _write_ahead):
        event.listen(Engine, "connect", _write_ahead)


def _write_ahead(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
