# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that rotates secrets: what it refuses, before it has touched a host."""

from __future__ import annotations

import copy
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.cmsaf.facility.plugins.module_utils import _scitoken

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


@pytest.fixture
def issuer(tmp_path: Path) -> Callable[..., str]:
    """An issuer on this machine, whom no cache knows; replaces its key, and gives what was said."""
    key, published = tmp_path / "key.pem", tmp_path / "jwks"
    key.write_bytes(_scitoken.generate_key())
    key.chmod(0o600)
    published.write_bytes(_scitoken.published([public(key)]))
    inventory = tmp_path / "issuer.yml"
    told = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "rotate_issuer_overlap": 3}
    told |= {"rotate_issuer_key": str(key), "rotate_issuer_jwks": str(published)}
    names = {name: value for name, value in INVENTORY["all"]["vars"].items() if name.startswith("facility_")}
    group = {"hosts": {"one.af.test": None}}
    inventory.write_text(yaml.safe_dump({"all": {"vars": {**names, **told}, "children": {"issuer": group}}}))

    def rotate(*arguments: str) -> str:
        command = ["ansible-playbook", "-i", inventory, PLAYBOOK, "-e", "rotate=issuer_key", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return rotate


def public(key: Path) -> dict[str, Any]:
    return _scitoken.public_jwk(_scitoken.load_key(key.read_bytes()))


def known(here: Path) -> list[dict[str, Any]]:
    return _scitoken.read_key_set((here / "jwks").read_bytes())


def test_an_issuers_key_is_replaced(issuer: Callable[..., str], tmp_path: Path) -> None:
    before = public(tmp_path / "key.pem")
    said = issuer()
    after = public(tmp_path / "key.pem")
    assert after != before and known(tmp_path) == [after]
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert not (tmp_path / "key.pem.next").exists()
    steps = [
        "Publish a new key beside",
        "Put the new key in",
        "Say in the key set when",
        "Pausing for",
        "Take the old key",
    ]
    assert sorted(steps, key=said.index) == steps


def test_a_key_that_was_published_is_the_one_that_comes(issuer: Callable[..., str], tmp_path: Path) -> None:
    """A run that was cut off before the new key signed."""
    coming = tmp_path / "key.pem.next"
    coming.write_bytes(_scitoken.generate_key())
    wanted = public(coming)
    (tmp_path / "jwks").write_bytes(_scitoken.published([public(tmp_path / "key.pem"), wanted]))
    issuer()
    assert public(tmp_path / "key.pem") == wanted and known(tmp_path) == [wanted]


def test_an_old_key_that_is_still_good_is_waited_for(issuer: Callable[..., str], tmp_path: Path) -> None:
    """A run that was cut off when the new key had begun to sign, whether the key set says so yet or not."""
    kept, retired = public(tmp_path / "key.pem"), _scitoken.public_jwk(_scitoken.load_key(_scitoken.generate_key()))
    (tmp_path / "jwks").write_bytes(_scitoken.published([retired, kept]))
    said = issuer()
    assert public(tmp_path / "key.pem") == kept and known(tmp_path) == [kept]
    assert "Pausing for" in said and "Publish a new key" not in said


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
        **dict.fromkeys(("mirror", "gateway", "token-service", "origin", "xcache", "xcache-redirector"), usual),
        "hub-client": int(hub),
    }
