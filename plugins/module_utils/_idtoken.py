# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""HTCondor signing keys and IDTOKENs, made as condor_token_create makes them.

Private to this collection: its interface may change in any release.

A key file in ``passwords.d`` is not the key: HTCondor XORs what it reads with
0xdeadbeef ("scrambling"). The result, twice over if the key's name is POOL,
goes through HKDF-SHA256 (salt ``htcondor``, info ``master jwt``) and gives the
32 bytes that sign an HS256 JSON web token. Checked byte by byte against
condor_token_create of HTCondor 23.9.6 in the unit tests.

* scrambling: simple_scramble in HTCondor's src/condor_utils/secure_file.cpp
* the signing key and what is signed: src/condor_io/condor_auth_passwd.cpp
* RFC 5869 (HKDF), RFC 7515 and 7519 (JSON web signatures and tokens)
* what a scope allows: "Token Authentication" in the manual's chapter on security
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

__all__ = [
    "KEY_BYTES",
    "MAXIMUM_LIFETIME",
    "IdToken",
    "IdTokenError",
    "generate_key",
    "mint",
    "parse",
    "scramble",
    "signing_key",
    "unscramble",
    "verify",
]

KEY_BYTES = 64
MINIMUM_KEY_BYTES = 32
# Daemons' tokens last a year, and a month in which to renew them.
MAXIMUM_LIFETIME = 400 * 86400

_MASK = bytes.fromhex("deadbeef")
_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCOPE = re.compile(r"[A-Z][A-Z_]*")
_SCOPE_PREFIX = "condor:/"


class IdTokenError(ValueError):
    """A key, a claim or a token that cannot be used; the message says which."""


@dataclass(frozen=True)
class IdToken:
    """What a token says. Reading it proves nothing: see :func:`verify`."""

    key_id: str
    issuer: str
    identity: str
    issued_at: int
    expires_at: int | None
    scopes: tuple[str, ...]
    token_id: str

    def seconds_left(self, now: float | None = None) -> float | None:
        """Time until the token ends; None if it never does."""
        if self.expires_at is None:
            return None
        return self.expires_at - (time.time() if now is None else now)


def scramble(data: bytes) -> bytes:
    """XOR with HTCondor's mask; its own inverse.

    >>> scramble(bytes(4)).hex()
    'deadbeef'
    """
    return bytes(byte ^ _MASK[index % len(_MASK)] for index, byte in enumerate(data))


def unscramble(data: bytes) -> bytes:
    """Undo :func:`scramble`."""
    return scramble(data)


def generate_key() -> bytes:
    """Content for a new file in passwords.d.

    The key has no zero byte: HTCondor before 9.0 stopped reading at one.
    """
    return scramble(bytes(1 + secrets.randbelow(255) for _index in range(KEY_BYTES)))


def signing_key(raw: bytes, key_id: str) -> bytes:
    """The 32 bytes that sign, from the content of the key file named key_id."""
    if len(raw) < MINIMUM_KEY_BYTES:
        raise IdTokenError(f"signing key {key_id!r} has {len(raw)} bytes, at least {MINIMUM_KEY_BYTES} are needed")
    secret = unscramble(raw)
    if key_id == "POOL":
        secret += secret
    pseudo_random = hmac.new(b"htcondor", secret, hashlib.sha256).digest()
    return hmac.new(pseudo_random, b"master jwt\x01", hashlib.sha256).digest()


def mint(
    *,
    key: bytes,
    key_id: str,
    issuer: str,
    identity: str,
    lifetime: int,
    scopes: tuple[str, ...],
    issued_at: int | None = None,
    token_id: str | None = None,
) -> str:
    """Make a token.

    :param key: content of the key file, as it stands in passwords.d
    :param key_id: name of the key file
    :param issuer: TRUST_DOMAIN of the pool
    :param identity: user@domain that the holder is
    :param lifetime: seconds until it ends, at most MAXIMUM_LIFETIME; there are no
        tokens without end
    :param scopes: authorization levels such as READ; never empty, for a token
        without scopes is good for everything its identity may do
    :param issued_at: seconds since the epoch, now if not given
    :param token_id: name of this token in logs (jti), random if not given
    """
    if not _KEY_ID.fullmatch(key_id):
        raise IdTokenError(f"key_id {key_id!r} is not the name of a file in passwords.d")
    if not issuer or issuer != issuer.strip():
        raise IdTokenError(f"issuer {issuer!r} is not a trust domain")
    if not _IDENTITY.fullmatch(identity):
        raise IdTokenError(
            f"identity {identity!r} is not of the form user@domain: HTCondor would put a domain of its own behind it"
        )
    if lifetime <= 0:
        raise IdTokenError(f"lifetime {lifetime} is not a positive number of seconds")
    if lifetime > MAXIMUM_LIFETIME:
        raise IdTokenError(
            f"lifetime {lifetime} is more than the {MAXIMUM_LIFETIME} s (400 days) that a token may last"
        )
    if not scopes:
        raise IdTokenError("scopes is empty: such a token would not be limited at all")
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise IdTokenError(f"scope {scope!r} is not an authorization level such as READ")
    start = int(time.time()) if issued_at is None else issued_at
    claims = {
        "exp": start + lifetime,
        "iat": start,
        "iss": issuer,
        "jti": secrets.token_hex(16) if token_id is None else token_id,
        "scope": " ".join(_SCOPE_PREFIX + scope for scope in scopes),
        "sub": identity,
    }
    signed = _encode(_dump({"alg": "HS256", "kid": key_id})) + "." + _encode(_dump(claims))
    return signed + "." + _encode(_sign(signed, key, key_id))


def parse(token: str) -> IdToken:
    """Read a token without looking at its signature."""
    header, claims = _parts(token)
    try:
        found = IdToken(
            key_id=_text(header, "kid"),
            issuer=_text(claims, "iss"),
            identity=_text(claims, "sub"),
            issued_at=_number(claims, "iat"),
            expires_at=_number(claims, "exp") if "exp" in claims else None,
            scopes=_scopes(claims.get("scope", "")),
            token_id=_text(claims, "jti") if "jti" in claims else "",
        )
    except KeyError as missing:
        raise IdTokenError(f"the token has no usable {missing.args[0]!r}") from None
    return found


def verify(token: str, key: bytes) -> IdToken:
    """Read a token and refuse it unless the given key file's content signed it."""
    found = parse(token)
    header = _parts(token)[0]
    if header.get("alg") != "HS256":
        raise IdTokenError(f"the token's algorithm is {header.get('alg')!r}, HTCondor's is 'HS256'")
    signed, _dot, signature = token.strip().rpartition(".")
    if not hmac.compare_digest(_decode(signature), _sign(signed, key, found.key_id)):
        raise IdTokenError(f"the token was not signed by this key {found.key_id!r}")
    return found


def _sign(signed: str, key: bytes, key_id: str) -> bytes:
    return hmac.new(signing_key(key, key_id), signed.encode("ascii"), hashlib.sha256).digest()


def _dump(value: dict[str, Any]) -> bytes:
    # HTCondor's JSON writer sorts keys and escapes the slash; keep its bytes.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return text.replace("/", "\\/").encode("ascii")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise IdTokenError("a part of the token is not base64") from None


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.strip().split(".")
    if len(parts) != 3:
        raise IdTokenError(f"a token has three parts, this has {len(parts)}")
    values: list[dict[str, Any]] = []
    for part in parts[:2]:
        try:
            value = json.loads(_decode(part))
        except ValueError:
            raise IdTokenError("a part of the token is not JSON in base64") from None
        if not isinstance(value, dict):
            raise IdTokenError("a part of the token is not a JSON object")
        values.append(value)
    return values[0], values[1]


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise KeyError(name)
    return value


def _number(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise KeyError(name)
    return int(value)


def _scopes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise KeyError("scope")
    return tuple(scope[len(_SCOPE_PREFIX) :] for scope in value.split() if scope.startswith(_SCOPE_PREFIX))
