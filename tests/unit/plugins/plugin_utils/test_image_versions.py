# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Images that go together, and those that do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.cmsaf.facility.plugins.filter.image_skew import image_skew
from ansible_collections.cmsaf.facility.plugins.plugin_utils._image_versions import HUB, LABEL, WORKERS

ROOT = Path(__file__).resolve().parents[4]
HUB_IMAGE, OWN, SITE, CPU = "r.test/hub:1", "r.test/analysis:1", "r.test/ml:1", "r.test/ml-cpu:1"
TOLD = {
    "python": "3.13",
    "jupyterhub": "6.1.1",
    "dask": "2026.8.0",
    "distributed": "2026.8.0",
    "cloudpickle": "3.1.2",
    "msgpack": "1.2.4",
}


def skew(worker_image: str = SITE, hub: str = "6.1.1", **changes: dict[str, str]) -> list[str]:
    """Two servers, of which the second has a site's image; `changes` are of the images site and cpu."""
    told = {
        HUB_IMAGE: {"python": "3.13", "jupyterhub": hub},
        OWN: TOLD,
        SITE: TOLD | changes.get("site", {}),
        CPU: TOLD | changes.get("cpu", {}),
    }
    labels = {
        image: {"other": "x", LABEL: " ".join(f"{name}=={found}" for name, found in versions.items() if found)}
        for image, versions in told.items()
    }
    servers = [
        {"name": "Coffea", "image": OWN, "worker_image": OWN, "memory": "8G"},
        {"name": "Learning", "image": SITE, "worker_image": worker_image},
    ]
    return image_skew(servers, HUB_IMAGE, labels)


@pytest.mark.parametrize(
    "same",
    [
        skew(),
        skew(CPU),
        # Patches of JupyterHub speak with each other, and so do the Pythons of one minor release.
        skew(site={"jupyterhub": "6.1.9"}, hub="6.1"),
        skew(CPU, cpu={"python": "3.13.5"}),
        # Workers have no JupyterHub to be asked for, and a server's own Dask is nobody else's.
        skew(CPU, cpu={"jupyterhub": ""}),
        skew(site={"dask": "2025.1.0", "distributed": "2025.1.0", "python": "3.11"}),
    ],
)
def test_what_goes_together(same: list[str]) -> None:
    assert same == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            skew(site={"jupyterhub": "5.4.6"}),
            f"server Learning, {SITE}, has jupyterhub 5.4.6, but that of the hub, {HUB_IMAGE}, has jupyterhub 6.1.1. Build"
            " it from",
        ),
        (skew(site={"jupyterhub": "6.10.1"}), "has jupyterhub 6.10.1, but"),
        (skew(site={"jupyterhub": ""}), f"server Learning, {SITE}, has no jupyterhub, but that of the hub"),
        (
            skew(CPU, cpu={"dask": "2026.7.0"}),
            f"workers of Learning, {CPU}, has dask 2026.7.0, but that of the server Learning, {SITE}, has dask"
            " 2026.8.0. Build it from",
        ),
        (skew(CPU, cpu={"distributed": "2026.8.1"}), "distributed 2026.8.1"),
        (skew(CPU, cpu={"cloudpickle": "3.1.1"}), "cloudpickle 3.1.1"),
        (skew(CPU, cpu={"msgpack": "1.2.3"}), "msgpack 1.2.3"),
        (skew(CPU, site={"python": "3.12"}), "Learning, r.test/ml-cpu:1, has python 3.13, but"),
        (
            skew(CPU, cpu=dict.fromkeys(TOLD, "")),
            f"workers of Learning, {CPU}, does not tell its versions: it has no label",
        ),
    ],
)
def test_what_does_not(found: list[str], said: str) -> None:
    (mistake,) = found
    assert said in mistake
    assert "facility's analysis image" in mistake and "docs/site.md, Servers to choose from" in mistake


def test_all_mistakes_come_at_once_and_none_twice() -> None:
    servers = [
        {"name": name, "image": image, "worker_image": worker}
        for name, image, worker in (("A", SITE, SITE), ("B", SITE, OWN), ("C", SITE, OWN), ("D", CPU, CPU))
    ]
    labels = {
        HUB_IMAGE: {LABEL: "jupyterhub==6.1.1"},
        OWN: {LABEL: " ".join(f"{name}=={found}" for name, found in TOLD.items())},
        SITE: {LABEL: "jupyterhub==5.0.0 python==3.12 dask==1.0.0 distributed==2026.8.0 cloudpickle==3.1.2"},
        CPU: {},
    }
    found = image_skew(servers, HUB_IMAGE, labels)
    assert [re.findall(r"image of ([^,]*), \S+, (?:does not|has) (\w+)", one) for one in found] == [
        [("the server D", "tell")],
        [("the server A", "jupyterhub")],
        *([("the workers of B", package)] for package in ("python", "dask", "msgpack")),
    ]


def test_builds_write_down_what_is_compared() -> None:
    program = (ROOT / "roles" / "images" / "files" / "build-image").read_text(encoding="utf-8")
    compared = set(re.findall(r"\w+", re.search(r"^COMPARED = \((.*)\)$", program, re.M)[1]))  # type: ignore[index] # it is there
    assert compared | {"python"} == {*HUB, *WORKERS}
    for image in ("analysis", "hub"):
        assert f'LABEL {LABEL}="$VERSIONS"\n' in (ROOT / "images" / image / "Containerfile").read_text(encoding="utf-8")
