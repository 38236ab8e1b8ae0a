# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes of the container beside the server, as its templates are rendered."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cache"))
from rendered import read, render

ROOT = Path(__file__).resolve().parents[3]
DISKS = ["/disks/one", "/disks/two"]
SCRAPERS = ["192.0.2.80", "198.51.100.0/24"]
SITE = {
    "facility_name": "af",
    "facility_domain": "af.test",
    "facility_registry": "mirror.af.test",
    "facility_version": "1.0.0",
    "xcache_disks": DISKS,
}
HOSTS = {"w1.af.test": "192.0.2.1", "w2.af.test": "192.0.2.2", "w3.af.test": "192.0.2.3"}
GROUPS = {"xcache": ["w1.af.test", "w2.af.test"], "xcache_redirector": ["w1.af.test", "w3.af.test"]}
# The site's own storage before the federation, which has to be asked by a proxy certificate, and public data by https.
ORIGINS = [
    {
        "name": "storage",
        "url": "roots://se.example.org:1094",
        "paths": ["/store", "/local"],
        "authentication": "token",
        "credential": "/etc/grid/tokens/cache",
    },
    {
        "name": "federation",
        "url": "root://xrootd.example.org:1094",
        "paths": ["/store"],
        "authentication": "x509",
        "credential": "/etc/grid/proxy",
        "certificates": "/etc/grid/certificates",
    },
    {"name": "osdf", "url": "https://osdf.example.org:8443", "paths": ["/ospool"], "authentication": "none"},
    {
        "name": "facility",
        "url": "roots://origin.af.test:2094",
        "paths": ["/store"],
        "authentication": "macaroon",
    },
]
ALONE = {"_xcache_redirectors": []}
# In MiB; the last is no cache.
MEMORY = {"w1.af.test": 131072, "w2.af.test": 65536, "w3.af.test": 4096}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Of each kind the pod, its containers, and the files of its configuration."""
    here = tmp_path_factory.mktemp("rendered")
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "cache": ("main.yml", ALONE),
        "origin": ("origin.yml", ALONE),
        "scraped": ("main.yml", {**ALONE, "xcache_metrics_scrapers": SCRAPERS}),
        "many": ("main.yml", {"facility_origins": ORIGINS}),
        "redirector": ("redirector.yml", {"facility_origins": ORIGINS}),
        "few": ("main.yml", {}),
        "fixed": ("main.yml", {"facility_origins": ORIGINS, "xcache_ram": "3g"}),
        "front": ("redirector.yml", {}),
    }
    render(here, kinds, SITE, HOSTS, GROUPS, MEMORY)
    found = {}
    for kind in kinds:
        one = read(here, kind)
        found[kind] = {
            "pod": one.pod,
            "containers": one.containers,
            "container": one.containers["metrics"],
            "server": one.containers["xrootd"],
            "files": one.files,
            "config": one.files["xrootd.cfg"],
        }
    return found


def environment(container: dict[str, Any]) -> dict[str, str]:
    """What a container's variables are set to, those apart that Kubernetes knows."""
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def mounted(found: dict[str, Any], container: str) -> dict[str, str]:
    """Places in a container, and the node's folder or file that is seen there."""
    volumes = {one["name"]: one["hostPath"]["path"] for one in found["pod"]["volumes"] if "hostPath" in one}
    mounts = found["containers"][container].get("volumeMounts", ())
    return {mount["mountPath"]: volumes[mount["name"]] for mount in mounts if mount["name"] in volumes}


def lines(text: str, directive: str) -> list[str]:
    """What follows a directive, in the order of the file."""
    return re.findall(rf"(?m)^{re.escape(directive)} (.*)$", text)


def options(container: dict[str, Any], name: str) -> list[str]:
    return [argument.partition("=")[2] for argument in container["command"] if argument.startswith(f"--{name}=")]


@pytest.mark.parametrize(("kind", "port", "streams"), [("cache", "9931", 2), ("origin", "9932", 1)])
def test_the_server_sends_to_where_its_packets_are_taken(
    rendered: dict[str, dict[str, Any]], kind: str, port: str, streams: int
) -> None:
    sent = re.findall(r"(?m)^(?:xrd\.report|xrootd\.mongstream) .*?(\S+):(\d+)", rendered[kind]["config"])
    assert sent == [("127.0.0.1", port)] * streams
    assert options(rendered[kind]["container"], "port") == [port]


def test_the_disks_are_seen_under_the_sites_names_and_cannot_be_written(rendered: dict[str, dict[str, Any]]) -> None:
    cache, origin = rendered["cache"]["container"], rendered["origin"]["container"]
    assert options(cache, "disk") == ["/cache/0=/disks/one", "/cache/1=/disks/two"]
    assert options(origin, "disk") == ["/data=/var/lib/cmsaf-origin"]
    for container in (cache, origin):
        mounts = {mount["mountPath"]: mount["readOnly"] for mount in container["volumeMounts"]}
        assert mounts == {text.partition("=")[0]: True for text in options(container, "disk")}


def test_marks_are_those_of_the_cache_alone(rendered: dict[str, dict[str, Any]]) -> None:
    cache = rendered["cache"]
    (marks,) = re.findall(r"(?m)^pfc\.diskusage (\S+) (\S+)", cache["config"])
    found = [float(options(cache["container"], name)[0]) for name in ("low-mark", "high-mark")]
    assert found == [float(mark) for mark in marks]
    assert "--cache" in cache["container"]["command"]
    assert not [text for text in rendered["origin"]["container"]["command"] if "mark" in text or text == "--cache"]


@pytest.mark.parametrize(
    ("kind", "servers", "ram", "asked"),
    [
        ("cache", 1, "4096m", "4608Mi"),
        # A quarter for each of four origins.
        ("many", 4, "1024m", "1536Mi"),
        ("fixed", 4, "3g", "3584Mi"),
        ("origin", 1, None, "256Mi"),
        ("redirector", 5, None, "256Mi"),
    ],
)
def test_memory_is_a_share_of_the_smallest_caches(
    rendered: dict[str, dict[str, Any]], kind: str, servers: int, ram: str | None, asked: str
) -> None:
    """The cluster's scheduler counts with what the servers may take."""
    found = rendered[kind]
    told = [lines(text, "pfc.ram") for name, text in found["files"].items() if name.startswith("xrootd")]
    assert told == [[ram] if ram else []] * servers
    resources = [one["resources"] for name, one in found["containers"].items() if name.startswith("xrootd")]
    assert resources == [{"requests": {"cpu": "100m", "memory": asked}}] * servers


@pytest.mark.parametrize(
    ("smallest", "ram"), [(2048, "1024m"), (16384, "1024m"), (24576, "1536m"), (262144, "16384m"), (1048576, "16384m")]
)
def test_memory_has_a_floor_and_a_cap(tmp_path: Path, smallest: int, ram: str) -> None:
    memory = {"w1.af.test": smallest, "w2.af.test": 2 * smallest}
    render(tmp_path, {"cache": ("main.yml", ALONE)}, SITE, HOSTS, GROUPS, memory)
    assert lines(read(tmp_path, "cache").files["xrootd.cfg"], "pfc.ram") == [ram]


def test_nobody_scrapes_who_is_not_named(rendered: dict[str, dict[str, Any]]) -> None:
    assert options(rendered["cache"]["container"], "scraper") == []
    container = rendered["scraped"]["container"]
    assert options(container, "scraper") == SCRAPERS
    address = {"name": "CMSAF_HOST_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    assert container["env"] == [address]


def test_the_containers_have_no_rights(rendered: dict[str, dict[str, Any]]) -> None:
    for kind in rendered:
        for container in rendered[kind]["containers"].values():
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_program_takes_what_the_role_gives_it(rendered: dict[str, dict[str, Any]]) -> None:
    for kind in rendered:
        command = rendered[kind]["container"]["command"]
        assert command[:5] == ["tini", "--", "python3", "-m", "cmsaf_metrics"]
        # --help ends the program once all before it is understood.
        done = subprocess.run(
            [sys.executable, "-m", "cmsaf_metrics", *command[5:], "--help"],
            env={"PYTHONPATH": str(ROOT / "images" / "xrootd")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_an_origin_that_was_lost_is_asked_again_within_seconds_and_for_minutes(
    rendered: dict[str, dict[str, Any]],
) -> None:
    found = environment(rendered["cache"]["server"])
    # The API server takes nothing else.
    assert all(isinstance(value, str) for value in found.values())
    window, attempts, gave_up = (
        int(found[f"XRD_{name}"]) for name in ("CONNECTIONWINDOW", "CONNECTIONRETRY", "STREAMERRORWINDOW")
    )
    assert window <= 10 and gave_up <= 10 and window * attempts >= 300
    assert not [one for one in rendered["origin"]["server"]["env"] if one["name"].startswith("XRD_")]


def test_what_comes_from_the_disk_is_checked(rendered: dict[str, dict[str, Any]]) -> None:
    (checks,) = re.findall(r"(?m)^pfc\.cschk (.*)", rendered["cache"]["config"])
    assert checks.split() == ["nonet", "cache"], "its origin is asked by TLS"


def test_a_cache_alone_is_where_users_look_for_it(rendered: dict[str, dict[str, Any]]) -> None:
    cache = rendered["cache"]
    assert sorted(cache["files"]) == ["authdb", "xrootd.cfg"]
    assert lines(cache["config"], "xrd.port") == ["1094"]
    assert lines(cache["config"], "pss.origin") == ["roots://origin.af.test:1094"]
    assert lines(cache["config"], "all.export") == ["/store r/o"]
    assert lines(cache["config"], "oss.localroot") == ["/cache/0/facility/namespace"]
    assert "all.role" not in cache["config"] and "CMSD_CONFIG" not in environment(cache["server"])
    assert lines(rendered["origin"]["config"], "xrd.port") == ["1094"]
    assert lines(rendered["origin"]["config"], "all.export") == ["/store"]


def test_each_origin_has_a_server_with_ports_and_folders_of_its_own(rendered: dict[str, dict[str, Any]]) -> None:
    many = rendered["many"]
    assert list(many["containers"]) == [
        *("xrootd", "metrics", "xrootd-federation", "metrics-federation"),
        *("xrootd-osdf", "metrics-osdf", "xrootd-facility", "metrics-facility"),
    ]
    for number, origin in enumerate(ORIGINS):
        suffix = f"-{origin['name']}" if number else ""
        config, server = many["files"][f"xrootd{suffix}.cfg"], many["containers"][f"xrootd{suffix}"]
        assert lines(config, "pss.origin") == [origin["url"]]
        assert lines(config, "all.export") == [f"{path} r/o" for path in origin["paths"]]
        places = [*lines(config, "oss.localroot"), *lines(config, "oss.space")]
        assert all(f"/cache/0/{origin['name']}/" in place or f"/cache/1/{origin['name']}/" in place for place in places)
        port, metrics = str(1095 + 2 * number), str(9931 + 2 * number)
        assert lines(config, "xrd.port") == [port]
        assert server["ports"][0]["hostPort"] == int(port)
        assert server["livenessProbe"]["exec"]["command"] == ["cmsaf-xrootd-probe", port]
        assert re.findall(r"127\.0\.0\.1:(\d+)", config) == [metrics] * 2
        assert options(many["containers"][f"metrics{suffix}"], "port") == [metrics]
        assert environment(server)["XROOTD_CONFIG"].endswith(f"/xrootd{suffix}.cfg")
        assert environment(server)["CMSD_CONFIG"].endswith(f"/cmsd{suffix}.cfg")
    spools = [
        mount["name"]
        for one in many["containers"].values()
        for mount in one["volumeMounts"]
        if "spool" in mount["name"]
    ]
    assert len(set(spools)) == len(ORIGINS)


def test_each_server_shows_its_own_credential_and_sees_no_other(rendered: dict[str, dict[str, Any]]) -> None:
    many = rendered["many"]
    names = ("BEARER_TOKEN_FILE", "X509_USER_PROXY", "CMSAF_WATCHED_TOKEN", "X509_CERT_FILE", "X509_CERT_DIR")
    shown = {
        container: {name: value for name, value in environment(one).items() if name in names}
        for container, one in many["containers"].items()
        if container.startswith("xrootd")
    }
    outside, place = "/etc/ssl/certs/ca-certificates.crt", "/etc/xrootd/origin"
    assert shown == {
        "xrootd": {
            "BEARER_TOKEN_FILE": f"{place}/cache",
            "CMSAF_WATCHED_TOKEN": f"{place}/cache",
            "X509_CERT_FILE": outside,
        },
        "xrootd-federation": {"X509_USER_PROXY": f"{place}/proxy", "X509_CERT_DIR": "/etc/grid-security/certificates"},
        "xrootd-osdf": {"X509_CERT_FILE": outside},
        "xrootd-facility": {"BEARER_TOKEN_FILE": f"{place}/token", "X509_CERT_FILE": "/etc/xrootd/tls/ca.crt"},
    }
    secrets = {"/etc/xrootd/secrets": "/etc/cmsaf/xcache", "/etc/xrootd/tls": "/etc/cmsaf/tls/xcache", outside: outside}
    disks = {"/cache/0": "/disks/one", "/cache/1": "/disks/two"}
    assert mounted(many, "xrootd") == {**secrets, **disks, place: "/etc/grid/tokens"}
    assert mounted(many, "xrootd-federation") == {
        **secrets,
        **disks,
        place: "/etc/grid",
        "/etc/grid-security/certificates": "/etc/grid/certificates",
    }
    assert mounted(many, "xrootd-osdf") == {**secrets, **disks}
    assert mounted(many, "xrootd-facility") == {**secrets, **disks, place: "/etc/cmsaf/xcache-origin"}
    # Nobody needs what the node trusts where the only origin is the facility's own.
    assert outside not in mounted(rendered["cache"], "xrootd")


def test_origins_of_one_path_are_asked_in_their_order(rendered: dict[str, dict[str, Any]]) -> None:
    """Each sends readers to the next one's redirectors for what it does not have."""
    sent = {name: lines(text, "xrootd.redirect") for name, text in rendered["many"]["files"].items()}
    assert {name: found for name, found in sent.items() if found} == {
        "xrootd.cfg": ["xcache.af.test:1098 ? /store"],
        "xrootd-federation.cfg": ["xcache.af.test:1102 ? /store"],
    }
    doors = rendered["redirector"]["files"]
    assert {name: lines(text, "xrootd.redirect") for name, text in doors.items() if "xrootd.redirect" in text} == {
        "xrootd.cfg": ["xcache.af.test:1096 ? /store", "xcache.af.test:1096 ? /local", "xcache.af.test:1100 ? /ospool"]
    }
    behind = {name: lines(text, "xrd.port") for name, text in doors.items() if "xrd.port" in text}
    assert behind == {
        "xrootd.cfg": ["1094"],
        "xrootd-storage.cfg": ["1096"],
        "xrootd-federation.cfg": ["1098"],
        "xrootd-osdf.cfg": ["1100"],
        "xrootd-facility.cfg": ["1102"],
    }
    # What sends on has nothing of its own, and is in no cluster.
    assert lines(doors["xrootd.cfg"], "oss.localroot") == ["/tmp"] and "all.role" not in doors["xrootd.cfg"]


@pytest.mark.parametrize(("caches", "redirectors"), [("few", "front"), ("many", "redirector")])
def test_caches_and_redirectors_of_an_origin_know_each_other_and_nobody_else(
    rendered: dict[str, dict[str, Any]], caches: str, redirectors: str
) -> None:
    names = [origin["name"] for origin in ORIGINS] if caches == "many" else ["facility"]
    cluster = ["w1.af.test", "w2.af.test", "w3.af.test"]
    for number, name in enumerate(names):
        managers = [f"all {host}:{3121 + number}" for host in GROUPS["xcache_redirector"]]
        for kind, suffix, role in (
            (caches, f"-{name}" if number else "", "server"),
            (redirectors, f"-{name}" if len(names) > 1 else "", "manager"),
        ):
            files = rendered[kind]["files"]
            texts = [files[f"xrootd{suffix}.cfg"], files[f"cmsd{suffix}.cfg"]]
            assert [lines(text, "all.manager") for text in texts] == [managers] * 2
            assert [lines(text, "all.role") for text in texts] == [[role]] * 2
            allowed = [f"host {host}" for host in cluster] if role == "manager" else []
            assert lines(texts[1], "cms.allow") == allowed
    # By names that their certificates have, whatever the site's DNS makes of addresses.
    pod = rendered[redirectors]["pod"]
    assert pod["hostAliases"] == [{"ip": HOSTS[host], "hostnames": [host]} for host in cluster]
    assert lines(rendered["front"]["files"]["cmsd.cfg"], "xrd.network") == ["rpipa"]


def test_one_origin_needs_nothing_in_front_of_its_redirectors(rendered: dict[str, dict[str, Any]]) -> None:
    front, many = rendered["front"], rendered["redirector"]
    assert list(front["containers"]) == ["xrootd", "metrics"]
    assert lines(front["config"], "xrd.port") == ["1094"] and front["server"]["ports"][0]["hostPort"] == 1094
    assert options(front["container"], "port") == options(many["container"], "port") == ["9930"]
    assert lines(many["config"], "all.export") == [f"{path} r/o" for path in ("/store", "/local", "/ospool")]
    # A cache and a redirector may be on one node.
    both = [many, rendered["many"]]
    taken = [one["ports"][0]["hostPort"] for kind in both for one in kind["containers"].values() if "ports" in one]
    taken += [int(options(one, "port")[0]) for kind in both for one in kind["containers"].values() if "command" in one]
    assert len(set(taken)) == len(taken)


def test_redirectors_take_the_caches_tokens_and_hold_nothing_else(rendered: dict[str, dict[str, Any]]) -> None:
    redirector, cache = rendered["redirector"], rendered["many"]
    for directive in (
        "all.sitename",
        "macaroons.secretkey",
        "sec.protocol",
        "sec.protbind",
        "ofs.authlib",
        "xrootd.tls",
    ):
        assert lines(redirector["config"], directive) == lines(cache["config"], directive) != []
    for name in redirector["containers"]:
        assert mounted(redirector, name) == (
            {"/etc/xrootd/secrets": "/etc/cmsaf/xcache", "/etc/xrootd/tls": "/etc/cmsaf/tls/xcache-redirector"}
            if name.startswith("xrootd")
            else {}
        )
