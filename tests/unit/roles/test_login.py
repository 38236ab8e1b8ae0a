# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site may leave out of jupyterhub_login, and what is made of the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "jupyterhub"
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
VARS = yaml.safe_load((ROLE / "vars/main.yml").read_text())
SITE = {
    "facility_name": "af",
    "facility_hub_name": "hub.af.test",
    "facility_admins": ["boss"],
}


def test_everything_that_is_specified_has_a_default_and_nothing_else() -> None:
    login = OPTIONS["jupyterhub_login"]["options"]
    defaults = VARS["_jupyterhub_login_defaults"]
    assert set(login) - {"kind"} == set(defaults)
    assert set(login["page"]["options"]) == set(defaults["page"])


@pytest.mark.parametrize("kind", ["cilogon", "oidc"])
def test_what_a_site_leaves_out_is_filled_in(tmp_path: Path, kind: str) -> None:
    login = {"kind": kind, "client_id": "hub", "allowed_groups": ["cms"], "page": {"contact": "admins@af.test"}}
    own = {name: value for name, value in VARS.items() if "login" in name or name == "_jupyterhub_keys_path"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {**SITE, **own, "jupyterhub_login": login, "ansible_python_interpreter": sys.executable},
        "tasks": [
            {
                "ansible.builtin.copy": {
                    "content": "{{ _jupyterhub_login_values | to_json }}",
                    "dest": str(tmp_path / "values.json"),
                    "mode": "0600",
                }
            }
        ],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        str(tmp_path / "play.yml"),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    values: dict[str, Any] = json.loads((tmp_path / "values.json").read_text())
    assert values["clientSecretFile"] == "/etc/cmsaf-hub/login-client-secret"
    assert values["homeUrl"] == "https://hub.af.test/"
    assert (values["admins"], values["allowedGroups"], values["everybody"]) == (["boss"], ["cms"], False)
    assert (values["session"], values["refreshEvery"]) == (43200, 900)
    assert values["page"]["title"] == "af" and values["page"]["contact"] == "admins@af.test"
    assert values["page"]["service"] == {"cilogon": "CILogon", "oidc": "your institute"}[kind]
