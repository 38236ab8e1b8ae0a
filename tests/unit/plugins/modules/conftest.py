# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run in this process: what a play would hand over goes in, what it would get comes out."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

Run = Callable[..., dict[str, Any]]


def run_module(name: str, arguments: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
    """The result of the module, with all that it printed under ``said``."""
    module = importlib.import_module(f"ansible_collections.cmsaf.facility.plugins.modules.{name}")
    given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
    printed = io.StringIO()
    with patch_module_args(given), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        module.main()
    said = printed.getvalue()
    return {**json.loads(said), "said": said}


@pytest.fixture
def run() -> Run:
    return run_module
