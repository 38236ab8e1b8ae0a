# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A good inventory, and a table of what can be wrong with it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_check import FLOORS, Site, problems, version
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_servers import NEEDED
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_servers import OWN as OWN_SERVERS

ROOT = Path(__file__).resolve().parents[4]
SUM = "0123456789abcdef" * 4
GROUPS = {
    "authority": ["c1"],
    "gateway": ["g1"],
    "kube_control_plane": ["c1"],
    "kube_worker": ["g1", "w1"],
    "condor_manager": ["m1"],
    "condor_access_point": ["m1"],
    "condor_execute": ["e1"],
    "xcache": ["w1"],
    "origin": ["g1"],
    "mirror": ["x1"],
}
FACILITY = {
    "facility_name": "Test",
    "facility_domain": "af.test",
    "facility_host_network": "10.1.0.0/24",
}
DEFAULTS = {
    "facility_api_name": "api.{{ facility_domain }}",
    "facility_hub_name": "hub.{{ facility_domain }}",
    "facility_user_subdomains": False,
    "facility_ceph_name": "",
    "facility_dask_domain": "dask.{{ facility_domain }}",
    "facility_users_domain": "users.{{ facility_domain }}",
    "facility_trust_domain": "pool.{{ facility_domain }}",
    "facility_pod_network": "10.244.0.0/16",
    "facility_service_network": "10.96.0.0/12",
    "facility_files_url": "https:/",
    "facility_registry": "mirror.{{ facility_domain }}",
    "facility_registry_mirrors": [],
    "facility_checksums": "upstream",
    "facility_dns_servers": [],
    "mirror_mode": "build",
    "htcondor_token_port": 9620,
    "htcondor_token_lifetime": 43200,
    "jupyterhub_token_service": "https://{{ groups['condor_access_point'] | first }}:9620",
    "jupyterhub_login": {"kind": "password"},
    "facility_admins": [],
    "jupyterhub_profiles": [{"name": "Coffea", "default": True}],
    "jupyterhub_sessions": {"named_servers": 3, "idle": 86400, "longest": 604800},
    "jupyterhub_shared": [],
    "local_storage_class": "local-path",
    "rook_pools": [{"name": "b", "kind": "block", "storage_class": "rook-block"}],
    "jupyterhub_signing_key": "",
    "jupyterhub_credential_lifetime": 43200,
    "facility_origins": [
        {
            "name": "facility",
            "url": "roots://origin.{{ facility_domain }}:1094",
            "paths": ["/store"],
            "authentication": "macaroon",
        }
    ],
    "xcache_port": 1094,
    "xcache_server_port": 1095,
    "xcache_issuers": [],
    "xcache_https_port": 0,
    "xcache_metrics_port": 9931,
    "xcache_metrics_scrapers": [],
    "xcache_redirector_metrics_port": 9930,
    "xcache_origin_metrics_port": 9932,
    "jupyterhub_xcache": {},
}
KNOWN = frozenset({*FACILITY, *DEFAULTS, "xcache_image", "xcache_ram", "xcache_xrootd_version", "mirror_checksums"})
# What a site with a mirror of its own sets.
MIRROR = {"facility_files_url": "https://mirror.af.test", "facility_checksums": "built"}

USUAL, LARGE = (
    {"name": "Usual", "description": "For most.", "cpu": 2, "memory": "8G"},
    {"name": "Large", "description": "For fits.", "cpu": 0.5, "memory": "1.5T", "groups": ["cms"]},
)
SPACE = {"name": "higgs", "groups": ["cms"], "claim": "projects"}
SESSIONS = {"named_servers": 3, "idle": 86400, "longest": 604800}

# A site with a login service.
LOGIN = {"kind": "oidc", "client_id": "hub", "issuer": "https://login.test", "allowed_groups": ["cms"]}


@pytest.fixture
def site() -> Site:
    hosts = sorted({host for group in GROUPS.values() for host in group})
    return Site(
        groups=copy.deepcopy(GROUPS),
        values={host: {**FACILITY, **MIRROR, "ansible_host": f"10.1.0.{i}"} for i, host in enumerate(hosts, 10)},
        errors={host: {} for host in hosts},
        known=KNOWN,
        required=list(FACILITY),
        defaults=dict(DEFAULTS),
        prefixes=["facility", "xcache", "mirror", "htcondor", "jupyterhub"],
    )


def everywhere(**variables: Any) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        for values in site.values.values():
            values.update(variables)

    return change


def no_client_secret(site: Site) -> None:
    everywhere(jupyterhub_login=LOGIN)(site)
    site.missing_files = {"hub-login-client-secret": "no /s/hub-login-client-secret"}


def on(host: str, **variables: Any) -> Callable[[Site], None]:
    return lambda site: site.values[host].update(variables)


def group(name: str, *hosts: str) -> Callable[[Site], None]:
    return lambda site: site.groups.update({name: list(hosts)})


def changes(*those: Callable[[Site], None]) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        for one in those:
            one(site)

    return change


OWN = {"name": "own", "url": "roots://origin.af.test:1094", "paths": ["/store"], "authentication": "macaroon"}
FEDERATION = {
    "name": "federation",
    "url": "root://xrootd.example.org:1094",
    "paths": ["/store"],
    "authentication": "x509",
    "credential": "/etc/grid/proxy",
    "certificates": "/etc/grid-security/certificates",
}
STORAGE = {
    "name": "storage",
    "url": "roots://se.example.org:1094",
    "paths": ["/store"],
    "authentication": "token",
    "credential": "/etc/grid/token",
}
PUBLIC = {"name": "osdf", "url": "https://osdf.example.org:8443", "paths": ["/ospool"], "authentication": "none"}
REDIRECTED = group("xcache_redirector", "w1")


def origin(kind: dict[str, Any], **change: Any) -> Callable[[Site], None]:
    """A site whose only origin is of this kind, changed."""
    own = change.get("authentication", kind["authentication"]) == "macaroon"
    return changes(everywhere(facility_origins=[{**kind, **change}]), group("origin", *(["g1"] if own else [])))


def origin_without(kind: dict[str, Any], key: str) -> Callable[[Site], None]:
    return changes(origin(kind), everywhere(facility_origins=[{k: v for k, v in kind.items() if k != key}]))


def origins(*those: dict[str, Any]) -> Callable[[Site], None]:
    return changes(REDIRECTED, everywhere(facility_origins=list(those)))


def many_caches(site: Site) -> None:
    hosts = [f"n{number}" for number in range(65)]
    for number, host in enumerate(hosts):
        site.values[host] = {**site.values["w1"], "ansible_host": f"10.1.0.{100 + number}"}
    changes(REDIRECTED, group("xcache", *hosts), group("kube_worker", "g1", "w1", *hosts))(site)


def beside_cache(**variables: Any) -> Callable[[Site], None]:
    """The facility's own origin on the cache's node."""
    return changes(group("origin", "w1"), origin_of_port(2094), everywhere(**variables))


def origin_of_port(port: int) -> Callable[[Site], None]:
    return everywhere(facility_origins=[{**OWN, "url": f"roots://origin.af.test:{port}"}])


def no_mirror(**variables: Any) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.groups["mirror"] = []
        everywhere(**variables)(site)
        site.probes = {"https://m.test": "Connection refused", "https://mirror.af.test/v2/": ""}

    return change


def from_upstream(site: Site) -> None:
    site.groups["mirror"] = []
    everywhere(facility_files_url="https:/", facility_checksums="upstream")(site)


def without(name: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        for values in site.values.values():
            del values[name]

    return change


ISSUER = {
    "name": "cms",
    "url": "https://cms-auth.web.cern.ch/",
    "audiences": ["https://xcache.af.test"],
    "base_paths": ["/"],
}


def issuer(**change: Any) -> Callable[[Site], None]:
    return everywhere(xcache_issuers=[{**ISSUER, **change}])


def issuer_without(key: str) -> Callable[[Site], None]:
    return everywhere(xcache_issuers=[{name: value for name, value in ISSUER.items() if name != key}])


def profile(*profiles: Any) -> Callable[[Site], None]:
    return everywhere(jupyterhub_profiles=list(profiles))


def shared(*spaces: Any) -> Callable[[Site], None]:
    return everywhere(jupyterhub_shared=list(spaces))


def sessions(**change: int) -> Callable[[Site], None]:
    return everywhere(jupyterhub_sessions={**SESSIONS, **change})


def subdomains(**variables: Any) -> Callable[[Site], None]:
    return everywhere(facility_user_subdomains=True, **variables)


def certificate(*names: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        subdomains()(site)
        site.certificate_names = names

    return change


def host_of_a_user_s_name(site: Site) -> None:
    site.values = {f"{host}.hub.af.test" if host == "w1" else host: values for host, values in site.values.items()}
    site.groups = {
        name: [f"{host}.hub.af.test" if host == "w1" else host for host in hosts] for name, hosts in site.groups.items()
    }
    subdomains()(site)


BAD = [
    *[(issuer_without(key), f"xcache_issuers[0].{key}: found nothing. Set it") for key in ISSUER],
    *[
        (issuer(url=url), f"xcache_issuers[0].url: found {url!r}. Set an https URL")
        for url in (
            "http://issuer.test",
            "issuer.test",
            "https://issuer.test?x",
            "https://i.test\nbase_path = /",
            "https://",
        )
    ],
    *[
        (issuer(base_paths=[path]), f"xcache_issuers[0].base_paths: found {path!r}. Set absolute paths")
        for path in ("store", "/store/", "/store/../etc", "/store//x", "/a b", "/a,/b", "/.", "", "/store\n", 7)
    ],
    (issuer(base_paths=["/stored"]), "xcache_issuers[0].base_paths: found '/stored'. Set a path above or below /store"),
    (issuer(base_paths=[]), "xcache_issuers[0].base_paths: found []. Write a list that is not empty"),
    (issuer(base_paths="/store"), "xcache_issuers[0].base_paths: found '/store'. Write a list"),
    (issuer(restricted_paths=["user"]), "xcache_issuers[0].restricted_paths: found 'user'. Set absolute paths"),
    (issuer(audiences=[]), "xcache_issuers[0].audiences: found []. Write a list that is not empty"),
    (issuer(audiences=['a", "b']), "xcache_issuers[0].audiences: found 'a\", \"b'. Set words of ASCII"),
    (issuer(name="a]\n[Global"), "xcache_issuers[0].name: found 'a]\\n[Global'. Set letters"),
    (issuer(onmissing="allow"), "xcache_issuers[0].onmissing: found 'allow'. Remove it: known are name, url"),
    (everywhere(xcache_issuers=["https://i.test"]), "xcache_issuers[0]: found 'https://i.test'. Write name, url"),
    (
        everywhere(xcache_issuers=[ISSUER, {**ISSUER, "url": "https://other.test"}]),
        "xcache_issuers: found name 'cms' 2 times. Write each issuer once",
    ),
    (
        everywhere(xcache_issuers=[ISSUER, {**ISSUER, "name": "other"}]),
        "xcache_issuers: found url 'https://cms-auth.web.cern.ch/' 2 times. Write each issuer once",
    ),
    (everywhere(xcache_https_port=1094), "xcache_https_port: found 1094, as xcache_port, and w1 has both. Set another"),
    (everywhere(xcache_https_port=65536), "xcache_https_port: found 65536. Set a free port"),
    (everywhere(xcache_metrics_port=1094), "xcache_metrics_port: found 1094, as xcache_port, and w1 has both"),
    (everywhere(xcache_metrics_port=0), "xcache_metrics_port: found 0. Set a free port"),
    (
        everywhere(xcache_metrics_scrapers=["10.1.0.5/24"]),
        "xcache_metrics_scrapers: found '10.1.0.5/24': 10.1.0.5/24 has host",
    ),
    (
        beside_cache(xcache_origin_metrics_port=9931),
        "xcache_metrics_port: found 9931, as xcache_origin_metrics_port, and w1 has both. Set another port",
    ),
    (
        changes(beside_cache(), origin_of_port(1094)),
        "xcache_port: found 1094, as facility_origins[0].url, and w1 has both. Set another port",
    ),
    *[
        (origin_without(OWN, key), f"facility_origins[0].{key}: found nothing. Set it")
        for key in ("name", "url", "paths")
    ],
    (origin_without(PUBLIC, "authentication"), "facility_origins[0].authentication: found nothing. Set it"),
    (everywhere(facility_origins=[]), "facility_origins: found an empty list. Write the origins"),
    (
        everywhere(facility_origins=["roots://a.test:1094"]),
        "facility_origins[0]: found 'roots://a.test:1094'. Write name",
    ),
    *[
        (origin(OWN, name=name), f"facility_origins[0].name: found {name!r}. Set at most 24 lower-case")
        for name in ("Own", "own_1", "-own", "own-", "", "a" * 25, "own\npss.origin", 7)
    ],
    *[
        (origin(OWN, url=url), f"facility_origins[0].url: found {url!r}. Set roots://host:port")
        for url in (
            "origin.af.test:1094",
            "roots://origin.af.test",
            "roots://origin.af.test:1094/",
            "roots://origin.af.test:1094//store",
            "roots://origin.af.test:0",
            "roots://origin.af.test:65536",
            "http://origin.af.test:80",
            "roots://a b:1094",
            "roots://origin.af.test:1094\nofs.authorize 0",
        )
    ],
    *[
        (origin(OWN, paths=[path]), f"facility_origins[0].paths: found {path!r}. Set absolute paths")
        for path in ("store", "/store/", "/store//x", "/a/../b", "/", "/a b", "/store\nall.role none", 7)
    ],
    (origin(OWN, paths=[]), "facility_origins[0].paths: found []. Write a list that is not empty"),
    (origin(OWN, paths="/store"), "facility_origins[0].paths: found '/store'. Write a list"),
    (origin(OWN, paths=["/store/a", "/store/b"]), "facility_origins[0].paths: found 2 of them. Set one, above all"),
    (origin(OWN, pem="x"), "facility_origins[0].pem: found 'x'. Remove it: known are name, url, paths"),
    (
        origin(PUBLIC, authentication="password", paths=["/store"]),
        "facility_origins[0].authentication: found 'password'. Set macaroon, token, x509, none",
    ),
    (origin_without(STORAGE, "credential"), "facility_origins[0].credential: found nothing. Set the file on the nodes"),
    (
        origin_without(FEDERATION, "credential"),
        "facility_origins[0].credential: found nothing. Set the file on the nodes",
    ),
    (
        origin_without(FEDERATION, "certificates"),
        "facility_origins[0].certificates: found nothing. Set the folder of the grid's authorities",
    ),
    (
        origin(STORAGE, credential="token"),
        "facility_origins[0].credential: found 'token'. Set the whole path of a file",
    ),
    (
        origin(STORAGE, credential="/token"),
        "facility_origins[0].credential: found '/token'. Set the whole path of a file",
    ),
    (
        origin(FEDERATION, certificates="certs/"),
        "facility_origins[0].certificates: found 'certs/'. Set the whole path of a folder",
    ),
    (
        origin(OWN, credential="/etc/x/y"),
        "facility_origins[0].credential: found '/etc/x/y'. Remove it: with macaroon there",
    ),
    (
        origin(OWN, certificates="/etc/x"),
        "facility_origins[0].certificates: found '/etc/x'. Remove it: the facility's own",
    ),
    (
        origin(PUBLIC, url="pelican://osg-htc.org:443"),
        "facility_origins[0].url: found 'pelican://osg-htc.org:443'. Set https://host:port of its director or origin: XRootD's",
    ),
    (
        origin(STORAGE, url="root://se.example.org:1094"),
        "facility_origins[0].authentication: found 'token', and the url is of root. Set a url of roots or a url of https, or "
        "authentication to x509 or none: it goes by TLS alone",
    ),
    (
        origin(OWN, url="https://se.example.org:443"),
        "facility_origins[0].authentication: found 'macaroon', and the url is of https. Set a url of roots, or authentication "
        "to token or x509 or none: the role makes a macaroon for the facility's own origin alone",
    ),
    (
        origins(OWN, {**PUBLIC, "name": "own", "paths": ["/store"]}),
        "facility_origins: found name 'own' 2 times. Give each origin a name of its own",
    ),
    (
        origins(OWN, {**OWN, "name": "other"}),
        "facility_origins[1].authentication: found 'macaroon' once more. The facility's own origin",
    ),
    (
        group("origin"),
        "group origin: found 0 hosts. Put at least 1 into it, or set another authentication than macaroon",
    ),
    (
        everywhere(facility_origins=[STORAGE]),
        "facility_origins: found no origin with authentication macaroon. Write the facility's own origin, or take",
    ),
    (
        everywhere(facility_origins=[OWN, STORAGE]),
        "facility_origins: found 2 origins, but no host in group xcache_redirector. Put at least 1 into it",
    ),
    (
        origins(OWN, PUBLIC),
        "facility_origins: found the path /ospool, but users' macaroons are good for /store and what is below it. Set path",
    ),
    (
        changes(origins(OWN, PUBLIC), everywhere(jupyterhub_xcache={"path": "/osp"})),
        "facility_origins: found the path /store, but users' macaroons are good for /osp and what is below it. Set path",
    ),
    (
        changes(REDIRECTED, group("xcache_redirector", "m1")),
        "group xcache_redirector: found m1, which is not in kube_w",
    ),
    (
        changes(REDIRECTED, everywhere(xcache_https_port=8443)),
        "xcache_https_port: found 8443, and there are hosts in xcache_redirector. Set 0",
    ),
    (
        changes(REDIRECTED, everywhere(xcache_server_port=1094)),
        "xcache_server_port: found 1094, as xcache_port, and w1 has both. Set another port",
    ),
    (
        changes(REDIRECTED, everywhere(xcache_server_port=3121)),
        "xcache_server_port: found 3121, as group xcache_redirector, and w1 has both. Set another port",
    ),
    (
        changes(origins(OWN, STORAGE), everywhere(xcache_metrics_port=9929)),
        "xcache_metrics_port: found 9930, as xcache_redirector_metrics_port, and w1 has both. Set another port",
    ),
    (
        changes(REDIRECTED, on("w1", ansible_host="w1.af.test")),
        "ansible_host: found 'w1.af.test' of w1. Set its address: redirectors",
    ),
    (
        changes(REDIRECTED, everywhere(jupyterhub_xcache={"host": "x.test"}), group("xcache"), group("origin")),
        "group xcache_redirector: found w1, but no host in xcache. Add caches, or take it out",
    ),
    (many_caches, "group xcache: found 65 hosts. Take some away: a redirector keeps count of 64"),
    (
        origins(OWN, *({**STORAGE, "name": f"storage-{number}"} for number in range(4))),
        "facility_origins: found 5 origins. Take some away: XRootD sends readers on to 4",
    ),
    (
        origins(OWN, {**STORAGE, "paths": ["/store/group/exampledata"]}),
        "facility_origins: found the path /store/group/exampledata of 24 characters, beside another origin. Set 20 at most",
    ),
    (
        group("xcache_redirectors", "w1"),
        "group xcache_redirectors: found 1 host. Call it xcache_redirector: nobody looks",
    ),
    *[
        (
            on("w1", **{name: 1}),
            f"{name}: found a variable that does not exist, on w1. Write {instead} into each of fac",
        )
        for name, instead in {"xcache_origin_host": "url", "xcache_origin_port": "url", "xcache_path": "paths"}.items()
    ],
    (
        everywhere(xcache_origins=[OWN]),
        "xcache_origins: found a variable that does not exist, on c1, e1, g1 and 3 more. Write facility_origins instead",
    ),
    (
        on("w1", facility_origins=[OWN]),
        "facility_origins: found a value that c1, e1, g1 and 2 more lacks. Set it for all",
    ),
    *[
        (on("w1", xcache_ram=ram), f"xcache_ram: found {ram!r}. Set a size of 1g to 256g")
        for ram in ("1023m", "257g", "0.5t", "4Gi", "4", "", "g", 4)
    ],
    (everywhere(xcache_metrics_scrapers=["prometheus"]), "xcache_metrics_scrapers: found 'prometheus'"),
    (group("gateway"), "group gateway: found 0 hosts. Put at least 1 into it"),
    (group("authority", "c1", "w1"), "group authority: found 2 hosts. Put exactly 1 into it"),
    (group("condor_execute"), "group condor_execute: found 0 hosts. Put at least 1 into it"),
    (group("kube_control_plane", "c1", "x1"), "group kube_control_plane: found 2 hosts, an even number"),
    (group("kube_worker", "w1", "e1"), "group gateway: found g1, which is not in kube_worker"),
    (group("kube_worker", "g1"), "group kube_worker: found gateway hosts only. Add a host for users' pods"),
    (group("kube_control_plane", "g1"), "group gateway: found g1, which is in kube_control_plane too"),
    (group("kube_worker", "g1", "w1", "c1"), "group kube_worker: found c1, which is in kube_control_plane too"),
    (group("xcache", "e1"), "group xcache: found e1, which is not in kube_worker"),
    (
        on("w1", facility_hubname="x"),
        "facility_hubname: found a variable that does not exist, on w1. Write facility_hub_name instead, or remove it; if",
    ),
    (
        on("w1", xcache_flux_capacity=2),
        "xcache_flux_capacity: found a variable that does not exist, on w1. Remove it, as no role of this collection r",
    ),
    (on("w1", facilty_name="x"), "facilty_name: found a variable that does not exist, on w1. Write facility_name inst"),
    (on("w1", xcahe_image="x"), "xcahe_image: found a variable that does not exist, on w1. Write xcache_image instead"),
    (without("facility_name"), "facility_name: found nothing on c1, e1, g1 and 3 more. Set it for all hosts"),
    (everywhere(facility_name=""), "facility_name: found nothing on c1, e1, g1 and 3 more. Set it for all hosts"),
    (on("w1", facility_name="Other"), "facility_name: found 2 different values ('Other', 'Test'). Set one"),
    (everywhere(facility_domain="af"), "facility_domain: found 'af', which is no DNS domain"),
    (everywhere(facility_domain="AF.test"), "facility_domain: found 'AF.test', which is no DNS domain"),
    (everywhere(facility_domain="a_f.test"), "facility_domain: found 'a_f.test', which is no DNS domain"),
    (everywhere(facility_domain="af..test"), "facility_domain: found 'af..test', which is no DNS domain"),
    (everywhere(facility_domain="10.1.0.1"), "facility_domain: found '10.1.0.1', which is no DNS domain"),
    (everywhere(facility_domain=f"{'a' * 64}.test"), f"facility_domain: found '{'a' * 64}.test', which is no DNS"),
    (
        everywhere(facility_hub_name="https://hub.af.test"),
        "facility_hub_name: found 'https://hub.af.test', which is no",
    ),
    (
        everywhere(facility_users_domain="pool.af.test"),
        "facility_users_domain: found 'pool.af.test', which is facility_t",
    ),
    (everywhere(facility_hub_name="api.af.test"), "facility_hub_name: found 'api.af.test', which is facility_api_name"),
    (everywhere(facility_hub_name="h.dask.af.test"), "facility_hub_name: found 'h.dask.af.test', inside facility_dask"),
    *[
        (
            subdomains(**{name: f"x.hub.af.test{port}"}),
            f"{name}: found 'x.hub.af.test', inside facility_hub_name 'hub.af.test'",
        )
        for name, port in (
            ("facility_api_name", ""),
            ("facility_ceph_name", ""),
            ("facility_dask_domain", ""),
            ("facility_registry", ":5000"),
        )
    ],
    (host_of_a_user_s_name, "inventory: found 'w1.hub.af.test', inside facility_hub_name 'hub.af.test'"),
    *[
        (certificate(*names), f"gateway_certificate: found a certificate for {said}. Give one that is for both")
        for names, said in (
            (["hub.af.test"], "hub.af.test, and not for *.hub.af.test"),
            (["*.af.test"], "*.af.test, and not for *.hub.af.test"),
            (["*.hub.af.test"], "*.hub.af.test, and not for hub.af.test"),
            (["af.test", "*.test"], "af.test, *.test, and not for hub.af.test and *.hub.af.test"),
            ([], "no name, and not for hub.af.test and *.hub.af.test"),
        )
    ],
    (everywhere(facility_pod_network="10.0.0.0/33"), "facility_pod_network: found '10.0.0.0/33', which is no network"),
    (everywhere(facility_pod_network="10.244.0.1/16"), "facility_pod_network: found '10.244.0.1/16', which is no netw"),
    (everywhere(facility_pod_network="10.244.0.0"), "facility_pod_network: found '10.244.0.0', which is no network"),
    (
        everywhere(facility_pod_network="10.100.0.0/16"),
        "facility_service_network: found 10.96.0.0/12, which overlaps fac",
    ),
    (
        everywhere(facility_pod_network="10.1.0.0/16"),
        "facility_pod_network: found 10.1.0.0/16, which overlaps facility_ho",
    ),
    (
        everywhere(facility_service_network="10.96.0.0/29"),
        "facility_service_network: found 10.96.0.0/29. Set a network",
    ),
    (
        on("w1", ansible_host="10.2.0.1"),
        "ansible_host: found 10.2.0.1 of w1, outside facility_host_network 10.1.0.0/24",
    ),
    (on("w1", ansible_host="10.1.0.10"), "ansible_host: found 10.1.0.10 of both c1 and w1"),
    (everywhere(facility_dns_servers=["ns.test"]), "facility_dns_servers: found 'ns.test', which is no address"),
    (everywhere(facility_files_url="https://m.test/"), "facility_files_url: found 'https://m.test/'. Set https:/ for"),
    (everywhere(facility_files_url="ftp://m.test"), "facility_files_url: found 'ftp://m.test'. Set https:/ for"),
    (everywhere(facility_registry="https://m.test"), "facility_registry: found 'https://m.test'. Set a host name"),
    (everywhere(facility_registry_mirrors=["quay.io/x"]), "facility_registry_mirrors: found 'quay.io/x'. Set a host n"),
    (
        no_mirror(facility_files_url="https://m.test"),
        "facility_files_url: found no answer from https://m.test (Connect",
    ),
    (everywhere(facility_checksums="made"), "facility_checksums: found 'made'. Set upstream or built."),
    (
        everywhere(facility_files_url="https:/"),
        "facility_checksums: found built, but by facility_files_url files come from upstream. Set upstream, or",
    ),
    (
        everywhere(facility_checksums="upstream"),
        "facility_checksums: found upstream, but by mirror_mode the mirror builds its files. Set built, or mirror_mode",
    ),
    (everywhere(mirror_checksums={"a": {"b": SUM[:-1]}}), f"mirror_checksums.a.b: found '{SUM[:-1]}'. Set a sha256"),
    (everywhere(mirror_checksums=[SUM.upper()]), f"mirror_checksums[0]: found '{SUM.upper()}'. Set a sha256"),
    (on("m1", htcondor_token_port=9618), "htcondor_token_port: found 9618. Set a port that is free; 9618 is that of"),
    (on("m1", htcondor_token_port=70000), "htcondor_token_port: found 70000. Set a port that is free"),
    (on("m1", htcondor_token_port=9700), "jupyterhub_token_service: found port 9620, but by htcondor_token_port the a"),
    (
        on("c1", jupyterhub_token_service="https://m1:9700"),
        "jupyterhub_token_service: found port 9700, but by htcondor_token_port the access point listens on 9620. Set it",
    ),
    (on("c1", jupyterhub_token_service="m1:9620"), "jupyterhub_token_service: found 'm1:9620'. Set https://host:port"),
    (on("c1", jupyterhub_token_service="http://m1:9620"), "jupyterhub_token_service: found 'http://m1:9620'. Set htt"),
    (on("c1", jupyterhub_token_service="https://m1"), "jupyterhub_token_service: found 'https://m1'. Set https://host"),
    (on("c1", jupyterhub_token_service="https://m1:99999"), "jupyterhub_token_service: found 'https://m1:99999'. Set"),
    (on("c1", jupyterhub_token_service="https://m1:9620/v1"), "jupyterhub_token_service: found 'https://m1:9620/v1'."),
    (on("c1", jupyterhub_token_service=""), "jupyterhub_token_service: found ''. Set https://host:port"),
    (
        everywhere(jupyterhub_values={"hub": {"config": {"GitHubOAuthenticator": {"client_secret": "x"}}}}),
        "jupyterhub_values.hub.config.GitHubOAuthenticator.client_secret: found a secret by its name, and the values",
    ),
    (
        everywhere(jupyterhub_values={"hub": {"extraEnv": {"OAUTH_CLIENT_SECRET": "x"}}}),
        "jupyterhub_values.hub.extraEnv.OAUTH_CLIENT_SECRET: found a secret by its name",
    ),
    (everywhere(jupyterhub_login={**LOGIN, "client_id": ""}), "jupyterhub_login.client_id: found nothing. Set what"),
    (everywhere(jupyterhub_login={**LOGIN, "issuer": ""}), "jupyterhub_login.issuer: found ''. Set the provider's"),
    (everywhere(jupyterhub_login={**LOGIN, "issuer": "http://l.test"}), "jupyterhub_login.issuer: found 'http://l.te"),
    (everywhere(jupyterhub_login={**LOGIN, "kind": "cilogon"}), "jupyterhub_login.identity_providers: found nothing."),
    (
        everywhere(jupyterhub_login={**LOGIN, "identity_providers": {"https://a.test": ["A.test"]}}),
        "jupyterhub_login.identity_providers[https://a.test]: found ['A.test']. Set a list of domains in lower case",
    ),
    (
        everywhere(jupyterhub_login={**LOGIN, "allowed_groups": []}),
        "jupyterhub_login: found nobody who may enter. Set allowed_groups, allowed_users or everybody in it",
    ),
    (
        on("c1", jupyterhub_cpu_limit=4),
        "jupyterhub_cpu_limit: found a variable that does not exist, on c1. Write cpu into each of jupyterhub_profiles",
    ),
    (everywhere(jupyterhub_profiles=[]), "jupyterhub_profiles: found none. Name one server at least"),
    (profile("Usual"), "jupyterhub_profiles[0]: found 'Usual'. Write name, description, cpu and memory."),
    (profile({**USUAL, "name": ""}), "jupyterhub_profiles[0].name: found nothing. Set it."),
    (
        profile({"name": "coffea", "description": "x", "memory": "8G"}),
        "jupyterhub_profiles[0].cpu: found nothing. Set it, or",
    ),
    (profile({"name": "Coffea", "cpu": None}), "jupyterhub_profiles[0].cpu: found nothing. Set it, or take a name"),
    (
        profile({**USUAL, "worker_image": "r.test/x"}),
        "jupyterhub_profiles[0].worker_image: found 'r.test/x', which can",
    ),
    (profile({**USUAL, "name": "…"}), "jupyterhub_profiles[0].name: found '…'. Set a text with letters or digits"),
    (profile({**USUAL, "description": None}), "jupyterhub_profiles[0].description: found nothing. Set it, or take"),
    (profile({**USUAL, "cpu": "2"}), "jupyterhub_profiles[0].cpu: found '2'. Set a number of cores"),
    (profile({**USUAL, "cpu": 0}), "jupyterhub_profiles[0].cpu: found 0. Set a number of cores, 0.1 at least"),
    (profile({**USUAL, "memory": "8 GB"}), "jupyterhub_profiles[0].memory: found '8 GB'. Set 1G or more, with M, G"),
    (profile({**USUAL, "memory": "8Gi"}), "jupyterhub_profiles[0].memory: found '8Gi'. Set 1G or more"),
    (profile({**USUAL, "memory": 8}), "jupyterhub_profiles[0].memory: found 8. Set 1G or more"),
    (profile({**USUAL, "memory": "1023M"}), "jupyterhub_profiles[0].memory: found '1023M'. Set 1G or more"),
    (profile({**USUAL, "gpu": 1}), "jupyterhub_profiles[0].gpu: found 1. Set the nodes' name for it and how many"),
    (profile({**USUAL, "gpu": {"gpu": 1}}), "jupyterhub_profiles[0].gpu: found {'gpu': 1}. Set the nodes' name"),
    (profile({**USUAL, "groups": "cms"}), "jupyterhub_profiles[0].groups: found 'cms'. Set a list of groups"),
    (profile({**USUAL, "default": "yes"}), "jupyterhub_profiles[0].default: found 'yes'. Set true or false."),
    (profile({**USUAL, "cores": 2}), "jupyterhub_profiles[0].cores: found 2. Remove it: known are name, description"),
    (profile({**USUAL, "image": "r.test/x"}), "jupyterhub_profiles[0].image: found 'r.test/x', which can change at"),
    (profile(USUAL, {**LARGE, "name": "usual!"}), "jupyterhub_profiles: found the names Usual and usual!. Let them"),
    (
        profile({**USUAL, "default": True}, {**LARGE, "default": True}),
        "jupyterhub_profiles: found default with Usual and Large. Let one of them be it.",
    ),
    (profile(LARGE), "jupyterhub_profiles: found groups with each of them, but nobody is in a group by the login with"),
    (
        sessions(longest=604801),
        "jupyterhub_sessions.longest: found 604801 seconds. Set at most 604800: a server's Dask",
    ),
    (sessions(longest=0), "jupyterhub_sessions.longest: found 0 seconds. Set at most 604800"),
    (sessions(idle=899), "jupyterhub_sessions.idle: found 899 seconds. Set at least 900: servers say every five"),
    (sessions(idle=0), "jupyterhub_sessions.idle: found 0 seconds. Set at least 900"),
    (sessions(longest=3600), "jupyterhub_sessions.idle: found 86400 seconds, more than the 3600 of longest. Set it"),
    (sessions(named_servers=-1), "jupyterhub_sessions.named_servers: found -1. Set how many a user may have, 0 for"),
    (shared("x"), "jupyterhub_shared[0]: found 'x'. Write name, and one of claim, nfs and storage_class."),
    (shared({**SPACE, "name": "My_space"}), "jupyterhub_shared[0].name: found 'My_space'. Set up to 40 of a-z"),
    (shared({**SPACE, "name": 7}), "jupyterhub_shared[0].name: found 7. Set up to 40 of a-z"),
    (shared({"name": "x"}), "jupyterhub_shared[0]: found none of claim, nfs and storage_class. Set one of them"),
    (
        shared({**SPACE, "nfs": {"server": "s", "path": "/"}}),
        "jupyterhub_shared[0]: found claim and nfs. Set one of them",
    ),
    (shared(SPACE, SPACE), "jupyterhub_shared: found the name higgs twice. Let the names differ"),
    (shared({**SPACE, "groups": "cms"}), "jupyterhub_shared[0].groups: found 'cms'. Set a list of groups"),
    (shared({**SPACE, "size": "1Gi"}), "jupyterhub_shared[0].size: found '1Gi'. Remove it: known are name, groups"),
    (shared({**SPACE, "capacity": "1Gi"}), "jupyterhub_shared[0].capacity: found '1Gi'. Remove it: what others have"),
    (shared({"name": "x", "nfs": {"server": "s"}}), "jupyterhub_shared[0].nfs: found {'server': 's'}. Set server, and"),
    (
        shared({"name": "x", "nfs": {"server": "s", "path": "p"}}),
        "jupyterhub_shared[0].nfs: found {'server': 's', 'path'",
    ),
    (shared({"name": "x", "storage_class": "files"}), "jupyterhub_shared[0].capacity: found None. Set a size with its"),
    (
        shared({"name": "x", "storage_class": "local-path", "capacity": "1Gi"}),
        "jupyterhub_shared[0].storage_class: found local-path, whose volumes are directories of one node each. Servers on",
    ),
    (
        shared({"name": "x", "storage_class": "rook-block", "capacity": "1Gi"}),
        "jupyterhub_shared[0].storage_class: found rook-block, which is of a pool of kind block. Servers on several",
    ),
    (no_client_secret, "jupyterhub_login: found no /s/hub-login-client-secret. Put there what the provider gave"),
    (on("m1", htcondor_token_lifetime=0), "htcondor_token_lifetime: found 0. Set a positive number of seconds."),
    (
        on("e1", htcondor_daemon_token_days=401),
        "htcondor_daemon_token_days: found 401. Set a positive number of days, at",
    ),
    (
        on("e1", htcondor_daemon_token_days=0),
        "htcondor_daemon_token_days: found 0. Set a positive number of days, at most",
    ),
    (on("x1", xcache_origin_token_days=-1), "xcache_origin_token_days: found -1. Set a positive number of days."),
    (
        on("c1", jupyterhub_credential_lifetime=86400),
        "jupyterhub_credential_lifetime: found 86400 seconds, but no token outlasts the 43200 of htcondor_token_lifetim",
    ),
    (on("c1", jupyterhub_signing_key="cmsaf-hub"), "jupyterhub_signing_key: found 'cmsaf-hub'. Set the whole path"),
    (everywhere(xcache_xrootd_version="5.8.1"), "xcache_xrootd_version: found '5.8.1', below 6.2.0. Set xrootd 6.2.0"),
    (everywhere(xcache_image="r.test/xrootd:v5.9.6-1"), "xcache_image: found 'r.test/xrootd:v5.9.6-1', below 6.2.0"),
    (everywhere(xcache_image="r.test:5000/xrootd"), "xcache_image: found 'r.test:5000/xrootd', which can change at an"),
    (everywhere(xcache_image="r.test/x:latest"), "xcache_image: found 'r.test/x:latest', which can change at any time"),
]

GOOD = [
    everywhere(),
    group("kube_control_plane", "c1", "x1", "e1"),
    on("w1", ansible_host="w1.af.test"),
    on("w1", unrelated="x", my_facility_name="x", facilities="x", mode_image="x"),
    everywhere(facility_checksums="upstream", mirror_mode="upstream"),
    on("x1", facility_checksums="built", mirror_mode="upstream"),
    from_upstream,
    everywhere(facility_users_domain="cern.ch"),
    everywhere(facility_registry="registry.test:5000"),
    everywhere(mirror_checksums={"a": f"sha256:{SUM}"}),
    everywhere(xcache_xrootd_version="6.10.0"),
    everywhere(htcondor_token_port=9700, jupyterhub_token_service="https://m1:9700"),
    everywhere(jupyterhub_login=LOGIN),
    everywhere(jupyterhub_login={**LOGIN, "allowed_groups": []}, facility_admins=["boss"]),
    everywhere(jupyterhub_login={"kind": "values"}),
    profile(USUAL, LARGE),
    profile({"name": "Coffea"}, {"name": "Minimal", "memory": "4G", "default": True}, USUAL),
    profile({**USUAL, "image": "r.test/ml:1.0", "gpu": {"nvidia.com/mig-1g.5gb": 2}, "default": True}, LARGE),
    everywhere(jupyterhub_login=LOGIN, jupyterhub_profiles=[LARGE]),
    shared(SPACE, {"name": "a", "nfs": {"server": "nfs.af.test", "path": "/export/a"}}),
    shared({"name": "b-2", "storage_class": "rook-files", "capacity": "1.5Ti"}),
    sessions(named_servers=0, idle=900, longest=900),
    # A pool that others run has its own rules.
    on("c1", jupyterhub_token_service="https://tokens.pool.example.org:443", jupyterhub_credential_lifetime=86400),
    on("c1", jupyterhub_signing_key="/etc/condor/passwords.d/hub", jupyterhub_credential_lifetime=86400),
    everywhere(htcondor_token_lifetime=86400, jupyterhub_credential_lifetime=86400),
    issuer(),
    issuer(base_paths=["/store", "/store/user"], restricted_paths=["/store/user"], audiences=["https://a.test", "b"]),
    everywhere(xcache_issuers=[ISSUER, {**ISSUER, "name": "other", "url": "https://other.test:9443/a"}]),
    everywhere(xcache_https_port=8443),
    everywhere(xcache_metrics_port=9932),
    *[on("w1", xcache_ram=ram) for ram in ("1g", "1536M", "256g", "1073741824")],
    beside_cache(),
    REDIRECTED,
    changes(REDIRECTED, on("g1", ansible_host="g1.af.test")),
    origin(PUBLIC, paths=["/store"]),
    origin(PUBLIC, url="root://xrootd.example.org:1094", paths=["/store/mc", "/store/data"]),
    origin(FEDERATION),
    origin(
        {key: value for key, value in FEDERATION.items() if key != "certificates"}, url="https://se.example.org:443"
    ),
    origin(STORAGE),
    origin(STORAGE, url="https://se.example.org:443"),
    origin(STORAGE, certificates="/etc/grid-security/certificates"),
    origins(OWN, FEDERATION, STORAGE, {**PUBLIC, "paths": ["/store/osdf"]}),
    origin(STORAGE, paths=["/store/group/exampledata"]),
    changes(origins(OWN, PUBLIC), everywhere(jupyterhub_xcache={"path": "/"})),
    changes(origins(OWN, PUBLIC), everywhere(jupyterhub_xcache={"sitename": ""})),
    changes(group("xcache"), group("origin"), everywhere(jupyterhub_xcache={"host": "xcache.example.org"})),
    everywhere(xcache_metrics_scrapers=["10.1.0.5", "10.2.0.0/16", "fd00::/8"]),
    everywhere(xcache_image="r.test:5000/xrootd:v6.2.0"),
    everywhere(xcache_image=f"r.test/xrootd@sha256:{SUM}"),
    everywhere(xcache_image="r.test/cmsaf/xrootd:0.1.0"),
]


@pytest.mark.parametrize(("change", "start"), BAD, ids=[start[:60] for _, start in BAD])
def test_mistake_is_named(site: Site, change: Callable[[Site], None], start: str) -> None:
    change(site)
    texts = [str(problem) for problem in problems(site)]
    assert any(text.startswith(start) for text in texts), texts
    # A mistake does not hide behind others that follow from it.
    assert len(texts) <= 2, texts


@pytest.mark.parametrize("change", GOOD)
def test_good_inventory_passes(site: Site, change: Callable[[Site], None]) -> None:
    change(site)
    assert [str(problem) for problem in problems(site)] == []


def test_all_mistakes_are_in_one_list(site: Site) -> None:
    everywhere(facility_domain="af", facility_pod_network="x/1")(site)
    group("gateway")(site)
    site.minimum_execute = 2
    names = [problem.variable for problem in problems(site)]
    assert names == ["group gateway", "group condor_execute", "facility_domain", "facility_pod_network"]


@pytest.mark.parametrize("names", [None, ["hub.af.test", "*.hub.af.test"], ["*.af.test", "*.hub.af.test"]])
def test_a_site_with_a_name_for_each_user(site: Site, names: list[str] | None) -> None:
    subdomains()(site)
    site.certificate_names = names
    assert problems(site) == []


def test_what_a_name_for_each_user_needs_is_not_asked_of_others(site: Site) -> None:
    everywhere(facility_api_name="api.hub.af.test")(site)
    site.certificate_names = ["hub.af.test"]
    assert problems(site) == []


def test_value_that_cannot_be_evaluated(site: Site) -> None:
    site.errors = {"w1": {"facility_registry": "'nope' is undefined"}}
    assert [str(problem) for problem in problems(site)] == [
        "facility_registry: found on w1 a value that cannot be used ('nope' is undefined). Set a valid value."
    ]


def test_required_value_that_cannot_be_evaluated_is_not_called_missing(site: Site) -> None:
    for host, values in site.values.items():
        del values["facility_name"]
        site.errors[host]["facility_name"] = "'nope' is undefined"
    assert [str(problem) for problem in problems(site)] == [
        "facility_name: found on c1, e1, g1 and 3 more a value that cannot be used ('nope' is undefined). "
        "Set a valid value."
    ]


def test_variables_of_others_are_no_mistake(site: Site) -> None:
    on("w1", mirror_brain_url="x", mirror_brain_port=80, xcache_flux=1)(site)
    site.foreign = ["mirror_brain_*"]
    assert [problem.variable for problem in problems(site)] == ["xcache_flux"]


def test_group_of_nearly_that_name_is_pointed_out(site: Site) -> None:
    site.groups["kube_workers"] = site.groups.pop("kube_worker")
    assert "(there is a group kube_workers)" in str(problems(site)[0])


def test_empty_inventory_names_every_group() -> None:
    found = problems(Site(groups={}, values={}))
    assert len(found) == 8
    assert all(problem.variable.startswith("group ") for problem in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("6.2.0", (6, 2, 0)), ("v5.8.1-1", (5, 8, 1)), ("2026.8", (2026, 8)), ("6", None), ("main", None), ("", None)],
)
def test_version(text: str, expected: tuple[int, ...] | None) -> None:
    assert version(text) == expected


def test_floor_is_that_of_the_cache_role() -> None:
    variables = yaml.safe_load((ROOT / "roles" / "xcache" / "vars" / "main.yml").read_text(encoding="utf-8"))
    assert variables["_xcache_version_floor"] == FLOORS["xrootd"][0] == FLOORS["xcache"][0]


@pytest.mark.parametrize("locked", ["analysis/requirements/minimal.txt", "hub/requirements.txt"])
def test_own_images_hold_to_the_floors(locked: str) -> None:
    text = (ROOT / "images" / locked).read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.M)
    floored = {name: found for name, found in pins if name in FLOORS}
    assert floored, "no package of this image has a floor: the lock file is read wrongly"
    for name, found in floored.items():
        assert (version(found) or ()) >= (version(FLOORS[name][0]) or ()), f"{name} {found}"


def test_the_facility_s_own_servers_are_those_of_the_role() -> None:
    role = ROOT / "roles" / "jupyterhub"
    own = yaml.safe_load((role / "vars" / "main.yml").read_text(encoding="utf-8"))["_jupyterhub_own_profiles"]
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8"))["jupyterhub_profiles"]
    assert tuple(own) == tuple(one["name"] for one in defaults) == OWN_SERVERS
    assert all(set(NEEDED) <= set(known) for known in own.values())


def test_floors_are_versions() -> None:
    assert all(version(floor) for floor, _ in FLOORS.values())


def test_all_mistakes_of_an_issuer_are_in_one_list(site: Site) -> None:
    wrong = {"name": "a", "url": "http://a.test", "audiences": ["x"], "base_paths": ["store"]}
    everywhere(xcache_issuers=[wrong, {**wrong, "base_paths": []}])(site)
    names = [problem.variable for problem in problems(site)]
    of_one = [f"xcache_issuers[{n}].{key}" for n in (0, 1) for key in ("url", "base_paths")]
    assert names == [*of_one, "xcache_issuers", "xcache_issuers"]


def test_all_mistakes_of_profiles_are_in_one_list(site: Site) -> None:
    nameless = {"description": "x", "cpu": "two", "memory": "8Gi", "colour": "red"}
    everywhere(jupyterhub_profiles=[nameless, USUAL, {**USUAL, "default": True}, {**LARGE, "default": True}])(site)
    sessions(idle=0, longest=0)(site)
    names = [problem.variable for problem in problems(site)]
    first = [f"jupyterhub_profiles[0].{key}" for key in ("name", "colour", "cpu", "memory")]
    last = [f"jupyterhub_sessions.{key}" for key in ("longest", "idle")]
    assert names == [*first, "jupyterhub_profiles", "jupyterhub_profiles", *last]
