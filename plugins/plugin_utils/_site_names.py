# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with names, networks and addresses.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, Union

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site

__all__ = ["mistakes"]

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
DOMAINS = (
    "facility_domain",
    "facility_api_name",
    "facility_hub_name",
    "facility_dask_domain",
    "facility_users_domain",
    "facility_trust_domain",
)
NETWORKS = ("facility_host_network", "facility_pod_network", "facility_service_network")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with names, networks and addresses."""
    yield from _domains(site)
    yield from _identities(site)
    yield from _subdomains(site)
    yield from _networks(site)
    yield from _addresses(site)


def _domains(site: Site) -> Iterator[Mistake]:
    for name in DOMAINS:
        value = site.facility(name)
        # What follows from a bad facility_domain is said once, there.
        inherited = name != "facility_domain" and not any(name in values for values in site.values.values())
        if value not in (None, "") and not inherited and not _is_domain(value):
            yield (
                name,
                f"{value!r}, which is no DNS domain",
                "Set lower-case labels of letters, digits and '-' with dots between, such as af.example.org.",
            )


def _is_domain(text: Any) -> bool:
    labels = text.split(".") if isinstance(text, str) else []
    return (
        len(labels) > 1
        and len(text) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )


def _identities(site: Site) -> Iterator[Mistake]:
    users, trust = site.facility("facility_users_domain"), site.facility("facility_trust_domain")
    if users is not None and users == trust:
        yield (
            "facility_users_domain",
            f"{users!r}, which is facility_trust_domain too",
            "Set two domains: a user's token must not read like one of a daemon of the pool.",
        )
    names = ("facility_api_name", "facility_hub_name", "facility_dask_domain")
    values = [site.facility(name) for name in names]
    for i, name in enumerate(names):
        if values[i] is not None and values[i] in values[:i]:
            other = names[values.index(values[i])]
            yield name, f"{values[i]!r}, which is {other} too", "Set another name."
    hub, dask = site.facility("facility_hub_name"), site.facility("facility_dask_domain")
    if isinstance(hub, str) and isinstance(dask, str) and hub.endswith(f".{dask}"):
        yield "facility_hub_name", f"{hub!r}, inside facility_dask_domain", "Set a name outside of it."


def _subdomains(site: Site) -> Iterator[Mistake]:
    """What is in the way of a name for each user below the hub's."""
    hub = site.facility("facility_hub_name")
    if site.facility("facility_user_subdomains") is not True or not isinstance(hub, str):
        return
    others = ("facility_api_name", "facility_ceph_name", "facility_dask_domain", "facility_registry")
    taken = [(name, str(site.facility(name)).partition(":")[0]) for name in others]
    for name, value in [*taken, *(("inventory", host) for host in site.values)]:
        if value.endswith(f".{hub}"):
            yield (
                name,
                f"{value!r}, inside facility_hub_name {hub!r}, where facility_user_subdomains has the names of users",
                "Set a name outside of it, or another facility_hub_name.",
            )
    names = site.certificate_names
    missing = [] if names is None else [name for name in (hub, f"*.{hub}") if not _covered(name, names)]
    if missing:
        yield (
            "gateway_certificate",
            f"a certificate for {', '.join(names or ()) or 'no name'}, and not for {' and '.join(missing)}",
            "Give one that is for both, as facility_user_subdomains needs, or set facility_user_subdomains to false.",
        )


def _covered(name: str, names: Sequence[str]) -> bool:
    """Whether a certificate of these names is good for it: a wildcard stands for one label, the first."""
    return name in names or f"*.{name.partition('.')[2]}" in names


def _networks(site: Site) -> Iterator[Mistake]:
    networks: dict[str, Network] = {}
    for name in NETWORKS:
        value = site.facility(name)
        network = _network(value)
        if network is not None:
            networks[name] = network
        elif value not in (None, ""):
            yield name, f"{value!r}, which is no network", "Set address and prefix length, such as 10.244.0.0/16."
    names = list(networks)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if networks[first].overlaps(networks[second]):
                yield (
                    second,
                    f"{networks[second]}, which overlaps {first} {networks[first]}",
                    "Set networks that have no address in common.",
                )
    for name, least in (("facility_pod_network", 256), ("facility_service_network", 16)):
        if name in networks and networks[name].num_addresses < least:
            yield name, f"{networks[name]}", f"Set a network of at least {least} addresses."


def _network(value: Any) -> Network | None:
    try:
        return ipaddress.ip_network(value) if isinstance(value, str) and "/" in value else None
    except ValueError:
        return None


def _addresses(site: Site) -> Iterator[Mistake]:
    network = _network(site.facility("facility_host_network"))
    owner: dict[str, str] = {}
    for host, values in site.values.items():
        address = values.get("ansible_host")
        try:
            parsed = ipaddress.ip_address(str(address))
        except ValueError:
            continue  # a name: only DNS knows
        if network is not None and parsed not in network:
            yield (
                "ansible_host",
                f"{address} of {host}, outside facility_host_network {network}",
                "Correct the address, or widen facility_host_network.",
            )
        if str(address) in owner:
            yield (
                "ansible_host",
                f"{address} of both {owner[str(address)]} and {host}",
                "Give each host its own address.",
            )
        owner.setdefault(str(address), host)
    servers = site.facility("facility_dns_servers") or []
    for server in servers if isinstance(servers, list) else [servers]:
        try:
            ipaddress.ip_address(str(server))
        except ValueError:
            yield "facility_dns_servers", f"{server!r}, which is no address", "List IP addresses."
