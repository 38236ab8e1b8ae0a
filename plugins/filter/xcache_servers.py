# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter xcache_servers."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _xcache

DOCUMENTATION = r"""
name: xcache_servers
short_description: Make a cache's servers of a list of origins
version_added: 0.1.0
author: The cmsaf.facility authors (@cmsaf)
description:
  - Makes a server for each origin, with ports, environment, mounts and the templates of its configuration.
options:
  _input:
    description: The origins, as C(facility_origins) has them.
    type: list
    elements: dict
    required: true
  port:
    description: Port of the first server. Each of the others has the next but one.
    type: int
    required: true
  metrics_port:
    description: Port of the first server's metrics. Each of the others has the next but one.
    type: int
    required: true
  macaroon:
    description: File on the nodes with the macaroon for the facility's own origin.
    type: str
    required: true
  authority:
    description: File in the pod with the authority of that origin's certificate.
    type: str
    required: true
  redirected:
    description: Whether redirectors are in front of the caches.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what is run
  ansible.builtin.debug:
    msg: >-
      {{ origins | cmsaf.facility.xcache_servers(port=1095, metrics_port=9931, macaroon='/etc/cmsaf/xcache-origin/token',
                                                 authority='/etc/xrootd/tls/ca.crt', redirected=true) }}
"""

RETURN = r"""
_value:
  description:
    - For each origin what is known of it and of its server, C(suffix) of what belongs to it in the pod first.
  type: list
  elements: dict
"""


def xcache_servers(
    origins: list[dict[str, t.Any]],
    *,
    port: int,
    metrics_port: int,
    macaroon: str,
    authority: str,
    redirected: bool = False,
) -> list[dict[str, t.Any]]:
    """Return the servers in the order of their origins."""
    try:
        made: list[dict[str, t.Any]] = _xcache.servers(
            origins,
            port=int(port),
            metrics_port=int(metrics_port),
            macaroon=macaroon,
            authority=authority,
            redirected=bool(redirected),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"xcache_servers: {error!r} in {origins!r}. See facility_origins.") from error
    return made


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"xcache_servers": xcache_servers}
