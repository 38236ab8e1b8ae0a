# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""By what browsers and programs ask for one of the servers that a site offers.

Private to this collection: its interface may change in any release.

The hub tells servers apart by it, and the check of a site's variables refuses those that it could not tell apart.
"""

from __future__ import annotations

import re

__all__ = ["slug_of"]


def slug_of(name: str) -> str:
    """Letters and digits of ASCII in lower case, with one hyphen for all between them; empty if there are none.

    >>> slug_of("Usual"), slug_of("Large (32 GB)"), slug_of("é")
    ('usual', 'large-32-gb', '')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
