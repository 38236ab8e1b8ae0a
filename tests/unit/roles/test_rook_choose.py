# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that shows disks, with this machine as the one host that answers. None of its own disks is chosen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
NAMED = [{"path": "/dev/disk/by-id/wwn-1", "device_class": "hdd"}]
SITE = {"facility_name": "try", "facility_domain": "af.test", "facility_host_network": "10.0.0.0/24"}
ELSEWHERE = [{"path": "/dev/disk/by-id/wwn-2"}]


def site(here: Path, wanted: dict[str, Any]) -> Path:
    """An inventory of two storage hosts, of which one is down."""
    directory = here / "site"
    directory.mkdir()
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "rook_disks": NAMED}
    gone = {"ansible_host": "127.0.0.1", "ansible_port": 1, "rook_disks": ELSEWHERE}
    storage = {"hosts": {"here": local, "gone": gone}, "vars": {**SITE, "rook_disk_filter": wanted}}
    (directory / "hosts.yml").write_text(yaml.safe_dump({"storage": storage}), encoding="utf-8")
    return directory


def run(*command: str | Path) -> tuple[int, str]:
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "default", "COLUMNS": "400"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def disks(inventory: Path, *arguments: str) -> tuple[int, str]:
    return run("ansible-playbook", "-i", inventory, *arguments, ROOT / "playbooks" / "disks.yml")


def test_what_is_written_is_an_inventory(tmp_path: Path) -> None:
    inventory = site(tmp_path, {"min_size": "100000TB"})
    said = disks(inventory)[1]
    listed = inventory / ".report" / "rook_disks.yml"
    assert "0 chosen, " in said and "Nothing was touched" in said and str(listed) in said, said
    assert "changed=1" not in said and "failed=1" not in said, said
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"storage": {"hosts": {"new": {}}}}), encoding="utf-8")
    listed.rename(inventory / "rook_disks.yml")
    code, text = run("ansible-inventory", "-i", inventory, "--list")
    assert code == 0, text
    found = json.loads(text)["_meta"]["hostvars"]
    # A host that is down loses nothing.
    assert found == {"here": {"rook_disks": NAMED}, "gone": {"rook_disks": ELSEWHERE}}


def test_check_mode_shows_the_same_and_writes_nothing(tmp_path: Path) -> None:
    inventory = site(tmp_path, {"min_size": "100000TB"})
    assert "0 chosen, " in disks(inventory, "--check", "--diff", "--limit=here")[1]
    assert not (inventory / ".report").exists()


def test_a_filter_that_is_none_is_refused(tmp_path: Path) -> None:
    inventory = site(tmp_path, {"min_size": "10T"})
    code, said = disks(inventory, "--limit=here")
    assert code != 0 and "Choosing disks of here by the filter failed: min_size is '10T', which is no size" in said, (
        said
    )
    assert not (inventory / ".report").exists()
