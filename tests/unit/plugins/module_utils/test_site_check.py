# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A good inventory, and a table of what can be wrong with it."""

from __future__ import annotations

import copy
from typing import Any, Callable

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._site_check import FLOORS, Site, problems, version

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
}
KNOWN = frozenset({*FACILITY, *DEFAULTS, "xcache_image", "xcache_xrootd_version", "mirror_checksums"})


@pytest.fixture
def site() -> Site:
    hosts = sorted({host for group in GROUPS.values() for host in group})
    return Site(
        groups=copy.deepcopy(GROUPS),
        values={host: {**FACILITY, "ansible_host": f"10.1.0.{i}"} for i, host in enumerate(hosts, 10)},
        errors={host: {} for host in hosts},
        known=KNOWN,
        required=list(FACILITY),
        defaults=dict(DEFAULTS),
        prefixes=["facility", "xcache", "mirror"],
    )


def everywhere(**variables: Any) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        for values in site.values.values():
            values.update(variables)

    return change


def on(host: str, **variables: Any) -> Callable[[Site], None]:
    return lambda site: site.values[host].update(variables)


def group(name: str, *hosts: str) -> Callable[[Site], None]:
    return lambda site: site.groups.update({name: list(hosts)})


def no_mirror(**variables: Any) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.groups["mirror"] = []
        everywhere(**variables)(site)
        site.probes = {"https://m.test": "Connection refused", "https://mirror.af.test/v2/": ""}

    return change


def without(name: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        for values in site.values.values():
            del values[name]

    return change


BAD = [
    (group("gateway"), "group gateway: found 0 hosts. Put at least 1 into it"),
    (group("authority", "c1", "w1"), "group authority: found 2 hosts. Put exactly 1 into it"),
    (group("condor_execute"), "group condor_execute: found 0 hosts. Put at least 1 into it"),
    (group("kube_control_plane", "c1", "x1"), "group kube_control_plane: found 2 hosts, an even number"),
    (group("kube_worker", "w1", "e1"), "group gateway: found g1, which is not in kube_worker"),
    (group("kube_control_plane", "g1"), "group gateway: found g1, which is in kube_control_plane too"),
    (group("kube_worker", "g1", "w1", "c1"), "group kube_worker: found c1, which is in kube_control_plane too"),
    (group("xcache", "e1"), "group xcache: found e1, which is not in kube_worker"),
    (
        on("w1", facility_hubname="x"),
        "facility_hubname: found a variable that does not exist, on w1. Write facility_hub_n",
    ),
    (
        on("w1", xcache_flux_capacity=2),
        "xcache_flux_capacity: found a variable that does not exist, on w1. Remove it: no role reads it.",
    ),
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
    (no_mirror(facility_checksums="built"), "facility_checksums: found built, but files come from upstream."),
    (everywhere(mirror_checksums={"a": {"b": SUM[:-1]}}), f"mirror_checksums.a.b: found '{SUM[:-1]}'. Set a sha256"),
    (everywhere(mirror_checksums=[SUM.upper()]), f"mirror_checksums[0]: found '{SUM.upper()}'. Set a sha256"),
    (everywhere(xcache_xrootd_version="5.8.1"), "xcache_xrootd_version: found '5.8.1', below 6.2.0. Set xrootd 6.2.0"),
    (everywhere(xcache_image="r.test/xrootd:v5.9.6-1"), "xcache_image: found 'r.test/xrootd:v5.9.6-1', below 6.2.0"),
    (everywhere(xcache_image="r.test:5000/xrootd"), "xcache_image: found 'r.test:5000/xrootd', which can change at an"),
    (everywhere(xcache_image="r.test/x:latest"), "xcache_image: found 'r.test/x:latest', which can change at any time"),
]

GOOD = [
    everywhere(),
    group("kube_control_plane", "c1", "x1", "e1"),
    on("w1", ansible_host="w1.af.test"),
    on("w1", unrelated="x"),
    everywhere(facility_users_domain="cern.ch"),
    everywhere(facility_registry="registry.test:5000"),
    everywhere(mirror_checksums={"a": f"sha256:{SUM}"}),
    everywhere(xcache_xrootd_version="6.10.0"),
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


def test_value_that_cannot_be_evaluated(site: Site) -> None:
    site.errors = {"w1": {"facility_registry": "'nope' is undefined"}}
    assert [str(problem) for problem in problems(site)] == [
        "facility_registry: found on w1 a value that cannot be used ('nope' is undefined). Set a valid value."
    ]


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


def test_floors_are_versions() -> None:
    assert all(version(floor) for floor, _ in FLOORS.values())
