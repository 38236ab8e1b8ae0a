# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What role jupyterhub hands to the hub is what the hub takes: the role's own templates, rendered by Ansible."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cmsaf_hub.objects import SCHEDULER_PORTS
from cmsaf_hub.settings import Settings

ROOT = Path(__file__).resolve().parents[4]
ROLE = ROOT / "roles" / "jupyterhub"
# Names of the values that Zero to JupyterHub's chart documents; below one that ends in * is what a site likes.
Z2JH = set(json.loads((ROOT / "tests/unit/charts/z2jh-4.4.0.json").read_text())["keys"])
# What comes of other roles, and of the tasks before.
SITE = {
    "facility_name": "af",
    "facility_domain": "af.test",
    "facility_registry": "r.test",
    "facility_version": "1.0",
    "facility_hub_name": "hub.af.test",
    "facility_dask_domain": "dask.af.test",
    "facility_trust_domain": "pool.af.test",
    "facility_users_domain": "users.af.test",
    "facility_admins": ["boss"],
    "facility_host_network": "10.1.0.0/24",
    "facility_pod_network": "10.244.0.0/16",
    "facility_service_network": "10.96.0.0/12",
    "_jupyterhub_chart_mark": "x",
    "_jupyterhub_keys_version": "1",
    "_jupyterhub_hosts": ["localhost"],
    "_jupyterhub_addresses": {"localhost": ["10.1.0.2"]},
    "_jupyterhub_control_planes": ["localhost"],
    "_jupyterhub_execute_hosts": ["localhost"],
    "_jupyterhub_references": {
        f"r.test/{name}:1.0": f"r.test/{name}@sha256:{digit * 64}"
        for name, digit in (("cmsaf/hub", "a"), ("cmsaf/proxy", "b"), ("cmsaf/analysis", "c"), ("ml", "d"))
    },
}


def render(tmp_path: Path, **variables: Any) -> dict[str, Any]:
    sources = (ROLE.parent / "facility/vars/main.yml", ROLE / "defaults/main.yml", ROLE / "vars/main.yml")
    own = {name: value for path in sources for name, value in yaml.safe_load(path.read_text()).items()}
    copy = {"content": "{{ [_jupyterhub_images, _jupyterhub_values] | to_json }}", "dest": f"{tmp_path}/values.json"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {**own, **SITE, **variables, "ansible_python_interpreter": sys.executable},
        "tasks": [{"ansible.builtin.copy": {**copy, "mode": "0600"}}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "templates").symlink_to(ROLE / "templates")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", f"{tmp_path}/play.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    images, values = json.loads((tmp_path / "values.json").read_text())
    return {"images": images, **values}


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return render(tmp_path_factory.mktemp("defaults"))


def test_the_role_s_own_profiles(defaults: dict[str, Any]) -> None:
    settings = Settings.from_values(defaults["custom"]["cmsaf"])
    found = [(one.slug, one.cpu, one.memory, one.default) for one in settings.profiles]
    assert found == [("usual", 2, "8G", True), ("small", 1, "2G", False), ("large", 4, "16G", False)]
    assert {one.image for one in settings.profiles} == {f"r.test/cmsaf/analysis@sha256:{'c' * 64}"}
    assert defaults["images"] == [f"r.test/cmsaf/{name}:1.0" for name in ("hub", "proxy", "analysis")]


def test_the_ports_of_dask_are_those_of_the_hub_s_services(defaults: dict[str, Any]) -> None:
    ingress = defaults["singleuser"]["networkPolicy"]["ingress"]
    assert [one["port"] for rule in ingress for one in rule["ports"]] == list(SCHEDULER_PORTS)


def test_how_long_servers_stay_is_said_once(defaults: dict[str, Any]) -> None:
    settings = Settings.from_values(defaults["custom"]["cmsaf"])
    assert settings.sessions is not None
    cull, hub = defaults["cull"], defaults["hub"]
    assert (cull["enabled"], cull["timeout"], cull["maxAge"]) == (True, 86400, 604800)
    assert (settings.sessions.idle, settings.sessions.longest) == (timedelta(days=1), timedelta(days=7))
    assert settings.dask.lifetime > settings.sessions.longest
    assert (hub["allowNamedServers"], hub["namedServerLimitPerUser"]) == (True, 3)


def test_many_may_start_at_once(defaults: dict[str, Any]) -> None:
    assert defaults["hub"]["concurrentSpawnLimit"] == 0


def test_a_site_s_own(tmp_path: Path) -> None:
    ml = {"name": "ML", "description": "Trains.", "image": "r.test/ml:1.0", "cpu": "8", "memory": "64G"}
    ml |= {"gpu": {"nvidia.com/gpu": 1}, "groups": ["cms-ml"]}
    usual = {"name": "Usual", "description": "Most.", "cpu": 2, "memory": "8G", "default": True}
    sessions = {"named_servers": 0, "idle": 3600, "longest": 7200}
    found = render(tmp_path, jupyterhub_profiles=[ml, usual], jupyterhub_sessions=sessions)
    first, second = Settings.from_values(found["custom"]["cmsaf"]).profiles
    assert (first.image, first.cpu, first.size) == (
        f"r.test/ml@sha256:{'d' * 64}",
        8,
        "8 cores · 64 GB of memory · 1 GPU",
    )
    assert (first.groups, first.gpu, second.default) == ({"cms-ml"}, {"nvidia.com/gpu": 1}, True)
    assert found["images"][-1] == "r.test/ml:1.0"
    assert (found["hub"]["allowNamedServers"], found["cull"]["timeout"], found["cull"]["maxAge"]) == (False, 3600, 7200)


def test_what_users_share(tmp_path: Path, defaults: dict[str, Any]) -> None:
    assert Settings.from_values(defaults["custom"]["cmsaf"]).shared == ()
    spaces = [
        {"name": "all", "storage_class": "files", "capacity": "1Ti"},
        {"name": "higgs", "groups": ["higgs"], "claim": "projects"},
        {"name": "old", "nfs": {"server": "nfs.af.test", "path": "/export"}},
    ]
    found = Settings.from_values(render(tmp_path, jupyterhub_shared=spaces)["custom"]["cmsaf"]).shared
    assert [(one.path, one.claim, set(one.groups)) for one in found] == [
        ("/shared/all", "shared-all", set()),
        ("/shared/higgs", "projects", {"higgs"}),
        ("/shared/old", "shared-old", set()),
    ]


def test_a_cache_that_others_run(tmp_path: Path) -> None:
    cache = {"host": "localhost", "port": 1095, "sitename": "T2_XX-XCACHE"}
    found = render(tmp_path, jupyterhub_xcache=cache)
    settings = Settings.from_values(found["custom"]["cmsaf"])
    assert settings.cache is not None and settings.cache.location == "T2_XX-XCACHE"
    environment = found["singleuser"]["extraEnv"]
    assert [environment[name] for name in ("XCACHE_HOST", "XCACHE_PORT")] == ["localhost", "1095"]
    rules = found["singleuser"]["networkPolicy"]["egress"]
    assert {
        "ports": [{"port": 1095, "endPort": 1095, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "10.1.0.2/32"}}],
    } in rules


def test_a_cache_that_takes_no_macaroons_of_ours(tmp_path: Path) -> None:
    found = render(tmp_path, jupyterhub_xcache={"host": "localhost", "sitename": ""})
    assert Settings.from_values(found["custom"]["cmsaf"]).cache is None
    assert "BEARER_TOKEN_FILE" not in found["singleuser"]["extraEnv"]
    assert found["singleuser"]["extraEnv"]["XCACHE_PORT"] == "1094"


def doors(values: dict[str, Any], name: str) -> list[list[tuple[int, int]]]:
    """The ports that users' pods may reach by a rule for nodes' addresses, or for pods of other namespaces."""
    rules = values["singleuser"]["networkPolicy"]["egress"]
    return [
        [(one["port"], one["endPort"]) for one in rule["ports"]]
        for rule in rules
        if "ports" in rule and name in rule["to"][0]
    ]


def test_caches_of_our_own_are_reached_at_all_of_their_ports(tmp_path: Path) -> None:
    alone, redirected = tmp_path / "alone", tmp_path / "redirected"
    for path in (alone, redirected):
        path.mkdir()
    cache = {"_jupyterhub_cache_hosts": ["localhost"], "jupyterhub_xcache": {"path": "/"}}
    found = render(alone, **cache)
    settings = Settings.from_values(found["custom"]["cmsaf"])
    assert settings.cache is not None and settings.cache.path == "/"
    assert [(1094, 1094)] in doors(found, "ipBlock") and doors(found, "namespaceSelector") == [[(1094, 1094)]]
    assert [(1095, 1095)] not in doors(found, "ipBlock")
    lonely = found
    found = render(redirected, **cache, _jupyterhub_redirectors=["localhost"], _jupyterhub_origins=3)
    assert [(1094, 1094)] in doors(found, "ipBlock") and [(1095, 1100)] in doors(found, "ipBlock")
    assert doors(found, "namespaceSelector") == [[(1094, 1094), (1095, 1100)]]
    # A cache that is lost is given up within seconds where another one can be had, and waited for where it cannot.
    assert found["singleuser"]["extraEnv"]["XRD_CONNECTIONRETRY"] == "3"
    assert "XRD_CONNECTIONRETRY" not in lonely["singleuser"]["extraEnv"]


def unknown(values: dict[str, Any], place: str = "") -> list[str]:
    """Names of values that Zero to JupyterHub's chart does not document."""
    found = []
    for name, value in values.items():
        path = f"{place}{name}"
        if f"{path}.*" in Z2JH:
            continue
        if path not in Z2JH:
            found.append(path)
        elif isinstance(value, dict):
            found += unknown(value, f"{path}.")
    return found


@pytest.mark.parametrize("chart", ["", "jupyterhub/jupyterhub"])
def test_zero_to_jupyterhub_s_chart_takes_them_all(tmp_path: Path, chart: str) -> None:
    values = render(tmp_path, jupyterhub_chart=chart, jupyterhub_shared=[{"name": "higgs", "claim": "projects"}])
    assert unknown({name: value for name, value in values.items() if name != "images"}) == []
    assert unknown({"hub": {"imag": 1, "db": {"pvcs": 1}}, "custom": {"cmsaf": 1}}) == ["hub.imag", "hub.db.pvcs"]


def test_zero_to_jupyterhub_s_chart_starts_nothing_that_is_not_the_facility_s(tmp_path: Path) -> None:
    values = render(tmp_path, jupyterhub_chart="jupyterhub/jupyterhub")
    assert values["singleuser"]["cloudMetadata"] == {"blockWithIptables": False}
    assert not any(one["enabled"] for part in ("prePuller", "scheduling") for one in values[part].values())
    # All that this chart would let users' pods reach by itself, but for the cluster's DNS.
    assert values["singleuser"]["networkPolicy"]["egressAllowRules"] == dict.fromkeys(
        ("nonPrivateIPs", "privateIPs", "dnsPortsCloudMetadataServer", "dnsPortsPrivateIPs"), False
    )
