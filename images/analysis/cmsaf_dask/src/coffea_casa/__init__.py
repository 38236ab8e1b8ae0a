# SPDX-License-Identifier: GPL-3.0-or-later
"""The name under which coffea-casa's users know the cluster class, with its keyword arguments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from cmsaf_dask.cluster import HTCondorCluster, HTCondorJob, load_defaults

__all__ = ["CoffeaCasaCluster", "CoffeaCasaJob"]

load_defaults("coffea-casa")


class CoffeaCasaJob(HTCondorJob):
    """Reads the configuration section users of coffea-casa have."""

    config_name: ClassVar[str] = "coffea-casa"


class CoffeaCasaCluster(HTCondorCluster):
    """HTCondorCluster by its old name; nanny_port and check_ports are taken and not needed."""

    job_cls = CoffeaCasaJob

    def __init__(
        self,
        *,
        force_tcp: bool = False,
        nanny_port: int | None = None,
        check_ports: bool | None = None,
        job_extra: Mapping[str, object] | None = None,
        **options: Any,
    ) -> None:
        if force_tcp:
            raise ValueError("force_tcp: workers reach this facility's gateway by TLS only; leave the argument out.")
        for name, value in (("nanny_port", nanny_port), ("check_ports", check_ports)):
            if value is not None:
                warnings.warn(f"{name} has no effect here: no port has to be chosen.", UserWarning, stacklevel=2)
        if job_extra:
            options.setdefault("job_extra_directives", dict(job_extra))
        super().__init__(**options)
