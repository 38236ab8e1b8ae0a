# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the values that a site hands to the hub's chart.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site

__all__ = ["NAMES", "mistakes"]

# The chart refuses the same; another chart takes it, and keeps it where Helm shows it.
NAMES = "(?i)(secret|password|passphrase|tokens?|keys?)$"


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with ``jupyterhub_values``."""
    values = site.said("jupyterhub_values")
    hub = values.get("hub") if isinstance(values, Mapping) else None
    if not isinstance(hub, Mapping):
        return
    config = hub.get("config")
    sections = {f"config.{name}": traits for name, traits in config.items()} if isinstance(config, Mapping) else {}
    for place, traits in {**sections, "extraEnv": hub.get("extraEnv")}.items():
        for name, value in traits.items() if isinstance(traits, Mapping) else ():
            if re.search(NAMES, str(name)) and not isinstance(value, bool):
                yield (
                    f"jupyterhub_values.hub.{place}.{name}",
                    "a secret by its name, and the values of a chart are no place for one",
                    "Put it into a Secret of the hub's namespace, mount that by hub.extraVolumes and"
                    " hub.extraVolumeMounts, and read it in hub.extraConfig.",
                )
