# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of modules that keep a key in a file: KEY_FILE in module_utils/_token_file.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  path:
    description: File to write the key to.
    type: path
    required: true
  regenerate:
    description:
      - What to do about a file that is there.
      - V(never) leaves it, V(fail) leaves it and fails if it is no usable key.
      - V(when_invalid) makes a new key if it is no usable key, V(always) makes a new one.
        Every token of the old key is then refused.
    type: str
    choices: [never, fail, when_invalid, always]
    default: fail
  mode:
    default: "0600"
  unsafe_writes:
    description: Not used. Files are always replaced whole.
"""
