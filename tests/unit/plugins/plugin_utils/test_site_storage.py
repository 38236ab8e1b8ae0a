# SPDX-License-Identifier: GPL-3.0-or-later
"""A good choice of storage, and a table of what can be wrong with one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_check import Site, problems
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_storage import Storage, mistakes

DISK = "/dev/disk/by-id/wwn-"
POOLS = [
    {"name": "block", "kind": "block", "storage_class": "rook-block"},
    {"name": "files", "kind": "filesystem", "storage_class": "rook-files"},
    {"name": "objects", "kind": "object", "storage_class": "rook-buckets"},
]
HOSTS = ("w1", "w2", "w3")


def disks(*paths: str, **more: Any) -> dict[str, Any]:
    return {"rook_disks": [{"path": path, **more} for path in paths]}


GOOD = Storage(
    chosen=["local", "rook"],
    values={host: disks(f"{DISK}{host}") for host in HOSTS},
    hosts=HOSTS,
    workers=(*HOSTS, "g1"),
    pools=POOLS,
    domain="host",
    mons=3,
    csi=False,
    default_class="",
    local_class="local-path",
    local_default=True,
    loops=False,
)


def texts(**change: Any) -> list[str]:
    return [f"{variable}: {found}. {fix}" for variable, found, fix in mistakes(dataclasses.replace(GOOD, **change))]


def at(host: str, **values: Any) -> dict[str, Any]:
    return {"values": {**GOOD.values, host: {**GOOD.values[host], **values}}}


def pools(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"pools": [{**POOLS[number % len(POOLS)], **change} for number, change in enumerate(changes)]}


NFS: dict[str, Any] = {"chosen": ["local", "rook", "nfs"], "nfs": {"server": "nfs.af.test", "path": "/export"}}
BAD = [
    ({"chosen": []}, "facility_storage: nothing. Set [local], [rook], [nfs] or several, or name the class"),
    ({"homes_class": "rook-buckets"}, "facility_storage_class: 'rook-buckets', which is for buckets. Set a class of"),
    (
        {"homes_class": "rook-block"},
        "facility_storage_class: 'rook-block', whose volumes nothing can mount without the",
    ),
    (
        {**NFS, "homes_class": "nfs"},
        "facility_storage_class: 'nfs', on which the hub's data base would be too. Set hub.db",
    ),
    (
        {**NFS, "homes_class": "nfs", "database_class": "nfs"},
        "facility_storage_class: 'nfs', on which the hub's data base would be too. Set hub.db",
    ),
    (
        {**NFS, "chosen": ["nfs"], "values": {}, "hosts": ()},
        "facility_storage_class: 'nfs', on which the hub's data base would be too. Set hub.db",
    ),
    ({"nfs": NFS["nfs"]}, "local_storage_nfs: a server, but by facility_storage there is no NFS. Add nfs"),
    ({**NFS, "nfs": {}}, "local_storage_nfs: server None, path None. Set both"),
    ({**NFS, "nfs": {"server": "n", "path": "homes"}}, "local_storage_nfs: server 'n', path 'homes'. Set both"),
    ({**NFS, "nfs_class": "local-path"}, "local_storage_nfs_class: local-path, as local_storage_class. Set another"),
    ({"metrics_port": 9283}, "rook_metrics_port: 9283. Set one from 30000 to 32766"),
    ({"metrics_port": 32767}, "rook_metrics_port: 32767. Set one from 30000 to 32766"),
    ({"scrapers": ["prometheus"]}, "rook_metrics_scrapers: 'prometheus': 'prometheus' does not appear"),
    (
        {"ceph_name": "ceph.af.test", "built": True},
        "facility_ceph_name: ceph.af.test, but the image of Ceph that a mirror",
    ),
    (
        {"ceph_name": "hub.af.test", "taken_names": ["hub.af.test"]},
        "facility_ceph_name: hub.af.test, which is another name's too. Set one of its own",
    ),
    (
        {"ceph_name": "ceph.af.test", "chosen": ["local"], "values": {}, "hosts": ()},
        "facility_ceph_name: 'ceph.af.test', but by facility_storage there is no Ceph. Leave it empty",
    ),
    ({"chosen": ["local"]}, "rook_disks: disks of w1, w2, w3, but by facility_storage there is no Ceph. Add rook"),
    ({"hosts": ()}, "group storage: 0 hosts. Put the hosts into it"),
    ({"workers": ("w1", "w2")}, "group storage: w3, which is not in kube_worker. Add it there"),
    (at("w2", rook_disks=[]), "rook_disks: nothing on w2. Name a disk of each"),
    ({"mons": 2}, "rook_mons: 2. Set an odd number"),
    ({"mons": 5}, "rook_mons: 5 for 3 hosts in group storage. Set it lower"),
    (at("w1", **disks(f"{DISK}a", f"{DISK}a")), f"rook_disks: {DISK}a twice on w1. Name each disk once"),
    (
        at("w1", **disks("/dev/sdb")),
        "rook_disks: /dev/sdb on w1, a name that may be another disk's after the next start",
    ),
    (at("w1", **disks("/dev/nvme0n1")), "rook_disks: /dev/nvme0n1 on w1, a name that may be another disk's"),
    (at("w1", **disks("/dev/nvme1n1p2")), "rook_disks: /dev/nvme1n1p2 on w1, a name that may be another disk's"),
    (at("w1", **disks("sdb")), "rook_disks: 'sdb' on w1. Write the whole name"),
    (at("w1", **disks("/dev/loop9")), "rook_disks: /dev/loop9 on w1, a loop device. Write a disk, or set rook_loop"),
    (
        at("w1", rook_wipe_disks=["/dev/disk/by-id/other"]),
        "rook_wipe_disks: /dev/disk/by-id/other on w1, which is not in its rook_disks. Write it as",
    ),
    (pools({}, {"name": "block"}), "rook_pools: block twice. Give each pool its own name"),
    (pools({"name": "Block"}), "rook_pools: a pool 'Block'. Set lower-case letters"),
    (pools({"name": "b" * 41}), f"rook_pools: a pool '{'b' * 41}'. Set lower-case letters, digits and '-', 40 at most"),
    (pools({"name": "builtin-mgr"}), "rook_pools: a pool 'builtin-mgr'. Set"),
    (pools({"name": "files-data"}, {}), "rook_pools: two entries that both make files-data in Ceph. Give one of them"),
    (pools({}, {"storage_class": "rook-block"}), "rook_pools: storage class rook-block twice. Give each pool its own"),
    (pools({"storage_class": "local-path"}), "rook_pools: storage class local-path, which is local_storage_class too"),
    (
        pools({"replicas": 4}),
        "rook_pools[block].replicas: 4, but there are 3 of what the failure domain calls host. Low",
    ),
    (
        pools({"data_chunks": 3, "coding_chunks": 1}),
        "rook_pools[block].data_chunks and coding_chunks: 4, but there are 3 of what the failure domain calls host. Lower",
    ),
    (pools({"data_chunks": 2}), "rook_pools[block]: data_chunks without coding_chunks. Set both for erasure coding"),
    (pools({"coding_chunks": 1}), "rook_pools[block]: coding_chunks without data_chunks. Set both"),
    (
        pools({"data_chunks": 1, "coding_chunks": 1}),
        "rook_pools[block]: data_chunks 1, coding_chunks 1. Set data_chunks",
    ),
    (
        pools({"failure_domain": "rack"}),
        "rook_pools[block].replicas: 3, but there are 0 of what the failure domain calls rack. Lower",
    ),
    (
        pools({"data_chunks": 2, "coding_chunks": 1}, {}, {"name": "block-coded", "kind": "block"}),
        "rook_pools: two entries that both make block-coded in Ceph. Give one of them",
    ),
    (pools({"replicas": 1}), "rook_pools[block].replicas: 1. Set 2 or more: with one copy"),
    (
        {**at("w1", **disks(f"{DISK}a", device_class="hdd")), **pools({"device_class": "ssd"})},
        "rook_pools[block].replicas: 3, but there are 2 of what the failure domain calls host with disks of class ssd",
    ),
    (
        {"domain": "rack"},
        "rook_pools[block].replicas: 3, but there are 0 of what the failure domain calls rack. Lower",
    ),
    (
        {"default_class": "rook-buckets", "csi": True, "local_default": False},
        "rook_default_class: 'rook-buckets', which is",
    ),
    (
        {"default_class": "rook-block", "local_default": False},
        "rook_default_class: 'rook-block', whose volumes nothing can",
    ),
    (
        {"default_class": "rook-block", "csi": True},
        "rook_default_class: 'rook-block', but by local_storage_default the de",
    ),
]


@pytest.mark.parametrize(("change", "start"), BAD, ids=[start[:60] for _, start in BAD])
def test_mistake_is_named(change: dict[str, Any], start: str) -> None:
    found = texts(**change)
    assert any(text.startswith(start) for text in found), found
    # One mistake may be one of each pool.
    assert len(found) <= 3, found


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"chosen": ["rook"], "default_class": "rook-files", "csi": True},
        {"chosen": ["local"], "values": {}, "hosts": ()},
        {"chosen": [], "homes_class": "ceph", "values": {}, "hosts": ()},
        {"homes_class": "rook-block", "csi": True},
        {"homes_class": "local-path"},
        NFS,
        {**NFS, "homes_class": "local-path"},
        {**NFS, "homes_class": "nfs", "database_class": "local-path"},
        {"scrapers": ["192.0.2.1", "fd00::/8"], "metrics_port": 32766},
        {"ceph_name": "ceph.af.test", "taken_names": ["hub.af.test", "api.af.test"]},
        {"hosts": HOSTS[:2], "mons": 1, **pools({"replicas": 2}, {"replicas": 2}, {"replicas": 2})},
        {**at("w1", **disks(f"{DISK}a", f"{DISK}b", f"{DISK}c")), "domain": "osd"},
        {**at("w1", **disks("/dev/loop9")), "loops": True},
        at("w1", rook_wipe_disks=[f"{DISK}w1"]),
        pools({"device_class": "ssd"}),
        pools({"data_chunks": 2, "coding_chunks": 1}),
        {
            **at("w1", **disks(f"{DISK}a", f"{DISK}b")),
            **pools({"data_chunks": 3, "coding_chunks": 1, "failure_domain": "osd"}),
        },
        {
            "domain": "rack",
            "values": {
                host: {**disks(f"{DISK}{host}"), "kubernetes_node_labels": {"topology.rook.io/rack": host}}
                for host in HOSTS
            },
        },
        # Of other types: the specification says so.
        {"pools": ["block", {"name": 3, "kind": "block"}]},
    ],
)
def test_good_choice_passes(change: dict[str, Any]) -> None:
    assert texts(**change) == []


def test_all_mistakes_are_in_one_list() -> None:
    found = list(
        mistakes(
            dataclasses.replace(
                GOOD, **at("w1", **disks("/dev/sdb", "/dev/sdb")), mons=2, **pools({"replicas": 5}, {"name": "block"})
            )
        )
    )
    assert [variable for variable, _, _ in found] == [
        "rook_mons",
        "rook_disks",
        "rook_disks",
        "rook_pools",
        "rook_pools[block].replicas",
    ]


def test_the_check_of_the_site_hands_all_of_it_over() -> None:
    hosts = {host: {**disks(f"{DISK}{host}"), "facility_storage": ["rook"], "rook_mons": 1} for host in HOSTS}
    defaults = {
        "rook_pools": POOLS,
        "rook_failure_domain": "host",
        "rook_default_class": "",
        "rook_loop_devices": False,
    }
    site = Site(
        groups={"storage": HOSTS, "kube_worker": HOSTS},
        values=hosts,
        known=frozenset({"facility_storage", "facility_storage_class", "rook_disks", "rook_mons", *defaults}),
        defaults={**defaults, "facility_checksums": "built", "local_storage_nfs_class": "nfs"},
    )

    def of_storage() -> list[str]:
        return [problem.variable for problem in problems(site) if "rook" in str(problem)]

    assert of_storage() == []
    for values in hosts.values():
        values["rook_default_class"] = "rook-block"
    assert of_storage() == ["rook_default_class"]
    for values in hosts.values():
        values["rook_csi"] = True
    assert of_storage() == []
    # The facility's own settings of storage come from the same places.
    for values in hosts.values():
        values["facility_storage"] = ["rook", "nfs"]
        values["facility_storage_class"] = "nfs"
        values["local_storage_nfs"] = {"server": "nfs.af.test", "path": "/export"}
    assert [problem.variable for problem in problems(site)].count("facility_storage_class") == 1
    for values in hosts.values():
        values["jupyterhub_values"] = {"hub": {"db": {"pvc": {"storageClassName": "rook-block"}}}}
    assert "facility_storage_class" not in [problem.variable for problem in problems(site)]
