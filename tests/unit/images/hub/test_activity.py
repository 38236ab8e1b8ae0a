# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When servers were used last, in JupyterHub's own data base."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from cmsaf_hub import activity
from jupyterhub import orm
from sqlalchemy.exc import OperationalError

LOG = logging.getLogger("test")
BEFORE, NOON, AFTER = (datetime(2026, 11, 27, hour) for hour in (11, 12, 13))


@pytest.fixture
def db() -> Iterator[Any]:
    session = orm.new_session_factory("sqlite:///:memory:")()
    yield session
    session.close()


def add(db: Any, name: str, last: datetime | None) -> orm.User:
    user = orm.User(name=name, last_activity=last)
    db.add_all([user, orm.Spawner(name="", user=user, last_activity=last)])
    db.commit()
    return user


def route(name: str, used: str = "2026-11-27T12:00:00.000Z", server: str = "") -> dict[str, Any]:
    return {"data": {"user": name, "server_name": server, "last_activity": used}}


def note(db: Any, *routes: dict[str, Any]) -> None:
    asyncio.run(activity.note(db, dict(enumerate(routes)), LOG))  # type: ignore[arg-type]  # any names do


@pytest.mark.parametrize(("last", "noted"), [(None, NOON), (BEFORE, NOON), (AFTER, AFTER)])
def test_the_later_counts(db: Any, last: datetime | None, noted: datetime) -> None:
    user = add(db, "alice", last)
    seen = route("alice")
    note(db, seen)
    db.expire_all()
    assert user.last_activity == user.orm_spawners[""].last_activity == noted
    # There is nothing left for JupyterHub to do.
    assert seen["data"] == {"user": "alice", "server_name": ""}


def test_times_of_any_zone(db: Any) -> None:
    user = add(db, "alice", None)
    note(db, route("alice", "2026-11-27T13:30:00+01:30"))
    assert user.last_activity == NOON


def test_who_is_not_known_is_left_to_jupyterhub(db: Any) -> None:
    add(db, "alice", None)
    stranger, other = route("mallory"), route("alice", server="other")
    hub: dict[str, Any] = {"data": {"hub": True}}
    note(db, stranger, other, hub)
    assert "last_activity" in stranger["data"]
    assert "last_activity" in other["data"]
    assert hub == {"data": {"hub": True}}


def test_others_have_their_turn_in_between(db: Any) -> None:
    names = [f"user{number}" for number in range(3 * activity._TOGETHER)]
    users = [add(db, name, None) for name in names]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        task = asyncio.create_task(other())
        await activity.note(db, {name: route(name) for name in names}, LOG)
        task.cancel()

    asyncio.run(both())
    assert turns >= 3
    assert {user.last_activity for user in users} == {NOON}


def test_a_data_base_that_fails_is_no_end(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user = add(db, "alice", BEFORE)

    def locked() -> None:
        raise OperationalError("COMMIT", None, Exception("locked"))

    with monkeypatch.context() as patch:
        patch.setattr(db, "commit", locked)
        note(db, route("alice"))
    assert user.last_activity == BEFORE
    note(db, route("alice"))
    assert user.last_activity == NOON
