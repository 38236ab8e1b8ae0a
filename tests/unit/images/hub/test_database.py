# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the hub's data base is written, by JupyterHub's own way to it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cmsaf_hub import database
from jupyterhub import orm
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    database.commit_without_waiting()
    database.commit_without_waiting()
    session = orm.new_session_factory(f"sqlite:///{tmp_path}/hub.sqlite")()
    yield session
    session.close()
    event.remove(Engine, "connect", database._write_ahead)


def test_a_commit_does_not_wait_for_the_disk(session: Session) -> None:
    assert session.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    # 1 is NORMAL, with which a log that is written ahead is not waited for.
    assert session.execute(text("PRAGMA synchronous")).scalar() == 1


def test_what_was_committed_is_there_after_a_kill(session: Session, tmp_path: Path) -> None:
    session.add(orm.User(name="alice"))
    session.commit()
    # As whoever is killed leaves it: nobody has closed it.
    left = tmp_path / "left"
    left.mkdir()
    for path in tmp_path.glob("hub.sqlite*"):
        shutil.copy(path, left)
    assert (left / "hub.sqlite-wal").stat().st_size > 0
    with sqlite3.connect(left / "hub.sqlite") as found:
        assert found.execute("SELECT name FROM users").fetchall() == [("alice",)]


def test_another_data_base_is_left_as_it_is() -> None:
    class Other:
        """Would break on any call."""

    database._write_ahead(Other(), None)
