# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of more than one kind of plug-in need."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def make_certificate(path: Path, days: int) -> str:
    """Key and certificate in one file, made by openssl; the text of it."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(path)]
    made = ["openssl", "req", "-x509", *key, "-days", f"{days}", "-subj", "/CN=x"]
    done = subprocess.run(made, capture_output=True, text=True, check=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(done.stdout)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def certificate() -> Callable[[Path, int], str]:
    return make_certificate
