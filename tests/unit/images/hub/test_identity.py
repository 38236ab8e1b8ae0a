# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names by a login service, and who may enter."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

# By its file: the package itself needs JupyterHub's libraries, this part of it none.
_FILE = Path(__file__).resolve().parents[4] / "images" / "hub" / "cmsaf_hub" / "identity.py"
_spec = importlib.util.spec_from_file_location("cmsaf_hub_identity", _FILE)
assert _spec is not None and _spec.loader is not None
identity = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = identity
_spec.loader.exec_module(identity)

CERN, FNAL, ANY = "https://cern.test/idp", "https://fnal.test/idp", "https://any.test/idp"
PLAIN = identity.Rules("https://login.test", "preferred_username", "groups", {})
LOCAL = dataclasses.replace(PLAIN, local_domain="af.test")
CILOGON = identity.Rules(
    "https://cilogon.org", "eppn", "isMemberOf", {CERN: ("cern.test",), FNAL: ("fnal.test", "fermi.test"), ANY: ()}
)


def claims(name: Any, **more: Any) -> dict[str, Any]:
    return {"sub": "1", "preferred_username": name, **more}


@pytest.mark.parametrize(
    ("rules", "value", "name"),
    [
        (PLAIN, "alice", "alice"),
        (PLAIN, "a.b_c+d-e", "a.b_c+d-e"),
        (PLAIN, "Alice@Cern.TEST", "alice@cern.test"),
        (PLAIN, "a" * 128, "a" * 128),
        (LOCAL, "alice@af.test", "alice"),
        (LOCAL, "ALICE@AF.test", "alice"),
        (LOCAL, "alice@cern.test", "alice@cern.test"),
        (LOCAL, "alice@sub.af.test", "alice@sub.af.test"),
    ],
)
def test_names(rules: Any, value: str, name: str) -> None:
    assert identity.name_of(rules, claims(value)) == name


@pytest.mark.parametrize(
    "value",
    [
        "",
        None,
        7,
        ["alice"],
        "a" * 129,
        "Alice",
        " alice",
        "alice ",
        "alice\n",
        "al ice",
        "al\x00ice",
        "../alice",
        "a/b",
        "аlice",
        "ａlice",
        "al\u200bice",
        "alíce",
        "Kim@af.test",
        "alice@",
        "@af.test",
        "alice@af",
        "alice@af.test@cern.test",
        "alice@af..test",
        "alice@-af.test",
        ".alice",
        "alice.",
        "a..b",
        "-alice",
        "a%b",
        "a:b",
    ],
)
def test_what_could_be_read_as_another_name_is_refused(value: Any) -> None:
    with pytest.raises(identity.Refused):
        identity.name_of(PLAIN, claims(value))


def test_a_name_without_domain_is_not_one_of_the_sites_own() -> None:
    with pytest.raises(identity.Refused, match="has no domain"):
        identity.name_of(LOCAL, claims("alice"))


def test_a_provider_speaks_for_its_own_domains_only() -> None:
    assert identity.name_of(CILOGON, {"sub": "1", "idp": FNAL, "eppn": "a@fermi.test"}) == "a@fermi.test"
    assert identity.name_of(CILOGON, {"sub": "1", "idp": ANY, "eppn": "a@else.test"}) == "a@else.test"
    with pytest.raises(identity.Refused, match="does not speak for the domain"):
        identity.name_of(CILOGON, {"sub": "1", "idp": FNAL, "eppn": "a@cern.test"})
    with pytest.raises(identity.Refused, match="does not take the identity provider"):
        identity.name_of(CILOGON, {"sub": "1", "idp": "https://else.test", "eppn": "a@cern.test"})
    with pytest.raises(identity.Refused, match="does not take the identity provider"):
        identity.name_of(CILOGON, {"sub": "1", "eppn": "a@cern.test"})


def test_an_identity_is_issuer_provider_and_subject() -> None:
    assert identity.identity_of(PLAIN, claims("a")) == ("https://login.test", "https://login.test", "1")
    assert identity.identity_of(CILOGON, {"sub": "9", "idp": CERN}) == ("https://cilogon.org", CERN, "9")
    with pytest.raises(identity.Refused, match="no claim sub"):
        identity.identity_of(PLAIN, {"preferred_username": "alice"})


def test_a_mail_address_has_to_be_verified() -> None:
    mail = dataclasses.replace(PLAIN, name_claim="email")
    assert identity.name_of(mail, {"sub": "1", "email": "a@b.test", "email_verified": True}) == "a@b.test"
    with pytest.raises(identity.Refused, match="not verified"):
        identity.name_of(mail, {"sub": "1", "email": "a@b.test", "email_verified": False})


@pytest.mark.parametrize(
    ("value", "groups"),
    [(["cms", "b"], {"cms", "b"}), ("cms b", {"cms", "b"}), (None, set()), ({"cms": 1}, set()), (["cms", 7], {"cms"})],
)
def test_groups(value: Any, groups: set[str]) -> None:
    assert identity.groups_of(PLAIN, claims("a", groups=value)) == groups


def test_nobody_enters_unless_a_rule_says_so() -> None:
    in_cms = frozenset({"cms"})
    assert "not on the list" in identity.refusal(PLAIN, "alice", in_cms)
    by_group = dataclasses.replace(PLAIN, allowed_groups=in_cms, admins=frozenset({"boss"}))
    assert identity.refusal(by_group, "alice", in_cms) == ""
    assert identity.refusal(by_group, "boss", frozenset()) == ""
    assert "none of the groups" in identity.refusal(by_group, "alice", frozenset({"atlas"}))
    assert identity.refusal(dataclasses.replace(PLAIN, allowed_users=frozenset({"alice"})), "alice", frozenset()) == ""
    assert identity.refusal(dataclasses.replace(PLAIN, everybody=True), "anybody", frozenset()) == ""
