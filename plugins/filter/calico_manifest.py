# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter calico_manifest."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.module_utils._calico import fitted

DOCUMENTATION = r"""
name: calico_manifest
short_description: Fit Calico's published manifest to a cluster
version_added: 0.1.0
author: The cmsaf.facility authors (@cmsaf)
description:
  - Overrides the environment of Calico's node container, and leaves out empty documents.
  - Has the kubelet ask Felix's health server itself, where the manifest starts a program in the container for it.
options:
  _input:
    description: The documents of the manifest.
    type: list
    elements: dict
    required: true
  environment:
    description: Names and values of the environment variables.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Set the pods' network
  ansible.builtin.set_fact:
    objects: "{{ manifest | from_yaml_all | cmsaf.facility.calico_manifest({'CALICO_IPV4POOL_CIDR': '10.244.0.0/16'}) }}"
"""

RETURN = r"""
_value:
  description: The objects to apply.
  type: list
  elements: dict
"""


def calico_manifest(documents: t.Any, environment: dict[str, str]) -> list[dict[str, t.Any]]:
    """Return the manifest's objects fitted."""
    try:
        objects: list[dict[str, t.Any]] = fitted(documents, environment)
    except ValueError as error:
        raise AnsibleFilterError(f"calico_manifest: {error}") from error
    return objects


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"calico_manifest": calico_manifest}
