# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's hosts are the box's, under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOX, MOLECULE = ROOT / "inventories" / "box", ROOT / "molecule" / "inventory"


@pytest.mark.parametrize(
    ("name", "as_molecule_has_it"),
    [
        ("group_vars/condor_execute.yml", "group_vars/condor_execute.yml"),
        ("group_vars/mirror.yml", "group_vars/mirror.yml"),
        ("group_vars/test_hosts.yml", "group_vars/test_hosts.yml"),
        ("host_vars/gateway.af.test.yml", "host_vars/gateway.mol.test.yml"),
    ],
)
def test_the_scenarios_run_on_hosts_set_up_like_the_box(name: str, as_molecule_has_it: str) -> None:
    # No links: not every way of handing on a collection keeps them.
    assert (MOLECULE / as_molecule_has_it).read_text(encoding="utf-8") == (BOX / name).read_text(encoding="utf-8")
