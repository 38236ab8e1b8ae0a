# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with caches, redirectors and the facility's own origin, and with what they listen on.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils import _site_issuers, _site_origins, _xcache
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site, no_networks, whole

__all__ = ["mistakes"]

# Of so many caches a redirector can keep count.
MOST_CACHES = 64
# XRootD looks for where a path belongs in a list by length, and stops at the first that is longer than what it looks for.
LONGEST_PATH = 20
_PORT = re.compile(r":([0-9]+)$")
_SIZE = re.compile(r"([0-9]+)([kmgt]?)", re.IGNORECASE)
GIB = 1 << 30
# What XRootD takes for memory.
LEAST_RAM, MOST_RAM = GIB, 256 * GIB


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with caches and what is in front of them and behind."""
    origins = site.facility("facility_origins")
    if not isinstance(origins, list):
        return
    if site.hosts("xcache"):
        if site.said("facility_origins") is not None:
            yield from _site_origins.mistakes(origins)
        yield from _site_origins.own_mistakes(origins, site.hosts("origin"))
        yield from _reached(site, origins)
    yield from _redirectors(site, origins)
    yield from _ports(site, origins)
    yield from _scrapers(site)
    yield from _memory(site)
    issuers = site.facility("xcache_issuers", "xcache")
    if isinstance(issuers, list):
        yield from _site_issuers.mistakes(issuers, _served(origins))


def _served(origins: Sequence[Any]) -> list[str]:
    """All paths that the cache serves."""
    lists = [origin.get("paths") for origin in origins if isinstance(origin, Mapping)]
    return [path for paths in lists if isinstance(paths, list) for path in paths if isinstance(path, str)]


def _reached(site: Site, origins: Sequence[Any]) -> Iterator[Mistake]:
    """Paths that users' macaroons have to be good for."""
    cache = site.facility("jupyterhub_xcache")
    given = cache if isinstance(cache, Mapping) else {}
    path = str(given.get("path", "/store"))
    beyond = [served for served in _served(origins) if not f"{served}/".startswith(f"{path.rstrip('/')}/")]
    if beyond and given.get("sitename") != "":
        yield (
            "facility_origins",
            f"the path {beyond[0]}, but users' macaroons are good for {path} and what is below it",
            "Set path of jupyterhub_xcache to one that is above all of them, such as /.",
        )


def _redirectors(site: Site, origins: Sequence[Any]) -> Iterator[Mistake]:
    redirectors, caches = site.hosts("xcache_redirector"), site.hosts("xcache")
    if not redirectors:
        if len(origins) > 1:
            yield (
                "facility_origins",
                f"{len(origins)} origins, but no host in group xcache_redirector",
                "Put at least 1 into it, which may be a cache too: redirectors tell the servers of several origins apart.",
            )
        return
    if not caches:
        yield "group xcache_redirector", f"{redirectors[0]}, but no host in xcache", "Add caches, or take it out."
    https = site.facility("xcache_https_port", "xcache")
    if whole(https) and https != 0:
        yield (
            "xcache_https_port",
            f"{https}, and there are hosts in xcache_redirector",
            "Set 0: redirectors send nobody on by https.",
        )
    if len(caches) > MOST_CACHES:
        yield (
            "group xcache",
            f"{len(caches)} hosts",
            f"Take some away: a redirector keeps count of {MOST_CACHES}.",
        )
    if len(origins) > _xcache.MOST_ORIGINS:
        yield (
            "facility_origins",
            f"{len(origins)} origins",
            f"Take some away: XRootD sends readers on to {_xcache.MOST_ORIGINS}.",
        )
    long = [path for path in _served(origins) if len(path) > LONGEST_PATH] if len(origins) > 1 else []
    for path in long[:1]:
        yield (
            "facility_origins",
            f"the path {path} of {len(path)} characters, beside another origin",
            f"Set {LONGEST_PATH} at most: XRootD would not find what has a shorter name than it.",
        )
    for host in sorted({*caches, *redirectors}):
        try:
            ipaddress.ip_address(str(site.values[host].get("ansible_host")))
        except ValueError:
            yield (
                "ansible_host",
                f"{site.values[host].get('ansible_host')!r} of {host}",
                "Set its address: redirectors know each other and the caches by it.",
            )


def _listeners(site: Site, host: str, origins: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """What listens on a host: variable and port."""

    def port(name: str, group: str) -> Any:
        return site.facility(name, group)

    several = range(len(origins) if len(origins) > 1 else 0)
    if host in site.hosts("xcache_redirector"):
        yield "xcache_port", port("xcache_port", "xcache_redirector")
        yield "xcache_redirector_metrics_port", port("xcache_redirector_metrics_port", "xcache_redirector")
        yield from (("group xcache_redirector", _xcache.CLUSTER_PORT + number) for number in range(len(origins)))
        for name in ("xcache_server_port", "xcache_metrics_port"):
            first = port(name, "xcache_redirector")
            if whole(first):
                yield from ((name, _xcache.redirector_port(first, number)) for number in several)
    if host in site.hosts("origin"):
        for number, origin in enumerate(origins):
            if isinstance(origin, Mapping) and origin.get("authentication") == "macaroon":
                found = _PORT.search(str(origin.get("url")))
                yield f"facility_origins[{number}].url", int(found[1]) if found else None
        yield "xcache_origin_metrics_port", port("xcache_origin_metrics_port", "origin")
    if host in site.hosts("xcache"):
        served = "xcache_server_port" if site.hosts("xcache_redirector") else "xcache_port"
        for name in (served, "xcache_metrics_port"):
            first = port(name, "xcache")
            if whole(first):
                yield from ((name, _xcache.cache_port(first, number)) for number in several or (0,))
        yield "xcache_https_port", port("xcache_https_port", "xcache") or None


def _ports(site: Site, origins: Sequence[Any]) -> Iterator[Mistake]:
    for host in sorted({*site.hosts("xcache"), *site.hosts("xcache_redirector"), *site.hosts("origin")}):
        taken: dict[int, str] = {}
        for name, port in _listeners(site, host, origins):
            if not whole(port):
                continue
            if not 0 < port < 65536:
                yield name, f"{port}", "Set a free port."
            elif port in taken:
                yield name, f"{port}, as {taken[port]}, and {host} has both", "Set another port."
            taken.setdefault(port, name)


def _scrapers(site: Site) -> Iterator[Mistake]:
    scrapers = site.facility("xcache_metrics_scrapers", "xcache")
    yield from no_networks("xcache_metrics_scrapers", scrapers if isinstance(scrapers, list) else ())


def _memory(site: Site) -> Iterator[Mistake]:
    ram = site.said("xcache_ram")
    match = _SIZE.fullmatch(str(ram))
    size = int(match[1]) << 10 * " kmgt".index(match[2].lower() or " ") if match else 0
    if ram is not None and not LEAST_RAM <= size <= MOST_RAM:
        yield "xcache_ram", f"{ram!r}", "Set a size of 1g to 256g, such as 4g: XRootD takes no other."
