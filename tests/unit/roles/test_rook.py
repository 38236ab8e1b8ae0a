# SPDX-License-Identifier: GPL-3.0-or-later
"""What role rook asks for is what the mirror has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"


def load(*parts: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ROLES.joinpath(*parts).read_text(encoding="utf-8"))
    return found


def test_versions_and_pins_are_the_mirror_s() -> None:
    artefacts, pins = load("mirror", "vars", "main", "artefacts.yml"), load("mirror", "vars", "main", "checksums.yml")
    role, defaults = load("rook", "vars", "main.yml"), load("rook", "defaults", "main.yml")
    version, ceph = artefacts["_mirror_rook_version"], artefacts["_mirror_ceph_version"]
    assert role["_rook_version"] == version
    assert role["_rook_chart_pins"]["built"] == pins["_mirror_pins"]["rook-chart"]
    assert defaults["rook_operator_image"] == f"docker.io/rook/ceph:{version}"
    assert defaults["rook_ceph_image"] == f"quay.io/ceph/ceph:{ceph}"


def test_the_builds_are_of_these_versions() -> None:
    artefacts = load("mirror", "vars", "main", "artefacts.yml")
    version, ceph = artefacts["_mirror_rook_version"], artefacts["_mirror_ceph_version"]
    files = ROLES / "mirror" / "files"
    assert f"\nrequire github.com/rook/rook {version}\n" in (files / "go/rook/go.mod").read_text(encoding="utf-8")
    assert f"FROM localhost/ceph:{ceph}\n" in (files / "images/rook/Containerfile").read_text(encoding="utf-8")


def test_the_images_that_mount_volumes_are_those_of_the_chart() -> None:
    images = load("mirror", "vars", "main", "images.yml")
    built = {image["name"] for image in images["_mirror_rook_images"]}
    assert built == {"ceph", "rook"}
    assert {image["repository"].rpartition("/")[2] for image in images["_mirror_csi_images"]} == {
        "cephcsi",
        "csi-node-driver-registrar",
        "csi-provisioner",
        "csi-snapshotter",
        "csi-attacher",
        "csi-resizer",
    }
