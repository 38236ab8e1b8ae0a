# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter rook_disk_choice."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _rook_disks

DOCUMENTATION = r"""
name: rook_disk_choice
short_description: Show the disks that were found on all storage hosts
version_added: 0.1.0
positional: named
author: The cmsaf.facility authors (@cmsaf)
description:
  - Takes what M(cmsaf.facility.rook_disk_info) found on each host. A disk that several hosts see is chosen on none.
options:
  _input:
    description: The disks in C(found) of the module's results, by the host they were registered on.
    type: dict
    required: true
  named:
    description: The disks that the inventory has of each storage host already, as C(rook_disks) of role rook has them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show which disks are chosen
  ansible.builtin.debug:
    msg: "{{ (found | cmsaf.facility.rook_disk_choice(named)).table }}"
"""

RETURN = r"""
_value:
  description:
    - Lines of a C(table) of all disks that are not named yet, their C(counts) in words, and the text of an C(inventory) with
      the disks that are named and those that are chosen.
  type: dict
"""


def rook_disk_choice(
    found: dict[str, list[dict[str, t.Any]]], named: dict[str, list[dict[str, t.Any]]]
) -> dict[str, t.Any]:
    """Return the disks in their forms."""
    try:
        rows = _rook_disks.rows(found)
        return {
            "table": _rook_disks.as_table(rows),
            "counts": _rook_disks.counts(rows),
            "inventory": _rook_disks.as_inventory(rows, named),
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise AnsibleFilterError(f"rook_disk_choice: {error!r} in {found!r} or {named!r}. See rook_disks.") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rook_disk_choice": rook_disk_choice}
