# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit Calico's published manifest to a cluster. Private to this collection."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterable, Mapping

__all__ = ("fitted",)

_Document = dict[str, t.Any]

# Felix's own health server, on by FELIX_HEALTHENABLED in the manifest:
# https://docs.tigera.io/calico/latest/reference/felix/configuration
_HEALTH_PORT = 9099
_HEALTH_PATHS = {"-felix-live": "/liveness", "-felix-ready": "/readiness"}


def fitted(documents: Iterable[_Document | None], environment: Mapping[str, str]) -> list[_Document]:
    """Return the manifest's documents, the node container's environment overridden and its probes asked over HTTP.

    A variable that the manifest has is replaced where it stands, others are added in order of name,
    so that the same input always gives the same objects. The manifest's probes start calico-node, a program of
    70 MB, twice in ten seconds on each node, only to ask the health server that the kubelet can ask itself.
    """
    result = [copy.deepcopy(document) for document in documents if document]
    for container in _node_containers(result):
        container["env"] = _overridden(container.get("env", []), environment)
        for name in ("livenessProbe", "readinessProbe"):
            if name in container:
                container[name] = _over_http(container[name])
        return result
    raise ValueError("no container calico-node in a DaemonSet calico-node: is this Calico's manifest?")


def _node_containers(documents: Iterable[_Document]) -> t.Iterator[_Document]:
    for document in documents:
        if document.get("kind") == "DaemonSet" and document["metadata"]["name"] == "calico-node":
            for container in document["spec"]["template"]["spec"]["containers"]:
                if container["name"] == "calico-node":
                    yield container


def _overridden(entries: list[_Document], environment: Mapping[str, str]) -> list[_Document]:
    kept = [
        {"name": entry["name"], "value": str(environment[entry["name"]])} if entry["name"] in environment else entry
        for entry in entries
    ]
    present = {entry["name"] for entry in entries}
    return kept + [{"name": name, "value": str(environment[name])} for name in sorted(environment.keys() - present)]


def _over_http(probe: _Document) -> _Document:
    """The probe as a request, where it is one of Felix alone; others stay."""
    asked = [_HEALTH_PATHS.get(argument) for argument in probe.get("exec", {}).get("command", [])[1:]]
    if len(asked) != 1 or asked[0] is None:
        return probe
    kept = {name: value for name, value in probe.items() if name != "exec"}
    return {"httpGet": {"host": "127.0.0.1", "path": asked[0], "port": _HEALTH_PORT}, **kept}
