# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of modules that keep a token in a file: TOKEN_FILE in module_utils/_token_file.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  path:
    description: File to write the token to.
    type: path
    required: true
  renew_before:
    description: Make a new token when the old one ends within this many seconds.
    type: int
    default: 0
  regenerate:
    description:
      - What to do about a file that is there and is not the token asked for.
      - V(never) leaves it, V(fail) leaves it and fails.
      - V(when_invalid) makes a new token then, V(always) makes a new one in every case.
      - A token that is right but was issued more than five minutes in the future by this host's clock makes V(fail) and
        V(when_invalid) fail, since a clock is wrong then.
    type: str
    choices: [never, fail, when_invalid, always]
    default: fail
  mode:
    default: "0600"
  unsafe_writes:
    description: Not used. Files are always replaced whole.
"""
