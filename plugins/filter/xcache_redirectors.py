# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter xcache_redirectors."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _xcache

DOCUMENTATION = r"""
name: xcache_redirectors
short_description: Make a redirector's servers of a list of origins
version_added: 0.1.0
author: The cmsaf.facility authors (@cmsaf)
description:
  - Makes one server where there is one origin, else a door that sends readers on by path, and a server for each origin.
options:
  _input:
    description: The origins, as C(facility_origins) has them.
    type: list
    elements: dict
    required: true
  port:
    description: Port by which readers come.
    type: int
    required: true
  server_port:
    description: Port of the caches' first server. The redirector of each origin has the one after that of its caches.
    type: int
    required: true
  metrics_port:
    description: Port of the metrics of what readers come to.
    type: int
    required: true
  server_metrics_port:
    description: Port of the metrics of the caches' first server. The others here are after these, as O(server_port) has it.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show what is run
  ansible.builtin.debug:
    msg: >-
      {{ origins | cmsaf.facility.xcache_redirectors(port=1094, server_port=1095, metrics_port=9930, server_metrics_port=9931) }}
"""

RETURN = r"""
_value:
  description:
    - What readers come to, and the servers behind it, C(suffix) of what belongs to each in the pod first.
  type: list
  elements: dict
"""


def xcache_redirectors(
    origins: list[dict[str, t.Any]], *, port: int, server_port: int, metrics_port: int, server_metrics_port: int
) -> list[dict[str, t.Any]]:
    """Return the servers, what readers come to first."""
    try:
        made: list[dict[str, t.Any]] = _xcache.redirectors(
            origins,
            port=int(port),
            server_port=int(server_port),
            metrics_port=int(metrics_port),
            server_metrics_port=int(server_metrics_port),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"xcache_redirectors: {error!r} in {origins!r}. See facility_origins.") from error
    return made


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"xcache_redirectors": xcache_redirectors}
