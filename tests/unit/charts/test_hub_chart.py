# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's chart, rendered by Helm: what it refuses, what it grants, where its secrets come from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_hub import NAMES
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
    made = render(tmp_path, {})["Secret", "hub"]
    assert {len(value) for value in made["data"].values()} == {88}
    assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    given = render(tmp_path, {"hub": {"existingSecret": "mine"}})
    assert ("Secret", "hub") not in given
    pod = given["Deployment", "hub"]["spec"]["template"]["spec"]
    names = [item["secret"]["secretName"] for item in pod["volumes"] if "secret" in item]
    assert names == ["mine"]


@needs_helm
def test_an_upgrade_is_the_same_however_often_it_is_rendered(tmp_path: Path) -> None:
    """As those render it who compare it with what runs, without asking the cluster."""
    first, second = (helm(tmp_path, ["template", "hub", "--is-upgrade"], IMAGES) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert "kind: Secret" not in first.stdout and "name: hub-db-dir" in first.stdout


class Cluster(BaseHTTPRequestHandler):
    """An API server with a namespace's own account, and its Secret if `kept`."""

    kept = False

    def do_GET(self) -> None:
        kinds = [("ServiceAccount", "serviceaccounts"), ("Secret", "secrets")]
        found: dict[str, Any] = {
            "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": [{"name": many, "kind": one, "namespaced": True, "verbs": ["get"]} for one, many in kinds],
            },
            "/api/v1/namespaces/hub/serviceaccounts/default": named("ServiceAccount", "default"),
        }
        if self.kept:
            found["/api/v1/namespaces/hub/secrets/hub"] = named("Secret", "hub")
        path = self.path.partition("?")[0]
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        body = json.dumps(found.get(path, missing)).encode()
        self.send_response(200 if path in found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "hub"}}


@needs_helm
@pytest.mark.parametrize(("kept", "verb", "made"), [
    (False, [], True), (True, [], False), (False, ["--is-upgrade"], True), (True, ["--is-upgrade"], False)
])  # fmt: skip
def test_the_secret_of_the_cluster_is_left(tmp_path: Path, kept: bool, verb: list[str], made: bool) -> None:
    """Made at the first installation, and by whoever lost it; what is there is not touched."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Its", (Cluster,), {"kept": kept}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = ["--dry-run=server", "--kube-apiserver", f"http://127.0.0.1:{server.server_address[1]}"]
        answer = helm(tmp_path, ["template", "hub", *place, *verb], IMAGES)
    finally:
        server.shutdown()
    assert answer.returncode == 0, answer.stderr
    assert ("kind: Secret" in answer.stdout) == made


@needs_helm
@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"config": {"GitHubOAuthenticator": {"client_secret": "x"}}}, "hub.config.GitHubOAuthenticator.client_secret"),
        ({"config": {"CryptKeeper": {"keys": ["x"]}}}, "hub.config.CryptKeeper.keys"),
        ({"config": {"DummyAuthenticator": {"password": "x"}}}, "hub.config.DummyAuthenticator.password"),
        ({"extraEnv": {"OAUTH_CLIENT_SECRET": "x"}}, "hub.extraEnv.OAUTH_CLIENT_SECRET"),
    ],
)
def test_secrets_are_no_values(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    answer = helm(tmp_path, ["template", "hub"], merged(IMAGES, {"hub": change}))
    assert answer.returncode != 0
    assert f"{place}: found a secret by its name" in answer.stderr


@needs_helm
def test_what_only_sounds_like_a_secret_is_taken(tmp_path: Path) -> None:
    config = {"JupyterHub": {"trust_user_provided_tokens": True}, "OAuthenticator": {"token_url": "https://l.test/t"}}
    render(tmp_path, {"hub": {"config": config, "extraEnv": {"SSL_KEY_FILE": "/k"}}})


def test_the_inventory_s_check_knows_secrets_by_the_same_names() -> None:
    assert f'regexMatch "{NAMES}"' in (CHART / "templates/_helpers.tpl").read_text()


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


def test_every_value_is_one_of_zero_to_jupyterhub_s() -> None:
    known = json.loads((Path(__file__).parent / "z2jh-4.4.0.json").read_text())["keys"]
    names = {name.removesuffix(".*") for name in known}
    free = tuple(f"{name.removesuffix('*')}" for name in known if name.endswith(".*"))

    def others(rule: dict[str, Any], place: str) -> list[str]:
        found = []
        for name, inner in rule.get("properties", {}).items():
            path = f"{place}{name}"
            found += [] if path in names or path.startswith(free) else [path]
            found += others(inner, f"{path}.")
        return found

    assert others(json.loads((CHART / "values.schema.json").read_text()), "") == []
