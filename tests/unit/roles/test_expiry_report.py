# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that reports what ends when, on this machine as the one host that answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[3]


def certificate(days: int) -> bytes:
    """One that lasts a year and ends in so many days. openssl's own program makes none of the past before 3.4."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    end = datetime.now(timezone.utc) + timedelta(days=days)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - timedelta(days=365)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def site(here: Path, days: int) -> Path:
    """An inventory whose authority's certificate ends in so many days."""
    (here / "ca.crt").write_bytes(certificate(days))
    inventory = here / "hosts.yml"
    values = {
        "facility_name": "try",
        "facility_domain": "af.test",
        "facility_host_network": "10.0.0.0/24",
        "facility_ca_certificate": str(here / "ca.crt"),
        "expiry_report_dir": str(here / "report"),
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    gone = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory.write_text(
        yaml.safe_dump({"all": {"vars": values, "hosts": {"here": local, "gone": gone}}}), encoding="utf-8"
    )
    return inventory


def run(inventory: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, *arguments, ROOT / "playbooks" / "expiry_report.yml"],
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "default", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def row(report: dict[str, Any], host: str) -> dict[str, Any]:
    return next(row for row in report["rows"] if row["host"] == host)


def test_a_host_that_is_down_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    code, said = run(site(tmp_path, 30))
    assert code == 0, said
    report = json.loads((tmp_path / "report" / "expiry.json").read_text(encoding="utf-8"))
    assert row(report, "gone")["state"] == "unknown" and "unreachable" in row(report, "gone")["problem"]
    assert row(report, "here")["state"] == "soon" and 29 < row(report, "here")["days_left"] <= 30
    assert row(report, "here")["renewed_by"].endswith("cmsaf.facility.node")
    assert "here" in (tmp_path / "report" / "expiry.html").read_text(encoding="utf-8")
    assert "0 ended, 1 unknown, 1 soon, 0 ok" in said


def test_check_mode_shows_the_same_and_writes_nothing(tmp_path: Path) -> None:
    code, said = run(site(tmp_path, 90), "--check", "--diff")
    assert code == 0, said
    assert "0 ended, 1 unknown, 0 soon, 1 ok" in said
    assert not (tmp_path / "report").exists()


def test_what_has_ended_is_a_failure_that_names_the_command(tmp_path: Path) -> None:
    code, said = run(site(tmp_path, -1))
    assert code != 0, said
    assert f"Renewed by: ansible-playbook -i {tmp_path} cmsaf.facility.node." in " ".join(said.split())
    assert json.loads((tmp_path / "report" / "expiry.json").read_text(encoding="utf-8"))["ended"] == 1
