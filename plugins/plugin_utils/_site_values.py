# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the checks of a site's variables have in common.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Mistake", "whole"]

# Variable, what was found, what to set.
Mistake = tuple[str, str, str]


def whole(value: Any) -> bool:
    """Whether it is a whole number; other types are the specification's business."""
    return isinstance(value, int) and not isinstance(value, bool)
