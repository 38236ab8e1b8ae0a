# SPDX-License-Identifier: GPL-3.0-or-later
"""The analysis image's own package, from the source tree."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "images" / "analysis" / "cmsaf_dask" / "src"))
