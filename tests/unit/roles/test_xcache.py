# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes of the container beside the server, as its templates are rendered."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "xcache"
DISKS = ["/disks/one", "/disks/two"]
SCRAPERS = ["192.0.2.80", "198.51.100.0/24"]
SITE = {
    "facility_name": "af",
    "facility_domain": "af.test",
    "facility_registry": "mirror.af.test",
    "facility_version": "1.0.0",
    "xcache_disks": DISKS,
    "__xcache_image": {"reference": "mirror.af.test/cmsaf/xrootd@sha256:0"},
}


def service(file: str) -> dict[str, Any]:
    """The variables that an entry point gives to service.yml."""
    tasks = yaml.safe_load((ROLE / "tasks" / file).read_text(encoding="utf-8"))
    (variables,) = [task["vars"] for task in tasks if "_xcache_component" in task.get("vars", {})]
    return {name: value for name, value in variables.items() if name != "_xcache_hosts"}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Configuration and DaemonSet of cache and origin, with and without scrapers."""
    here = tmp_path_factory.mktemp("rendered")
    (here / "templates").symlink_to(ROLE / "templates")
    kinds = {
        "cache": ("main.yml", []),
        "origin": ("origin.yml", []),
        "scraped": ("main.yml", SCRAPERS),
    }
    tasks = [
        {
            "ansible.builtin.template": {"src": template, "dest": str(here / f"{kind}.{end}"), "mode": "0600"},
            "vars": {**service(file), "xcache_metrics_scrapers": scrapers},
        }
        for kind, (file, scrapers) in kinds.items()
        for end, template in (("yml", "daemonset.yml.j2"), ("cfg", service(file)["_xcache_template"]))
    ]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": tasks,
    }
    (here / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", str(here / "play.yml")]
    done = subprocess.run(
        [*command, "-e", yaml.safe_dump(SITE, default_flow_style=True, width=10**6)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for kind in kinds:
        pod = yaml.safe_load((here / f"{kind}.yml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]
        containers = {one["name"]: one for one in pod["containers"]}
        found[kind] = {
            "container": containers["metrics"],
            "server": containers["xrootd"],
            "config": (here / f"{kind}.cfg").read_text(encoding="utf-8"),
        }
    return found


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


def test_nobody_scrapes_who_is_not_named(rendered: dict[str, dict[str, Any]]) -> None:
    assert options(rendered["cache"]["container"], "scraper") == []
    container = rendered["scraped"]["container"]
    assert options(container, "scraper") == SCRAPERS
    address = {"name": "CMSAF_HOST_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    assert container["env"] == [address]


def test_the_container_has_no_rights(rendered: dict[str, dict[str, Any]]) -> None:
    for kind in ("cache", "origin"):
        context = rendered[kind]["container"]["securityContext"]
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
    environment = {one["name"]: one["value"] for one in rendered["cache"]["server"]["env"]}
    # The API server takes nothing else.
    assert all(isinstance(value, str) for value in environment.values())
    window, attempts, gave_up = (
        int(environment[f"XRD_{name}"]) for name in ("CONNECTIONWINDOW", "CONNECTIONRETRY", "STREAMERRORWINDOW")
    )
    assert window <= 10 and gave_up <= 10 and window * attempts >= 300
    assert not [one for one in rendered["origin"]["server"]["env"] if one["name"].startswith("XRD_")]


def test_what_comes_from_the_disk_is_checked(rendered: dict[str, dict[str, Any]]) -> None:
    (checks,) = re.findall(r"(?m)^pfc\.cschk (.*)", rendered["cache"]["config"])
    assert set(checks.split()) == {"cache", "net"}
