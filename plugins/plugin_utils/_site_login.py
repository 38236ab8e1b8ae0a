# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with the login of a hub.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site

__all__ = ["mistakes"]


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with ``jupyterhub_login``."""
    login = site.facility("jupyterhub_login")
    kind = login.get("kind") if isinstance(login, Mapping) else None
    if kind not in ("cilogon", "oidc"):
        return
    name = "jupyterhub_login"
    if not login.get("client_id"):
        yield f"{name}.client_id", "nothing", "Set what the provider called this hub when it was registered."
    issuer = login.get("issuer") or ("" if kind == "oidc" else "https://cilogon.org")
    if not str(issuer).startswith("https://"):
        yield f"{name}.issuer", f"{issuer!r}", "Set the provider's issuer, a URL that begins with https://."
    providers = login.get("identity_providers") or {}
    if kind == "cilogon" and not providers:
        yield (
            f"{name}.identity_providers",
            "nothing",
            "Name the entity IDs that are taken: anybody in the world has an account with one of CILogon's.",
        )
    for provider, domains in providers.items() if isinstance(providers, Mapping) else ():
        listed = isinstance(domains, list) and all(isinstance(item, str) and item == item.lower() for item in domains)
        if not listed:
            yield (
                f"{name}.identity_providers[{provider}]",
                f"{domains!r}",
                "Set a list of domains in lower case, or [].",
            )
    entries = ("allowed_groups", "allowed_users", "everybody")
    if not any(login.get(entry) for entry in entries) and not site.facility("facility_admins"):
        yield (
            name,
            "nobody who may enter",
            "Set allowed_groups, allowed_users or everybody in it, or facility_admins.",
        )
    if "hub-login-client-secret" in site.missing_files:
        yield (
            name,
            site.missing_files["hub-login-client-secret"],
            "Put there what the provider gave when the hub was registered, mode 0600.",
        )
