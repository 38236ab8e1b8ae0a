# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with tokens' lifetimes and with where they are made.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site, whole

__all__ = ["mistakes"]

# What HTCondor's daemons listen on, and what the token service does if nothing else is set.
CONDOR_PORT, TOKEN_PORT = 9618, 9620
_SERVICE = re.compile(r"https://(?P<host>[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(?P<port>[1-9][0-9]{0,4})")


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with tokens and their makers."""
    port, longest = site.facility("htcondor_token_port"), site.facility("htcondor_token_lifetime")
    if whole(port) and (not 0 < port < 65536 or port == CONDOR_PORT):
        yield (
            "htcondor_token_port",
            f"{port}",
            f"Set a port that is free; {CONDOR_PORT} is that of HTCondor's daemons.",
        )
    if whole(longest) and longest <= 0:
        yield "htcondor_token_lifetime", f"{longest}", "Set a positive number of seconds."
    # The modules that mint refuse more, see module_utils/_idtoken.py; a cache's token has a limit by its server alone.
    for name, most in (("htcondor_daemon_token_days", 400), ("xcache_origin_token_days", None)):
        days = site.said(name)
        if whole(days) and (days <= 0 or (most is not None and days > most)):
            yield name, f"{days}", "Set a positive number of days" + (f", at most {most}." if most else ".")
    key, url = site.facility("jupyterhub_signing_key"), site.said("jupyterhub_token_service")
    if key:
        if not str(key).startswith("/"):
            yield "jupyterhub_signing_key", f"{key!r}", "Set the whole path of a file on the access point."
        return
    match = _SERVICE.fullmatch(url) if isinstance(url, str) else None
    if match and int(match["port"]) > 65535:
        match = None
    if url is not None and match is None:
        yield "jupyterhub_token_service", f"{url!r}", "Set https://host:port, with nothing behind the port."
    # Without a value of its own it is the access point of this inventory at the service's usual port.
    host, asked = (match["host"], int(match["port"])) if match else ("", TOKEN_PORT)
    ours = url is None or host in site.hosts("condor_access_point")
    if ours and whole(port) and port != asked and (url is None or match):
        yield (
            "jupyterhub_token_service",
            f"port {asked}, but by htcondor_token_port the access point listens on {port}",
            f"Set it to https://<access point>:{port}.",
        )
    wanted = site.facility("jupyterhub_credential_lifetime")
    if ours and whole(wanted) and whole(longest) and 0 < longest < wanted:
        yield (
            "jupyterhub_credential_lifetime",
            f"{wanted} seconds, but no token outlasts the {longest} of htcondor_token_lifetime",
            "Lower it, or raise htcondor_token_lifetime.",
        )
