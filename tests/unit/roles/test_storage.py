# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site's choice of storage makes of the roles' templates, as they are rendered."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
SITE = {
    "facility_name": "af",
    "facility_domain": "af.test",
    "facility_hub_name": "hub.af.test",
    "facility_dask_domain": "dask.af.test",
    "facility_pod_network": "10.244.0.0/16",
    "facility_service_network": "10.96.0.0/12",
    "facility_registry": "mirror.af.test",
    "facility_version": "1.0.0",
    "facility_checksums": "built",
    "facility_storage": ["local"],
    "facility_storage_class": "",
    "facility_ceph_name": "",
    "facility_user_subdomains": False,
}
NFS = {"local_storage_nfs": {"server": "nfs.af.test", "path": "/export/homes"}}
UPSTREAM = {"facility_checksums": "upstream"}
CEPH = {**UPSTREAM, "facility_ceph_name": "ceph.af.test"}
# Role, what is rendered of it (a template, or a variable as JSON), and with which settings of a site.
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "metrics": ("rook", "metrics.yaml.j2", {}),
    "metrics scraped": (
        "rook",
        "metrics.yaml.j2",
        {"rook_metrics_scrapers": ["192.0.2.80", "198.51.100.0/24", "fd00::7"], "rook_metrics_port": 31000},
    ),
    "metrics upstream": ("rook", "metrics.yaml.j2", UPSTREAM),
    "cluster": ("rook", "cluster.yaml.j2", {}),
    "cluster ceph": ("rook", "cluster.yaml.j2", CEPH),
    "gateway": ("gateway", "etc/haproxy/haproxy.cfg.j2", {}),
    "gateway ceph": ("gateway", "etc/haproxy/haproxy.cfg.j2", CEPH),
    "local": ("local_storage", "provisioner.yaml.j2", {}),
    "local nfs": ("local_storage", "provisioner.yaml.j2", {**NFS, "facility_storage": ["local", "nfs"]}),
    "nfs": ("local_storage", "provisioner.yaml.j2", {**NFS, "facility_storage": ["nfs"]}),
    "local image": ("local_storage", "provisioner.yaml.j2", {"local_storage_quota": "image"}),
    "local service": ("local_storage", "etc/systemd/system/cmsaf-volumes.service.j2", {"local_storage_path": "/data"}),
    "mount": ("local_storage", "_local_storage_nfs", NFS),
    "hub": ("jupyterhub", "_jupyterhub_storage", {}),
    "hub ceph": ("jupyterhub", "_jupyterhub_storage", {"facility_storage_class": "ceph"}),
    "hub apart": (
        "jupyterhub",
        "_jupyterhub_storage",
        {
            "facility_storage_class": "nfs",
            "jupyterhub_values": {"hub": {"db": {"pvc": {"storageClassName": "local-path"}}}},
        },
    ),
}


def task(role: str, what: str, site: dict[str, Any], to: Path) -> dict[str, Any]:
    common = {"dest": str(to), "mode": "0600"}
    if what.startswith("_"):
        return {"ansible.builtin.copy": {"content": f"{{{{ {what} | to_json }}}}", **common}, "vars": site}
    return {"ansible.builtin.template": {"src": str(ROLES / role / "templates" / what), **common}, "vars": site}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of each case."""
    here = tmp_path_factory.mktemp("rendered")
    plays = []
    for role in sorted({role for role, _, _ in CASES.values()}):
        vars_files = [
            ROLES / "facility/vars/main.yml",
            ROLES / role / "defaults/main.yml",
            ROLES / role / "vars/main.yml",
        ]
        plays.append(
            {
                "hosts": "localhost",
                "gather_facts": False,
                "vars_files": [str(path) for path in vars_files],
                "vars": {"ansible_python_interpreter": sys.executable},
                "tasks": [
                    task(role, what, {**SITE, **site}, here / name)
                    for name, (owner, what, site) in CASES.items()
                    if owner == role
                ],
            }
        )
    # A play's facts of the control plane, which templates of the gateway go through.
    (here / "hosts").write_text("localhost\n[kube_control_plane]\nlocalhost\n", encoding="utf-8")
    (here / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(here / "hosts"), "-c", "local"]
    done = subprocess.run([*command, str(here / "play.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (here / name).read_text(encoding="utf-8") for name in CASES}


def objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(text) if item}


def opened(policy: dict[str, Any], port: int) -> list[Any]:
    """From where a policy lets in to a port; None is from everywhere."""
    return [
        rule.get("from")
        for rule in policy["spec"]["ingress"]
        for ports in rule["ports"]
        if ports["port"] <= port <= ports.get("endPort", ports["port"])
    ]


def test_nobody_reads_the_metrics_of_ceph_who_is_not_named(rendered: dict[str, str]) -> None:
    policy = objects(rendered["metrics"])["NetworkPolicy", "rook-ceph-metrics"]
    assert (opened(policy, 9283), opened(policy, 9926)) == ([], [])
    for port in (1, 3300, 6800, 7000, 9282, 9284, 9925, 9927, 65535):
        assert opened(policy, port) == [None]
    policy = objects(rendered["metrics scraped"])["NetworkPolicy", "rook-ceph-metrics"]
    named = [{"ipBlock": {"cidr": cidr}} for cidr in ("192.0.2.80/32", "198.51.100.0/24", "fd00::7/128")]
    assert (opened(policy, 9283), opened(policy, 9926)) == ([named], [named])


def test_the_policy_sees_the_scraper_and_not_the_node(rendered: dict[str, str]) -> None:
    service = objects(rendered["metrics scraped"])["Service", "rook-ceph-metrics"]["spec"]
    assert service["externalTrafficPolicy"] == "Local"
    assert [(port["port"], port["nodePort"]) for port in service["ports"]] == [(9283, 31000)]
    assert ("Service", "rook-ceph-exporter-metrics") not in objects(rendered["metrics"])
    exporter = objects(rendered["metrics upstream"])["Service", "rook-ceph-exporter-metrics"]["spec"]
    assert [(port["port"], port["nodePort"]) for port in exporter["ports"]] == [(9926, 30929)]


def test_metrics_are_by_what_the_image_has(rendered: dict[str, str]) -> None:
    built, upstream = (yaml.safe_load(rendered[name])["spec"] for name in ("cluster", "cluster ceph"))
    assert built["monitoring"]["metricsDisabled"] and built["mgr"]["modules"] == [{"name": "metrics", "enabled": True}]
    assert not upstream["monitoring"]["metricsDisabled"] and upstream["mgr"]["modules"] == []
    # The name that the module has in the image.
    image = ROLES / "mirror/files/images/ceph/Containerfile"
    assert "ln --symbolic prometheus /usr/share/ceph/mgr/metrics" in image.read_text(encoding="utf-8")


def test_one_variable_opens_the_dashboard(rendered: dict[str, str]) -> None:
    closed, opened_ = (yaml.safe_load(rendered[name])["spec"]["dashboard"] for name in ("cluster", "cluster ceph"))
    assert closed == {"enabled": False, "port": 7000, "ssl": False}
    assert opened_ == {"enabled": True, "port": 7000, "ssl": False}
    plain, ceph = rendered["gateway"], rendered["gateway ceph"]
    assert "backend ceph" not in plain and "-i hub.af.test }" in plain
    assert "-m str -i hub.af.test ceph.af.test }" in ceph
    assert "use_backend ceph if { req.hdr(host),host_only -m str -i ceph.af.test }" in ceph
    assert re.search(
        r"backend ceph\n  mode http\n  server dashboard rook-ceph-mgr-dashboard\.rook-ceph\.svc\.cluster\.local:7000 ",
        ceph,
    )
    # Beside that, nothing is another than without it.
    added = [line for line in ceph.splitlines() if line not in plain.splitlines()]
    assert len(added) == 5, added


def provisioner(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The provisioner's configuration, and of each storage class whether it is the default."""
    found = objects(text)
    config = json.loads(found["ConfigMap", "local-path-config"]["data"]["config.json"])
    mark = "storageclass.kubernetes.io/is-default-class"
    return config, {
        name: item["metadata"]["annotations"][mark] for (kind, name), item in found.items() if kind == "StorageClass"
    }


def test_volumes_are_where_the_site_wants_them(rendered: dict[str, str]) -> None:
    nodes = {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/var/lib/cmsaf/volumes"]}]}
    server = {"sharedFileSystemPath": "/var/lib/cmsaf/nfs"}
    assert provisioner(rendered["local"]) == (nodes, {"local-path": "true"})
    both = {"nodePathMap": [], "storageClassConfigs": {"local-path": nodes, "nfs": server}}
    assert provisioner(rendered["local nfs"]) == (both, {"local-path": "true", "nfs": "false"})
    alone = {"nodePathMap": [], "storageClassConfigs": {"nfs": server}}
    assert provisioner(rendered["nfs"]) == (alone, {"nfs": "true"})


@pytest.mark.parametrize(("name", "how"), [("local", ""), ("local nfs", ""), ("local image", "--image ")])
def test_volumes_are_made_by_the_node_s_own_program(rendered: dict[str, str], name: str, how: str) -> None:
    data = objects(rendered[name])["ConfigMap", "local-path-config"]["data"]
    program = "exec nsenter --target 1 --mount -- /usr/local/sbin/cmsaf-volume"
    assert data["setup"] == f'#!/bin/sh\n{program} make {how}"$VOL_DIR" "$VOL_SIZE_BYTES"\n'
    assert data["teardown"] == f'#!/bin/sh\n{program} remove "$VOL_DIR"\n'
    pod = yaml.safe_load(data["helperPod.yaml"])["spec"]
    assert pod["hostPID"] and pod["containers"][0]["securityContext"] == {"privileged": True}


def test_images_are_mounted_before_pods_come(rendered: dict[str, str]) -> None:
    lines = rendered["local service"].splitlines()
    for line in (
        "ExecStart=/usr/local/sbin/cmsaf-volume mount /data",
        "RequiresMountsFor=/data",
        "Before=kubelet.service",
    ):
        assert line in lines


def test_a_mount_is_one_that_waits(rendered: dict[str, str]) -> None:
    assert json.loads(rendered["mount"]) == {**NFS["local_storage_nfs"], "options": "hard,noatime"}


def classes(text: str) -> tuple[Any, Any]:
    found = json.loads(text)
    return found["hub"]["db"]["pvc"]["storageClassName"], found["singleuser"]["storage"]["dynamic"]["storageClass"]


def test_hub_and_homes_choose_by_one_variable(rendered: dict[str, str]) -> None:
    assert classes(rendered["hub"]) == (None, None)
    assert classes(rendered["hub ceph"]) == ("ceph", "ceph")
    assert classes(rendered["hub apart"]) == ("local-path", "nfs")
    values = (ROLES / "jupyterhub/templates/values.yaml.j2").read_text(encoding="utf-8")
    for key in ("storageClassName", "storageClass"):
        assert f"{key}: {{{{ _jupyterhub_storage_class | to_json }}}}" in values
