# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""KubeSpawner's hooks: credentials made before the pod, stored with it, gone with it.

The Secret is created right after the pod and belongs to it from its first
moment, so it cannot outlive the pod even if the hub dies in between; the
kubelet waits with the start of the containers until the Secret is there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from kubernetes_asyncio.client import (
    V1Affinity,
    V1EnvVar,
    V1PersistentVolumeClaimVolumeSource,
    V1PodAffinity,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)
from kubernetes_asyncio.client.exceptions import ApiException

from . import credentials, home, objects, profiles
from .answers import CALL_SECONDS, CONFLICT, NOT_FOUND, ask
from .arrival import Arrivals
from .errors import ClusterError
from .names import Server
from .room import Watch
from .settings import Settings
from .web import forbidden

__all__ = ["Hooks"]

_VOLUME = "cmsaf-secrets"
# Readable by the pod's group (fsGroup) and nobody else.
_SECRET_MODE = 0o440
_TRIES = 5
# Calls at once, of all servers that start: each more would open one more connection, and a handshake holds up the event
# loop for milliseconds.
_TOGETHER = 4


class Hooks:
    """Bound to one hub; the spawners come as arguments."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._minted: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()
        self._calls = asyncio.Semaphore(_TOGETHER)
        self._turn = asyncio.Lock()
        self._watch = Watch()
        self._arrivals = Arrivals()

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        """Stay one: every spawner gets copies of its configuration, and what one hook makes another one stores."""
        return self

    async def profile_list(self, spawner: Any) -> list[dict[str, Any]]:
        """The profiles that KubeSpawner lets this user take."""
        return profiles.kubespawner_profiles(self._open(spawner), self.settings.profiles)

    async def options_form(self, spawner: Any) -> str:
        """The form that asks which of them it is to be."""
        chosen = (spawner.user_options or {}).get("profile")
        offered = self._open(spawner)
        # Where there is no choice there is no form.
        room = await self._watch.room(spawner, offered, _shares_a_disk(spawner)) if len(offered) > 1 else {}
        return profiles.form(offered, chosen, self.settings.sessions, spawner.name, room)

    async def pre_spawn(self, spawner: Any) -> None:
        """Make the credentials: what cannot be made stops the start before the pod."""
        self._refuse_others(spawner)
        server = self.server(spawner)
        # In the event loop's own thread: it takes a millisecond, and for another thread the loop would have to wait, which
        # the interpreter lets run for five. One server in each turn of the loop, however many start.
        async with self._turn:
            made = credentials.certificates(server, self.settings)
            await asyncio.sleep(0)
        self._minted[spawner] = made | await credentials.tokens(server, self.settings)
        spawner.log.info("Made %d credentials for %s", len(self._minted[spawner]), server.slug)

    async def modify_pod(self, spawner: Any, pod: Any) -> Any:
        """Mount the Secret and what the user shares with others, name the server, see that the home is there."""
        server = self.server(spawner)
        pod.metadata.labels = {**(pod.metadata.labels or {}), objects.SERVER_LABEL: server.slug}
        volume = V1Volume(
            name=_VOLUME,
            secret=V1SecretVolumeSource(secret_name=server.secret, default_mode=_SECRET_MODE),
        )
        container = pod.spec.containers[0]
        mount = V1VolumeMount(name=_VOLUME, mount_path=objects.SECRETS_PATH, read_only=True)
        shared = profiles.open_to(self.settings.shared, _groups(spawner))
        pod.spec.volumes = [*(pod.spec.volumes or []), volume, *map(_volume, shared)]
        container.volume_mounts = [*(container.volume_mounts or []), mount, *map(_mount, shared)]
        image = self._worker_image(spawner, container.image) if self.settings.condor else None
        added = objects.pod_environment(server, image, self.settings.sessions, await home.ensure(spawner, self._calls))
        kept = [item for item in container.env or [] if item.name not in added]
        container.env = kept + [V1EnvVar(name=name, value=value) for name, value in added.items()]
        if _shares_a_disk(spawner):
            # One node at a time has the user's home.
            _add_affinity(pod, objects.beside(pod.metadata.labels[objects.USER_NAME]))
        return pod

    async def after_pod_created(self, spawner: Any, pod: Mapping[str, Any]) -> None:
        """Give the pod what it waits for, and wait for its server."""
        await self.store(spawner, pod)
        await self._arrivals.wait(spawner, pod["metadata"]["name"])

    async def store(self, spawner: Any, pod: Mapping[str, Any]) -> None:
        """Store the credentials, and open the name for Dask, both owned by the pod."""
        server = self.server(spawner)
        minted = self._minted.pop(spawner)
        owner = objects.owner(pod)
        api = spawner.api
        await asyncio.gather(
            self._renew(
                f"Secret {server.secret}",
                api.create_namespaced_secret,
                api.delete_namespaced_secret,
                objects.secret(server, minted, owner),
            ),
            self._renew(
                f"Service {server.service}",
                api.create_namespaced_service,
                api.delete_namespaced_service,
                objects.service(server, owner),
            ),
        )

    async def post_stop(self, spawner: Any) -> None:
        """Take both away at once, without waiting for the cluster's garbage collector."""
        server = self.server(spawner)
        self._minted.pop(spawner, None)
        api = spawner.api
        for what, name, delete in (
            ("Secret", server.secret, api.delete_namespaced_secret),
            ("Service", server.service, api.delete_namespaced_service),
        ):
            try:
                await _delete(delete, name, server.namespace)
            except ApiException as problem:
                spawner.log.warning(
                    "%s %s was not deleted (%s %s); it goes with its pod",
                    *(what, name, problem.status, problem.reason),
                )

    def _open(self, spawner: Any) -> list[profiles.Profile]:
        """The profiles that the user's groups allow, by what the login said last."""
        found = profiles.open_to(self.settings.profiles, _groups(spawner))
        if not found:
            raise forbidden(
                f"None of this facility's servers is for you, {spawner.user.name}: each asks for a group that you are"
                " not in. Please ask the facility's admins."
            )
        return found

    def _refuse_others(self, spawner: Any) -> None:
        """However it was asked for: by the form, by an address, by the hub's API, or by what was taken last time."""
        if not self.settings.profiles:
            return
        asked = (spawner.user_options or {}).get("profile")
        known = [profile.slug for profile in self._open(spawner)]
        if asked and asked not in known:
            spawner.log.warning("Refused %s the profile %r", spawner.user.name, asked)
            raise forbidden(f"There is no server {str(asked)[:40]!r} for you. Yours are: {', '.join(known)}.")

    def _worker_image(self, spawner: Any, own: str) -> str:
        """That of the server: workers of another one could compute with other versions. But for what the site says."""
        if not self.settings.profiles:
            return own
        asked = (spawner.user_options or {}).get("profile")
        return profiles.taken(self._open(spawner), asked).worker_image or own

    def server(self, spawner: Any) -> Server:
        """The server that a spawner is for."""
        return Server(
            user=spawner.user.name,
            name=spawner.name or "",
            namespace=spawner.namespace,
            dask_domain=self.settings.dask.domain,
        )

    async def _renew(
        self,
        what: str,
        create: Callable[..., Awaitable[Any]],
        delete: Callable[..., Awaitable[Any]],
        manifest: dict[str, Any],
    ) -> None:
        """Create an object; one left from an earlier server of this name goes first."""
        metadata = manifest["metadata"]
        try:
            for _try in range(_TRIES):
                try:
                    async with self._calls:
                        await ask(create, metadata["namespace"], manifest)
                    return
                except ApiException as problem:
                    if problem.status != CONFLICT:
                        raise
                await _delete(delete, metadata["name"], metadata["namespace"])
        except ApiException as problem:
            raise ClusterError(
                f"{what} could not be created in namespace {metadata['namespace']}: the cluster"
                f" answered {problem.status} {problem.reason}. Please tell the facility's admins."
            ) from None
        except asyncio.TimeoutError:
            raise ClusterError(
                f"{what} could not be created in namespace {metadata['namespace']}: the cluster has not answered in"
                f" {CALL_SECONDS} seconds. Try again; if it stays so, please tell the facility's admins."
            ) from None
        raise ClusterError(
            f"{what} is in the way in namespace {metadata['namespace']} and came back after"
            f" {_TRIES} deletions. Please tell the facility's admins."
        )


def _groups(spawner: Any) -> frozenset[str]:
    """The user's groups, by what the login said last."""
    return frozenset(group.name for group in spawner.user.groups)


def _volume(space: profiles.Shared) -> V1Volume:
    claim = V1PersistentVolumeClaimVolumeSource(claim_name=space.claim)
    return V1Volume(name=f"shared-{space.name}", persistent_volume_claim=claim)


def _mount(space: profiles.Shared) -> V1VolumeMount:
    return V1VolumeMount(name=f"shared-{space.name}", mount_path=space.path)


def _shares_a_disk(spawner: Any) -> bool:
    """Whether all of a user's servers have one home, which only one node can have at a time."""
    own = re.search(r"\{\w*server(name)?\}", spawner.pvc_name_template)
    return bool(spawner.storage_pvc_ensure and not own and "ReadWriteMany" not in spawner.storage_access_modes)


def _add_affinity(pod: Any, term: Mapping[str, Any]) -> None:
    affinity = pod.spec.affinity = pod.spec.affinity or V1Affinity()
    beside = affinity.pod_affinity = affinity.pod_affinity or V1PodAffinity()
    required = beside.required_during_scheduling_ignored_during_execution or []
    beside.required_during_scheduling_ignored_during_execution = [*required, term]


async def _delete(delete: Callable[..., Awaitable[Any]], name: str, namespace: str) -> None:
    try:
        await ask(delete, name, namespace)
    except ApiException as problem:
        if problem.status != NOT_FOUND:
            raise
