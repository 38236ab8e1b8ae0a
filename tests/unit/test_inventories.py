# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the tests are the box's, under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOX, MOLECULE, UPSTREAM = (
    ROOT / place for place in ("inventories/box", "molecule/inventory", "tests/upstream/inventory")
)


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("group_vars/condor_execute.yml", MOLECULE / "group_vars/condor_execute.yml"),
        ("group_vars/mirror.yml", MOLECULE / "group_vars/mirror.yml"),
        ("group_vars/test_hosts.yml", MOLECULE / "group_vars/test_hosts.yml"),
        ("host_vars/gateway.af.test.yml", MOLECULE / "host_vars/gateway.mol.test.yml"),
        ("group_vars/mirror.yml", UPSTREAM / "group_vars/source.yml"),
        ("group_vars/test_hosts.yml", UPSTREAM / "group_vars/test_hosts.yml"),
    ],
)
def test_the_tests_run_on_hosts_set_up_like_the_box(name: str, copy: Path) -> None:
    # No links: not every way of handing on a collection keeps them.
    assert copy.read_text(encoding="utf-8") == (BOX / name).read_text(encoding="utf-8")
