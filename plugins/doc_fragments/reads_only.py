# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that find something out say about their behaviour; each module says how far it holds."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return what it would return otherwise.
  diff_mode:
    description: Returns what has changed when run with C(--diff).
  idempotent:
    description: Run again with the same state it changes nothing.
"""
