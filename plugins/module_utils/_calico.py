# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit Calico's published manifest to a cluster. Private to this collection."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterable, Mapping

__all__ = ("with_environment",)

_Document = dict[str, t.Any]


def with_environment(documents: Iterable[_Document | None], environment: Mapping[str, str]) -> list[_Document]:
    """Return the manifest's documents, the node container's environment overridden.

    A variable that the manifest has is replaced where it stands, others are added in order of name,
    so that the same input always gives the same objects.
    """
    result = [copy.deepcopy(document) for document in documents if document]
    for container in _node_containers(result):
        container["env"] = _overridden(container.get("env", []), environment)
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
