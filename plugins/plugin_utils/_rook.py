# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook's objects for a list of pools. Private to this collection; imports nothing of Ansible."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping, Sequence

__all__ = ("behind", "bucket_classes", "nodes", "pools", "volume_classes")

_Document = dict[str, t.Any]
_Pool = Mapping[str, t.Any]

_API = "ceph.rook.io/v1"
# The pools of a file system beside that of its metadata, and of a block pool beside itself; Rook puts the name before it.
_DATA, _CODED = "data", "coded"
# On each Deployment of a daemon: the version of Rook that last wrote it.
_VERSION = "rook-version"
# The mgr makes this pool for itself, with three replicas, if nobody says how many.
_MGR = ".mgr"


def _object(kind: str, name: str, namespace: str, spec: _Document) -> _Document:
    return {"apiVersion": _API, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _replicas(pool: _Pool) -> int:
    return int(pool.get("replicas", 3))


def _is_coded(pool: _Pool) -> bool:
    """Whether the content is erasure coded. What leads to it, such as metadata, has replicas all the same."""
    return bool(pool.get("data_chunks"))


def _placed(pool: _Pool, domain: str, **kept: _Document) -> _Document:
    """Where a pool's pieces are, and as what they are kept."""
    placed: _Document = {"failureDomain": pool.get("failure_domain") or domain, **kept}
    if pool.get("device_class"):
        placed["deviceClass"] = pool["device_class"]
    return placed


def _replicated(pool: _Pool, domain: str) -> _Document:
    size = _replicas(pool)
    return _placed(pool, domain, replicated={"size": size, "requireSafeReplicaSize": size > 1})


def _coded(pool: _Pool, domain: str) -> _Document:
    chunks = {"dataChunks": int(pool["data_chunks"]), "codingChunks": int(pool["coding_chunks"])}
    return _placed(pool, domain, erasureCoded=chunks)


def _filesystem(pool: _Pool, namespace: str, domain: str) -> list[_Document]:
    name, placed = pool["name"], _replicated(pool, domain)
    # Ceph wants replicas in the first, which holds where all files are.
    data = [{"name": _DATA, **placed}]
    if _is_coded(pool):
        data.append({"name": _CODED, **_coded(pool, domain)})
    spec = {
        "metadataPool": placed,
        "dataPools": data,
        "preserveFilesystemOnDelete": True,
        "metadataServer": {
            "activeCount": int(pool.get("instances", 1)),
            "activeStandby": True,
            "priorityClassName": "system-cluster-critical",
        },
    }
    # The group in which the driver makes its volumes.
    group = {"name": "csi", "filesystemName": name, "pinning": {"distributed": 1}}
    return [
        _object("CephFilesystem", name, namespace, spec),
        _object("CephFilesystemSubVolumeGroup", f"{name}-csi", namespace, group),
    ]


def _store(pool: _Pool, namespace: str, domain: str) -> list[_Document]:
    placed = _replicated(pool, domain)
    spec = {
        "metadataPool": placed,
        "dataPool": _coded(pool, domain) if _is_coded(pool) else placed,
        "preservePoolsOnDelete": True,
        "gateway": {
            "port": 80,
            "instances": int(pool.get("instances", 1)),
            "priorityClassName": "system-cluster-critical",
        },
    }
    return [_object("CephObjectStore", pool["name"], namespace, spec)]


def _block(pool: _Pool, namespace: str, domain: str) -> list[_Document]:
    found = [_object("CephBlockPool", pool["name"], namespace, _replicated(pool, domain))]
    if _is_coded(pool):
        found.append(_object("CephBlockPool", f"{pool['name']}-{_CODED}", namespace, _coded(pool, domain)))
    return found


_KINDS = {"block": _block, "filesystem": _filesystem, "object": _store}


def pools(wanted: Sequence[_Pool], namespace: str, domain: str) -> list[_Document]:
    """The objects of all pools. The mgr's own pool is placed as the one with most replicas is."""
    if not wanted:
        return []
    own = {"name": _MGR, **_replicated(max(wanted, key=_replicas), domain)}
    found = [_object("CephBlockPool", "builtin-mgr", namespace, own)]
    for pool in wanted:
        found += _KINDS[pool["kind"]](pool, namespace, domain)
    return found


def _class(pool: _Pool, default: str, **fields: t.Any) -> _Document:
    name = pool["storage_class"]
    metadata: _Document = {"name": name}
    if name == default:
        metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": metadata,
        "reclaimPolicy": "Delete",
        **fields,
    }


def _secrets(driver: str, namespace: str) -> dict[str, str]:
    """The Secrets that Rook makes for a driver, by what Kubernetes asks for."""
    secrets = {}
    for use, name in (("provisioner", "provisioner"), ("controller-expand", "provisioner"), ("node-stage", "node")):
        secrets[f"csi.storage.k8s.io/{use}-secret-name"] = f"rook-csi-{driver}-{name}"
        secrets[f"csi.storage.k8s.io/{use}-secret-namespace"] = namespace
    return secrets


def volume_classes(wanted: Iterable[_Pool], namespace: str, default: str) -> list[_Document]:
    """The storage classes of volumes. They want the drivers that mount them."""
    found = []
    for pool in wanted:
        if not pool.get("storage_class") or pool["kind"] == "object":
            continue
        if pool["kind"] == "block":
            driver = "rbd"
            own = {
                "pool": pool["name"],
                **({"dataPool": f"{pool['name']}-{_CODED}"} if _is_coded(pool) else {}),
                "imageFormat": "2",
                "imageFeatures": "layering",
                "csi.storage.k8s.io/fstype": "ext4",
            }
        else:
            driver = "cephfs"
            own = {"fsName": pool["name"], "pool": f"{pool['name']}-{_CODED if _is_coded(pool) else _DATA}"}
        found.append(
            _class(
                pool,
                default,
                provisioner=f"{namespace}.{driver}.csi.ceph.com",
                parameters={"clusterID": namespace, **own, **_secrets(driver, namespace)},
                allowVolumeExpansion=True,
            )
        )
    return found


def bucket_classes(wanted: Iterable[_Pool], namespace: str) -> list[_Document]:
    """The storage classes of buckets. The operator makes them itself; they are nobody's default."""
    return [
        _class(
            pool,
            "",
            provisioner=f"{namespace}.ceph.rook.io/bucket",
            parameters={"objectStoreName": pool["name"], "objectStoreNamespace": namespace},
        )
        for pool in wanted
        if pool.get("storage_class") and pool["kind"] == "object"
    ]


def nodes(disks: Mapping[str, Sequence[Mapping[str, t.Any]]]) -> list[_Document]:
    """The hosts and their disks as CephCluster has them, hosts without disks left out."""
    return [
        {
            "name": host,
            "devices": [
                {
                    "name": disk["path"],
                    **({"config": {"deviceClass": disk["device_class"]}} if disk.get("device_class") else {}),
                }
                for disk in listed
            ],
        }
        for host, listed in disks.items()
        if listed
    ]


def _problem(deployment: Mapping[str, t.Any], image: str, version: str, rolled_out: bool) -> str:
    """Why a daemon's Deployment is not what is wanted, empty if it is."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    found = spec["template"]["spec"]["containers"][0]["image"]
    if found != image:
        return f"runs {found}"
    written = (metadata.get("labels") or {}).get(_VERSION, "none")
    if version and written != version:
        return f"is of Rook {written}, not {version}"
    wanted = spec.get("replicas", 1)
    # One that an administrator stopped for good is not waited for.
    if (
        rolled_out
        and wanted
        and (
            status.get("observedGeneration", 0) < metadata["generation"]
            or status.get("replicas", 0) != wanted
            or status.get("updatedReplicas", 0) != wanted
            or status.get("readyReplicas", 0) != wanted
        )
    ):
        return "is restarting"
    return ""


def behind(
    deployments: Iterable[Mapping[str, t.Any]], image: str, version: str = "", *, rolled_out: bool = False
) -> list[str]:
    """The daemons' Deployments that are not of this image, nor of this version of Rook, or not up with it, and why."""
    found = ((each["metadata"]["name"], _problem(each, image, version, rolled_out)) for each in deployments)
    return [f"{name} {problem}" for name, problem in found if problem]
