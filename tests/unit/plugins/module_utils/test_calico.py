# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's manifest, fitted."""

from __future__ import annotations

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._calico import fitted


def daemon_set(*entries: dict[str, object]) -> dict[str, object]:
    containers = [{"name": "other"}, {"name": "calico-node", "env": list(entries)}]
    return {
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node"},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def test_replaces_in_place_adds_sorted_and_drops_empty_documents() -> None:
    field = {"name": "NODENAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    given = [None, {"kind": "ConfigMap"}, daemon_set({"name": "MODE", "value": "CrossSubnet"}, field)]
    assert fitted(given, {"Z": "1", "MODE": "Always", "A": "x"}) == [
        {"kind": "ConfigMap"},
        daemon_set(
            {"name": "MODE", "value": "Always"}, field, {"name": "A", "value": "x"}, {"name": "Z", "value": "1"}
        ),
    ]
    assert given[2] == daemon_set({"name": "MODE", "value": "CrossSubnet"}, field)


def test_a_reference_becomes_a_value() -> None:
    given = [daemon_set({"name": "MTU", "valueFrom": {"configMapKeyRef": {}}})]
    assert fitted(given, {"MTU": "1450"}) == [daemon_set({"name": "MTU", "value": "1450"})]


@pytest.mark.parametrize("documents", [[], [None], [{"kind": "DaemonSet", "metadata": {"name": "other"}}]])
def test_refuses_what_is_not_the_manifest(documents: list[dict[str, object] | None]) -> None:
    with pytest.raises(ValueError, match="no container calico-node"):
        fitted(documents, {})


def test_felix_is_asked_over_http() -> None:
    given = daemon_set()
    container = given["spec"]["template"]["spec"]["containers"][1]
    container["livenessProbe"] = {"exec": {"command": ["/bin/calico-node", "-felix-live"]}, "periodSeconds": 10}
    container["readinessProbe"] = {"exec": {"command": ["/bin/calico-node", "-felix-ready", "-bird-ready"]}}
    found = fitted([given], {})[0]["spec"]["template"]["spec"]["containers"][1]
    assert found["livenessProbe"] == {
        "httpGet": {"host": "127.0.0.1", "path": "/liveness", "port": 9099},
        "periodSeconds": 10,
    }
    assert found["readinessProbe"] == container["readinessProbe"]
