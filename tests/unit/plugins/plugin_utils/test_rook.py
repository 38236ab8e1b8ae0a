# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's objects, compared whole."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.filter.rook_behind import rook_behind
from ansible_collections.cmsaf.facility.plugins.filter.rook_objects import rook_objects

PLACED = {"failureDomain": "host", "replicated": {"size": 3, "requireSafeReplicaSize": True}}


def made(*pools: dict[str, Any], **more: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = rook_objects(list(pools), "rook-ceph", "host", **more)
    return found


def of_kind(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "ceph.rook.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "rook-ceph"},
        "spec": spec,
    }


MGR = of_kind("CephBlockPool", "builtin-mgr", {"name": ".mgr", **PLACED})


def secrets(driver: str) -> dict[str, str]:
    return {
        "csi.storage.k8s.io/provisioner-secret-name": f"rook-csi-{driver}-provisioner",
        "csi.storage.k8s.io/provisioner-secret-namespace": "rook-ceph",
        "csi.storage.k8s.io/controller-expand-secret-name": f"rook-csi-{driver}-provisioner",
        "csi.storage.k8s.io/controller-expand-secret-namespace": "rook-ceph",
        "csi.storage.k8s.io/node-stage-secret-name": f"rook-csi-{driver}-node",
        "csi.storage.k8s.io/node-stage-secret-namespace": "rook-ceph",
    }


def test_pool_of_block_devices() -> None:
    assert made({"name": "block", "kind": "block", "storage_class": "rook-block"}, default_class="rook-block") == {
        "pools": [MGR, of_kind("CephBlockPool", "block", PLACED)],
        "volume_classes": [
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": "rook-block",
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "rook-ceph.rbd.csi.ceph.com",
                "parameters": {
                    "clusterID": "rook-ceph",
                    "pool": "block",
                    "imageFormat": "2",
                    "imageFeatures": "layering",
                    "csi.storage.k8s.io/fstype": "ext4",
                    **secrets("rbd"),
                },
                "reclaimPolicy": "Delete",
                "allowVolumeExpansion": True,
            }
        ],
        "bucket_classes": [],
        "nodes": [],
    }


def test_file_system() -> None:
    assert made({"name": "files", "kind": "filesystem", "storage_class": "rook-files", "instances": 2}) == {
        "pools": [
            MGR,
            of_kind(
                "CephFilesystem",
                "files",
                {
                    "metadataPool": PLACED,
                    "dataPools": [{"name": "data", **PLACED}],
                    "preserveFilesystemOnDelete": True,
                    "metadataServer": {
                        "activeCount": 2,
                        "activeStandby": True,
                        "priorityClassName": "system-cluster-critical",
                    },
                },
            ),
            of_kind(
                "CephFilesystemSubVolumeGroup",
                "files-csi",
                {"name": "csi", "filesystemName": "files", "pinning": {"distributed": 1}},
            ),
        ],
        "volume_classes": [
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "rook-files"},
                "provisioner": "rook-ceph.cephfs.csi.ceph.com",
                "parameters": {"clusterID": "rook-ceph", "fsName": "files", "pool": "files-data", **secrets("cephfs")},
                "reclaimPolicy": "Delete",
                "allowVolumeExpansion": True,
            }
        ],
        "bucket_classes": [],
        "nodes": [],
    }


def test_object_store() -> None:
    assert made({"name": "objects", "kind": "object", "storage_class": "rook-buckets"}) == {
        "pools": [
            MGR,
            of_kind(
                "CephObjectStore",
                "objects",
                {
                    "metadataPool": PLACED,
                    "dataPool": PLACED,
                    "preservePoolsOnDelete": True,
                    "gateway": {"port": 80, "instances": 1, "priorityClassName": "system-cluster-critical"},
                },
            ),
        ],
        "volume_classes": [],
        "bucket_classes": [
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "rook-buckets"},
                "provisioner": "rook-ceph.ceph.rook.io/bucket",
                "parameters": {"objectStoreName": "objects", "objectStoreNamespace": "rook-ceph"},
                "reclaimPolicy": "Delete",
            }
        ],
        "nodes": [],
    }


def test_pools_of_another_class_and_width() -> None:
    found = made(
        {"name": "fast", "kind": "block", "replicas": 2, "device_class": "ssd"},
        {"name": "wide", "kind": "block", "replicas": 4},
    )
    two = {"failureDomain": "host", "replicated": {"size": 2, "requireSafeReplicaSize": True}, "deviceClass": "ssd"}
    four = {"failureDomain": "host", "replicated": {"size": 4, "requireSafeReplicaSize": True}}
    assert [pool["spec"] for pool in found["pools"]] == [{"name": ".mgr", **four}, two, four]
    assert found["volume_classes"] == []


CODED = {
    "failureDomain": "osd",
    "erasureCoded": {"dataChunks": 2, "codingChunks": 1},
    "deviceClass": "hdd",
}
REPLICATED = {
    "failureDomain": "osd",
    "replicated": {"size": 3, "requireSafeReplicaSize": True},
    "deviceClass": "hdd",
}


def coded(kind: str) -> dict[str, Any]:
    return made(
        {
            "name": "big",
            "kind": kind,
            "storage_class": "rook-big",
            "device_class": "hdd",
            "data_chunks": 2,
            "coding_chunks": 1,
            "failure_domain": "osd",
        }
    )


def test_erasure_coded_block_devices_have_their_metadata_in_replicas() -> None:
    found = coded("block")
    assert [(pool["metadata"]["name"], pool["spec"]) for pool in found["pools"][1:]] == [
        ("big", REPLICATED),
        ("big-coded", CODED),
    ]
    parameters = found["volume_classes"][0]["parameters"]
    assert (parameters["pool"], parameters["dataPool"]) == ("big", "big-coded")


def test_erasure_coded_file_system_has_a_first_pool_of_replicas() -> None:
    found = coded("filesystem")
    spec = found["pools"][1]["spec"]
    assert spec["metadataPool"] == REPLICATED
    assert spec["dataPools"] == [{"name": "data", **REPLICATED}, {"name": "coded", **CODED}]
    assert found["volume_classes"][0]["parameters"]["pool"] == "big-coded"


def test_erasure_coded_object_store_has_its_index_in_replicas() -> None:
    spec = coded("object")["pools"][1]["spec"]
    assert (spec["metadataPool"], spec["dataPool"]) == (REPLICATED, CODED)


def test_one_replica_is_said_to_be_meant() -> None:
    spec = made({"name": "b", "kind": "block", "replicas": 1})["pools"][1]["spec"]
    assert spec["replicated"] == {"size": 1, "requireSafeReplicaSize": False}


def test_disks_of_the_hosts() -> None:
    disks = {
        "w1": [{"path": "/dev/disk/by-id/a", "device_class": "ssd"}, {"path": "/dev/disk/by-id/b"}],
        "w2": [],
    }
    assert made(disks=disks)["nodes"] == [
        {
            "name": "w1",
            "devices": [
                {"name": "/dev/disk/by-id/a", "config": {"deviceClass": "ssd"}},
                {"name": "/dev/disk/by-id/b"},
            ],
        }
    ]


def test_nothing_wanted() -> None:
    assert made() == {"pools": [], "volume_classes": [], "bucket_classes": [], "nodes": []}


@pytest.mark.parametrize(
    "pool", [{"name": "x"}, {"name": "x", "kind": "tape"}, {"name": "x", "kind": "block", "replicas": "many"}]
)
def test_what_is_no_pool_is_named(pool: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="See rook_pools and rook_disks"):
        made(pool)


def deployment(image: str = "ceph:2", version: str = "v1.17.2", **status: int) -> dict[str, Any]:
    """One daemon's Deployment that is all that is wanted, but for what is said."""
    up = {"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    return {
        "metadata": {"name": "rook-ceph-mon-a", "generation": 3, "labels": {"rook-version": version}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": image}, {"image": "log:1"}]}}},
        "status": {**up, **status},
    }


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (deployment(), ""),
        (deployment("ceph:1"), "runs ceph:1"),
        (deployment(version="v1.17.1"), "is of Rook v1.17.1, not v1.17.2"),
        (deployment(observedGeneration=2), "is restarting"),
        (deployment(replicas=2), "is restarting"),
        (deployment(updatedReplicas=0), "is restarting"),
        (deployment(readyReplicas=0), "is restarting"),
    ],
)
def test_what_an_upgrade_has_not_reached(found: dict[str, Any], problem: str) -> None:
    wanted = [f"rook-ceph-mon-a {problem}"] if problem else []
    assert rook_behind([found, deployment()], "ceph:2", "v1.17.2", rolled_out=True) == wanted


def test_what_only_restarts_is_of_the_image_all_the_same() -> None:
    assert rook_behind([deployment(readyReplicas=0), {**deployment(), "status": {}}], "ceph:2") == []


def test_a_daemon_that_is_stopped_for_good_is_not_waited_for() -> None:
    stopped = deployment(replicas=0, updatedReplicas=0, readyReplicas=0)
    stopped["spec"]["replicas"] = 0
    assert rook_behind([stopped], "ceph:2", rolled_out=True) == []


def test_what_is_no_deployment_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="no list of Deployments"):
        rook_behind([{"kind": "Pod"}], "ceph:2")
