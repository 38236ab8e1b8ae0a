# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter image_skew."""

from __future__ import annotations

import typing as t

from ansible_collections.cmsaf.facility.plugins.plugin_utils._image_versions import Server, mistakes

DOCUMENTATION = r"""
name: image_skew
short_description: Find images of a hub, its servers and their workers that do not go together
version_added: 0.1.0
author: The cmsaf.facility authors (@cmsaf)
description:
  - Compares JupyterHub of the hub's image with that of each server's, and Python, Dask and what Dask speaks by of each
    server's image with those of its workers'.
  - Goes by the label C(facility.cmsaf.versions), in which the images' builds have written what they hold.
options:
  _input:
    description: The servers, each with C(name), C(image) and C(worker_image).
    type: list
    elements: dict
    required: true
  hub:
    description: The hub's image.
    type: str
    required: true
  labels:
    description: Labels of all these images, by the images' names.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse images that do not go together
  ansible.builtin.assert:
    that: mistakes | length == 0
    fail_msg: "{{ mistakes }}"
  vars:
    mistakes: "{{ servers | cmsaf.facility.image_skew('mirror.example.org/cmsaf/hub:0.1.0', labels) }}"
"""

RETURN = r"""
_value:
  description: All mistakes, a sentence each. Empty if there is none.
  type: list
  elements: str
"""


def image_skew(servers: list[dict[str, t.Any]], hub: str, labels: dict[str, dict[str, str]]) -> list[str]:
    """Return the mistakes."""
    known = [Server(server["name"], server["image"], server["worker_image"]) for server in servers]
    return list(mistakes(hub, known, labels))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"image_skew": image_skew}
