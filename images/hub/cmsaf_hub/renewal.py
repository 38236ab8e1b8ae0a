# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Renews the tokens of running servers: python -m cmsaf_hub.renewal

A process of its own in the hub's pod, kept up by the hub as its managed service; it has no rights at the hub. It
remembers nothing over a restart: all that runs is renewed soon after the start, and then again and again, long
before the end of what was there. The kubelet brings the new content to the pod. Whoever may not enter any more gets
nothing: what his servers have ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes_asyncio import config as cluster_config
from kubernetes_asyncio.client import ApiClient, CoreV1Api
from kubernetes_asyncio.client.exceptions import ApiException

from . import credentials, objects, refused
from .answers import CONFLICT, FAILURES, NOT_FOUND, ask, words
from .errors import CredentialError, HubError
from .names import Server
from .settings import Settings

__all__ = ["Plan", "Renewal", "service"]

NAME = "cmsaf-renewal"
VALUES = "CMSAF_HUB_VALUES"
NAMESPACE = "POD_NAMESPACE"

_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
# Of the hub's environment a service gets nothing by itself; by these it finds the API server.
_PASSED_ON = (NAMESPACE, "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")
_TOGETHER = 8
_FIRST_PAUSE = 5.0
_FAILURES = (*FAILURES, CredentialError)

log = logging.getLogger("cmsaf_hub.renewal")


def service(values: Mapping[str, Any], namespace: str | None = None) -> dict[str, Any]:
    """The entry of JupyterHub.services that runs this module."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if namespace:
        environment[NAMESPACE] = namespace
    # Names of files and lifetimes; the keys are in the files.
    environment[VALUES] = json.dumps(dict(values))
    return {"name": NAME, "command": [sys.executable, "-m", "cmsaf_hub.renewal"], "environment": environment}


@dataclass
class Plan:
    """When whose turn is, by the uid of the pod. Knows no cluster and no clock."""

    interval: float
    random: Callable[[float, float], float] = random.uniform
    _due: dict[str, float] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _begun: bool = False

    @property
    def look(self) -> float:
        """Seconds between two looks at what runs."""
        return min(30.0, self.interval / 4)

    def seen(self, running: Iterable[str], now: float) -> None:
        """Take over what runs now: all of it is due soon at first, what comes later has new tokens."""
        running = set(running)
        for gone in self._due.keys() - running:
            self._due.pop(gone)
            self._failures.pop(gone, None)
        for new in sorted(running - self._due.keys()):
            self._due[new] = now + (self._later() if self._begun else self.random(0, self.look * 2))
        self._begun = True

    def due(self, now: float) -> list[str]:
        return sorted(uid for uid, when in self._due.items() if when <= now)

    def done(self, uid: str, now: float) -> None:
        self._failures.pop(uid, None)
        self._due[uid] = now + self._later()

    def failed(self, uid: str, now: float) -> None:
        """Again after a pause that doubles, up to a quarter of the time between two renewals."""
        count = self._failures[uid] = self._failures.get(uid, 0) + 1
        pause = min(_FIRST_PAUSE * 2 ** min(count - 1, 20), self.interval / 4)
        self._due[uid] = now + self.random(pause / 2, pause)

    def _later(self) -> float:
        return self.random(self.interval * 0.8, self.interval)


class Troubles:
    """Says what is wrong when it begins and when it is over, however many it concerns."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}

    def begin(self, what: str, problem: str) -> None:
        known = problem in self._now.values()
        self._now[what] = problem
        if not known:
            log.error("%s: %s; trying again", what, problem)

    def end(self, what: str) -> None:
        problem = self._now.pop(what, None)
        if problem is not None and problem not in self._now.values():
            log.info("%s: works again", what)

    def keep(self, what: set[str]) -> None:
        """Forget those that are no more."""
        self._now = {one: problem for one, problem in self._now.items() if one in what}


class Renewal:
    """The servers of one namespace."""

    def __init__(self, settings: Settings, namespace: str, api: CoreV1Api, plan: Plan | None = None) -> None:
        interval = settings.renewal_interval
        if interval is None:
            raise CredentialError("There is nothing to renew: custom.cmsaf has neither condor nor cache.")
        self.settings = settings
        self.namespace = namespace
        self.plan = plan or Plan(interval.total_seconds())
        self._api = api
        self._troubles = Troubles()
        self._together = asyncio.Semaphore(_TOGETHER)
        self._looking = f"Looking for running servers in namespace {namespace}"

    async def run(self) -> None:
        log.info("Renewing tokens in namespace %s every %g s", self.namespace, self.plan.interval)
        while True:
            await self.turn()
            await asyncio.sleep(self.plan.look)

    async def turn(self) -> None:
        """Look once, and renew what is due."""
        try:
            pods = await self._running()
        except _FAILURES as problem:
            self._troubles.begin(self._looking, words(problem))
            return
        self._troubles.end(self._looking)
        self._troubles.keep({_doing(pod) for pod in pods.values()})
        self.plan.seen(pods, time.monotonic())
        # They stay due: whoever may enter again has new tokens at once.
        shut_out = refused.read()
        due = [
            uid
            for uid in self.plan.due(time.monotonic())
            if _annotations(pods[uid]).get(objects.USER_NAME) not in shut_out
        ]
        await asyncio.gather(*(self._renew(uid, pods[uid]) for uid in due))

    async def _running(self) -> dict[str, dict[str, Any]]:
        """Pods of servers by their uid. One that does not run yet is the hub's, one that ends needs nothing."""
        found = await ask(
            self._api.list_namespaced_pod,
            self.namespace,
            label_selector=objects.SERVER_LABEL,
            field_selector="status.phase=Running",
        )
        return {pod["metadata"]["uid"]: pod for pod in found["items"] if _lives(pod)}

    async def _renew(self, uid: str, pod: Mapping[str, Any]) -> None:
        async with self._together:
            try:
                await self._store(self._server(pod), pod)
            except _FAILURES as problem:
                self._troubles.begin(_doing(pod), words(problem))
                self.plan.failed(uid, time.monotonic())
            else:
                self._troubles.end(_doing(pod))
                self.plan.done(uid, time.monotonic())

    async def _store(self, server: Server, pod: Mapping[str, Any]) -> None:
        change = objects.renewal(await credentials.tokens(server, self.settings))
        try:
            await ask(self._api.patch_namespaced_secret, server.secret, server.namespace, change)
        except ApiException as problem:
            if problem.status != NOT_FOUND:
                raise
            await self._make_again(server, pod)

    async def _make_again(self, server: Server, pod: Mapping[str, Any]) -> None:
        """A Secret that somebody removed; not if its pod went too, which is how both end."""
        made = credentials.certificates(server, self.settings) | await credentials.tokens(server, self.settings)
        manifest = objects.secret(server, made, objects.owner(pod))
        if not await self._still_runs(pod):
            return
        try:
            # Should the pod go at this moment, the cluster collects what it owns.
            await ask(self._api.create_namespaced_secret, server.namespace, manifest)
        except ApiException as problem:
            if problem.status != CONFLICT:
                raise
        else:
            log.warning("Secret %s of a running server was gone and is made again, its certificates too", server.secret)

    async def _still_runs(self, pod: Mapping[str, Any]) -> bool:
        try:
            found = await ask(self._api.read_namespaced_pod, pod["metadata"]["name"], pod["metadata"]["namespace"])
        except ApiException as problem:
            if problem.status == NOT_FOUND:
                return False
            raise
        return bool(found["metadata"]["uid"] == pod["metadata"]["uid"] and _lives(found))

    def _server(self, pod: Mapping[str, Any]) -> Server:
        named = _annotations(pod)
        if objects.USER_NAME not in named:
            raise CredentialError(f"pod {pod['metadata']['name']} has no annotation {objects.USER_NAME}")
        return Server(
            user=named[objects.USER_NAME],
            name=named.get(objects.SERVER_NAME, ""),
            namespace=self.namespace,
            dask_domain=self.settings.dask.domain,
        )


def _lives(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def _annotations(pod: Mapping[str, Any]) -> Mapping[str, str]:
    return pod["metadata"].get("annotations") or {}


def _doing(pod: Mapping[str, Any]) -> str:
    return f"Renewing the tokens of pod {pod['metadata']['name']}"


def _namespace() -> str:
    return os.environ.get(NAMESPACE) or _ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()


async def _main() -> None:
    settings = Settings.from_values(json.loads(os.environ[VALUES]))
    namespace = _namespace()
    # Reads the account's token again and again: the cluster renews it, too.
    cluster_config.load_incluster_config()
    async with ApiClient() as client:
        await Renewal(settings, namespace, CoreV1Api(client)).run()


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="[%(levelname).1s %(asctime)s %(name)s] %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    try:
        asyncio.run(_main())
    except (HubError, cluster_config.ConfigException, OSError, KeyError) as problem:
        log.error("Renewing tokens: %s", problem)
    return 1


if __name__ == "__main__":
    sys.exit(main())
