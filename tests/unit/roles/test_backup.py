# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restoration: what they refuse before a host is touched, and the copy of a data base in use."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "backup"
COPY = ROLE / "files" / "copy_database.py"
VARS = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))
DIRECTORY = ("-e", "backup_repository=/srv/backup", "-e", "backup_host=control1.af.test")
BUCKET = ("-e", "backup_repository=s3:https://s3.example.org/backup")


def play(name: str, secrets: Path, *arguments: str) -> tuple[int, str]:
    # Nobody listens at that port, so whoever tries to reach a host fails in another way.
    command: list[str | Path] = ["ansible-playbook", "-i", ROOT / "inventories" / "box", "-e", "ansible_port=1"]
    command += ["-e", f"facility_secrets_dir={secrets}", ROOT / "playbooks" / f"{name}.yml", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("backup", (), ["backup_repository is empty"]),
        ("backup", (*DIRECTORY, "--check"), ["In check mode"]),
        ("backup", BUCKET, ["backup-s3-credentials on the controller is not there. Put the keys of the bucket"]),
        ("backup", ("-e", "backup_repository=backup"), ["backup_repository: found 'backup'. Set a directory"]),
        ("restore", DIRECTORY, ['Restoring "none": there is no such class']),
        (
            "restore",
            ("-e", "restore=secrets", "--check"),
            [
                "In check mode",
                "backup_repository is empty",
                "backup-secrets-password on the controller is not there. Put the password that",
            ],
        ),
        (
            "restore",
            (*BUCKET, "-e", "restore=hub"),
            ["backup-secrets-password on", "backup-volumes-password on", "backup-s3-credentials on"],
        ),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    name: str, arguments: tuple[str, ...], said: list[str], tmp_path: Path
) -> None:
    code, found = play(name, tmp_path, *arguments)
    assert code != 0 and "UNREACHABLE" not in found
    assert [text for text in said if text not in found] == []
    assert list(tmp_path.iterdir()) == []


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    password = tmp_path / "backup-secrets-password"
    password.write_text("secret\n", encoding="utf-8")
    password.chmod(0o644)
    code, found = play("restore", tmp_path, *DIRECTORY, "-e", "restore=secrets")
    assert code != 0 and "backup-secrets-password on the controller is of mode 0644 and has 7 bytes" in found
    password.chmod(0o600)
    code, found = play("restore", tmp_path, *DIRECTORY, "-e", "restore=secrets")
    assert code != 0 and "UNREACHABLE" in found


def test_every_class_has_tasks_and_words() -> None:
    for name in VARS["_backup_classes"]:
        for step in ("look", "restore"):
            assert (ROLE / "tasks" / f"{step}_{name}.yml").exists()
        assert f"-e restore={name}" in (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")


def test_the_pod_that_holds_a_volume_has_the_image_that_all_nodes_have() -> None:
    containerd = yaml.safe_load((ROOT / "roles/containerd/vars/main.yml").read_text(encoding="utf-8"))
    assert VARS["_backup_pod_image"] == containerd["_containerd_sandbox_image"]


@pytest.fixture(name="copier")
def _copier() -> ModuleType:
    spec = importlib.util.spec_from_file_location("copy_database", COPY)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_data_base_is_copied_as_of_one_moment_while_it_is_written(tmp_path: Path, copier: ModuleType) -> None:
    source, target = tmp_path / "here.sqlite", tmp_path / "there.sqlite"
    with sqlite3.connect(source) as made:
        made.execute("CREATE TABLE pairs (one INTEGER, other INTEGER)")
    source.chmod(0o640)
    over = threading.Event()

    def write() -> None:
        writer = sqlite3.connect(source, timeout=30)
        number = 0
        while not over.is_set():
            number += 1
            with writer:
                writer.execute("INSERT INTO pairs VALUES (?, 0)", (number,))
                writer.execute("UPDATE pairs SET other = one WHERE one = ?", (number,))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _turn in range(10):
            copier.copy(str(source), str(target))
            found = sqlite3.connect(target)
            assert found.execute("SELECT count(*) FROM pairs WHERE one != other").fetchone() == (0,)
            found.close()
    finally:
        over.set()
        thread.join()
    assert target.stat().st_mode & 0o777 == 0o640


def test_what_is_no_data_base_is_not_copied(tmp_path: Path) -> None:
    source = tmp_path / "here.sqlite"
    for content in (b"SQLite format 3\0" + bytes(5000), b"something else" * 500):
        source.write_bytes(content)
        done = subprocess.run(
            [sys.executable, COPY, source, tmp_path / "there.sqlite"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and done.stderr.startswith(f"Copying the data base {source}: ")
    done = subprocess.run(
        [sys.executable, COPY, tmp_path / "none", tmp_path / "there.sqlite"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and not (tmp_path / "none").exists()
