# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many servers of a kind could start now: what the cluster's nodes have, less what their pods ask for.

So the cluster's scheduler counts. Of its rules those are followed that users' pods meet: nodes that take no pods, taints, the
node selector, the node of the user's home and that of his other servers.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kubernetes_asyncio.client.exceptions import ApiException

from . import objects
from .answers import FAILURES, NOT_FOUND, ask, words
from .profiles import Profile, Room, memory_bytes

__all__ = ["Cluster", "Node", "Place", "Watch", "count", "quantity", "read", "wanted"]

# Seconds that what was seen is good, and seconds that a page waits for it.
_FRESH = 15.0
_PATIENCE = 1.5
# Questions at once about homes: each more would open one more connection.
_TOGETHER = 4
_QUANTITY = re.compile(r"([0-9.]+)(?:[eE]([+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)")
_DECIMAL = {suffix: Decimal(1000) ** power for power, suffix in enumerate(["n", "u", "m", "", "k", *"MGTPE"], -3)}
_BINARY = {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}
_SUFFIXES = {**_DECIMAL, **_BINARY}
# Signs of the cluster's nodes that are not for new pods.
_BARRED = ("NoSchedule", "NoExecute")

log = logging.getLogger("JupyterHub.cmsaf.room")


@dataclass(frozen=True)
class Node:
    """A node that takes pods, and what of it nobody has asked for yet."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, str], ...]
    free: Mapping[str, Decimal]


@dataclass(frozen=True)
class Cluster:
    """The nodes, and on which of them each user's servers are, by namespace and user."""

    nodes: tuple[Node, ...]
    servers: Mapping[tuple[str, str], frozenset[str]]


@dataclass(frozen=True)
class Place:
    """Where a pod may go."""

    selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    # Node affinity of the volume that it has to have.
    volume: Mapping[str, Any] = field(default_factory=dict)
    # Names of nodes, if it is only these.
    beside: frozenset[str] = frozenset()

    def allows(self, node: Node) -> bool:
        """Whether the scheduler would look at this node."""
        return (
            self.selector.items() <= node.labels.items()
            and all(any(_tolerates(one, taint) for one in self.tolerations) for taint in node.taints)
            and _reaches(self.volume, node)
            and (not self.beside or node.name in self.beside)
        )


def quantity(text: str) -> Decimal:
    """A quantity as the cluster writes it.

    >>> quantity("100m"), quantity("2"), quantity("1Gi"), quantity("1e3")
    (Decimal('0.100'), Decimal('2'), Decimal('1073741824'), Decimal('1000'))
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, suffix = found.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""])


def read(nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> Cluster:
    """From the nodes and the pods that run or are to run, as the API has them."""
    asked: dict[str, list[dict[str, Decimal]]] = {}
    servers: dict[tuple[str, str], set[str]] = {}
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if not name:
            continue
        asked.setdefault(name, []).append(_asked(pod["spec"]))
        user = (pod["metadata"].get("annotations") or {}).get(objects.USER_NAME)
        if user is not None:
            servers.setdefault((pod["metadata"]["namespace"], user), set()).add(name)
    return Cluster(
        nodes=tuple(_node(node, asked.get(node["metadata"]["name"], [])) for node in nodes if _takes_pods(node)),
        servers={user: frozenset(names) for user, names in servers.items()},
    )


def wanted(profile: Profile, cpu: float | None, memory: int | None) -> dict[str, Decimal]:
    """What the scheduler looks for.

    :param cpu: cores that a server is guaranteed; the profile's limit if there are none
    :param memory: bytes, likewise
    """
    gpu = {name: Decimal(number) for name, number in profile.gpu.items()}
    cores = Decimal(str(profile.cpu if cpu is None else cpu))
    return {"pods": Decimal(1), "cpu": cores, "memory": Decimal(memory or memory_bytes(profile.memory)), **gpu}


def count(cluster: Cluster, need: Mapping[str, Decimal], place: Place) -> int:
    """How many pods with this need have room, if no others come."""
    return sum(
        max(0, min(int(node.free.get(name, Decimal(0)) // one) for name, one in need.items() if one))
        for node in cluster.nodes
        if place.allows(node)
    )


class Watch:
    """Looks at the cluster for all pages at once, and not again while what was seen is fresh, a failure too."""

    def __init__(self) -> None:
        self._looked = 0.0
        self._look: asyncio.Task[Cluster] | None = None
        self._together = asyncio.Semaphore(_TOGETHER)
        self._said = ""

    async def room(self, spawner: Any, profiles: Iterable[Profile], beside: bool) -> dict[str, Room]:
        """For the user of the spawner, by slug of the profile; nothing if the cluster does not say it soon.

        :param beside: whether all servers of the user have to be on one node
        """
        try:
            cluster = await self._cluster(spawner.api)
            volume = await asyncio.wait_for(self._home(spawner), _PATIENCE)
        except FAILURES as problem:
            said = f"Looking for room on the nodes: {words(problem)}. The page of servers to choose from says nothing of it."
            if said != self._said:
                log.warning(said)
            self._said = said
            return {}
        self._said = ""
        others = cluster.servers.get((spawner.namespace, spawner.user.name), frozenset()) if beside else frozenset()
        place = Place(
            selector=spawner.node_selector or {},
            tolerations=tuple(spawner.tolerations or ()),
            volume=volume,
            beside=others,
        )
        return {
            profile.slug: Room(
                count=count(cluster, wanted(profile, spawner.cpu_guarantee, spawner.mem_guarantee), place),
                at_home=bool(volume or others),
                waits=spawner.start_timeout,
            )
            for profile in profiles
        }

    async def _cluster(self, api: Any) -> Cluster:
        now = time.monotonic()
        if self._look is None or (self._look.done() and now - self._looked > _FRESH):
            self._looked = now
            self._look = asyncio.create_task(asyncio.wait_for(_seen(api), _PATIENCE))
        # Whoever goes away does not end it for the others.
        return await asyncio.shield(self._look)

    async def _home(self, spawner: Any) -> dict[str, Any]:
        """The node affinity of the user's home; empty if there is none yet, or any node may have it."""
        if not spawner.storage_pvc_ensure:
            return {}
        api = spawner.api
        try:
            async with self._together:
                claim = await ask(api.read_namespaced_persistent_volume_claim, spawner.pvc_name, spawner.namespace)
                name = claim["spec"].get("volumeName")
                if not name:
                    return {}
                volume = await ask(api.read_persistent_volume, name)
        except ApiException as problem:
            if problem.status == NOT_FOUND:
                return {}
            raise
        found: dict[str, Any] = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
        return found


async def _seen(api: Any) -> Cluster:
    # Out of the API server's memory: a look that is some seconds old costs it no question of etcd.
    cached = {"resource_version": "0"}
    running = "status.phase!=Succeeded,status.phase!=Failed"
    nodes, pods = await asyncio.gather(
        ask(api.list_node, **cached),
        ask(api.list_pod_for_all_namespaces, field_selector=running, **cached),
    )
    return read(nodes["items"], pods["items"])


def _node(node: Mapping[str, Any], asked: Iterable[Mapping[str, Decimal]]) -> Node:
    free = {name: quantity(text) for name, text in node["status"]["allocatable"].items()}
    for one in asked:
        for name, amount in one.items():
            free[name] = free.get(name, Decimal(0)) - amount
    return Node(
        name=node["metadata"]["name"],
        labels=node["metadata"].get("labels") or {},
        taints=tuple(one for one in node["spec"].get("taints") or [] if one["effect"] in _BARRED),
        free=free,
    )


def _takes_pods(node: Mapping[str, Any]) -> bool:
    ready = [one["status"] for one in node["status"].get("conditions") or [] if one["type"] == "Ready"]
    return ready == ["True"] and not node["spec"].get("unschedulable")


def _asked(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What the scheduler keeps for a pod: the sum of its containers, or one of those before them if that asks for more."""
    steady: dict[str, Decimal] = {"pods": Decimal(1)}
    before: dict[str, Decimal] = {}
    first = spec.get("initContainers") or []
    beside = [one for one in first if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *beside]:
        for name, amount in _requests(container).items():
            steady[name] = steady.get(name, Decimal(0)) + amount
    for container in first:
        for name, amount in _requests(container).items():
            before[name] = max(before.get(name, Decimal(0)), amount)
    found = {name: max(steady.get(name, Decimal(0)), before.get(name, Decimal(0))) for name in steady | before}
    for name, text in (spec.get("overhead") or {}).items():
        found[name] = found.get(name, Decimal(0)) + quantity(text)
    return found


def _requests(container: Mapping[str, Any]) -> dict[str, Decimal]:
    requests = (container.get("resources") or {}).get("requests") or {}
    return {name: quantity(text) for name, text in requests.items()}


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == taint.get("value", "")


def _reaches(affinity: Mapping[str, Any], node: Node) -> bool:
    """Whether a node can have a volume. Local volumes name nodes by a label's values; other ways of naming are taken as fit."""
    terms = affinity.get("nodeSelectorTerms") or []
    return not terms or any(
        all(
            node.labels.get(one["key"]) in one["values"]
            for one in term.get("matchExpressions") or []
            if one["operator"] == "In"
        )
        for term in terms
    )
