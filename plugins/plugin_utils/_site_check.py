# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that can be wrong with an inventory and be seen without touching a host.

Private to this collection: its interface may change in any release.

:func:`problems` takes groups and variables as plain data and gives back all
mistakes, each with the variable, what was found and what to set instead. Each
subject has a file of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils import (
    _site_backup,
    _site_caches,
    _site_groups,
    _site_hub,
    _site_login,
    _site_names,
    _site_servers,
    _site_sources,
    _site_storage,
    _site_tokens,
    _site_variables,
)
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_sources import FLOORS, image_mistakes, version
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site, whole
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_variables import claimed

__all__ = ["FLOORS", "Problem", "Site", "claimed", "problems", "version"]


@dataclass(frozen=True)
class Problem:
    """One mistake: the variable (or group), what was found, what to set."""

    variable: str
    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.variable}: found {self.found}. {self.fix}"


def problems(site: Site) -> list[Problem]:
    """All mistakes of an inventory, none twice, in the order of the checks."""
    checks: tuple[Callable[[Site], Iterable[Mistake]], ...] = (
        _site_groups.mistakes,
        _site_variables.mistakes,
        _site_names.mistakes,
        _site_tokens.mistakes,
        _site_caches.mistakes,
        _site_login.mistakes,
        _site_hub.mistakes,
        _storage,
        _servers,
        _backup,
        _site_sources.mistakes,
    )
    return list(dict.fromkeys(Problem(*mistake) for check in checks for mistake in check(site)))


def _storage(site: Site) -> Iterator[Mistake]:
    chosen, pools = site.facility("facility_storage"), site.facility("rook_pools")
    if not isinstance(chosen, list):
        return
    mons, csi = site.facility("rook_mons"), site.said("rook_csi")
    port, scrapers = site.facility("rook_metrics_port"), site.facility("rook_metrics_scrapers")
    nfs = site.facility("local_storage_nfs")
    settings = _site_storage.Storage(
        chosen=chosen,
        values=site.values,
        hosts=site.hosts("storage"),
        workers=site.hosts("kube_worker"),
        pools=pools if isinstance(pools, list) else [],
        domain=str(site.facility("rook_failure_domain")),
        mons=mons if whole(mons) else 1,
        # Its default is the role's: images that mount volumes are upstream's only.
        csi=site.facility("facility_checksums") == "upstream" if csi is None else csi is True,
        default_class=str(site.facility("rook_default_class") or ""),
        local_class=str(site.facility("local_storage_class")),
        local_default=site.facility("local_storage_default") is not False,
        loops=site.facility("rook_loop_devices", "storage") is True,
        homes_class=str(site.facility("facility_storage_class") or ""),
        database_class=_database_class(site.facility("jupyterhub_values")),
        nfs=nfs if isinstance(nfs, Mapping) else {},
        nfs_class=str(site.facility("local_storage_nfs_class")),
        metrics_port=port if whole(port) else 30000,
        scrapers=scrapers if isinstance(scrapers, list) else (),
        ceph_name=str(site.facility("facility_ceph_name") or ""),
        taken_names=[str(site.facility(f"facility_{name}_name")) for name in ("hub", "api")],
        built=site.facility("facility_checksums") == "built",
    )
    yield from _site_storage.mistakes(settings)


def _database_class(values: Any) -> str:
    """The storage class that the chart's values set for the hub's data base, empty for none."""
    for key in ("hub", "db", "pvc", "storageClassName"):
        values = values.get(key) if isinstance(values, Mapping) else None
    return str(values or "")


def _servers(site: Site) -> Iterator[Mistake]:
    profiles, sessions = site.facility("jupyterhub_profiles"), site.facility("jupyterhub_sessions")
    if isinstance(profiles, list):
        yield from _site_servers.profile_mistakes(profiles, site.facility("jupyterhub_login"))
        for number, profile in enumerate(profiles):
            for key in ("image", "worker_image"):
                image = profile.get(key) if isinstance(profile, Mapping) else None
                if image is not None:
                    yield from image_mistakes(f"jupyterhub_profiles[{number}].{key}", str(image))
    if isinstance(sessions, Mapping):
        yield from _site_servers.session_mistakes(sessions)
    shared = site.facility("jupyterhub_shared")
    if isinstance(shared, list):
        yield from _site_servers.shared_mistakes(shared, _classes_of_one_node(site))


def _classes_of_one_node(site: Site) -> dict[str, str]:
    """Storage classes whose volumes a single node can have at a time, and what they are."""
    found = {str(site.facility("local_storage_class")): "whose volumes are directories of one node each"}
    pools = site.facility("rook_pools")
    for pool in pools if isinstance(pools, list) else []:
        if isinstance(pool, Mapping) and pool.get("kind") != "filesystem" and pool.get("storage_class"):
            found[str(pool["storage_class"])] = f"which is of a pool of kind {pool.get('kind')}"
    return found


def _backup(site: Site) -> Iterator[Mistake]:
    settings = _site_backup.Backup(
        repository=site.facility("backup_repository"),
        host=site.facility("backup_host"),
        keep=site.facility("backup_keep"),
        percent=site.facility("backup_read_data_percent"),
        files=site.facility("backup_files"),
        groups=site.groups,
    )
    yield from _site_backup.mistakes(settings)
