# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubernetes objects of one server, as plain data: nothing here talks to a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .names import Server
from .profiles import Sessions

__all__ = [
    "SCHEDULER_PORTS",
    "SECRETS_PATH",
    "SERVER_LABEL",
    "SERVER_NAME",
    "USER_NAME",
    "beside",
    "owner",
    "pod_environment",
    "renewal",
    "secret",
    "service",
]

# One for each of a server's Dask clusters; the gateway has the same. Between them are the dashboards'.
SCHEDULER_PORTS = (8786, 8788, 8790, 8792)
SECRETS_PATH = "/etc/cmsaf-secrets"
SERVER_LABEL = "cmsaf.facility/server"
# Annotations; KubeSpawner puts them on the pod, and what a label can hold of them as labels.
USER_NAME = "hub.jupyter.org/username"
SERVER_NAME = "hub.jupyter.org/servername"


def owner(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Reference to the pod, as KubeSpawner's reflector holds it."""
    metadata = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": metadata["name"],
        "uid": metadata["uid"],
        # The hub has no right to pods' finalizers, and needs none: the pod may go first.
        "blockOwnerDeletion": False,
        "controller": False,
    }


def secret(server: Server, credentials: Mapping[str, str], owner: Mapping[str, Any]) -> dict[str, Any]:
    """The server's credentials; goes with its pod."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(server.secret, server, owner),
        "type": "Opaque",
        "stringData": dict(credentials),
    }


def renewal(tokens: Mapping[str, str]) -> dict[str, Any]:
    """What changes of a server's Secret; all else of it, its owner too, stays."""
    return {"stringData": dict(tokens)}


def service(server: Server, owner: Mapping[str, Any]) -> dict[str, Any]:
    """The name by which the gateway finds the server's Dask schedulers."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(server.service, server, owner),
        "spec": {
            # Headless: the name gives the pod's own address, and the gateway
            # connects to nothing outside the pod network.
            "clusterIP": "None",
            "selector": {SERVER_LABEL: server.slug},
            "ports": [
                {"name": f"dask-{port}", "port": port, "protocol": "TCP", "targetPort": port}
                for port in SCHEDULER_PORTS
            ],
        },
    }


def pod_environment(
    server: Server, worker_image: str | None = None, sessions: Sessions | None = None, home_bytes: int | None = None
) -> dict[str, str]:
    """What the server has to know about itself; the image of its workers only where there is a pool."""
    known = {
        "CMSAF_USER": server.user,
        "CMSAF_SERVER": server.name,
        "CMSAF_DASK_NAME": server.dask_name,
        "CMSAF_DASK_PORTS": ",".join(map(str, SCHEDULER_PORTS)),
    }
    if worker_image is not None:
        known["CMSAF_WORKER_IMAGE"] = worker_image
    if sessions is not None:
        known["CMSAF_IDLE_SECONDS"] = f"{sessions.idle.total_seconds():.0f}"
        known["CMSAF_LONGEST_SECONDS"] = f"{sessions.longest.total_seconds():.0f}"
    if home_bytes is not None:
        known["CMSAF_HOME_BYTES"] = str(home_bytes)
    return known


def beside(user: str) -> dict[str, Any]:
    """On the node of the user's other pods, wherever that is; the first pod matches itself, so it may go anywhere.

    :param user: value of the label that KubeSpawner gives all pods of the user
    """
    return {"labelSelector": {"matchLabels": {USER_NAME: user}}, "topologyKey": "kubernetes.io/hostname"}


def _metadata(name: str, server: Server, owner: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": server.namespace,
        "labels": {
            "app.kubernetes.io/managed-by": "cmsaf-hub",
            SERVER_LABEL: server.slug,
        },
        "annotations": {
            USER_NAME: server.user,
            SERVER_NAME: server.name,
        },
        "ownerReferences": [dict(owner)],
    }
