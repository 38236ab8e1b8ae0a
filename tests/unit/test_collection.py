# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as others get it: built, installed into an empty path, and found there."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.cmsaf.facility.plugins.module_utils._tree import pack

ROOT = Path(__file__).resolve().parents[2]
UNWANTED = {
    ".git",
    ".ansible",
    ".venv",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    "report",
    ".secrets",
    ".report",
}
INVENTORIES = sorted(path.name for path in (ROOT / "inventories").iterdir())
STAGES = sorted(
    re.findall(r"import_playbook: (\S+)\.yml", (ROOT / "playbooks" / "site.yml").read_text(encoding="utf-8"))
)
# What roles take from outside of their own folder, or pack as a whole.
CARRIED = ["charts/hub", "plugins/module_utils", "roles/mirror/files", "roles/verify/files"]
CARRIED += sorted(f"images/{path.name}" for path in (ROOT / "images").iterdir())


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build")
    run("ansible-galaxy", "collection", "build", "--output-path", out, ROOT, cwd=out)
    return next(out.glob("cmsaf-facility-*.tar.gz"))


@pytest.fixture(scope="module")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("collections")
    # Ansible sees no other path: a collection that it finds elsewhere, it does not install again.
    command = ("ansible-galaxy", "collection", "install", "--no-deps", "--offline", "-p", path, tarball)
    run(*command, cwd=path, ANSIBLE_COLLECTIONS_PATH=str(path), PYTHONPATH="")
    return path


@pytest.fixture(scope="module")
def elsewhere(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An empty directory where nothing of the source tree can help, and what Ansible is told there."""
    path = tmp_path_factory.mktemp("elsewhere")
    (path / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    return path, {
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "ANSIBLE_CONFIG": str(path / "ansible.cfg"),
        "PYTHONPATH": "",
    }


def packed(root: Path) -> bytes:
    stream = io.BytesIO()
    pack({".": str(root)}, stream)
    return stream.getvalue()


def test_nothing_unwanted_is_built_in(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert "playbooks/site.yml" in names
    for name in names:
        parts = set(Path(name).parts)
        assert not parts & UNWANTED and not name.startswith("tests/output"), name
        assert not name.endswith((".pyc", ".tar.gz", ".root")), name
    assert tarball.stat().st_size < 5_000_000


@pytest.mark.parametrize("folder", CARRIED)
def test_installed_folder_is_the_source(installed: Path, folder: str) -> None:
    # Byte for byte, modes too: builds are keyed by content, and an image must not differ by where it is built from.
    there = installed / "ansible_collections" / "cmsaf" / "facility" / folder
    assert there.is_dir(), f"{folder} is not in the tarball"
    assert packed(there) == packed(ROOT / folder)


@pytest.mark.parametrize("inventory", INVENTORIES)
def test_installed_playbook_is_found(installed: Path, elsewhere: tuple[Path, dict[str, str]], inventory: str) -> None:
    path, environment = elsewhere
    there = installed / "ansible_collections" / "cmsaf" / "facility" / "inventories" / inventory
    tasks = run("ansible-playbook", "-i", there, "cmsaf.facility.site", "--list-tasks", cwd=path, **environment)
    for role in (
        "site_check",
        "pki",
        "mirror",
        "node",
        "gateway",
        "kubernetes",
        "images",
        "htcondor",
        "xcache",
        "jupyterhub",
    ):
        assert f"{role} : " in tasks, f"no task of role {role} in {tasks}"


@pytest.mark.parametrize("stage", [*STAGES, "verify"])
def test_each_stage_is_found(elsewhere: tuple[Path, dict[str, str]], stage: str) -> None:
    path, environment = elsewhere
    inventory = ROOT / "inventories" / "example"
    run("ansible-playbook", "-i", inventory, f"cmsaf.facility.{stage}", "--list-tasks", cwd=path, **environment)


def test_example_inventory_has_no_mistake(elsewhere: tuple[Path, dict[str, str]]) -> None:
    path, environment = elsewhere
    said = run(
        "ansible-playbook", "-i", ROOT / "inventories" / "example", "cmsaf.facility.check", cwd=path, **environment
    )
    assert "The inventory has no mistake" in said


def test_every_collection_that_is_used_is_a_dependency() -> None:
    dependencies = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    texts = [
        path.read_text(encoding="utf-8")
        for place in ("roles", "playbooks", "plugins")
        for path in (ROOT / place).rglob("*")
        if path.suffix in (".yml", ".j2", ".py")
    ]
    known = (
        "ansible.posix",
        "ansible.utils",
        "community.crypto",
        "community.general",
        "containers.podman",
        "kubernetes.core",
    )
    used = {name for name in known if any(f"{name}." in text for text in texts)}
    assert used == set(dependencies)
