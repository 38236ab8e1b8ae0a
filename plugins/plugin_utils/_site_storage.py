# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with a site's choice of storage, as far as the inventory alone tells.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, no_networks

__all__ = ["Storage", "mistakes"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
# Names that another disk has after the next start.
_PASSING = re.compile(r"/dev/((sd|vd|hd|xvd)[a-z]+\d*|nvme\d+n\d+(p\d+)?|dm-\d+)")
# What Rook reads the failure domain of a node from; a host is its own.
_LABELS = {"rack": "topology.rook.io/rack", "zone": "topology.kubernetes.io/zone"}
_REPLICAS = 3
_CHUNKS = {"data_chunks", "coding_chunks"}


@dataclass(frozen=True)
class Storage:
    """What an inventory says of storage."""

    chosen: Sequence[Any]
    # All hosts, those of group storage, and the cluster's workers.
    values: Mapping[str, Mapping[str, Any]]
    hosts: Sequence[str]
    workers: Sequence[str]
    pools: Sequence[Any]
    domain: str
    mons: int
    csi: bool
    default_class: str
    local_class: str
    local_default: bool
    loops: bool
    # Where homes and the hub's data base are: the class, and that which the site sets for the data base alone.
    homes_class: str = ""
    database_class: str = ""
    nfs: Mapping[str, Any] = field(default_factory=dict)
    nfs_class: str = "nfs"
    metrics_port: int = 30928
    scrapers: Sequence[Any] = ()
    # Ceph's dashboard at the gateway: its name, those that others have there, and whether the image has one.
    ceph_name: str = ""
    taken_names: Sequence[str] = ()
    built: bool = False

    def disks(self, host: str) -> list[Mapping[str, Any]]:
        """The disks of a host. What is of another type is the specification's business."""
        listed = self.values.get(host, {}).get("rook_disks")
        return [disk for disk in listed if _is_disk(disk)] if isinstance(listed, list) else []

    def good_pools(self) -> list[Mapping[str, Any]]:
        """The pools that have what each needs."""
        return [pool for pool in self.pools if isinstance(pool, Mapping) and _is_text(pool, "name", "kind")]


def _is_text(entry: Mapping[str, Any], *keys: str) -> bool:
    return all(isinstance(entry.get(key), str) for key in keys)


def _is_disk(disk: Any) -> bool:
    return isinstance(disk, Mapping) and _is_text(disk, "path")


def mistakes(storage: Storage) -> Iterator[Mistake]:
    """All mistakes, in the order of the checks."""
    yield from _homes(storage)
    yield from _nfs(storage)
    if "rook" not in storage.chosen:
        if storage.ceph_name:
            yield (
                "facility_ceph_name",
                f"{storage.ceph_name!r}, but by facility_storage there is no Ceph",
                "Leave it empty, or add rook to facility_storage.",
            )
        with_disks = [host for host in storage.values if storage.disks(host)]
        if with_disks:
            yield (
                "rook_disks",
                f"disks of {_some(with_disks)}, but by facility_storage there is no Ceph",
                "Add rook to facility_storage, or remove them.",
            )
        return
    yield from _hosts(storage)
    yield from _disks(storage)
    yield from _pools(storage)
    yield from _classes(storage)
    yield from _metrics(storage)
    yield from _dashboard(storage)
    # A host without disks is said above, and not once more for each pool.
    if storage.hosts and all(storage.disks(host) for host in storage.hosts):
        yield from _replicas(storage)
        yield from _chunks(storage)


def _homes(storage: Storage) -> Iterator[Mistake]:
    name = storage.homes_class
    if not storage.chosen and not name:
        yield (
            "facility_storage",
            "nothing",
            "Set [local], [rook], [nfs] or several, or name the class that the cluster has in facility_storage_class: users' "
            "homes need a place.",
        )
    made = {pool["storage_class"]: pool["kind"] for pool in storage.good_pools() if pool.get("storage_class")}
    kind = made.get(name) if "rook" in storage.chosen else None
    if kind == "object":
        yield "facility_storage_class", f"{name!r}, which is for buckets", "Set a class of volumes."
    elif kind and not storage.csi:
        yield (
            "facility_storage_class",
            f"{name!r}, whose volumes nothing can mount without the drivers",
            "Set another one, or set rook_csi where the images are to be had and the kernel has rbd and ceph.",
        )
    homes = name or (storage.nfs_class if storage.chosen == ["nfs"] else "")
    if "nfs" in storage.chosen and homes == storage.nfs_class and storage.database_class in ("", homes):
        yield (
            "facility_storage_class",
            f"{storage.nfs_class!r}, on which the hub's data base would be too",
            "Set hub.db.pvc.storageClassName of jupyterhub_values to a class that is not on NFS: SQLite's locks are not to be "
            "relied on there.",
        )


def _nfs(storage: Storage) -> Iterator[Mistake]:
    if "nfs" not in storage.chosen:
        if storage.nfs:
            yield (
                "local_storage_nfs",
                "a server, but by facility_storage there is no NFS",
                "Add nfs to facility_storage, or remove it.",
            )
        return
    server, path = storage.nfs.get("server"), storage.nfs.get("path")
    if not server or not str(path or "").startswith("/"):
        yield (
            "local_storage_nfs",
            f"server {server!r}, path {path!r}",
            "Set both, as {server: nfs.example.org, path: /export/homes}, or take nfs out of facility_storage.",
        )
    if "local" in storage.chosen and storage.nfs_class == storage.local_class:
        yield "local_storage_nfs_class", f"{storage.nfs_class}, as local_storage_class", "Set another name."


def _metrics(storage: Storage) -> Iterator[Mistake]:
    # The API server gives node ports out of these; the exporters have the next one.
    if not 30000 <= storage.metrics_port < 32767:
        yield "rook_metrics_port", f"{storage.metrics_port}", "Set one from 30000 to 32766."
    yield from no_networks("rook_metrics_scrapers", storage.scrapers)


def _dashboard(storage: Storage) -> Iterator[Mistake]:
    if not storage.ceph_name:
        return
    if storage.ceph_name in storage.taken_names:
        yield "facility_ceph_name", f"{storage.ceph_name}, which is another name's too", "Set one of its own."
    if storage.built:
        yield (
            "facility_ceph_name",
            f"{storage.ceph_name}, but the image of Ceph that a mirror builds has no dashboard",
            "Leave it empty, or use upstream's images with facility_checksums: upstream.",
        )


def _hosts(storage: Storage) -> Iterator[Mistake]:
    if not storage.hosts:
        yield (
            "group storage",
            "0 hosts",
            "Put the hosts into it whose disks are Ceph's, or take rook out of facility_storage.",
        )
        return
    for host in storage.hosts:
        if host not in storage.workers:
            yield "group storage", f"{host}, which is not in kube_worker", "Add it there: Ceph runs in pods."
    without = [host for host in storage.hosts if not storage.disks(host)]
    if without:
        yield (
            "rook_disks",
            f"nothing on {_some(without)}",
            "Name a disk of each (playbook disks shows them), or take it out of group storage.",
        )
    if storage.mons < 1 or storage.mons % 2 == 0:
        yield "rook_mons", f"{storage.mons}", "Set an odd number: half of the monitors is no majority."
    if storage.mons > len(storage.hosts):
        yield (
            "rook_mons",
            f"{storage.mons} for {len(storage.hosts)} hosts in group storage",
            "Set it lower, or put more hosts into the group: each monitor has one of its own.",
        )


def _disks(storage: Storage) -> Iterator[Mistake]:
    for host in storage.hosts:
        paths = [disk["path"] for disk in storage.disks(host)]
        for path in _twice(paths):
            yield "rook_disks", f"{path} twice on {host}", "Name each disk once."
        for path in dict.fromkeys(paths):
            yield from _path(storage, host, path)
        named = storage.values.get(host, {}).get("rook_wipe_disks")
        for path in named if isinstance(named, list) else []:
            if path not in paths:
                yield (
                    "rook_wipe_disks",
                    f"{path} on {host}, which is not in its rook_disks",
                    "Write it as it is written there, or remove it.",
                )


def _path(storage: Storage, host: str, path: str) -> Iterator[Mistake]:
    if not path.startswith("/dev/"):
        yield (
            "rook_disks",
            f"{path!r} on {host}",
            "Write the whole name, such as /dev/disk/by-id/wwn-0x5000c500a1b2c3d4.",
        )
    elif _PASSING.fullmatch(path):
        yield (
            "rook_disks",
            f"{path} on {host}, a name that may be another disk's after the next start",
            "Write one below /dev/disk/by-id that leads to it.",
        )
    elif path.startswith("/dev/loop") and not storage.loops:
        yield "rook_disks", f"{path} on {host}, a loop device", "Write a disk, or set rook_loop_devices for a test."


def _made(pool: Mapping[str, Any]) -> list[str]:
    """The pools that Ceph has for an entry; those of an object store are told by what they begin with."""
    name = pool["name"]
    coded = [f"{name}-coded"] if _CHUNKS & pool.keys() else []
    return {
        "filesystem": [f"{name}-metadata", f"{name}-data", *coded],
        "object": [f"{name}.rgw"],
    }.get(pool["kind"], [name, *coded])


def _pools(storage: Storage) -> Iterator[Mistake]:
    pools = storage.good_pools()
    for pool in pools:
        name = pool["name"]
        if not _NAME.fullmatch(name) or name == "builtin-mgr":
            yield (
                "rook_pools",
                f"a pool {name!r}",
                "Set lower-case letters, digits and '-', 40 at most, and not builtin-mgr.",
            )
    for name in _twice(pool["name"] for pool in pools):
        yield "rook_pools", f"{name} twice", "Give each pool its own name."
    once = {pool["name"]: pool for pool in pools}.values()
    for name in _twice(made for pool in once for made in _made(pool)):
        yield "rook_pools", f"two entries that both make {name} in Ceph", "Give one of them another name."


def _classes(storage: Storage) -> Iterator[Mistake]:
    classes = [pool["storage_class"] for pool in storage.good_pools() if pool.get("storage_class")]
    for name in _twice(classes):
        yield "rook_pools", f"storage class {name} twice", "Give each pool its own storage class."
    local = "local" in storage.chosen
    if local and storage.local_class in classes:
        yield (
            "rook_pools",
            f"storage class {storage.local_class}, which is local_storage_class too",
            "Set another name.",
        )
    name = storage.default_class
    if not name:
        return
    volumes = [pool.get("storage_class") for pool in storage.good_pools() if pool["kind"] != "object"]
    if name not in volumes:
        yield (
            "rook_default_class",
            f"{name!r}, which is no class of volumes in rook_pools",
            f"Set one of {_some(list(filter(None, volumes))) or 'them there first'}.",
        )
    elif not storage.csi:
        yield (
            "rook_default_class",
            f"{name!r}, whose volumes nothing can mount without the drivers",
            "Leave it empty, or set rook_csi where the images are to be had and the kernel has rbd and ceph.",
        )
    if local and storage.local_default:
        yield (
            "rook_default_class",
            f"{name!r}, but by local_storage_default the default is {storage.local_class}",
            "Set local_storage_default to false, or leave this empty.",
        )


def _replicas(storage: Storage) -> Iterator[Mistake]:
    for pool in storage.good_pools():
        wanted = pool.get("replicas", _REPLICAS)
        if not _is_number(wanted):
            continue
        where = f"rook_pools[{pool['name']}].replicas"
        if wanted < 2:
            yield where, f"{wanted}", "Set 2 or more: with one copy a dead disk takes what was on it."
        else:
            yield from _too_few(storage, pool, where, wanted, "no two replicas share one")


def _chunks(storage: Storage) -> Iterator[Mistake]:
    for pool in storage.good_pools():
        data, coding = pool.get("data_chunks"), pool.get("coding_chunks")
        where = f"rook_pools[{pool['name']}]"
        if data is None and coding is None:
            continue
        if data is None or coding is None:
            found, missing = ("coding_chunks", "data_chunks") if data is None else ("data_chunks", "coding_chunks")
            yield where, f"{found} without {missing}", "Set both for erasure coding, or neither for replicas."
        elif not (_is_number(data) and _is_number(coding)):
            continue
        elif data < 2 or coding < 1:
            yield (
                where,
                f"data_chunks {data}, coding_chunks {coding}",
                "Set data_chunks to 2 or more and coding_chunks to 1 or more, which is how many disks may be lost.",
            )
        else:
            yield from _too_few(
                storage, pool, f"{where}.data_chunks and coding_chunks", data + coding, "no two chunks share one"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _too_few(storage: Storage, pool: Mapping[str, Any], where: str, wanted: int, why: str) -> Iterator[Mistake]:
    domain = pool.get("failure_domain") or storage.domain
    found = len(_domains(storage, domain, pool.get("device_class")))
    if found < wanted:
        kind = f" with disks of class {pool['device_class']}" if pool.get("device_class") else ""
        yield (
            where,
            f"{wanted}, but there are {found} of what the failure domain calls {domain}{kind}",
            f"Lower it, or add hosts and disks: {why}.",
        )


def _domains(storage: Storage, domain: Any, device_class: Any) -> set[str]:
    """The failure domains that have a disk of a class. A disk of which no class is said may be of any."""
    found: set[str] = set()
    for host in storage.hosts:
        fit = [
            disk for disk in storage.disks(host) if device_class in (None, "", disk.get("device_class", device_class))
        ]
        if domain == "osd":
            found.update(f"{host} {disk['path']}" for disk in fit)
        elif fit and domain == "host":
            found.add(host)
        elif fit:
            labels = storage.values.get(host, {}).get("kubernetes_node_labels")
            label = labels.get(_LABELS.get(domain, "")) if isinstance(labels, Mapping) else None
            found.update([str(label)] if label else [])
    return found


def _twice(names: Iterable[Any]) -> list[Any]:
    return [name for name, count in Counter(names).items() if count > 1]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
