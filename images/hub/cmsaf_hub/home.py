# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The claim of a user's home.

KubeSpawner makes it once and notes in the hub's data base that it did. One that was removed since it would not make again,
and the pod would wait for it until the start is given up.
"""

from __future__ import annotations

import asyncio
from typing import Any

from kubernetes_asyncio.client.exceptions import ApiException

from .answers import CONFLICT, FAILURES, NOT_FOUND, ask, words
from .errors import ClusterError
from .room import quantity

__all__ = ["ensure"]

# Looks at a claim that is being removed, and seconds between two: it goes soon after the last pod that has it.
_LOOKS = 30
_PAUSE = 1.0


async def ensure(spawner: Any, calls: asyncio.Semaphore) -> int | None:
    """See that the home is there; one that was removed is made anew, and empty.

    :param calls: held by each call of the cluster
    :returns: bytes of its claim; None where servers have no homes, or the cluster does not tell
    :raises ClusterError: it could not be made, or is being removed and does not go
    """
    if not spawner.storage_pvc_ensure:
        return None
    try:
        for _look in range(_LOOKS):
            claim = await _find(spawner, calls)
            if claim is None:
                await _make(spawner, calls)
            elif "deletionTimestamp" in claim["metadata"]:
                await asyncio.sleep(_PAUSE)
            else:
                return _size(claim)
    except FAILURES as problem:
        # It is there nearly always: nothing that would be worth a start.
        spawner.log.warning("Asking for the home %s: %s", spawner.pvc_name, words(problem))
        return None
    raise ClusterError(
        f"Your home {spawner.pvc_name} is being removed, and is still there after {_LOOKS * _PAUSE:.0f} seconds: another server"
        " of yours has it, if one runs. Stop that and start again; if it stays so, please tell the facility's admins."
    )


async def _find(spawner: Any, calls: asyncio.Semaphore) -> dict[str, Any] | None:
    try:
        async with calls:
            found: dict[str, Any] = await ask(
                spawner.api.read_namespaced_persistent_volume_claim, spawner.pvc_name, spawner.namespace
            )
    except ApiException as problem:
        if problem.status == NOT_FOUND:
            return None
        raise
    return found


async def _make(spawner: Any, calls: asyncio.Semaphore) -> None:
    spawner.log.warning("The home %s was removed, an empty one is made", spawner.pvc_name)
    create = spawner.api.create_namespaced_persistent_volume_claim
    try:
        async with calls:
            await ask(create, spawner.namespace, spawner.get_pvc_manifest())
    except FAILURES as problem:
        # Another server of the user was quicker.
        if isinstance(problem, ApiException) and problem.status == CONFLICT:
            return
        raise ClusterError(
            f"Your home {spawner.pvc_name} was removed, and could not be made anew in namespace {spawner.namespace}:"
            f" {words(problem)}. Please tell the facility's admins."
        ) from None


def _size(claim: dict[str, Any]) -> int:
    """The larger of what is asked for and what is given: a volume may be rounded up, or about to grow."""
    given = (claim.get("status") or {}).get("capacity") or {}
    return int(max(quantity(one["storage"]) for one in (claim["spec"]["resources"]["requests"], given) if one))
