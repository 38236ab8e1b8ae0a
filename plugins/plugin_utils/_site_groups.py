# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the groups of an inventory.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site

__all__ = ["mistakes"]

# Group, fewest and most hosts, what it is for.
GROUPS: tuple[tuple[str, int, int, str], ...] = (
    ("authority", 1, 1, "keeps the key of the facility's certificate authority"),
    ("gateway", 1, 99, "front door for browsers, workers and the Kubernetes API"),
    ("kube_control_plane", 1, 99, "runs the Kubernetes control plane"),
    ("kube_worker", 1, 9999, "runs pods; the gateway hosts are among them"),
    ("condor_manager", 1, 1, "runs HTCondor's collector and negotiator"),
    ("condor_access_point", 1, 1, "takes users' jobs"),
    ("condor_execute", 1, 9999, "runs users' jobs"),
    ("xcache", 1, 9999, "has the cache disks"),
)
# May be left out, so that nobody would miss one whose name is not quite right.
OPTIONAL = ("xcache_redirector",)


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with groups, and with hosts that are in several."""
    yield from _groups(site)
    yield from _placement(site)


def _groups(site: Site) -> Iterator[Mistake]:
    cache = site.facility("jupyterhub_xcache")
    given = isinstance(cache, Mapping) and bool(cache.get("host"))
    for name, least, most, purpose in GROUPS:
        fewest = max(least, site.minimum_execute) if name == "condor_execute" else least
        # A site may have a cache that others run.
        fewest = 0 if name == "xcache" and given else fewest
        count = len(site.hosts(name))
        if not fewest <= count <= most:
            wanted = f"exactly {fewest}" if fewest == most else f"at least {fewest}"
            hint = " (at least that many by site_check_execute_hosts)" if name == "condor_execute" else ""
            near = [] if name in site.groups else difflib.get_close_matches(name, site.groups, 1, 0.75)
            hint += f" (there is a group {near[0]})" if near else ""
            yield f"group {name}", _hosts(count), f"Put {wanted} into it{hint}: it {purpose}."
    for name in OPTIONAL:
        near = [] if name in site.groups else difflib.get_close_matches(name, site.groups, 1, 0.9)
        if near:
            yield f"group {near[0]}", _hosts(len(site.hosts(near[0]))), f"Call it {name}: nobody looks at {near[0]}."
    planes = len(site.hosts("kube_control_plane"))
    if planes and planes % 2 == 0:
        yield (
            "group kube_control_plane",
            f"{_hosts(planes)}, an even number",
            "Take one away or add one: etcd loses its majority with half of an even number.",
        )


def _placement(site: Site) -> Iterator[Mistake]:
    workers, planes = set(site.hosts("kube_worker")), set(site.hosts("kube_control_plane"))
    for host in site.hosts("gateway"):
        if host in planes:
            yield (
                "group gateway",
                f"{host}, which is in kube_control_plane too",
                "Take another host: both listen on port 6443.",
            )
        elif host not in workers:
            yield (
                "group gateway",
                f"{host}, which is not in kube_worker",
                "Add it there (with a taint): only a node reaches pods and the cluster's DNS.",
            )
    if workers and workers <= set(site.hosts("gateway")):
        yield "group kube_worker", "gateway hosts only", "Add a host for users' pods: gateways take none."
    for host in sorted(workers & planes):
        yield "group kube_worker", f"{host}, which is in kube_control_plane too", "Keep it in one of them."
    for group in ("xcache", "xcache_redirector", "origin"):
        for host in site.hosts(group):
            if host not in workers:
                yield f"group {group}", f"{host}, which is not in kube_worker", "Add it there: it runs as a pod."


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
