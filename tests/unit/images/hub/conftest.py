# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes the hub image's packages importable as the image has them."""

from __future__ import annotations

import sys
import types
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[4]

# In the image plugins/module_utils is the package cmsaf_mint.
_mint = types.ModuleType("cmsaf_mint")
_mint.__path__ = [str(_ROOT / "plugins" / "module_utils")]
sys.modules.setdefault("cmsaf_mint", _mint)
sys.path.insert(0, str(_ROOT / "images" / "hub"))
