# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that rotates secrets: what it refuses, before it has touched a host."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "rotate"
VARS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
PLAYBOOK = ROOT / "playbooks" / "rotate_secrets.yml"
# Nobody listens there, so whoever tries to reach a host fails in another way.
INVENTORY: dict[str, Any] = {
    "all": {
        "vars": {
            "facility_name": "try",
            "facility_domain": "af.test",
            "facility_host_network": "10.0.0.0/24",
            "ansible_host": "127.0.0.1",
            "ansible_port": 1,
            "rotate_issuer_url": "https://tokens.af.test",
            "xcache_issuers": [
                {"name": "ours", "url": "https://tokens.af.test", "audiences": ["https://x.test"], "base_paths": ["/"]}
            ],
        },
        "children": {
            name: {"hosts": {"one.af.test": None}}
            for name in (
                *("condor_manager", "condor_access_point", "condor_execute", "gateway", "kube_control_plane"),
                *("issuer", "mirror", "origin", "xcache"),
            )
        },
    }
}


def run(here: Path, *arguments: str, without: str = "") -> tuple[int, str]:
    inventory = here / "hosts.yml"
    found = copy.deepcopy(INVENTORY)
    found["all"]["children"].pop(without, None)
    inventory.write_text(yaml.safe_dump(found), encoding="utf-8")
    command = ["ansible-playbook", "-i", inventory, PLAYBOOK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("arguments", [(), ("-e", "rotate=passwords"), ("-e", "rotate=refuse"), ("-e", "rotate=")])
def test_a_class_that_is_not_there_is_refused_with_a_list(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code, said = run(tmp_path, *arguments)
    assert code != 0
    assert "no such class" in said and ", ".join(VARS["_rotate_classes"]) in said
    assert "UNREACHABLE" not in said


@pytest.mark.parametrize("name", VARS["_rotate_classes"])
def test_check_mode_is_refused_and_else_hosts_are_asked(name: str, tmp_path: Path) -> None:
    code, said = run(tmp_path, "-e", f"rotate={name}", "--check")
    assert code != 0 and "in check mode" in said and "UNREACHABLE" not in said
    code, said = run(tmp_path, "-e", f"rotate={name}")
    assert code != 0 and "UNREACHABLE" in said


@pytest.mark.parametrize(
    ("without", "arguments", "words"),
    [
        ("issuer", (), "group issuer of the inventory has to have one host, the one that keeps the key; it has 0."),
        (
            "",
            ("-e", "rotate_issuer_url=https://other.af.test"),
            'rotate_issuer_url is "https://other.af.test", and the caches know https://tokens.af.test.',
        ),
        ("", ("-e", '{"xcache_issuers": []}'), "and the caches know no issuer."),
    ],
)
def test_an_issuer_that_is_not_known_is_refused(
    without: str, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    code, said = run(tmp_path, "-e", "rotate=issuer_key", *arguments, without=without)
    assert code != 0 and words in said and "UNREACHABLE" not in said


def test_an_issuer_whom_no_cache_of_ours_knows_can_be_rotated(tmp_path: Path) -> None:
    code, said = run(tmp_path, "-e", "rotate=issuer_key", "-e", "rotate_issuer_url=", without="xcache")
    assert code != 0 and "UNREACHABLE" in said and "Refusing" not in said


@pytest.mark.parametrize("name", VARS["_rotate_classes"])
def test_every_class_has_tasks_hosts_and_words(name: str) -> None:
    assert (ROLE / "tasks" / f"{name}.yml").exists()
    assert re.search(rf"^      {name}: ", PLAYBOOK.read_text(encoding="utf-8"), re.M)
    assert f"| `{name}` |" in (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")
    assert f"V({name})" in (ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8")


def test_every_certificate_has_a_way_to_its_service() -> None:
    names = [certificate["name"] for certificate in VARS["_rotate_certificates"]]
    assert len(set(names)) == len(names)
    for certificate in VARS["_rotate_certificates"]:
        assert (ROLE / "tasks" / f"after_{certificate['after']}.yml").exists()


def test_certificates_last_as_long_as_their_roles_have_them_made() -> None:
    """What a rotation makes is what the next run of the site would make."""
    pki = yaml.safe_load((ROOT / "roles/pki/meta/argument_specs.yml").read_text(encoding="utf-8"))
    usual = pki["argument_specs"]["certificate"]["options"]["pki_lifetime"]["default"]
    client = (ROOT / "roles/jupyterhub/tasks/client.yml").read_text(encoding="utf-8")
    (hub,) = re.findall(r"pki_lifetime: (\d+)", client)
    assert {one["name"]: one["days"] for one in VARS["_rotate_certificates"]} == {
        **dict.fromkeys(("mirror", "gateway", "token-service", "origin", "xcache"), usual),
        "hub-client": int(hub),
    }
