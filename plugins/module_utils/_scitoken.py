# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SciTokens and WLCG tokens, the issuer's key and the documents that publish it.

Private to this collection: its interface may change in any release.

* WLCG Common JWT Profiles 1.0, 1.1 and later of the same major number; made as
  1.0, which the profile asks for until all software takes newer numbers
* SciTokens claims language, ``scitoken:2.0``
* RFC 7515, 7517, 7518, 7519, 7638 and the advice of RFC 8725

Keys are of the package cryptography, signatures (JWS) of PyJWT: it is in the
controller's and in the hub image's locked requirements, and Debian has both
as packages. What a token of these profiles may say is checked here, by a clock
that the caller can set, as PyJWT knows neither profile. The unit tests check
signatures with cryptography alone, and compare with the library scitokens.

A retired key stays in the key set until its member ``exp``, a parameter that
OpenID Federation 1.0 registered; verifiers that do not know it ignore it.
"""

from __future__ import annotations

__all__ = [
    "ANY_AUDIENCE",
    "CLOCK_LEEWAY",
    "MAXIMUM_LIFETIME",
    "PROFILES",
    "Scitoken",
    "ScitokenError",
    "check_signature",
    "generate_key",
    "key_set",
    "load_key",
    "mint",
    "openid_configuration",
    "parse",
    "public_jwk",
    "published",
    "read_key_set",
    "thumbprint",
    "verify",
]

import base64
import binascii
import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

try:
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError:
    # Only where tokens are made or checked: reading one needs neither.
    HAS_LIBRARIES = False
else:
    HAS_LIBRARIES = True

# The profile's longest life of an access token: there is no way to revoke one.
MAXIMUM_LIFETIME = 6 * 3600
# What the profile recommends: tokens begin this much before they are made, and clocks may be this much behind.
# At the end of a token there is no leeway.
CLOCK_LEEWAY = 60
PROFILES = ("wlcg", "scitokens")
ANY_AUDIENCE = {"wlcg": "https://wlcg.cern.ch/jwt/v1/any", "scitokens": "ANY"}
MINIMUM_RSA_BITS = 2048

_MAXIMUM_TOKEN = 16384
_VERSION_CLAIM = {"wlcg": "wlcg.ver", "scitokens": "ver"}
_VERSION = {"wlcg": "1.0", "scitokens": "scitoken:2.0"}
_VERSION_TAKEN = {"wlcg": re.compile(r"1\.[0-9]+"), "scitokens": re.compile(r"scitoken:2\.0")}
# True: has to have a path.
_SCOPES = {
    "wlcg": {
        **{f"storage.{verb}": True for verb in ("read", "create", "modify", "stage", "poll")},
        **{f"compute.{verb}": False for verb in ("read", "create", "modify", "cancel")},
    },
    "scitokens": {"read": True, "write": True, "queue": False, "execute": False},
}
_ALGORITHMS = {"EC": "ES256", "RSA": "RS256"}
_TYPES = (None, "jwt", "at+jwt")
_ISSUER = re.compile(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?")
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+:/-]{0,254}")
_SEGMENT = re.compile(r"[A-Za-z0-9._~+=@-]+")


class ScitokenError(ValueError):
    """A key, a claim, a key set or a token that cannot be used; the message says which."""


@dataclass(frozen=True)
class Scitoken:
    """What a token says. Reading it proves nothing: see :func:`verify`."""

    profile: str
    key_id: str
    issuer: str
    subject: str
    audience: tuple[str, ...]
    scopes: tuple[str, ...]
    issued_at: int
    not_before: int
    expires_at: int
    token_id: str


def generate_key() -> bytes:
    """A new P-256 key, as PEM (PKCS #8)."""
    _need_libraries()
    pem: bytes = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


def load_key(pem: bytes) -> Any:
    """The private key in a PEM text: P-256, or RSA of 2048 bits and more."""
    _need_libraries()
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ScitokenError("the key is no private key in PEM without a passphrase") from None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise ScitokenError(f"the key is of curve {key.curve.name}, ES256 wants secp256r1 (P-256)")
    elif not isinstance(key, rsa.RSAPrivateKey):
        raise ScitokenError("the key is neither EC nor RSA")
    elif key.key_size < MINIMUM_RSA_BITS:
        raise ScitokenError(f"the RSA key has {key.key_size} bits, RS256 wants {MINIMUM_RSA_BITS} at least")
    return key


def public_jwk(key: Any) -> dict[str, Any]:
    """The public half of a private key, as a key set has it."""
    numbers = key.public_key().public_numbers()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        members = {"kty": "EC", "crv": "P-256", "x": _encode_number(numbers.x, 32), "y": _encode_number(numbers.y, 32)}
    else:
        members = {"kty": "RSA", "e": _encode_number(numbers.e), "n": _encode_number(numbers.n)}
    return {**members, "alg": _ALGORITHMS[members["kty"]], "kid": thumbprint(members), "use": "sig"}


def thumbprint(jwk: dict[str, Any]) -> str:
    """The key's id: its SHA-256 thumbprint by RFC 7638, the same wherever the key is published."""
    names = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in names}, sort_keys=True, separators=(",", ":"))
    return _encode(hashlib.sha256(text.encode("ascii")).digest())


def key_set(
    current: dict[str, Any],
    old: Sequence[dict[str, Any]],
    *,
    overlap: int,
    now: int,
    coming: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The keys to publish: the current one, one that is to come, then those retired for less than the overlap.

    A key that was current ends `overlap` seconds from now, and never later than it was said to end before.
    """
    keys = [current] if coming is None else [current, coming]
    known = {jwk["kid"] for jwk in keys}
    for jwk in old:
        ends = min(jwk.get("exp", now + overlap), now + overlap)
        if jwk["kid"] not in known and ends > now:
            keys.append({**jwk, "exp": ends})
    return keys


def published(keys: Sequence[dict[str, Any]]) -> bytes:
    """A key set document (RFC 7517)."""
    return json.dumps({"keys": list(keys)}, indent=2, sort_keys=True).encode("ascii") + b"\n"


def read_key_set(document: bytes) -> list[dict[str, Any]]:
    """The keys of a key set that can sign tokens of these profiles, each under its own id."""
    keys = _object(document, "the key set").get("keys")
    if not isinstance(keys, list):
        raise ScitokenError("the key set has no list 'keys'")
    found: list[dict[str, Any]] = []
    for jwk in keys:
        # Others' key sets may hold keys for other uses.
        if not isinstance(jwk, dict) or jwk.get("kty") not in _ALGORITHMS or jwk.get("use", "sig") != "sig":
            continue
        if "d" in jwk:
            raise ScitokenError("the key set holds a private key")
        if not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
            raise ScitokenError("a key of the key set has no 'kid'")
        if not isinstance(jwk.get("exp", 0), int):
            raise ScitokenError(f"the key {jwk['kid']!r} of the key set has an 'exp' that is no number")
        if jwk["kid"] in [other["kid"] for other in found]:
            raise ScitokenError(f"the key set has two keys {jwk['kid']!r}")
        found.append(jwk)
    return found


def openid_configuration(issuer: str, jwks_uri: str) -> bytes:
    """The document below ``<issuer>/.well-known/`` by which verifiers find the key set."""
    _check_issuer(issuer)
    if not _ISSUER.fullmatch(jwks_uri):
        raise ScitokenError(f"jwks_uri {jwks_uri!r} is no https URL")
    members = {
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "id_token_signing_alg_values_supported": sorted(_ALGORITHMS.values()),
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
    }
    return json.dumps(members, indent=2, sort_keys=True).encode("ascii") + b"\n"


def mint(
    *,
    key: bytes,
    profile: str,
    issuer: str,
    subject: str,
    audience: Sequence[str],
    scopes: Sequence[str],
    lifetime: int,
    issued_at: int | None = None,
    not_before: int | None = None,
    token_id: str | None = None,
) -> str:
    """Make a token.

    :param key: the issuer's private key, as PEM
    :param profile: ``wlcg`` or ``scitokens``
    :param issuer: https URL of the issuer, as verifiers know it
    :param subject: whom the token stands for
    :param audience: the services that may take it, never empty
    :param scopes: what it is good for, such as ``storage.read:/store``
    :param lifetime: seconds from `issued_at` until it ends, at most MAXIMUM_LIFETIME
    :param issued_at: seconds since the epoch, now if not given
    :param not_before: when it begins to be good, CLOCK_LEEWAY before `issued_at` if not given
    :param token_id: name of this token in logs (jti), random if not given
    """
    private = load_key(key)
    if profile not in PROFILES:
        raise ScitokenError(f"profile {profile!r} is not one of {', '.join(PROFILES)}")
    _check_issuer(issuer)
    if not _SUBJECT.fullmatch(subject):
        raise ScitokenError(f"subject {subject!r} has characters other than letters, digits and ._@+:/-, or is empty")
    if not audience:
        raise ScitokenError("audience is empty: every service would take such a token")
    for name in audience:
        if not _WORD.fullmatch(name):
            raise ScitokenError(f"audience {name!r} is not one word of ASCII")
    if not scopes:
        raise ScitokenError("scopes is empty: such a token is good for nothing, or for all that groups may do")
    for scope in scopes:
        _check_scope(profile, scope)
    if lifetime <= 0:
        raise ScitokenError(f"lifetime {lifetime} is not a positive number of seconds")
    if lifetime > MAXIMUM_LIFETIME:
        raise ScitokenError(
            f"lifetime {lifetime} is more than the {MAXIMUM_LIFETIME} s (6 hours) that a token may last"
        )
    start = int(time.time()) if issued_at is None else issued_at
    begin = start - CLOCK_LEEWAY if not_before is None else not_before
    if begin >= start + lifetime:
        raise ScitokenError(f"not_before {begin} is not before the end of the token, {start + lifetime}")
    claims = {
        _VERSION_CLAIM[profile]: _VERSION[profile],
        "aud": audience[0] if len(audience) == 1 else list(audience),
        "exp": start + lifetime,
        "iat": start,
        "iss": issuer,
        "jti": secrets.token_hex(16) if token_id is None else token_id,
        "nbf": begin,
        "scope": " ".join(scopes),
        "sub": subject,
    }
    jwk = public_jwk(private)
    return str(jwt.encode(claims, private, algorithm=jwk["alg"], headers={"kid": jwk["kid"]}))


def parse(token: str) -> Scitoken:
    """Read a token without looking at its signature."""
    return _read(token)[1]


def verify(
    token: str,
    keys: Sequence[dict[str, Any]],
    *,
    issuer: str | None = None,
    audience: str | None = None,
    now: float | None = None,
) -> Scitoken:
    """Read a token and refuse it unless one of these keys signed it and it is good now.

    :param keys: what :func:`read_key_set` gives
    :param issuer: the only issuer to take; None leaves it to the caller to compare
    :param audience: the service that is asked; None leaves it to the caller to compare
    :param now: seconds since the epoch, this moment if not given
    """
    moment = time.time() if now is None else now
    found = check_signature(token, keys, now=moment)
    if issuer is not None and found.issuer != issuer:
        raise ScitokenError(f"the token's issuer is {found.issuer!r}, wanted is {issuer!r}")
    if audience is not None and not {audience, ANY_AUDIENCE[found.profile]} & set(found.audience):
        raise ScitokenError(f"the token is for {', '.join(found.audience)}, not for {audience!r}")
    if found.expires_at <= moment:
        raise ScitokenError(f"the token has ended {moment - found.expires_at:.0f} s ago")
    for name, start in (("iat", found.issued_at), ("nbf", found.not_before)):
        if start > moment + CLOCK_LEEWAY:
            raise ScitokenError(
                f"the token's {name} is {start - moment:.0f} s in the future: the clock here or the issuer's is wrong"
            )
    for scope in found.scopes:
        _check_scope(found.profile, scope)
    return found


def check_signature(token: str, keys: Sequence[dict[str, Any]], *, now: float | None = None) -> Scitoken:
    """Read a token and refuse it unless one of these keys signed it; whom it is for, and until when, is not looked at."""
    _need_libraries()
    moment = time.time() if now is None else now
    header, found = _read(token)
    named = [jwk for jwk in keys if jwk["kid"] == header["kid"]]
    if not named:
        raise ScitokenError(f"the token's key {header['kid']!r} is not in the key set")
    jwk = named[0]
    # The key says which algorithm it is for; what the token says has to agree with it (RFC 8725, 3.1).
    algorithm = _ALGORITHMS[jwk["kty"]]
    if jwk.get("alg", algorithm) != algorithm or header["alg"] != algorithm:
        raise ScitokenError(f"the token's algorithm is {header['alg']!r}, that of its key is {algorithm!r}")
    if jwk.get("exp", moment + 1) <= moment:
        raise ScitokenError(f"the token's key {jwk['kid']!r} was retired, and its time has ended")
    try:
        key = jwt.PyJWK(jwk, algorithm).key
    except (jwt.PyJWTError, ValueError):
        raise ScitokenError(f"the key {jwk['kid']!r} of the key set is no usable {algorithm} key") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        raise ScitokenError(f"the key {jwk['kid']!r} of the key set is of curve {key.curve.name}, not P-256")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MINIMUM_RSA_BITS:
        raise ScitokenError(f"the key {jwk['kid']!r} of the key set has {key.key_size} bits")
    try:
        jwt.PyJWS().decode(token.strip(), key, algorithms=[algorithm])
    except jwt.PyJWTError:
        raise ScitokenError(f"the token was not signed by this key {jwk['kid']!r}") from None
    return found


def _need_libraries() -> None:
    if not HAS_LIBRARIES:
        raise ScitokenError("the Python packages cryptography and PyJWT (python3-jwt) are not both installed here")


def _check_issuer(issuer: str) -> None:
    if not _ISSUER.fullmatch(issuer):
        raise ScitokenError(f"issuer {issuer!r} is no https URL without query, such as https://tokens.example.org")


def _check_scope(profile: str, scope: str) -> None:
    """Refuse what the profile does not know, and paths that two programs may read as two different ones."""
    verb, colon, path = scope.partition(":")
    if verb not in _SCOPES[profile]:
        raise ScitokenError(f"scope {scope!r} is not of profile {profile}: it has {', '.join(_SCOPES[profile])}")
    if not _SCOPES[profile][verb]:
        if colon:
            raise ScitokenError(f"scope {scope!r} has a path, and {verb} takes none")
        return
    if not path.startswith("/"):
        raise ScitokenError(f"scope {scope!r} has no absolute path: write {verb}:/ for everything of the issuer")
    # A slash at the end says that it is a directory.
    for segment in path[1:].removesuffix("/").split("/"):
        if segment in (".", "..") or (not segment and path != "/"):
            raise ScitokenError(f"scope {scope!r} is not in its shortest form: write the path without //, /./ and /../")
        if segment and not _SEGMENT.fullmatch(segment):
            raise ScitokenError(f"scope {scope!r} has characters other than ASCII letters, digits and ._~+=@-/")


def _read(token: str) -> tuple[dict[str, Any], Scitoken]:
    text = token.strip()
    if len(text) > _MAXIMUM_TOKEN:
        raise ScitokenError(f"the token is longer than {_MAXIMUM_TOKEN} characters")
    parts = text.split(".")
    if len(parts) != 3:
        raise ScitokenError(f"a token has three parts, this has {len(parts)}")
    header, claims = (_object(_decode(part), "a part of the token") for part in parts[:2])
    if header.get("alg") not in _ALGORITHMS.values():
        raise ScitokenError(f"the token's algorithm is {header.get('alg')!r}, not ES256 or RS256")
    kind = header.get("typ")
    if kind is not None and (not isinstance(kind, str) or kind.lower() not in _TYPES):
        raise ScitokenError(f"the token is of type {kind!r}")
    if "crit" in header:
        raise ScitokenError("the token's header demands extensions (crit)")
    profiles = [profile for profile, name in _VERSION_CLAIM.items() if name in claims]
    if len(profiles) != 1:
        raise ScitokenError("the token has to have one of 'wlcg.ver' and 'ver', which say what its claims mean")
    profile = profiles[0]
    version = claims[_VERSION_CLAIM[profile]]
    if not isinstance(version, str) or not _VERSION_TAKEN[profile].fullmatch(version):
        raise ScitokenError(f"the token is of version {version!r}, which is not known here")
    audience = claims.get("aud")
    names = [audience] if isinstance(audience, str) else audience
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ScitokenError("the token has no usable 'aud'")
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise ScitokenError("the token has no usable 'scope'")
    issued_at, expires_at = _number(claims, "iat"), _number(claims, "exp")
    return header | {"kid": _text(header, "kid")}, Scitoken(
        profile=profile,
        key_id=_text(header, "kid"),
        issuer=_text(claims, "iss"),
        subject=_text(claims, "sub"),
        audience=tuple(names),
        scopes=tuple(scope.split()),
        issued_at=issued_at,
        not_before=_number(claims, "nbf") if "nbf" in claims else issued_at,
        expires_at=expires_at,
        token_id=_text(claims, "jti") if "jti" in claims else "",
    )


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise ScitokenError(f"the token has no usable {name!r}")
    return value


def _number(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    # Not true and false, and no time that only fits a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**53:
        raise ScitokenError(f"the token has no usable {name!r}")
    return int(value)


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise ScitokenError(f"{what} is not JSON in which each name is there once") from None
    if not isinstance(value, dict):
        raise ScitokenError(f"{what} is not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _encode_number(value: int, length: int = 0) -> str:
    return _encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ScitokenError("a part of the token is not base64") from None
