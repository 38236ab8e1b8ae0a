# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's chart, rendered by Helm: what it refuses, what it grants, where its secrets come from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from traitlets.config import Config

CHART = Path(__file__).resolve().parents[3] / "charts" / "hub"
HELM = os.environ.get("HELM") or shutil.which("helm")
IMAGES = {
    "hub": {"image": {"name": "registry.test/hub@sha256", "tag": "ab"}},
    "proxy": {"chp": {"image": {"name": "registry.test/proxy", "tag": "1"}}},
    "singleuser": {"image": {"name": "registry.test/analysis", "tag": "1"}},
}

needs_helm = pytest.mark.skipif(HELM is None, reason="needs helm in PATH, or its path in HELM")


def helm(tmp_path: Path, verb: list[str], values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    return subprocess.run(
        [str(HELM), *verb, str(CHART), "--namespace", "hub", "--values", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def merged(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def render(tmp_path: Path, change: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    answer = helm(tmp_path, ["template", "hub"], merged(IMAGES, change))
    assert answer.returncode == 0, answer.stderr
    objects = [item for item in yaml.safe_load_all(answer.stdout) if item]
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


@needs_helm
def test_lint(tmp_path: Path) -> None:
    answer = helm(tmp_path, ["lint", "--strict"], IMAGES)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@needs_helm
def test_objects(tmp_path: Path) -> None:
    assert set(render(tmp_path, {})) == {
        ("ConfigMap", "hub"),
        ("Deployment", "hub"),
        ("Deployment", "proxy"),
        ("NetworkPolicy", "hub"),
        ("NetworkPolicy", "proxy"),
        ("NetworkPolicy", "singleuser"),
        ("PersistentVolumeClaim", "hub-db-dir"),
        ("Role", "hub"),
        ("RoleBinding", "hub"),
        ("Secret", "hub"),
        ("Service", "hub"),
        ("Service", "proxy-api"),
        ("Service", "proxy-public"),
        ("ServiceAccount", "hub"),
    }


@needs_helm
@pytest.mark.parametrize(
    "change",
    [
        {"hubs": {}},
        {"hub": {"imag": {}}},
        {"hub": {"image": {"name": ""}}},
        {"singleuser": {"networkPolicy": {"egres": []}}},
        {"singleuser": {"uid": "root"}},
        {"cull": {"timeout": -1}},
        {"proxy": {"service": {"type": "Public"}}},
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    answer = helm(tmp_path, ["template", "hub"], merged(IMAGES, change))
    assert answer.returncode != 0
    assert "values don't meet the specifications of the schema" in answer.stderr


@needs_helm
def test_secret_is_given_or_made(tmp_path: Path) -> None:
    made = render(tmp_path, {})["Secret", "hub"]["data"]
    assert {len(value) for value in made.values()} == {88}
    given = render(tmp_path, {"hub": {"existingSecret": "mine"}})
    assert ("Secret", "hub") not in given
    pod = given["Deployment", "hub"]["spec"]["template"]["spec"]
    names = [item["secret"]["secretName"] for item in pod["volumes"] if "secret" in item]
    assert names == ["mine"]


@needs_helm
def test_the_hub_reads_no_secrets_and_owns_no_rights_elsewhere(tmp_path: Path) -> None:
    found = render(tmp_path, {})
    rules: dict[str, set[str]] = {}
    for rule in found["Role", "hub"]["rules"]:
        for resource in rule["resources"]:
            rules.setdefault(resource, set()).update(rule["verbs"])
    assert rules["secrets"] == {"create", "delete", "patch"}
    assert rules["services"] == {"create", "delete"}
    assert set(rules) == {"pods", "events", "persistentvolumeclaims", "secrets", "services"}
    assert not any(kind.startswith("Cluster") for kind, _name in found)


@needs_helm
def test_containers_give_up_what_they_do_not_need(tmp_path: Path) -> None:
    found = render(tmp_path, {})
    for name in ("hub", "proxy"):
        pod = found["Deployment", name]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@needs_helm
def test_users_pods_reach_hub_and_proxy_and_the_internet_only(tmp_path: Path) -> None:
    policy = render(tmp_path, {})["NetworkPolicy", "singleuser"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert len(policy["ingress"]) == 1
    ports = [[port["port"] for port in rule.get("ports", [])] for rule in policy["egress"]]
    assert ports == [[8081], [8000], [53, 53], []]
    assert policy["egress"][3]["to"][0]["ipBlock"]["except"][0] == "10.0.0.0/8"


@needs_helm
def test_configuration_is_python_and_values_are_json(tmp_path: Path) -> None:
    data = render(tmp_path, {"custom": {"quote": "a \"b\" 'c' {d}"}})["ConfigMap", "hub"]["data"]
    compile(data["jupyterhub_config.py"], "jupyterhub_config.py", "exec")
    values = json.loads(data["values.json"])
    assert values["custom"] == {"quote": "a \"b\" 'c' {d}"}
    assert "networkPolicy" not in values["singleuser"]


def test_sessions_reach_jupyterhub_and_the_culler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration itself, run with the values that Helm would hand on."""
    change = {
        # No limit is a value of its own, not a missing one.
        "hub": {"allowNamedServers": True, "namedServerLimitPerUser": 3, "concurrentSpawnLimit": 0},
        "singleuser": {"storage": {"dynamic": {"pvcNameTemplate": "claim-{username}"}}},
        "cull": {"timeout": 86400, "maxAge": 604800.0},
    }
    values = merged(merged(yaml.safe_load((CHART / "values.yaml").read_text()), IMAGES), change) | {"release": "hub"}
    code = (CHART / "files/jupyterhub_config.py").read_text()
    monkeypatch.setattr(Path, "read_text", lambda _path: json.dumps(values))
    monkeypatch.setenv("POD_NAMESPACE", "hub")
    config = Config()
    exec(compile(code, "jupyterhub_config.py", "exec"), {"get_config": lambda: config})
    assert (config.JupyterHub.allow_named_servers, config.JupyterHub.named_server_limit_per_user) == (True, 3)
    assert config.JupyterHub.concurrent_spawn_limit == 0
    assert config.KubeSpawner.pvc_name_template == "claim-{username}"
    (culler,) = config.JupyterHub.services
    assert {"--timeout=86400", "--max-age=604800"} < set(culler["command"])
    (role,) = config.JupyterHub.load_roles
    assert {"read:users:activity", "delete:servers"} < set(role["scopes"])


def test_schema_knows_every_value() -> None:
    """Both ways: no value without a rule, no rule for a value that is not there."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(name: str, rule: dict[str, Any], value: Any) -> None:
        properties = rule.get("properties")
        if properties is None:
            return
        assert rule["additionalProperties"] is False, name
        assert set(properties) == set(value), name
        for key, inner in properties.items():
            compare(f"{name}.{key}", inner, value[key])

    compare("values", schema, values)
