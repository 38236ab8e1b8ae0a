# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as others get it: built, installed into an empty path, and found there."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
UNWANTED = {".git", ".ansible", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "report", "secrets"}
INVENTORIES = sorted(path.name for path in (ROOT / "inventories").iterdir())


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
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
    run("ansible-galaxy", "collection", "install", "--no-deps", "--offline", "-p", path, tarball, cwd=path)
    return path


def test_nothing_unwanted_is_built_in(tarball: Path) -> None:
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert "playbooks/site.yml" in names
    for name in names:
        parts = set(Path(name).parts)
        assert not parts & UNWANTED and not name.startswith("tests/output"), name
        assert not name.endswith((".pyc", ".tar.gz", ".root")), name
    assert tarball.stat().st_size < 5_000_000


@pytest.mark.parametrize("inventory", INVENTORIES)
def test_installed_playbook_is_found(installed: Path, tmp_path: Path, inventory: str) -> None:
    # From an empty directory: nothing of the source tree can help.
    tasks = run(
        "ansible-playbook",
        "-i",
        ROOT / "inventories" / inventory,
        "cmsaf.facility.site",
        "--list-tasks",
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(installed),
        ANSIBLE_CONFIG=os.devnull,
    )
    for role in ("site_check", "pki", "node", "gateway", "kubernetes", "htcondor", "xcache", "jupyterhub"):
        assert f"{role} : " in tasks, f"no task of role {role} in {tasks}"


def test_every_collection_that_is_used_is_a_dependency() -> None:
    dependencies = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    known = ("ansible.posix", "ansible.utils", "community.crypto", "community.general", "containers.podman", "kubernetes.core")
    texts = [
        path.read_text(encoding="utf-8")
        for place in ("roles", "playbooks")
        for path in (ROOT / place).rglob("*")
        if path.suffix in (".yml", ".j2")
    ]
    used = {name for name in known if any(f"{name}." in text for text in texts)}
    assert used == set(dependencies)
