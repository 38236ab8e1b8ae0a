# SPDX-License-Identifier: GPL-3.0-or-later
"""Dask on an HTCondor pool, with the user's own identity, by the HTCondor bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmsaf_dask.check import Refused
    from cmsaf_dask.cluster import HTCondorCluster, HTCondorJob
    from cmsaf_dask.found import FoundCluster, list_clusters
    from cmsaf_dask.pool import PoolError
    from cmsaf_dask.secrets import client_security
    from cmsaf_dask.wheels import upload_wheel

__all__ = [
    "FoundCluster",
    "HTCondorCluster",
    "HTCondorJob",
    "PoolError",
    "Refused",
    "client_security",
    "list_clusters",
    "upload_wheel",
]

_HOMES = {
    "FoundCluster": "cmsaf_dask.found",
    "HTCondorCluster": "cmsaf_dask.cluster",
    "HTCondorJob": "cmsaf_dask.cluster",
    "PoolError": "cmsaf_dask.pool",
    "Refused": "cmsaf_dask.check",
    "client_security": "cmsaf_dask.secrets",
    "list_clusters": "cmsaf_dask.found",
    "upload_wheel": "cmsaf_dask.wheels",
}


def __getattr__(name: str) -> Any:
    """Import on first use: a worker needs none of what the cluster class imports."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
