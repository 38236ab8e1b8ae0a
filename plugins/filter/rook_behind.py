# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter rook_behind."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _rook

DOCUMENTATION = r"""
name: rook_behind
short_description: Tell which of Ceph's daemons an upgrade has not reached
version_added: 0.1.0
positional: image
author: The cmsaf.facility authors (@cmsaf)
description:
  - Looks at the Deployments of Ceph's daemons as Kubernetes has them.
options:
  _input:
    description: The Deployments.
    type: list
    elements: dict
    required: true
  image:
    description: The image that each is to run.
    type: str
    required: true
  version:
    description: The version of Rook that each is to be written by, empty for any.
    type: str
    default: ""
  rolled_out:
    description: Whether each has to be up with it too.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what does not run the image yet
  ansible.builtin.debug:
    msg: "{{ daemons.resources | cmsaf.facility.rook_behind('quay.io/ceph/ceph:v18.2.7') }}"
"""

RETURN = r"""
_value:
  description: Those that are behind, each with why, in words.
  type: list
  elements: str
"""


def rook_behind(
    deployments: list[dict[str, t.Any]], image: str, version: str = "", rolled_out: bool = False
) -> list[str]:
    """Return the daemons that are behind."""
    try:
        found: list[str] = _rook.behind(deployments, image, version, rolled_out=rolled_out)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise AnsibleFilterError(f"rook_behind: {error!r} in what is no list of Deployments.") from error
    return found


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rook_behind": rook_behind}
