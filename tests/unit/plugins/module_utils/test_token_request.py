# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the token service grants, and everything that it does not."""

from __future__ import annotations

import doctest
import json
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _token_request
from ansible_collections.cmsaf.facility.plugins.module_utils._token_request import (
    RequestError,
    TokenRequest,
    is_pool_user,
    read_request,
)

LONGEST = 43200


def body(**fields: Any) -> bytes:
    return json.dumps({"user": "alice", "lifetime": 600} | fields).encode()


USERS = ["alice", "Alice", "7", "a.b", "a_b-c+d", "root---4813494d", "rooty", "a" * 64]
NO_USERS = [
    *("", " ", "alice ", " alice", "alice\n", "\nalice", "al\nice", "alice\0", "alice\t", "al ice"),
    *(".", "..", ".alice", "alice.", "a..b", "-alice", "_alice", "+alice", "*", "a*", "alice/bob", "alice,bob"),
    *("x@pool.af.test", "condor@password", "condor@family", "alice@", "@", "condor_pool@pool.af.test"),
    *("root", "Root", "ROOT", "condor", "Condor", "condor_pool", "administrator", "unauthenticated", "unmapped"),
    *("anonymous", "ålice", "аlice", "alice\u200b", "\ud800", "ａlice", "alice%40pool", "a" * 65, "a" * 3000),
]


@pytest.mark.parametrize("user", USERS)
def test_users(user: str) -> None:
    assert is_pool_user(user)
    assert read_request(body(user=user), LONGEST) == TokenRequest(user=user, lifetime=600)


@pytest.mark.parametrize("user", NO_USERS, ids=ascii)
def test_who_is_no_user(user: str) -> None:
    assert not is_pool_user(user)
    with pytest.raises(RequestError, match="is none of the pool") as problem:
        read_request(body(user=user), LONGEST)
    # Fit for a line of the journal, whatever was asked.
    assert "\n" not in str(problem.value) and len(str(problem.value)) < 400


@pytest.mark.parametrize("user", [None, 7, True, ["alice"], {"alice": 1}])
def test_a_user_is_a_text(user: Any) -> None:
    with pytest.raises(RequestError, match="is none of the pool"):
        read_request(body(user=user), LONGEST)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(1, 1), (43199, 43199), (43200, 43200), (43201, 43200), (10**9, 43200), (10**3000, 43200)],
)
def test_lifetimes(asked: int, granted: int) -> None:
    assert read_request(body(lifetime=asked), LONGEST).lifetime == granted


@pytest.mark.parametrize("lifetime", [0, -1, -(10**12), 600.0, 1e300, "600", None, True, [600]])
def test_no_lifetimes(lifetime: Any) -> None:
    with pytest.raises(RequestError, match="not a positive whole number"):
        read_request(body(lifetime=lifetime), LONGEST)


@pytest.mark.parametrize("field", ["scopes", "scope", "domain", "identity", "issuer", "iss", "sub", "key_id", "User"])
def test_nothing_else_can_be_asked(field: str) -> None:
    with pytest.raises(RequestError, match=f"fields .*'{field}'.* has to have user and lifetime"):
        read_request(body(**{field: "ADMINISTRATOR"}), LONGEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"user=alice", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 4000, "not JSON"),
        (b'{"user": "alice", "lifetime": NaN}', "not a positive"),
        (b"[]", "not a JSON object"),
        (b'"alice"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "fields"),
        (b'{"user": "alice"}', "fields"),
        (b'{"lifetime": 600}', "fields"),
        (b'{"user": "alice", "user": "root", "lifetime": 600}', "twice"),
        (b'{"user": "alice", "lifetime": 600}' + b" " * 4096, "at most 4096"),
    ],
)
def test_no_requests(text: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_request(text, LONGEST)


def test_examples() -> None:
    assert doctest.testmod(_token_request).failed == 0
