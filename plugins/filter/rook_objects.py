# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter rook_objects."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _rook

DOCUMENTATION = r"""
name: rook_objects
short_description: Make Rook's objects of a list of pools
version_added: 0.1.0
positional: namespace, failure_domain
author: The cmsaf.facility authors (@cmsaf)
description:
  - Makes the pools, file systems and object stores, and the storage classes that they are reached by.
options:
  _input:
    description: The pools, as C(rook_pools) of role rook has them.
    type: list
    elements: dict
    required: true
  namespace:
    description: Namespace of the cluster.
    type: str
    required: true
  failure_domain:
    description: What no two replicas share.
    type: str
    required: true
  default_class:
    description: The storage class that claims get that name none, empty for none of them.
    type: str
    default: ""
  disks:
    description: The disks of each host, as C(rook_disks) of role rook has them.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what is made
  ansible.builtin.debug:
    msg: "{{ pools | cmsaf.facility.rook_objects('rook-ceph', 'host') }}"
"""

RETURN = r"""
_value:
  description:
    - The objects in the lists C(pools), C(volume_classes), which want the drivers that mount volumes, and
      C(bucket_classes), which do not. In C(nodes) the hosts with their disks, for the cluster's own object.
  type: dict
"""


def rook_objects(
    pools: list[dict[str, t.Any]],
    namespace: str,
    failure_domain: str,
    default_class: str = "",
    disks: dict[str, list[dict[str, t.Any]]] | None = None,
) -> dict[str, list[dict[str, t.Any]]]:
    """Return the objects by what they are for."""
    try:
        return {
            "pools": _rook.pools(pools, namespace, failure_domain),
            "volume_classes": _rook.volume_classes(pools, namespace, default_class),
            "bucket_classes": _rook.bucket_classes(pools, namespace),
            "nodes": _rook.nodes(disks or {}),
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(
            f"rook_objects: {error!r} in {pools!r} or {disks!r}. See rook_pools and rook_disks."
        ) from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"rook_objects": rook_objects}
