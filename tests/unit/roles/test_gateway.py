# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway has for browsers, as the benchmark of the hub takes it from the role's template."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_the_hub", ROOT / "tests/benchmarks/hub.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_has_the_gateway_s_own_rules(benchmark: ModuleType) -> None:
    text = benchmark.gateway_configuration()
    assert re.findall(r"^(?:frontend|backend) .*", text, re.M) == ["frontend https", "backend hub", "backend pages"]
    assert re.findall(r"server proxy (.*)", text) == ["127.0.0.1:18081", "127.0.0.1:18081 maxconn 4"]
    assert "none" not in text and " ssl " not in text


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy in PATH")
def test_haproxy_takes_them(benchmark: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text(benchmark.gateway_configuration())
    subprocess.run(["haproxy", "-c", "-q", "-f", str(tmp_path / "haproxy.cfg")], check=True)
