# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The first process of a user's pod, with a volume of secrets that changes as the kubelet changes it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[4] / "images" / "analysis" / "bin" / "cmsaf-start"


def project(volume: Path, version: str, files: dict[str, str]) -> None:
    """A new directory, then one rename of the link that all files are reached by."""
    content = volume / f"..{version}"
    content.mkdir()
    for name, text in files.items():
        (content / name).write_text(text)
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(Path("..data") / name)
    (volume / "..data_tmp").symlink_to(content.name)
    os.rename(volume / "..data_tmp", volume / "..data")


def wait(path: Path, text: str) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.read_text() != text:
        assert time.monotonic() < end, f"{path} did not become {text!r}"
        time.sleep(0.05)


def test_copies_follow_the_kubelets_links(tmp_path: Path) -> None:
    volume, run = tmp_path / "secrets", tmp_path / "run"
    volume.mkdir()
    run.mkdir()
    project(volume, "1", {"condor_token": "old", "bearer_token": "old", "ca.pem": "ca"})
    environ = {
        "HOME": str(tmp_path),
        "CMSAF_SECRETS": str(volume),
        "CMSAF_RUN": str(run),
        "CMSAF_REFRESH_SECONDS": "0.1",
    }
    # Its own first line asks for a Python that only the image has.
    command = [sys.executable, "-IS", str(PROGRAM), "sleep", "60"]
    with subprocess.Popen(command, env=os.environ | environ) as process:
        try:
            for name, text in {"bearer_token": "old", "tokens.d/condor_token": "old", "ca.pem": "ca"}.items():
                wait(run / name, text)
            before = (run / "ca.pem").stat().st_ino
            project(volume, "2", {"condor_token": "new", "bearer_token": "new", "ca.pem": "ca"})
            wait(run / "bearer_token", "new")
            wait(run / "tokens.d" / "condor_token", "new")
            assert (run / "ca.pem").stat().st_ino == before
            assert {f"{path.stat().st_mode & 0o777:o}" for path in run.rglob("*") if path.is_file()} == {"600"}
            assert sorted(path.name for path in run.iterdir()) == ["bearer_token", "ca.pem", "tokens.d"]
        finally:
            process.terminate()


def test_the_home_has_what_jupyter_would_make_at_a_start_that_finds_it_full(tmp_path: Path) -> None:
    home, run = tmp_path / "home", tmp_path / "run"
    (home / ".jupyter").mkdir(parents=True)
    (home / ".jupyter" / "migrated").write_text("2026")
    run.mkdir()
    environ = {"HOME": str(home), "CMSAF_SECRETS": str(tmp_path / "none"), "CMSAF_RUN": str(run)}
    command = [sys.executable, "-IS", str(PROGRAM)]
    subprocess.run([*command, "true"], env=os.environ | environ, check=True)
    assert sorted(str(path.relative_to(home)) for path in home.rglob("*") if not list(path.glob("*"))) == [
        ".ipython/profile_default/log",
        ".ipython/profile_default/pid",
        ".ipython/profile_default/security",
        ".ipython/profile_default/startup",
        ".jupyter/lab/workspaces",
        ".jupyter/migrated",
        ".local/share/jupyter",
    ]
    assert (home / ".jupyter" / "migrated").read_text() == "2026"
    # Where nothing can be made, the command runs all the same.
    (tmp_path / "file").touch()
    environ["HOME"] = str(tmp_path / "file")
    found = subprocess.run(
        [*command, "echo", "runs"], env=os.environ | environ, check=True, capture_output=True, text=True
    )
    assert found.stdout == "runs\n" and "cmsaf-start: preparing" in found.stderr
