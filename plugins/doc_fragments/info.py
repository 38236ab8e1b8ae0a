# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options and behaviour of modules that read a token from a file: INFO in module_utils/_token_file.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  path:
    description: File that holds the token. It need not be there.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode, as it changes nothing.
  diff_mode:
    description: Returns what has changed when run with C(--diff).
  idempotent:
    description: Run again with the same state it changes nothing.
"""
