# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many servers could start: the counting, and what is asked of the API server for it.

The client is the real one; the API server is a small one of the test's own, which knows what is asked here.
"""

from __future__ import annotations

import asyncio
import doctest
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cmsaf_hub import room
from cmsaf_hub.profiles import Profile, Room
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

USUAL = Profile(name="Usual", description="For most.", image="i", cpu=2, memory="8G")
GPU = Profile(name="GPU", description="Trains.", image="i", cpu=4, memory="32G", gpu={"nvidia.com/gpu": 1})
HOST = "kubernetes.io/hostname"


def node(
    name: str, *, taints: Any = None, ready: str = "True", barred: bool = False, **allocatable: str
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {HOST: name}},
        "spec": {"taints": taints, **({"unschedulable": True} if barred else {})},
        "status": {
            "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110", **allocatable},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def container(cpu: str = "0", memory: str = "0", **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


def pod(where: str | None, *containers: dict[str, Any], user: str | None = None, **spec: Any) -> dict[str, Any]:
    annotations = {"hub.jupyter.org/username": user} if user else None
    return {
        "metadata": {"namespace": "hub", "annotations": annotations},
        "spec": {"containers": list(containers), **({"nodeName": where} if where else {}), **spec},
    }


def fits(
    nodes: list[Any], pods: list[Any], profile: Profile = USUAL, place: room.Place | None = None, **given: Any
) -> int:
    need = room.wanted(profile, given.get("cpu"), given.get("memory"))
    return room.count(room.read(nodes, pods), need, place or room.Place())


def test_doctests() -> None:
    found = doctest.testmod(room)
    assert found.attempted and not found.failed


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1500m", 1.5),
        ("250u", 0.00025),
        ("129M", 129e6),
        ("1.5Gi", 1.5 * 2**30),
        ("12e6", 12e6),
        ("1E", 1e18),
        ("0", 0),
    ],
)
def test_quantities(text: str, number: float) -> None:
    assert float(room.quantity(text)) == number


@pytest.mark.parametrize("text", ["", "Gi", "1GB", "1 Gi", "x"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        room.quantity(text)


def test_the_scarcest_counts_on_each_node() -> None:
    assert fits([node("a")], []) == 2  # memory
    assert fits([node("a", memory="64Gi")], []) == 4  # cores
    assert fits([node("a", memory="64Gi", pods="1")], []) == 1
    # What two nodes have together holds none of it.
    assert fits([node("a", memory="7Gi"), node("b", memory="7Gi")], []) == 0
    assert fits([node("a"), node("b")], []) == 4


def test_a_guarantee_is_what_is_asked_for() -> None:
    assert fits([node("a")], [], cpu=0.1, memory=2**30) == 16
    # 0.1 is 0.1: twenty of them are two cores.
    assert fits([node("a", cpu="2")], [], cpu=0.1, memory=2**20) == 20


def test_what_pods_ask_for_is_taken() -> None:
    nodes = [node("a", memory="64Gi"), node("b", memory="64Gi")]
    assert fits(nodes, [pod("a", container("3", "1Gi"), container("2500m"))]) == 5
    # Those that wait for a node have none.
    assert fits(nodes, [pod(None, container("8"))]) == 8
    # Containers before the others count if they ask for more, those that stay beside them in any case.
    assert fits(nodes, [pod("a", container("1"), initContainers=[container("7"), container("6")])]) == 4
    assert fits(nodes, [pod("a", container("1"), initContainers=[container("3", restartPolicy="Always")])]) == 6
    assert fits(nodes, [pod("a", container("1"), overhead={"cpu": "1100m"})]) == 6
    # A node that is promised away, and more.
    assert fits(nodes, [pod("a", container("99"))]) == 4
    assert fits([node("a", memory="64Gi", pods="2")], [pod("a", {})]) == 1


def test_gpus_are_where_they_are() -> None:
    nodes = [node("a", memory="64Gi"), node("b", memory="64Gi", **{"nvidia.com/gpu": "2"})]
    assert (fits(nodes, [], GPU), fits(nodes, [], USUAL)) == (2, 8)
    assert fits(nodes[:1], [], GPU) == 0


TAINT = {"key": "dedicated", "value": "gateway", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("tolerations", "open_"),
    [
        ([], False),
        ([{"key": "dedicated", "operator": "Exists"}], True),
        ([{"operator": "Exists"}], True),
        ([{"key": "dedicated", "operator": "Equal", "value": "gateway", "effect": "NoSchedule"}], True),
        ([{"key": "dedicated", "value": "gateway"}], True),
        ([{"key": "dedicated", "operator": "Equal", "value": "user"}], False),
        ([{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}], False),
        ([{"key": "other", "operator": "Exists"}], False),
    ],
)
def test_taints_bar_who_does_not_tolerate_them(tolerations: list[dict[str, str]], open_: bool) -> None:
    found = fits([node("a", taints=[TAINT])], [], place=room.Place(tolerations=tuple(tolerations)))
    assert found == (2 if open_ else 0)


def test_a_taint_that_only_advises_bars_nobody() -> None:
    assert fits([node("a", taints=[{**TAINT, "effect": "PreferNoSchedule"}])], []) == 2


@pytest.mark.parametrize("change", [{"ready": "False"}, {"ready": "Unknown"}, {"barred": True}])
def test_nodes_that_take_no_pods_count_for_nothing(change: dict[str, Any]) -> None:
    assert fits([node("a", **change), node("b")], []) == 2


def affinity(*names: str) -> dict[str, Any]:
    return {"nodeSelectorTerms": [{"matchExpressions": [{"key": HOST, "operator": "In", "values": list(names)}]}]}


@pytest.mark.parametrize(
    ("place", "number"),
    [
        (room.Place(selector={HOST: "a"}), 2),
        (room.Place(selector={HOST: "c"}), 0),
        (room.Place(volume=affinity("b")), 2),
        (room.Place(volume=affinity("a", "b")), 4),
        (room.Place(volume=affinity("gone")), 0),
        (room.Place(beside=frozenset({"a"})), 2),
        (room.Place(beside=frozenset({"a"}), volume=affinity("b")), 0),
    ],
)
def test_a_pod_goes_where_it_may(place: room.Place, number: int) -> None:
    assert fits([node("a"), node("b")], [], place=place) == number


@pytest.mark.parametrize(
    ("room_", "words"),
    [
        (Room(21, False, 600), "more than 20 of these could start now"),
        (Room(20, True, 600), "20 of these could start now"),
        (Room(1, False, 600), "1 of these could start now"),
        (Room(0, False, 600), "no room now: a start waits up to 10 minutes for it"),
        (Room(0, True, 300), "no room now on the machine that has your home: a start waits up to 5 minutes for it"),
    ],
)
def test_the_words(room_: Room, words: str) -> None:
    assert str(room_) == words


# -- what is asked ------------------------------------------------------------


class Api:
    """Nodes, pods and homes."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.status: dict[str, int] = {}
        self.hangs = False
        self.objects: dict[str, Any] = {
            "nodes": {"items": [node("a"), node("b")]},
            "pods": {"items": [pod("a", container("7"), user="alice")]},
            "namespaces/hub/persistentvolumeclaims/claim-alice": {"spec": {"volumeName": "pvc-1"}},
            "persistentvolumes/pvc-1": {"spec": {"nodeAffinity": {"required": affinity("b")}}},
        }

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/api/v1/")
        self.asked[path] += 1
        if path == "pods":
            assert request.query["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"
        if self.hangs:
            await asyncio.sleep(30)
        found = self.objects.get(path)
        return web.json_response(found or {}, status=self.status.get(path, 200 if found else 404))


def live(api: Api, act: Callable[[Callable[..., Awaitable[dict[str, Room]]]], Awaitable[None]]) -> None:
    async def scenario() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", api.answer)
        watch = room.Watch()
        async with (
            TestServer(app) as server,
            ApiClient(Configuration(host=f"http://127.0.0.1:{server.port}")) as client,
        ):

            async def ask(user: str = "alice", beside: bool = True, **traits: Any) -> dict[str, Room]:
                given = {"storage_pvc_ensure": True, "node_selector": {}, "tolerations": [], "start_timeout": 600}
                given |= {"cpu_guarantee": None, "mem_guarantee": None, "pvc_name": f"claim-{user}", **traits}
                spawner = SimpleNamespace(
                    user=SimpleNamespace(name=user), namespace="hub", api=CoreV1Api(client), **given
                )
                return await watch.room(spawner, [USUAL], beside)

            await act(ask)

    asyncio.run(scenario())


def test_a_user_s_home_and_servers_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()

    async def act(ask: Any) -> None:
        # The home is on b, a server on a: as long as that runs nothing else starts.
        assert await ask() == {"usual": Room(0, True, 600)}
        assert await ask(beside=False) == {"usual": Room(2, True, 600)}
        assert await ask("bob") == {"usual": Room(2, False, 600)}
        assert await ask("bob", storage_pvc_ensure=False, node_selector={HOST: "a"}) == {"usual": Room(0, False, 600)}
        assert await ask("bob", cpu_guarantee=0.5, mem_guarantee=2**30) == {"usual": Room(18, False, 600)}

    live(api, act)
    assert api.asked["nodes"] == api.asked["pods"] == 1


def test_many_pages_are_one_look() -> None:
    api = Api()

    async def act(ask: Any) -> None:
        found = await asyncio.gather(*(ask(f"user{number}") for number in range(50)))
        assert {one["usual"].count for one in found} == {2}

    live(api, act)
    assert api.asked["nodes"] == api.asked["pods"] == 1


def test_what_was_seen_gets_old(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    monkeypatch.setattr(room, "_FRESH", 0.0)

    async def act(ask: Any) -> None:
        assert (await ask("bob"))["usual"].count == 2
        api.objects["pods"] = {"items": []}
        assert (await ask("bob"))["usual"].count == 4

    live(api, act)


def test_without_an_answer_the_page_says_nothing_and_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api = Api()
    api.hangs = True
    # Long enough that a busy machine gets the question to the API first.
    monkeypatch.setattr(room, "_PATIENCE", 3)

    async def act(ask: Any) -> None:
        assert await asyncio.wait_for(ask(), 30) == {}
        for _ in range(4):
            assert await asyncio.wait_for(ask(), 1) == {}

    with caplog.at_level(logging.WARNING):
        live(api, act)
    assert api.asked["nodes"] == 1
    (said,) = caplog.messages
    assert "Looking for room on the nodes: the cluster did not answer in time" in said


@pytest.mark.parametrize("path", ["nodes", "pods", "persistentvolumes/pvc-1"])
def test_a_hub_without_the_right_says_nothing(path: str, caplog: pytest.LogCaptureFixture) -> None:
    api = Api()
    api.status[path] = 403

    async def act(ask: Any) -> None:
        assert await ask() == {}

    with caplog.at_level(logging.WARNING):
        live(api, act)
    assert "the cluster answered 403 Forbidden" in caplog.text


@pytest.mark.parametrize("gone", ["namespaces/hub/persistentvolumeclaims/claim-alice", "persistentvolumes/pvc-1"])
def test_who_has_no_home_yet_may_go_anywhere(gone: str) -> None:
    api = Api()
    del api.objects[gone]

    async def act(ask: Any) -> None:
        assert (await ask(beside=False))["usual"] == Room(2, False, 600)

    live(api, act)
