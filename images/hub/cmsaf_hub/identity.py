# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who somebody is by what a login service says, and whether he may enter: no network, no hub in here.

A name stands for one person. So it is taken whole from one claim, refused where it
could be read as another one, and loses its domain only if that is the site's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["NAME_LENGTH", "Refused", "Rules", "groups_of", "identity_of", "name_of", "refusal"]

# No more than what the hub's data base and a pod's annotations take without a cut.
NAME_LENGTH = 128
# Nothing that looks like something else: no space, no letter beyond ASCII, no sign of a path or a URL.
_LOCAL = re.compile(r"[a-z0-9]([a-z0-9_+-]|\.(?=[a-z0-9_+-]))*")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


class Refused(Exception):
    """Somebody may not enter; the message is for himself."""


@dataclass(frozen=True)
class Rules:
    """The site's rules, as plain values."""

    issuer: str
    name_claim: str
    groups_claim: str
    # Entity of an identity provider and the domains whose people it may speak for; () is any.
    # Without providers, the issuer itself is the only one.
    providers: Mapping[str, tuple[str, ...]]
    local_domain: str = ""
    allowed_groups: frozenset[str] = frozenset()
    allowed_users: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    everybody: bool = False


def identity_of(rules: Rules, claims: Mapping[str, Any]) -> tuple[str, str, str]:
    """Issuer, identity provider and subject: what stays when a name changes hands.

    :raises Refused: a provider that the site does not take
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise Refused("The login service did not say who you are (no claim sub).")
    if not rules.providers:
        return rules.issuer, rules.issuer, subject
    provider = claims.get("idp")
    if not isinstance(provider, str) or provider not in rules.providers:
        # For its administrator it is named, for nobody else does it matter.
        raise Refused("This facility does not take the identity provider that you chose. Sign in by another one.")
    return rules.issuer, provider, subject


def name_of(rules: Rules, claims: Mapping[str, Any]) -> str:
    """The user's name on this hub.

    >>> rules = Rules("https://login.test", "eppn", "groups", {}, local_domain="af.test")
    >>> name_of(rules, {"sub": "1", "eppn": "Alice@af.test"}), name_of(rules, {"sub": "2", "eppn": "alice@cern.ch"})
    ('alice', 'alice@cern.ch')
    """
    _issuer, provider, _subject = identity_of(rules, claims)
    value = claims.get(rules.name_claim)
    if not isinstance(value, str) or not value:
        raise Refused(f"The login service did not give your {rules.name_claim}, which is your name here.")
    if rules.name_claim == "email" and claims.get("email_verified", True) is not True:
        raise Refused("The login service has not verified your mail address, which is your name here.")
    # Names with a domain know no case. Any other is taken as it is: 'a' and 'A' may be two people.
    local, at, domain = value.partition("@")
    if at:
        local, domain = _ascii_lower(local), _ascii_lower(domain)
    if len(value) > NAME_LENGTH or not _LOCAL.fullmatch(local) or (at and not _DOMAIN.fullmatch(domain)):
        raise Refused(
            f"Your {rules.name_claim} cannot be a name here: it has to be made of a-z, 0-9, '.', '_', '+' and '-',"
            " with a domain behind an @ if it has one."
        )
    domains = rules.providers.get(provider, ())
    if domains and domain not in domains:
        raise Refused(f"Your identity provider does not speak for the domain of your {rules.name_claim}.")
    if not rules.local_domain:
        return f"{local}{at}{domain}"
    if not at:
        # It would read like a name of the site's own domain.
        raise Refused(f"Your {rules.name_claim} has no domain, so it cannot be told from a name of this site.")
    return local if domain == rules.local_domain else f"{local}@{domain}"


def groups_of(rules: Rules, claims: Mapping[str, Any]) -> frozenset[str]:
    """Groups by the claim, a list or one text of words; anything else is no membership."""
    value = claims.get(rules.groups_claim)
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, (list, tuple)):
        return frozenset()
    return frozenset(item for item in value if isinstance(item, str))


def refusal(rules: Rules, name: str, groups: frozenset[str]) -> str:
    """Why somebody who is known may not enter; nothing if he may."""
    if rules.everybody or name in rules.admins or name in rules.allowed_users or groups & rules.allowed_groups:
        return ""
    if rules.allowed_groups:
        return f"You are signed in as {name}, but you are in none of the groups that may use this facility."
    return f"You are signed in as {name}, but this name is not on the list of this facility's users."


def _ascii_lower(text: str) -> str:
    """Lower case of ASCII alone: str.lower() makes a 'k' of the Kelvin sign."""
    return "".join(chr(ord(sign) + 32) if "A" <= sign <= "Z" else sign for sign in text)
