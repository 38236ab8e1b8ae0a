# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The home of a server that starts: KubeSpawner and its client are the real ones, the API server is a small one of the test's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cmsaf_hub import home
from cmsaf_hub.errors import ClusterError
from cmsaf_hub.hooks import Hooks
from cmsaf_hub.settings import Settings
from jupyterhub.objects import Hub
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api, V1Container, V1ObjectMeta, V1Pod, V1PodSpec
from kubespawner import KubeSpawner

PLACE = "/api/v1/namespaces/hub/persistentvolumeclaims"
NAME = "claim-alice"


def claim(asked: str, given: str = "", **metadata: str) -> dict[str, Any]:
    status = {"capacity": {"storage": given}, "phase": "Bound"} if given else {"phase": "Pending"}
    spec = {"resources": {"requests": {"storage": asked}}}
    return {"metadata": {"name": NAME, **metadata}, "spec": spec, "status": status}


GOING = claim("1Gi", deletionTimestamp="2026-11-27T06:00:00Z")


class Api:
    """Claims. Of one that is being removed `holds` says how often it is looked at until it is gone."""

    def __init__(self, *claims: dict[str, Any], holds: int = 0, refuse: dict[str, int] | None = None) -> None:
        self.claims = {one["metadata"]["name"]: one for one in claims}
        self.holds = holds
        self.refuse = refuse or {}
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.method)
        if request.method in self.refuse:
            return web.json_response({}, status=self.refuse[request.method])
        if request.method == "POST":
            assert request.path == PLACE
            made = await request.json()
            return web.json_response(self.claims.setdefault(made["metadata"]["name"], made), status=201)
        assert (request.method, request.path) == ("GET", f"{PLACE}/{NAME}")
        found = self.claims.get(NAME)
        if found and "deletionTimestamp" in found["metadata"]:
            self.holds -= 1
            if self.holds < 0:
                found = self.claims.pop(NAME) and None
        return web.json_response(found or {}, status=200 if found else 404)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_PAUSE", 0.01)
    monkeypatch.setattr("kubespawner.spawner.load_config", lambda **_: None)


def told(api: Api, monkeypatch: pytest.MonkeyPatch, **traits: Any) -> list[str]:
    """What the server of a user whose home the hub remembers is told of its size."""

    async def scenario() -> V1Pod:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", api.answer)
        async with (
            TestServer(app) as server,
            ApiClient(Configuration(host=f"http://127.0.0.1:{server.port}")) as client,
        ):
            monkeypatch.setattr("kubespawner.spawner.shared_client", lambda _: CoreV1Api(client))
            user = SimpleNamespace(name="alice", id=1, url="/user/alice/", groups=[], escaped_name="alice")
            known = {"user": user, "hub": Hub(base_url="/hub/"), "orm_spawner": SimpleNamespace(name="", server=None)}
            given = {"storage_pvc_ensure": True, "storage_capacity": "10Gi", "pvc_name_template": "claim-{username}"}
            spawner = KubeSpawner(namespace="hub", _mock=True, **known, **(given | traits))
            spawner.load_state({"pvc_name": NAME})
            pod = V1Pod(
                metadata=V1ObjectMeta(labels={"hub.jupyter.org/username": "alice"}),
                spec=V1PodSpec(containers=[V1Container(name="notebook")]),
            )
            dask = {"domain": "dask.af.test", "workerAddresses": [], "lifetime": 86400}
            return await Hooks(Settings.from_values({"dask": dask})).modify_pod(spawner, pod)

    variables = asyncio.run(scenario()).spec.containers[0].env
    return [one.value for one in variables if one.name == "CMSAF_HOME_BYTES"]


@pytest.mark.parametrize(
    ("found", "size"),
    [
        (claim("10Gi"), "10737418240"),
        # Of a volume that was rounded up, and of one that is about to grow.
        (claim("10G", "10Gi"), "10737418240"),
        (claim("2Gi", "1Gi"), "2147483648"),
    ],
)
def test_a_server_knows_what_its_home_s_claim_says(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], size: str
) -> None:
    api = Api(found)
    assert told(api, monkeypatch) == [size]
    assert api.asked == ["GET"]
    assert api.claims == {NAME: found}


def test_a_home_that_was_removed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    assert told(api, monkeypatch, storage_class="local-path") == ["10737418240"]
    assert api.asked == ["GET", "POST", "GET"]
    made = api.claims[NAME]
    assert made["metadata"]["labels"]["hub.jupyter.org/username"] == "alice"
    assert made["spec"]["storageClassName"] == "local-path"


def test_a_home_that_is_being_removed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(GOING, holds=3)
    assert told(api, monkeypatch) == ["10737418240"]
    assert api.asked == [*["GET"] * 4, "POST", "GET"]


def test_a_home_that_another_server_holds_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(GOING, holds=1000)
    with pytest.raises(ClusterError, match=r"Your home claim-alice is being removed, .* Stop that and start again"):
        told(api, monkeypatch)
    assert "POST" not in api.asked


def test_a_home_that_another_server_made_meanwhile_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    quick = api.answer

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            api.claims[NAME] = claim("3Gi")
            return web.json_response({}, status=409)
        return await quick(request)

    monkeypatch.setattr(api, "answer", answer)
    assert told(api, monkeypatch) == ["3221225472"]


def test_a_home_that_cannot_be_made_anew_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterError, match="could not be made anew in namespace hub: the cluster answered 403"):
        told(Api(refuse={"POST": 403}), monkeypatch)


def test_a_start_does_not_fail_for_want_of_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(claim("10Gi"), refuse={"GET": 500})
    assert told(api, monkeypatch) == []
    assert api.asked == ["GET"]


def test_servers_without_homes_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    assert told(api, monkeypatch, storage_pvc_ensure=False) == []
    assert api.asked == []
