# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules that keep a secret in a file say about their behaviour; each module says how far it holds."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and predict what it would change.
  diff_mode:
    description: Returns what has changed when run with C(--diff).
  idempotent:
    description: Run again with the same state it changes nothing.
  safe_file_operations:
    description: Replaces files whole, so that no reader sees a part.
"""
