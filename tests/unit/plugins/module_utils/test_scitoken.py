# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SciTokens and WLCG tokens; the RFCs' own examples, cryptography alone and the library scitokens as second opinions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _scitoken
from ansible_collections.cmsaf.facility.plugins.module_utils._scitoken import ScitokenError
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

NOW = 1795494591
ISSUER = "https://tokens.example.org"
AUDIENCE = "https://xcache.example.org"


def pem_of(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def ec_key() -> bytes:
    return _scitoken.generate_key()


@pytest.fixture(scope="module")
def rsa_key() -> bytes:
    return pem_of(rsa.generate_private_key(65537, 2048))


def jwk_of(pem: bytes) -> dict[str, Any]:
    return _scitoken.public_jwk(_scitoken.load_key(pem))


def mint(key: bytes, **changes: Any) -> str:
    wanted = {
        "profile": "wlcg",
        "issuer": ISSUER,
        "subject": "alice",
        "audience": [AUDIENCE],
        "scopes": ["storage.read:/store", "compute.create"],
        "lifetime": 3600,
        "issued_at": NOW,
        "token_id": "one",
    }
    return _scitoken.mint(key=key, **{**wanted, **changes})


def verify(token: str, *keys: dict[str, Any], **changes: Any) -> _scitoken.Scitoken:
    wanted = {"issuer": ISSUER, "audience": AUDIENCE, "now": NOW}
    return _scitoken.verify(token, keys, **{**wanted, **changes})


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forged(key: bytes, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
    """A token with other members, and a right signature of an EC key, made here; None takes a member out."""
    parts = [json.loads(decode(part)) for part in mint(key).split(".")[:2]]
    for there, change in zip(parts, (header, claims)):
        there.update(change or {})
        for name in [name for name, value in there.items() if value is None]:
            del there[name]
    return signed(key, *(json.dumps(part).encode() for part in parts))


def signed(key: bytes, header: bytes, claims: bytes) -> str:
    text = encode(header) + "." + encode(claims)
    der = _scitoken.load_key(key).sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    return text + "." + encode(b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der)))


# RFC 7638, 3.1
RFC_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91"
    "CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


def test_thumbprint_is_that_of_the_rfc() -> None:
    assert _scitoken.thumbprint(RFC_KEY) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_public_half_is_that_of_the_rfc() -> None:
    # RFC 7515, A.3.1: the key's secret number, and what is published of it.
    secret = int.from_bytes(decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), "big")
    jwk = _scitoken.public_jwk(ec.derive_private_key(secret, ec.SECP256R1()))
    assert jwk["x"] == "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
    assert jwk["y"] == "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"


def test_the_whole_token(ec_key: bytes) -> None:
    header, claims, _signature = mint(ec_key).split(".")
    assert json.loads(decode(header)) == {"alg": "ES256", "kid": jwk_of(ec_key)["kid"], "typ": "JWT"}
    assert json.loads(decode(claims)) == {
        "wlcg.ver": "1.0",
        "iss": ISSUER,
        "sub": "alice",
        "aud": AUDIENCE,
        "scope": "storage.read:/store compute.create",
        "iat": NOW,
        "nbf": NOW - 60,
        "exp": NOW + 3600,
        "jti": "one",
    }


def test_scitokens_have_claims_of_their_own(ec_key: bytes) -> None:
    token = mint(
        ec_key, profile="scitokens", scopes=["read:/store", "write:/store/alice", "queue"], audience=["a", "b"]
    )
    claims = json.loads(decode(token.split(".")[1]))
    assert claims["ver"] == "scitoken:2.0" and "wlcg.ver" not in claims
    assert claims["aud"] == ["a", "b"] and claims["scope"] == "read:/store write:/store/alice queue"
    assert verify(token, jwk_of(ec_key), audience="b").profile == "scitokens"


def check_alone(public: Any, signature: bytes, text: bytes) -> None:
    """By the package cryptography, with nothing of ours or of PyJWT's between."""
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        return
    assert len(signature) == 64
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    public.verify(der, text, ec.ECDSA(hashes.SHA256()))


def test_cryptography_alone_finds_the_signature_good(ec_key: bytes, rsa_key: bytes) -> None:
    for pem in (ec_key, rsa_key):
        text, _dot, signature = mint(pem).rpartition(".")
        public = _scitoken.load_key(pem).public_key()
        check_alone(public, decode(signature), text.encode())
        with pytest.raises(InvalidSignature):
            check_alone(public, decode(signature), text.encode() + b"x")


@pytest.mark.parametrize(("profile", "scopes"), [("wlcg", ["storage.read:/store"]), ("scitokens", ["read:/store"])])
def test_the_library_scitokens_takes_it(profile: str, scopes: list[str], ec_key: bytes) -> None:
    scitokens = pytest.importorskip("scitokens", reason="pip install scitokens enables it")
    token = mint(ec_key, profile=profile, scopes=scopes, issued_at=None)
    public = (
        _scitoken.load_key(ec_key)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    theirs = scitokens.SciToken.deserialize(token, audience=AUDIENCE, public_key=public)
    assert theirs["scope"] == scopes[0] and theirs["iss"] == ISSUER
    if profile == "scitokens":
        # Of the library only what is in C++ enforces the WLCG's claims.
        enforcer = scitokens.Enforcer(ISSUER, audience=AUDIENCE)
        assert enforcer.test(theirs, "read", "/store/file"), enforcer.last_failure
        assert not enforcer.test(theirs, "read", "/other")


def test_reads_what_it_made(ec_key: bytes, rsa_key: bytes) -> None:
    for pem in (ec_key, rsa_key):
        token = mint(pem)
        assert verify(token + "\n", jwk_of(ec_key), jwk_of(rsa_key)) == _scitoken.parse(token)
    assert _scitoken.parse(token) == _scitoken.Scitoken(
        profile="wlcg",
        key_id=jwk_of(rsa_key)["kid"],
        issuer=ISSUER,
        subject="alice",
        audience=(AUDIENCE,),
        scopes=("storage.read:/store", "compute.create"),
        issued_at=NOW,
        not_before=NOW - 60,
        expires_at=NOW + 3600,
        token_id="one",
    )


@pytest.mark.parametrize(
    ("now", "good"),
    [(NOW - 121, False), (NOW - 60, True), (NOW, True), (NOW + 3599, True), (NOW + 3600, False)],
)
def test_times_have_the_leeway_that_is_stated(now: int, good: bool, ec_key: bytes) -> None:
    if good:
        verify(mint(ec_key), jwk_of(ec_key), now=now)
        return
    with pytest.raises(ScitokenError, match=r"ended|in the future"):
        verify(mint(ec_key), jwk_of(ec_key), now=now)


@pytest.mark.parametrize("audience", ["https://wlcg.cern.ch/jwt/v1/any", AUDIENCE])
def test_audiences_that_are_taken(audience: str, ec_key: bytes) -> None:
    verify(mint(ec_key, audience=["https://other.example.org", audience]), jwk_of(ec_key))


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"alg": "none"}, {}, "algorithm is 'none'"),
    ({"alg": "HS256"}, {}, "algorithm is 'HS256'"),
    ({"alg": "RS256"}, {}, "that of its key is 'ES256'"),
    ({"alg": "es256"}, {}, "algorithm"),
    ({"alg": None}, {}, "algorithm is None"),
    ({"kid": None}, {}, "kid"),
    ({"kid": "other"}, {}, "not in the key set"),
    ({"crit": ["exp"]}, {}, "crit"),
    ({"typ": "JWE"}, {}, "type"),
    ({}, {"iss": "https://other.example.org"}, "issuer"),
    ({}, {"iss": ISSUER + "/"}, "issuer"),
    ({}, {"iss": None}, "iss"),
    ({}, {"sub": None}, "sub"),
    ({}, {"aud": None}, "aud"),
    ({}, {"aud": []}, "aud"),
    ({}, {"aud": [1]}, "aud"),
    ({}, {"aud": "ANY"}, "not for"),
    ({}, {"aud": AUDIENCE.upper()}, "not for"),
    ({}, {"exp": None}, "exp"),
    ({}, {"exp": "9999999999"}, "exp"),
    ({}, {"exp": True}, "exp"),
    ({}, {"exp": 1e300}, "exp"),
    ({}, {"exp": NOW}, "has ended"),
    ({}, {"iat": None}, "iat"),
    ({}, {"iat": NOW + 61}, "iat is 61 s in the future"),
    ({}, {"nbf": NOW + 61}, "nbf is 61 s in the future"),
    ({}, {"wlcg.ver": None}, "have one of"),
    ({}, {"ver": "scitoken:2.0"}, "have one of"),
    ({}, {"wlcg.ver": "2.0"}, "version '2.0'"),
    ({}, {"wlcg.ver": 1.0}, "version 1.0"),
    ({}, {"wlcg.ver": None, "ver": "scitoken:3.0"}, "version"),
    ({}, {"scope": ["storage.read:/"]}, "scope"),
    ({}, {"scope": "storage.read:/store/../etc"}, "shortest form"),
    ({}, {"scope": "storage.read:/store%2f"}, "characters"),
    ({}, {"scope": "storage.read"}, "no absolute path"),
    ({}, {"scope": "compute.create:/x"}, "takes none"),
    ({}, {"scope": "storage.everything:/"}, "not of profile"),
]


@pytest.mark.parametrize(("header", "claims", "words"), REFUSED)
def test_well_signed_but_wrong_is_refused(
    header: dict[str, Any], claims: dict[str, Any], words: str, ec_key: bytes
) -> None:
    verify(forged(ec_key), jwk_of(ec_key))
    with pytest.raises(ScitokenError, match=words):
        verify(forged(ec_key, header, claims), jwk_of(ec_key))


def test_newer_minor_versions_are_taken(ec_key: bytes) -> None:
    assert verify(forged(ec_key, {}, {"wlcg.ver": "1.2"}), jwk_of(ec_key)).profile == "wlcg"
    assert verify(forged(ec_key, {"typ": "at+jwt"}), jwk_of(ec_key))


def test_a_public_key_is_no_shared_secret(rsa_key: bytes) -> None:
    # RFC 8725, 2.1: what signs with the published key as if it were a secret of HS256.
    public = _scitoken.load_key(rsa_key).public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims = mint(rsa_key).split(".")[1]
    for alg in ("HS256", "RS256"):
        text = encode(json.dumps({"alg": alg, "kid": jwk_of(rsa_key)["kid"]}).encode()) + "." + claims
        token = text + "." + encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())
        with pytest.raises(ScitokenError):
            verify(token, jwk_of(rsa_key))


def test_a_foreign_or_missing_signature_is_refused(ec_key: bytes) -> None:
    token = mint(ec_key)
    other = _scitoken.generate_key()
    text = token.rpartition(".")[0]
    for wrong in (text + ".", text + "." + mint(other).rpartition(".")[2], text + "." + encode(bytes(64))):
        with pytest.raises(ScitokenError, match="not signed by this key"):
            verify(wrong, jwk_of(ec_key))
    # The right id over another's key.
    with pytest.raises(ScitokenError, match="not signed by this key"):
        verify(token, {**jwk_of(other), "kid": jwk_of(ec_key)["kid"]})


@pytest.mark.parametrize(
    "token", ["", "a.b", "....", "x" * 20000, "!.e30.e30", "e30.e30.e30", "W10.W10.", "bnVsbA.bnVsbA.", "é.é.é"]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ScitokenError):
        _scitoken.parse(token)


def test_a_claim_that_is_there_twice_is_refused(ec_key: bytes) -> None:
    header, claims, _signature = (decode(part) for part in mint(ec_key).split("."))
    twice = claims.replace(b"{", b'{"sub":"root",', 1)
    with pytest.raises(ScitokenError, match="each name is there once"):
        verify(signed(ec_key, header, twice), jwk_of(ec_key))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: pem_of(ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
        (lambda: pem_of(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (lambda: pem_of(ed25519.Ed25519PrivateKey.generate()), "neither EC nor RSA"),
        (lambda: b"", "no private key"),
        (
            lambda: ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"x"),
            ),
            "without a passphrase",
        ),
    ],
)
def test_keys_that_are_of_no_use_are_refused(make: Callable[[], bytes], words: str) -> None:
    with pytest.raises(ScitokenError, match=words):
        mint(make())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "oidc"}, "profile"),
        ({"issuer": "https://tokens.example.org?x"}, "issuer"),
        ({"issuer": "https://u:p@tokens.example.org"}, "issuer"),
        ({"subject": ""}, "subject"),
        ({"subject": "alice\n"}, "subject"),
        ({"audience": []}, "audience"),
        ({"audience": ["a b"]}, "audience"),
        ({"audience": [""]}, "audience"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": -1}, "lifetime"),
        ({"lifetime": 21601}, "6 hours"),
        ({"not_before": NOW + 3600}, "not_before"),
    ],
)
def test_bad_input_is_refused_by_name(changes: dict[str, Any], words: str, ec_key: bytes) -> None:
    with pytest.raises(ScitokenError, match=words):
        mint(ec_key, **changes)


@pytest.mark.parametrize("path", ["/", "/store", "/store/", "/store/user/a.b_c~d+e=f@g-h"])
def test_paths_that_have_one_reading_are_taken(path: str, ec_key: bytes) -> None:
    assert verify(mint(ec_key, scopes=[f"storage.read:{path}"]), jwk_of(ec_key)).scopes == (f"storage.read:{path}",)


def test_key_set_keeps_the_retired_until_they_end(ec_key: bytes) -> None:
    old, older = jwk_of(_scitoken.generate_key()), {**jwk_of(_scitoken.generate_key()), "exp": NOW + 10}
    gone, current = {**jwk_of(_scitoken.generate_key()), "exp": NOW}, jwk_of(ec_key)
    keys = _scitoken.key_set(current, [gone, old, older], overlap=100, now=NOW)
    assert keys == [current, {**old, "exp": NOW + 100}, older]
    assert _scitoken.key_set(current, keys, overlap=100, now=NOW + 5) == keys
    assert _scitoken.key_set(current, keys, overlap=0, now=NOW) == [current]
    assert _scitoken.read_key_set(_scitoken.published(keys)) == keys


def test_a_key_that_is_to_come_is_published_and_retires_nobody(ec_key: bytes) -> None:
    current, coming, retired = jwk_of(ec_key), jwk_of(_scitoken.generate_key()), jwk_of(_scitoken.generate_key())
    keys = _scitoken.key_set(current, [current, {**retired, "exp": NOW + 10}], overlap=100, now=NOW, coming=coming)
    assert keys == [current, coming, {**retired, "exp": NOW + 10}]
    # In the other's place it is the current one, and the other is what retires.
    assert _scitoken.key_set(coming, keys, overlap=100, now=NOW + 5) == [
        coming,
        {**current, "exp": NOW + 105},
        {**retired, "exp": NOW + 10},
    ]


def test_a_retired_key_is_refused_when_its_time_has_ended(ec_key: bytes) -> None:
    jwk = {**jwk_of(ec_key), "exp": NOW + 100}
    verify(mint(ec_key), jwk, now=NOW + 99)
    with pytest.raises(ScitokenError, match="retired"):
        verify(mint(ec_key), jwk, now=NOW + 100)


def test_keys_for_other_uses_are_passed_over(ec_key: bytes) -> None:
    jwk = jwk_of(ec_key)
    others = [{**jwk, "use": "enc"}, {"kty": "OKP", "kid": "x"}, {"kty": "oct", "k": "AAAA", "kid": jwk["kid"]}]
    assert _scitoken.read_key_set(_scitoken.published([*others, jwk])) == [jwk]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b"{}", "keys"),
        (b'{"keys": 1}', "keys"),
        (b'{"keys": [], "keys": []}', "once"),
        (b'{"keys": [{"kty": "EC"}]}', "kid"),
        (b'{"keys": [{"kty": "EC", "kid": "a", "d": "AA"}]}', "private"),
        (b'{"keys": [{"kty": "EC", "kid": "a"}, {"kty": "RSA", "kid": "a"}]}', "two keys"),
        (b'{"keys": [{"kty": "EC", "kid": "a", "exp": "soon"}]}', "exp"),
    ],
)
def test_bad_key_sets_are_refused(document: bytes, words: str) -> None:
    with pytest.raises(ScitokenError, match=words):
        _scitoken.read_key_set(document)


def test_configuration_names_the_key_set() -> None:
    found = json.loads(_scitoken.openid_configuration(ISSUER, ISSUER + "/jwks"))
    assert found["issuer"] == ISSUER and found["jwks_uri"] == ISSUER + "/jwks"
    with pytest.raises(ScitokenError, match="jwks_uri"):
        _scitoken.openid_configuration(ISSUER, "http://tokens.example.org/jwks")
