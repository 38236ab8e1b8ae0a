# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The renewal of running servers' tokens: when, and what it asks of the API server in the order it asks it.

The client is the real one; the API server is a small one of the test's own, which knows what is asked here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cmsaf_hub.errors import CredentialError
from cmsaf_hub.refused import RefusedUsers
from cmsaf_hub.renewal import Plan, Renewal
from cmsaf_hub.settings import Settings, SigningKey
from cmsaf_mint import _idtoken, _macaroon
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

NAMESPACE = "hub"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what the hub tells; the machine's may have that of another hub."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    key, secret = tmp_path / "condor-key", tmp_path / "macaroon-secret"
    key.write_bytes(_idtoken.generate_key())
    made = _macaroon.generate_secret()
    secret.write_bytes(made if isinstance(made, bytes) else made.encode())
    return Settings.from_values(
        {
            "dask": {"domain": "dask.af.test", "lifetime": 86400},
            "condor": {
                "keyFile": str(key),
                "keyId": "k",
                "trustDomain": "pool.af.test",
                "usersDomain": "users.af.test",
                "lifetime": 43200,
            },
            "cache": {"secretFile": str(secret), "location": "AF", "path": "/store", "lifetime": 3600},
            "renewEvery": 600,
        }
    )


# -- when ---------------------------------------------------------------------


def latest(low: float, high: float) -> float:
    return high


def test_all_at_the_start_then_each_in_its_time() -> None:
    plan = Plan(1200, random=latest)
    plan.seen({"a", "b"}, now=0)
    assert plan.due(0) == []
    assert plan.due(plan.look * 2) == ["a", "b"]
    plan.done("a", now=60)
    plan.seen({"a", "b", "new"}, now=60)
    assert plan.due(60) == ["b"]
    plan.done("b", now=60)
    assert plan.due(1259) == []
    assert plan.due(1260) == ["a", "b", "new"]


def test_the_start_is_spread_out_and_later_turns_are_not_at_one_moment() -> None:
    plan = Plan(1200)
    everybody = {f"uid-{number}" for number in range(1000)}
    plan.seen(everybody, now=0)
    assert 300 < len(plan.due(plan.look)) < 700
    for uid in everybody:
        plan.done(uid, now=0)
    assert plan.due(959) == []
    assert 300 < len(plan.due(1080)) < 700
    assert set(plan.due(1200)) == everybody


def test_failures_are_tried_again_with_a_growing_pause() -> None:
    plan = Plan(1200, random=latest)
    plan.seen({"a"}, now=0)
    pauses = []
    for _ in range(9):
        plan.failed("a", now=0)
        pauses.append(next(pause for pause in range(2000) if plan.due(pause)))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    plan.done("a", now=0)
    plan.failed("a", now=0)
    assert plan.due(5) == ["a"]


def test_who_is_gone_is_forgotten() -> None:
    plan = Plan(1200, random=latest)
    plan.seen({"a", "b"}, now=0)
    plan.failed("a", now=0)
    plan.seen({"b"}, now=1)
    assert plan.due(10_000) == ["b"]


# -- what ---------------------------------------------------------------------


def pod(user: str = "alice", uid: str = "8d3c", name: str = "", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"jupyter-{user.lower()}",
            "namespace": NAMESPACE,
            "uid": uid,
            "labels": {"cmsaf.facility/server": user},
            "annotations": {"hub.jupyter.org/username": user, "hub.jupyter.org/servername": name},
            **metadata,
        },
        "status": {"phase": "Running"},
    }


class Api:
    """Pods and Secrets of one namespace; refuses what the hub's role does not grant, as reading a Secret."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = {one["metadata"]["name"]: one for one in pods}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.answers: dict[str, int] = {}
        self.before: Callable[[str], None] = lambda asked: None

    async def answer(self, request: web.Request) -> web.Response:
        kind, _, name = request.path.removeprefix(f"/api/v1/namespaces/{NAMESPACE}/").partition("/")
        asked = f"{request.method} {kind}"
        self.asked.append(f"{asked} {name}".strip())
        self.before(asked)
        if asked in self.answers:
            return web.json_response({"kind": "Status"}, status=self.answers[asked])
        if asked == "GET pods" and not name:
            assert request.query["labelSelector"] == "cmsaf.facility/server"
            assert request.query["fieldSelector"] == "status.phase=Running"
            return web.json_response({"items": list(self.pods.values())})
        if asked == "GET pods":
            found = self.pods.get(name)
            return web.json_response(found or {}, status=200 if found else 404)
        if asked == "PATCH secrets":
            assert request.content_type == "application/strategic-merge-patch+json"
            if name not in self.secrets:
                return web.json_response({}, status=404)
            change = await request.json()
            assert set(change) == {"stringData"}
            self.secrets[name]["stringData"] |= change["stringData"]
            return web.json_response(self.secrets[name])
        if asked == "POST secrets":
            made = await request.json()
            self.secrets[made["metadata"]["name"]] = made
            return web.json_response(made, status=201)
        return web.json_response({}, status=403)


@asynccontextmanager
async def renewing(api: Api, settings: Settings) -> AsyncIterator[Renewal]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server, ApiClient(Configuration(host=f"http://127.0.0.1:{server.port}")) as client:
        # Everything is due at once, always.
        plan = Plan(600, random=lambda low, high: 0.0)
        yield Renewal(settings, NAMESPACE, CoreV1Api(client), plan)


def live(api: Api, settings: Settings, act: Callable[[Renewal], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with renewing(api, settings) as renewal:
            await act(renewal)

    asyncio.run(scenario())


async def once(renewal: Renewal) -> None:
    await renewal.turn()


def test_tokens_are_replaced_and_nothing_else(settings: Settings) -> None:
    api = Api(pod())
    api.secrets["cmsaf-alice"] = {"stringData": {"ca.pem": "kept", "condor_token": "old"}}
    live(api, settings, once)
    assert api.asked == ["GET pods", "PATCH secrets cmsaf-alice"]
    stored = api.secrets["cmsaf-alice"]["stringData"]
    assert stored["ca.pem"] == "kept"
    assert set(stored) == {"ca.pem", "condor_token", "xcache_token", "bearer_token"}
    assert _idtoken.parse(stored["condor_token"]).identity == "alice@users.af.test"
    assert stored["xcache_token"] == stored["bearer_token"] != ""


def test_a_missing_secret_is_made_again_for_its_pod(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(pod("Alice", name="two"))
    live(api, settings, once)
    (made,) = api.secrets.values()
    assert api.asked == [
        "GET pods",
        f"PATCH secrets {made['metadata']['name']}",
        "GET pods jupyter-alice",
        "POST secrets",
    ]
    assert made["metadata"]["ownerReferences"][0]["uid"] == "8d3c"
    assert made["metadata"]["annotations"] == {
        "hub.jupyter.org/username": "Alice",
        "hub.jupyter.org/servername": "two",
    }
    assert len(made["stringData"]) == 7
    assert "made again" in caplog.text


@pytest.mark.parametrize(
    "later",
    [None, pod(uid="another"), pod(deletionTimestamp="2026-01-01T00:00:00Z")],
    ids=["gone", "another of its name", "ending"],
)
def test_no_secret_for_a_pod_that_is_gone(
    settings: Settings, caplog: pytest.LogCaptureFixture, later: dict[str, Any] | None
) -> None:
    api = Api(pod())

    def go(asked: str) -> None:
        if asked == "PATCH secrets":
            api.pods = {"jupyter-alice": later} if later else {}

    api.before = go
    live(api, settings, once)
    assert api.secrets == {}
    assert "POST secrets" not in api.asked
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_pods_that_end_are_left_alone(settings: Settings) -> None:
    api = Api(pod(deletionTimestamp="2026-01-01T00:00:00Z"))
    live(api, settings, once)
    assert api.asked == ["GET pods"]


def test_who_may_not_enter_any_more_gets_nothing_until_he_may_again(settings: Settings, tmp_path: Path) -> None:
    refused = RefusedUsers()
    assert (tmp_path / "cmsaf-refused-users.json").stat().st_mode & 0o777 == 0o600
    api = Api(pod("alice", "1"), pod("bob", "2"))

    async def act(renewal: Renewal) -> None:
        refused.add("alice")
        await once(renewal)
        assert [call for call in api.asked if "alice" in call] == []
        assert [call for call in api.asked if "bob" in call] != []
        refused.discard("alice")
        await renewal.turn()
        assert [call for call in api.asked if "alice" in call] != []

    live(api, settings, act)


def test_the_hub_was_faster(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    api = Api(pod())
    api.answers = {"POST secrets": 409}
    live(api, settings, once)
    assert api.asked[-1] == "POST secrets"
    assert caplog.text == ""


def test_a_trouble_is_said_once_and_its_end_too(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api = Api(pod("alice", "1"), pod("bob", "2"))
    api.secrets = {f"cmsaf-{name}": {"stringData": {}} for name in ("alice", "bob")}
    api.answers = {"PATCH secrets": 403}

    async def act(renewal: Renewal) -> None:
        for _ in range(3):
            await renewal.turn()
        api.answers = {"GET pods": 503}
        for _ in range(3):
            await renewal.turn()
        api.answers = {}
        await renewal.turn()

    live(api, settings, act)
    said = [record.getMessage() for record in caplog.records if record.name == "cmsaf_hub.renewal"]
    assert [("403" in one, "503" in one, "works again" in one) for one in said] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (False, False, True),
    ]
    assert "eyJ" not in caplog.text
    assert all(one["stringData"]["condor_token"] for one in api.secrets.values())


def test_a_key_that_cannot_be_read_is_a_trouble_not_an_end(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.condor is not None
    source = settings.condor.source
    assert isinstance(source, SigningKey)
    source.key_file.unlink()
    api = Api(pod())
    live(api, settings, once)
    assert api.asked == ["GET pods"]
    assert str(source.key_file) in caplog.text


def test_without_tokens_there_is_nothing_to_run() -> None:
    settings = Settings.from_values(json.loads('{"dask": {"domain": "d.test", "lifetime": 60}}'))
    with pytest.raises(CredentialError, match="neither condor nor cache"):
        Renewal(settings, NAMESPACE, CoreV1Api.__new__(CoreV1Api))
