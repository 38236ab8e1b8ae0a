# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that can be wrong with an inventory and be seen without touching a host.

Private to this collection: its interface may change in any release.

:func:`problems` takes groups and variables as plain data and gives back all
mistakes, each with the variable, what was found and what to set instead.
"""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from ansible_collections.cmsaf.facility.plugins.plugin_utils import (
    _site_backup,
    _site_issuers,
    _site_servers,
    _site_storage,
)
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import whole

__all__ = ["FLOORS", "Problem", "Site", "claimed", "problems", "version"]

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

# Software, lowest version without a known hole that matters here, and the hole.
FLOORS: dict[str, tuple[str, str]] = {
    "xrootd": ("6.2.0", "macaroons of older versions can be stretched to other users' paths"),
    "xcache": ("6.2.0", "macaroons of older XRootD can be stretched to other users' paths"),
    "jupyterhub": ("5.5.1", "security releases 5.4.4 and 5.5.1"),
    "distributed": ("2026.1.0", "CVE-2026-23528, code execution by way of the dashboard"),
    "scitokens": ("1.9.7", "CVE-2026-32716 and CVE-2026-32727"),
}

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

DOMAINS = (
    "facility_domain",
    "facility_api_name",
    "facility_hub_name",
    "facility_dask_domain",
    "facility_users_domain",
    "facility_trust_domain",
)
NETWORKS = ("facility_host_network", "facility_pod_network", "facility_service_network")
CHECKSUM_LISTS = ("upstream", "built")
# Variables of older releases, and what took their place.
REPLACED = {
    "jupyterhub_cpu_limit": ["cpu into each of jupyterhub_profiles"],
    "jupyterhub_memory_limit": ["memory into each of jupyterhub_profiles"],
    "jupyterhub_xcache_host": ["host into jupyterhub_xcache"],
    "jupyterhub_xcache_sitename": ["sitename into jupyterhub_xcache"],
}
# What HTCondor's daemons listen on, and what the token service does if nothing else is set.
CONDOR_PORT, TOKEN_PORT = 9618, 9620

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CHECKSUM_NAME = re.compile(r"_(checksums?|digests?|sha256|sha256sums?)$")
_SHA256 = re.compile(r"(sha256:)?[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_IMAGE = re.compile(r"(?P<path>[^@]+?)(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]*))?(@(?P<digest>\S+))?")
_SERVICE = re.compile(r"https://(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[1-9][0-9]{0,4})")
# So like a role's name is what was meant to be it.
_SLIP = 0.85
_REFERENCE = re.compile(r"\{\{ (\w+) \}\}")


@dataclass(frozen=True)
class Problem:
    """One mistake: the variable (or group), what was found, what to set."""

    variable: str
    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.variable}: found {self.found}. {self.fix}"


@dataclass
class Site:
    """An inventory as plain data."""

    groups: Mapping[str, Sequence[str]]
    # Per host: the values of the collection's variables, and errors of those that have none.
    values: Mapping[str, Mapping[str, Any]]
    errors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # What the roles declare: all names, those that must be set for every host, and defaults.
    known: frozenset[str] = frozenset()
    required: Sequence[str] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    prefixes: Sequence[str] = ("facility",)
    # Patterns of names that begin like the collection's and are read by others.
    foreign: Sequence[str] = ()
    # What was tried from the controller: address and why it failed ('' if it answered).
    probes: Mapping[str, str] = field(default_factory=dict)
    missing_files: Mapping[str, str] = field(default_factory=dict)
    minimum_execute: int = 1

    def hosts(self, group: str) -> Sequence[str]:
        return self.groups.get(group, ())

    def facility(self, name: str, group: str = "all") -> Any:
        """A value that all hosts of a group share: the first host's, else the default; None if there is neither."""
        hosts = self.values if group == "all" else self.hosts(group)
        for values in (self.values.get(host, {}) for host in hosts):
            if name in values:
                return values[name]
        default = self.defaults.get(name)
        if not isinstance(default, str):
            return default
        references = _REFERENCE.findall(default)
        found = {reference: self.facility(reference) for reference in references}
        if any(value is None for value in found.values()):
            return None
        return _REFERENCE.sub(lambda match: str(found[match.group(1)]), default)


def version(text: str) -> tuple[int, ...] | None:
    """``v6.2.0-1`` -> (6, 2, 0); None if it does not begin like a version."""
    match = re.match(r"v?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else None


def problems(site: Site) -> list[Problem]:
    """All mistakes of an inventory, none twice, in the order of the checks."""
    checks: tuple[Callable[[Site], Iterable[Problem]], ...] = (
        _groups,
        _placement,
        _unknown,
        _unset,
        _domains,
        _identities,
        _networks,
        _addresses,
        _tokens,
        _issuers,
        _metrics,
        _login,
        _storage,
        _servers,
        _backup,
        _sources,
        _checksums,
        _versions,
    )
    return list(dict.fromkeys(problem for check in checks for problem in check(site)))


def _groups(site: Site) -> Iterator[Problem]:
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
            yield Problem(f"group {name}", _hosts(count), f"Put {wanted} into it{hint}: it {purpose}.")
    planes = len(site.hosts("kube_control_plane"))
    if planes and planes % 2 == 0:
        yield Problem(
            "group kube_control_plane",
            f"{_hosts(planes)}, an even number",
            "Take one away or add one: etcd loses its majority with half of an even number.",
        )


def _placement(site: Site) -> Iterator[Problem]:
    workers, planes = set(site.hosts("kube_worker")), set(site.hosts("kube_control_plane"))
    for host in site.hosts("gateway"):
        if host in planes:
            yield Problem(
                "group gateway",
                f"{host}, which is in kube_control_plane too",
                "Take another host: both listen on port 6443.",
            )
        elif host not in workers:
            yield Problem(
                "group gateway",
                f"{host}, which is not in kube_worker",
                "Add it there (with a taint): only a node reaches pods and the cluster's DNS.",
            )
    if workers and workers <= set(site.hosts("gateway")):
        yield Problem("group kube_worker", "gateway hosts only", "Add a host for users' pods: gateways take none.")
    for host in sorted(workers & planes):
        yield Problem("group kube_worker", f"{host}, which is in kube_control_plane too", "Keep it in one of them.")
    for group in ("xcache", "origin"):
        for host in site.hosts(group):
            if host not in workers:
                yield Problem(
                    f"group {group}", f"{host}, which is not in kube_worker", "Add it there: it runs as a pod."
                )


def claimed(name: str, prefixes: Iterable[str], known: Iterable[str]) -> bool:
    """Whether a variable is one of the collection's, or would be without a slip in the role's name."""
    if name.startswith(tuple(f"{prefix}_" for prefix in prefixes)):
        return True
    return any(
        difflib.SequenceMatcher(None, name[: -len(rest)], prefix).ratio() >= _SLIP
        for prefix in prefixes
        for rest in (other[len(prefix) :] for other in known if other.startswith(f"{prefix}_"))
        if name.endswith(rest) and name[0] == prefix[0]
    )


def _unknown(site: Site) -> Iterator[Problem]:
    seen: dict[str, list[str]] = {}
    for host, values in site.values.items():
        for name in (*values, *site.errors.get(host, ())):
            foreign = any(fnmatch.fnmatchcase(name, pattern) for pattern in site.foreign)
            if name not in site.known and not foreign and claimed(name, site.prefixes, site.known):
                seen.setdefault(name, []).append(host)
    for name, hosts in sorted(seen.items()):
        near = [*REPLACED.get(name, []), *difflib.get_close_matches(name, sorted(site.known), 1, 0.75)]
        fix = f"Write {near[0]} instead, or remove it" if near else "Remove it, as no role of this collection reads it"
        yield Problem(
            name,
            f"a variable that does not exist, on {_some(hosts)}",
            f"{fix}; if another role of yours reads it, add it to site_check_foreign_variables.",
        )


def _unset(site: Site) -> Iterator[Problem]:
    for name in site.required:
        without = [
            host
            for host, values in site.values.items()
            if values.get(name) in (None, "") and name not in site.errors.get(host, ())
        ]
        if without:
            yield Problem(name, f"nothing on {_some(without)}", "Set it for all hosts, as it has no default.")
    unusable: dict[tuple[str, str], list[str]] = {}
    for host, errors in site.errors.items():
        for name, error in errors.items():
            if name in site.known:
                unusable.setdefault((name, error), []).append(host)
    for (name, error), hosts in unusable.items():
        yield Problem(name, f"on {_some(hosts)} a value that cannot be used ({error})", "Set a valid value.")
    for name in sorted(name for name in {*site.defaults, *site.required} if name.startswith("facility_")):
        found = {repr(values[name]) for values in site.values.values() if name in values}
        if len(found) > 1:
            yield Problem(name, f"{len(found)} different values ({_some(sorted(found))})", "Set one for all hosts.")


def _is_domain(text: Any) -> bool:
    labels = text.split(".") if isinstance(text, str) else []
    return (
        len(labels) > 1
        and len(text) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )


def _domains(site: Site) -> Iterator[Problem]:
    for name in DOMAINS:
        value = site.facility(name)
        # What follows from a bad facility_domain is said once, there.
        inherited = name != "facility_domain" and not any(name in values for values in site.values.values())
        if value not in (None, "") and not inherited and not _is_domain(value):
            yield Problem(
                name,
                f"{value!r}, which is no DNS domain",
                "Set lower-case labels of letters, digits and '-' with dots between, such as af.example.org.",
            )


def _identities(site: Site) -> Iterator[Problem]:
    users, trust = site.facility("facility_users_domain"), site.facility("facility_trust_domain")
    if users is not None and users == trust:
        yield Problem(
            "facility_users_domain",
            f"{users!r}, which is facility_trust_domain too",
            "Set two domains: a user's token must not read like one of a daemon of the pool.",
        )
    names = ("facility_api_name", "facility_hub_name", "facility_dask_domain")
    values = [site.facility(name) for name in names]
    for i, name in enumerate(names):
        if values[i] is not None and values[i] in values[:i]:
            other = names[values.index(values[i])]
            yield Problem(name, f"{values[i]!r}, which is {other} too", "Set another name.")
    hub, dask = site.facility("facility_hub_name"), site.facility("facility_dask_domain")
    if isinstance(hub, str) and isinstance(dask, str) and hub.endswith(f".{dask}"):
        yield Problem("facility_hub_name", f"{hub!r}, inside facility_dask_domain", "Set a name outside of it.")


def _network(value: Any) -> Network | None:
    try:
        return ipaddress.ip_network(value) if isinstance(value, str) and "/" in value else None
    except ValueError:
        return None


def _networks(site: Site) -> Iterator[Problem]:
    networks: dict[str, Network] = {}
    for name in NETWORKS:
        value = site.facility(name)
        network = _network(value)
        if network is not None:
            networks[name] = network
        elif value not in (None, ""):
            yield Problem(
                name, f"{value!r}, which is no network", "Set address and prefix length, such as 10.244.0.0/16."
            )
    names = list(networks)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if networks[first].overlaps(networks[second]):
                yield Problem(
                    second,
                    f"{networks[second]}, which overlaps {first} {networks[first]}",
                    "Set networks that have no address in common.",
                )
    for name, least in (("facility_pod_network", 256), ("facility_service_network", 16)):
        if name in networks and networks[name].num_addresses < least:
            yield Problem(name, f"{networks[name]}", f"Set a network of at least {least} addresses.")


def _addresses(site: Site) -> Iterator[Problem]:
    network = _network(site.facility("facility_host_network"))
    owner: dict[str, str] = {}
    for host, values in site.values.items():
        address = values.get("ansible_host")
        try:
            parsed = ipaddress.ip_address(str(address))
        except ValueError:
            continue  # a name: only DNS knows
        if network is not None and parsed not in network:
            yield Problem(
                "ansible_host",
                f"{address} of {host}, outside facility_host_network {network}",
                "Correct the address, or widen facility_host_network.",
            )
        if str(address) in owner:
            yield Problem(
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
            yield Problem("facility_dns_servers", f"{server!r}, which is no address", "List IP addresses.")


def _tokens(site: Site) -> Iterator[Problem]:
    port, longest = site.facility("htcondor_token_port"), site.facility("htcondor_token_lifetime")
    if whole(port) and (not 0 < port < 65536 or port == CONDOR_PORT):
        yield Problem(
            "htcondor_token_port", f"{port}", f"Set a port that is free; {CONDOR_PORT} is that of HTCondor's daemons."
        )
    if whole(longest) and longest <= 0:
        yield Problem("htcondor_token_lifetime", f"{longest}", "Set a positive number of seconds.")
    # The modules that mint refuse more, see module_utils/_idtoken.py; a cache's token has a limit by its server alone.
    for name, most in (("htcondor_daemon_token_days", 400), ("xcache_origin_token_days", None)):
        days = _said(site, name)
        if whole(days) and (days <= 0 or (most is not None and days > most)):
            yield Problem(name, f"{days}", "Set a positive number of days" + (f", at most {most}." if most else "."))
    key, url = site.facility("jupyterhub_signing_key"), _said(site, "jupyterhub_token_service")
    if key:
        if not str(key).startswith("/"):
            yield Problem("jupyterhub_signing_key", f"{key!r}", "Set the whole path of a file on the access point.")
        return
    match = _SERVICE.fullmatch(url) if isinstance(url, str) else None
    if match and int(match["port"]) > 65535:
        match = None
    if url is not None and match is None:
        yield Problem("jupyterhub_token_service", f"{url!r}", "Set https://host:port, with nothing behind the port.")
    # Without a value of its own it is the access point of this inventory at the service's usual port.
    host, asked = (match["host"], int(match["port"])) if match else ("", TOKEN_PORT)
    ours = url is None or host in site.hosts("condor_access_point")
    if ours and whole(port) and port != asked and (url is None or match):
        yield Problem(
            "jupyterhub_token_service",
            f"port {asked}, but by htcondor_token_port the access point listens on {port}",
            f"Set it to https://<access point>:{port}.",
        )
    wanted = site.facility("jupyterhub_credential_lifetime")
    if ours and whole(wanted) and whole(longest) and 0 < longest < wanted:
        yield Problem(
            "jupyterhub_credential_lifetime",
            f"{wanted} seconds, but no token outlasts the {longest} of htcondor_token_lifetime",
            "Lower it, or raise htcondor_token_lifetime.",
        )


def _issuers(site: Site) -> Iterator[Problem]:
    port, taken = (site.facility(name, "xcache") for name in ("xcache_https_port", "xcache_port"))
    if whole(port) and port != 0 and (not 0 < port < 65536 or port == taken):
        yield Problem("xcache_https_port", f"{port}", "Set a free port, or 0 for none.")
    issuers, served = (site.facility(name, "xcache") for name in ("xcache_issuers", "xcache_path"))
    if isinstance(issuers, list):
        for variable, found, fix in _site_issuers.mistakes(issuers, str(served)):
            yield Problem(variable, found, fix)


def _metrics(site: Site) -> Iterator[Problem]:
    served = (
        ("xcache", "xcache_metrics_port", ("xcache_port", "xcache_https_port")),
        ("origin", "xcache_origin_metrics_port", ("xcache_origin_port",)),
    )
    for group, name, others in served:
        port = site.facility(name, group)
        if whole(port) and (not 0 < port < 65536 or port in [site.facility(other, group) for other in others]):
            yield Problem(name, f"{port}", "Set a free port.")
    ports = [site.facility(name, group) for group, name, others in served]
    both = sorted(set(site.hosts("xcache")) & set(site.hosts("origin")))
    if both and ports[0] == ports[1]:
        yield Problem(served[1][1], f"{ports[1]}, as {served[0][1]}, and {both[0]} runs both", "Set another port.")
    scrapers = site.facility("xcache_metrics_scrapers", "xcache")
    for scraper in scrapers if isinstance(scrapers, list) else ():
        try:
            ipaddress.ip_network(str(scraper))
        except ValueError as error:
            yield Problem("xcache_metrics_scrapers", f"{scraper!r}: {error}", "List addresses or networks.")


def _login(site: Site) -> Iterator[Problem]:
    login = site.facility("jupyterhub_login")
    kind = login.get("kind") if isinstance(login, Mapping) else None
    if kind not in ("cilogon", "oidc"):
        return
    name = "jupyterhub_login"
    if not login.get("client_id"):
        yield Problem(f"{name}.client_id", "nothing", "Set what the provider called this hub when it was registered.")
    issuer = login.get("issuer") or ("" if kind == "oidc" else "https://cilogon.org")
    if not str(issuer).startswith("https://"):
        yield Problem(f"{name}.issuer", f"{issuer!r}", "Set the provider's issuer, a URL that begins with https://.")
    providers = login.get("identity_providers") or {}
    if kind == "cilogon" and not providers:
        yield Problem(
            f"{name}.identity_providers",
            "nothing",
            "Name the entity IDs that are taken: anybody in the world has an account with one of CILogon's.",
        )
    for provider, domains in providers.items() if isinstance(providers, Mapping) else ():
        listed = isinstance(domains, list) and all(isinstance(item, str) and item == item.lower() for item in domains)
        if not listed:
            yield Problem(
                f"{name}.identity_providers[{provider}]", f"{domains!r}", "Set a list of domains in lower case, or []."
            )
    entries = ("allowed_groups", "allowed_users", "everybody")
    if not any(login.get(entry) for entry in entries) and not site.facility("facility_admins"):
        yield Problem(
            name, "nobody who may enter", "Set allowed_groups, allowed_users or everybody in it, or facility_admins."
        )
    if "hub-login-client-secret" in site.missing_files:
        yield Problem(
            name,
            site.missing_files["hub-login-client-secret"],
            "Put there what the provider gave when the hub was registered, mode 0600.",
        )


def _storage(site: Site) -> Iterator[Problem]:
    chosen, pools = site.facility("facility_storage"), site.facility("rook_pools")
    if not isinstance(chosen, list):
        return
    mons, csi = site.facility("rook_mons"), _said(site, "rook_csi")
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
    )
    for variable, found, fix in _site_storage.mistakes(settings):
        yield Problem(variable, found, fix)


def _servers(site: Site) -> Iterator[Problem]:
    profiles, sessions = site.facility("jupyterhub_profiles"), site.facility("jupyterhub_sessions")
    if isinstance(profiles, list):
        for variable, found, fix in _site_servers.profile_mistakes(profiles, site.facility("jupyterhub_login")):
            yield Problem(variable, found, fix)
        for number, profile in enumerate(profiles):
            image = profile.get("image") if isinstance(profile, Mapping) else None
            if image is not None:
                yield from _image(f"jupyterhub_profiles[{number}].image", str(image))
    if isinstance(sessions, Mapping):
        for variable, found, fix in _site_servers.session_mistakes(sessions):
            yield Problem(variable, found, fix)


def _backup(site: Site) -> Iterator[Problem]:
    settings = _site_backup.Backup(
        repository=site.facility("backup_repository"),
        host=site.facility("backup_host"),
        keep=site.facility("backup_keep"),
        percent=site.facility("backup_read_data_percent"),
        files=site.facility("backup_files"),
        groups=site.groups,
    )
    for variable, found, fix in _site_backup.mistakes(settings):
        yield Problem(variable, found, fix)


def _said(site: Site, name: str) -> Any:
    """A value that the inventory sets, None if it leaves it to the role."""
    return next((values[name] for values in site.values.values() if name in values), None)


def _sources(site: Site) -> Iterator[Problem]:
    url = site.facility("facility_files_url")
    if isinstance(url, str) and (
        not url.startswith(("https:/", "http://")) or (url.endswith("/") and url != "https:/")
    ):
        yield Problem(
            "facility_files_url",
            f"{url!r}",
            "Set https:/ for upstream, or a mirror as https://mirror.example.org without a slash at its end.",
        )
    registries = [("facility_registry", site.facility("facility_registry"))]
    mirrors = site.facility("facility_registry_mirrors") or []
    registries += [("facility_registry_mirrors", item) for item in mirrors if isinstance(mirrors, list)]
    for name, value in registries:
        if value is not None and not (isinstance(value, str) and _REGISTRY.fullmatch(value)):
            yield Problem(name, f"{value!r}", "Set a host name, with :port if it is not 443, and no https://.")
    for name, error in site.missing_files.items():
        if name not in site.known:
            continue  # a file that has no variable of its own: who needs it says so
        yield Problem(name, error, "Set the path of a file that this machine can read.")
    if not site.hosts("mirror"):
        for address, error in site.probes.items():
            # An address made of a malformed value is no news.
            if error and address.count("://") == 1:
                yield Problem(
                    "facility_registry" if address.endswith("/v2/") else "facility_files_url",
                    f"no answer from {address} ({error})",
                    "Correct it, or let this inventory make a mirror: put a host into group mirror.",
                )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    else:
        yield path, value


def _checksums(site: Site) -> Iterator[Problem]:
    chosen = site.facility("facility_checksums")
    if chosen is not None and chosen not in CHECKSUM_LISTS:
        yield Problem("facility_checksums", f"{chosen!r}", "Set upstream or built.")
    if chosen == "built" and site.facility("facility_files_url") == "https:/":
        yield Problem(
            "facility_checksums",
            "built, but by facility_files_url files come from upstream",
            "Set upstream, or facility_files_url to the mirror: what a mirror builds has other checksums.",
        )
    if chosen == "upstream" and site.hosts("mirror") and site.facility("mirror_mode", "mirror") == "build":
        yield Problem(
            "facility_checksums",
            "upstream, but by mirror_mode the mirror builds its files",
            "Set built, or mirror_mode to upstream: what a mirror builds has other checksums.",
        )
    for values in site.values.values():
        for name, value in values.items():
            if name in site.known and name != "facility_checksums" and _CHECKSUM_NAME.search(name):
                for path, leaf in _leaves(value, name):
                    if not (isinstance(leaf, str) and _SHA256.fullmatch(leaf)):
                        yield Problem(path, f"{leaf!r}", "Set a sha256: 64 hexadecimal digits, lower case.")


def _software(name: str) -> str | None:
    """``xcache_xrootd_version`` -> xrootd; None if no floor is known for it."""
    words = name.split("_")
    return next((word for word in words[-2::-1] if word in FLOORS), None) if words[-1] == "version" else None


def _versions(site: Site) -> Iterator[Problem]:
    for values in site.values.values():
        for name, value in values.items():
            if name not in site.known or not isinstance(value, str):
                continue
            if name.endswith("_image") and value:
                yield from _image(name, value)
            elif software := _software(name):
                yield from _floor(name, software, value, value)


def _image(name: str, value: str) -> Iterator[Problem]:
    match = _IMAGE.fullmatch(value)
    if match is None:
        yield Problem(name, f"{value!r}, which is no image reference", "Set registry/path:tag.")
        return
    tag, software = match["tag"], match["path"].rsplit("/", 1)[-1]
    if match["digest"] is None and tag in (None, "latest"):
        yield Problem(name, f"{value!r}, which can change at any time", "Name a version or a digest.")
    # The facility's own images carry the collection's version, and their contents have a floor of their own.
    if tag is not None and software in FLOORS and "/cmsaf/" not in value:
        yield from _floor(name, software, tag, value)


def _floor(name: str, software: str, text: str, found: str) -> Iterator[Problem]:
    floor, why = FLOORS[software]
    found_version, least = version(text), version(floor)
    if found_version is None or least is None or found_version >= least:
        return
    yield Problem(name, f"{found!r}, below {floor}", f"Set {software} {floor} or newer: {why}.")


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:3])
    return shown if len(items) <= 3 else f"{shown} and {len(items) - 3} more"
