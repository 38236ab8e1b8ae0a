# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Known answers: tokens that condor_token_create of HTCondor 23.9.6 (Debian 13) printed.

The key files held what POOL_FILE and NAMED_FILE compute: arithmetic, not secrets.
"""

from __future__ import annotations

import doctest
import hashlib

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken as idtoken

POOL_FILE = bytes(range(64))
# Bytes 4 to 7 unscramble to zeros, at which old versions stopped reading.
NAMED_FILE = b"AAAA" + bytes.fromhex("deadbeef") + bytes(range(255, 199, -1))

DAEMON = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ"
    ".eyJleHAiOjE3OTU0OTgxOTEsImlhdCI6MTc5NTQ5NDU5MSwiaXNzIjoicG9vbC5leGFtcGxlLm9yZyIsImp0aSI6IjMw"
    "ZDgzZjQ5NDAzMzYwY2Q3MzcwZDA3MDAzMzM3ZThkIiwic2NvcGUiOiJjb25kb3I6XC9BRFZFUlRJU0VfU1RBUlREIGNv"
    "bmRvcjpcL1JFQUQiLCJzdWIiOiJjb25kb3JAcG9vbC5leGFtcGxlLm9yZyJ9"
    ".GSrg7dXYltMg0H08-6cxiBLLDuwrcoKyIzBUp0nIa04"
)
ENDLESS = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ"
    ".eyJpYXQiOjE3OTU0OTQ1OTEsImlzcyI6InBvb2wuZXhhbXBsZS5vcmciLCJqdGkiOiI3OWQ4ZDgwMTVkMDhkMGJkYmY0"
    "MDg0OTI2ODE3MWJlNyIsInN1YiI6ImNvbmRvckBwb29sLmV4YW1wbGUub3JnIn0"
    ".UfPYEy1RAlcaaHHwX-eI-XyfUasFZl1-ToZ2VVAYPmI"
)
USER = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Imh1YiJ9"
    ".eyJleHAiOjE3OTU1Mzc3OTEsImlhdCI6MTc5NTQ5NDU5MSwiaXNzIjoicG9vbC5leGFtcGxlLm9yZyIsImp0aSI6ImU2"
    "MDU3ZWY5ZTU1OTI2NDRkNWJjMTk0MGFlMDAyMDcxIiwic2NvcGUiOiJjb25kb3I6XC9SRUFEIGNvbmRvcjpcL1dSSVRF"
    "Iiwic3ViIjoiYWxpY2VAdXNlcnMuZXhhbXBsZS5vcmcifQ"
    ".6A6kNlw2RWsOxAiTFiByOmlkjTieAy_H7P0rsoHOkEk"
)


def mint(**changes):
    arguments = {
        "key": NAMED_FILE,
        "key_id": "hub",
        "issuer": "pool.example.org",
        "identity": "alice@users.example.org",
        "lifetime": 43200,
        "scopes": ("READ", "WRITE"),
    }
    return idtoken.mint(**{**arguments, **changes})


def test_a_user_token_is_condors_own_byte_by_byte():
    assert mint(issued_at=1795494591, token_id="e6057ef9e5592644d5bc1940ae002071") == USER


def test_a_token_of_the_pool_key_is_condors_own_byte_by_byte():
    assert (
        mint(
            key=POOL_FILE,
            key_id="POOL",
            identity="condor@pool.example.org",
            scopes=("ADVERTISE_STARTD", "READ"),
            lifetime=3600,
            issued_at=1795494591,
            token_id="30d83f49403360cd7370d07003337e8d",
        )
        == DAEMON
    )


@pytest.mark.parametrize(("token", "key"), [(DAEMON, POOL_FILE), (ENDLESS, POOL_FILE), (USER, NAMED_FILE)])
def test_condors_own_tokens_verify(token, key):
    assert idtoken.verify(token + "\n", key) == idtoken.parse(token)


def test_parse_reads_all_claims():
    assert idtoken.parse(USER) == idtoken.IdToken(
        key_id="hub",
        issuer="pool.example.org",
        identity="alice@users.example.org",
        issued_at=1795494591,
        expires_at=1795537791,
        scopes=("READ", "WRITE"),
        token_id="e6057ef9e5592644d5bc1940ae002071",
    )


def test_time_left():
    assert idtoken.parse(USER).seconds_left(1795537790) == 1
    assert idtoken.parse(USER).seconds_left(1795537792) == -1
    assert idtoken.parse(ENDLESS).seconds_left() is None
    assert idtoken.parse(ENDLESS).scopes == ()


def test_two_tokens_are_never_the_same():
    assert mint() != mint()


def test_scrambling_is_its_own_inverse():
    assert idtoken.scramble(b"") == b""
    assert idtoken.unscramble(idtoken.scramble(POOL_FILE)) == POOL_FILE
    assert idtoken.unscramble(NAMED_FILE)[4:8] == bytes(4)


def test_generated_keys_are_long_different_and_without_zero_bytes():
    keys = {idtoken.generate_key() for _index in range(200)}
    assert len(keys) == 200
    assert {len(key) for key in keys} == {idtoken.KEY_BYTES}
    assert not any(0 in idtoken.unscramble(key) for key in keys)


def test_only_the_pool_key_is_doubled():
    one, other = (idtoken.signing_key(POOL_FILE, name) for name in ("POOL", "POOLS"))
    assert one != other
    assert len(one) == hashlib.sha256().digest_size


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"key": b"short"}, "5 bytes"),
        ({"key_id": "../POOL"}, "key_id"),
        ({"key_id": ""}, "key_id"),
        ({"issuer": ""}, "issuer"),
        ({"issuer": "pool.example.org "}, "issuer"),
        ({"identity": "alice"}, "identity"),
        ({"identity": "@users.example.org"}, "identity"),
        ({"identity": "alice@"}, "identity"),
        ({"identity": "alice@a@b"}, "identity"),
        ({"identity": "alice smith@users.example.org"}, "identity"),
        ({"identity": "*@users.example.org"}, "identity"),
        ({"identity": "alice@users.example.org\n"}, "identity"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": -5}, "lifetime"),
        ({"lifetime": idtoken.MAXIMUM_LIFETIME + 1}, "400 days"),
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("READ condor:/ADMINISTRATOR",)}, "scope"),
        ({"scopes": ("read",)}, "scope"),
    ],
)
def test_bad_input_is_refused_by_name(changes, named):
    with pytest.raises(idtoken.IdTokenError, match=named):
        mint(**changes)


def _swap(token, index, part):
    parts = token.split(".")
    parts[index] = part
    return ".".join(parts)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "....",
        "not base64!.e30.e30",
        _swap(USER, 0, "e30"),
        _swap(USER, 1, "e30"),
        _swap(USER, 1, "W10"),
        _swap(USER, 1, "bm8"),
    ],
)
def test_what_is_no_token_is_refused(token):
    with pytest.raises(idtoken.IdTokenError):
        idtoken.parse(token)


@pytest.mark.parametrize(
    ("token", "key"),
    [
        (USER, POOL_FILE),
        (_swap(USER, 1, DAEMON.split(".")[1]), NAMED_FILE),
        (_swap(USER, 2, DAEMON.split(".")[2]), NAMED_FILE),
        (_swap(USER, 2, ""), NAMED_FILE),
        (_swap(USER, 0, "eyJhbGciOiJub25lIiwia2lkIjoiaHViIn0"), NAMED_FILE),
    ],
)
def test_a_foreign_signature_is_refused(token, key):
    with pytest.raises(idtoken.IdTokenError):
        idtoken.verify(token, key)


def test_examples_in_the_documentation():
    assert doctest.testmod(idtoken).failed == 0
