# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mirror has built is what the roles that fetch it accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"


def read(path: str) -> Any:
    return yaml.safe_load((ROLES / path).read_text(encoding="utf-8"))


def test_roles_accept_what_the_mirror_builds() -> None:
    pins = read("mirror/vars/main/checksums.yml")["_mirror_pins"]
    kubernetes = read("kubernetes/vars/checksums.yml")
    accepted = {
        **read("containerd/vars/checksums.yml")["_containerd_checksums"]["built"]["amd64"],
        **kubernetes["_kubernetes_checksums"]["built"]["amd64"],
        "calico-manifest": kubernetes["_kubernetes_calico_checksum"],
        "rook-chart": read("rook/vars/main.yml")["_rook_chart_pins"]["built"],
    }
    assert accepted == pins
