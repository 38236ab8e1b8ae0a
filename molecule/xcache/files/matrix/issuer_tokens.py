# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a cache tokens of outside issuers that it must refuse, beside some that it must take.

issuer_tokens.py SETTINGS [--canaries FILE]

SETTINGS is JSON: {"host", "address", "port", "ca", "folder", "audience", "one": {"url", "key"}, "two": {"url", "key"}}, where ca
and key are paths. The cache knows both issuers: the first may give every path, the second what is in open/ of the folder. The
folder has hot and cold in alice/, al/, alice2/, ALICE/, open/ and closed/; each holds the name of its own folder. Tokens are made
here, and leave this process only to the cache and for FILE (mode 0600), a list of what must be found nowhere else.

Whoever shows a token has a login, and each request is judged. XRootD 6.2.0 with libscitokens 1.4.1 takes some tokens that the
profiles would have it refuse; those are expected to be given, and named "taken", so that a change is seen. Prints one line of JSON
for each case, and ends with 1 if one is not as it is to be.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _scitoken as scitoken
import matrix
import xrootd_wire as wire
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

GIVEN, REFUSED = "given", "refused"
HOUR = 3600
DENIED, READ_ONLY, ABSENT, NO_LOGIN, NO_TOKEN = 3010, 3025, 3011, 3006, 3030

Action = Callable[[wire.Session], Any]
Members = dict[str, Any]


@dataclass
class Case:
    name: str
    token: str | None
    action: Action
    expected: str = REFUSED
    codes: frozenset[int] = frozenset({DENIED})


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signature(key: Any, message: bytes) -> bytes:
    """By ES256, RS256 or HS256, as the key is; none without a key."""
    if key is None:
        return b""
    if isinstance(key, bytes):
        return hmac.new(key, message, hashlib.sha256).digest()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    numbers = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return b"".join(number.to_bytes(32, "big") for number in numbers)


class Forge:
    """Tokens of the two issuers, or of nobody, with whatever is asked for in them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.audience, self.folder = settings["audience"], settings["folder"]
        self.one, self.two = settings["one"]["url"], settings["two"]["url"]
        self.pem = Path(settings["one"]["key"]).read_bytes()
        self.key = scitoken.load_key(self.pem)
        self.key_of_two = scitoken.load_key(Path(settings["two"]["key"]).read_bytes())
        self.jwk, self.jwk_of_two = scitoken.public_jwk(self.key), scitoken.public_jwk(self.key_of_two)
        self.stranger = ec.generate_private_key(ec.SECP256R1())
        self.made: set[str] = set()

    def claims(self, **changed: Any) -> Members:
        now = int(time.time())
        claims = {
            "wlcg.ver": "1.0",
            "aud": self.audience,
            "exp": now + HOUR,
            "iat": now,
            "iss": self.one,
            "nbf": now - 60,
            "scope": self.scope("alice"),
            "sub": "alice",
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def scope(self, name: str, verb: str = "storage.read") -> str:
        return f"{verb}:{self.folder}/{name}"

    def token(self, header: Members | None = None, *, key: Any = "one", **changed: Any) -> str:
        """One of the first issuer's for alice's files, but for what is changed; None takes a member away."""
        return self.of(json.dumps(self.claims(**changed)).encode(), header, key=key)

    def of(self, claims: bytes, header: Members | None = None, *, key: Any = "one") -> str:
        members = {"alg": "ES256", "kid": self.jwk["kid"], "typ": "JWT", **(header or {})}
        head = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
        signed = f"{encode(head)}.{encode(claims)}"
        # A key is no text.
        token = f"{signed}.{encode(signature(self.key if isinstance(key, str) else key, signed.encode()))}"
        self.made.add(token)
        return token

    def of_two(self, scope: str, **changed: Any) -> str:
        """One of the second issuer's, whose scopes begin where its base path ends."""
        return self.token({"kid": self.jwk_of_two["kid"]}, key=self.key_of_two, iss=self.two, scope=scope, **changed)

    def minted(self, profile: str, scope: str) -> str:
        """As the collection's module makes it."""
        token = scitoken.mint(
            key=self.pem, profile=profile, issuer=self.one, subject="alice", audience=[self.audience], scopes=[scope],
            lifetime=HOUR,
        )  # fmt: skip
        self.made.add(token)
        return token

    def public_pem(self) -> bytes:
        found: bytes = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return found

    def write_canaries(self, path: Path, keys: dict[str, str]) -> None:
        lines = [{"name": f"issuer's token {number}", "text": one} for number, one in enumerate(sorted(self.made))]
        lines += [
            {"name": f"key of {name}", "text": line}
            for name, file in keys.items()
            for line in Path(file).read_text(encoding="ascii").splitlines()
            if not line.startswith("-")
        ]
        matrix.write_canaries(path, lines)


def good(forge: Forge) -> dict[str, str]:
    """Tokens that are good for alice's files."""
    alice, folder = forge.scope("alice"), forge.folder
    return {
        "good: as the module makes it": forge.minted("wlcg", alice),
        "good: as the module makes it, a SciToken": forge.minted("scitokens", forge.scope("alice", "read")),
        "good: of one file": forge.token(scope=forge.scope("alice/hot")),
        "good: of all paths": forge.token(scope="storage.read:/"),
        "good: of two folders": forge.token(scope=f"{forge.scope('al')} {alice}"),
        "good: for several audiences": forge.token(aud=["https://elsewhere.test", forge.audience]),
        "good: for any audience": forge.token(aud="https://wlcg.cern.ch/jwt/v1/any"),
        "good: without a type": forge.token({"typ": None}),
        "good: without nbf": forge.token(nbf=None),
        "good: with groups that give nothing": forge.token(**{"wlcg.groups": ["/cms"]}),
        # By the profiles each of these is to be refused.
        "taken: without kid, of an issuer with one key": forge.token({"kid": None}),
        "taken: with an empty kid": forge.token({"kid": ""}),
        "taken: with crit": forge.token({"crit": ["fish"], "fish": 1}),
        "taken: for ten years": forge.token(exp=int(time.time()) + 10 * 365 * 24 * HOUR),
        "taken: without a version, read as a SciToken": forge.token(
            **{"wlcg.ver": None, "scope": forge.scope("alice", "read")}
        ),
        "taken: of a WLCG version, with a SciToken's scope": forge.token(scope=forge.scope("alice", "read")),
        "taken: scope without a path": forge.token(scope="storage.read"),
        "taken: scope with an empty path": forge.token(scope="storage.read:"),
        "taken: path without its first slash": forge.token(scope=f"storage.read:{folder[1:]}/alice"),
        "taken: path with a dot": forge.token(scope=f"storage.read:{folder}/./alice"),
        "taken: path with two slashes": forge.token(scope=f"storage.read:{folder}//alice"),
        "taken: path with %61": forge.token(scope=f"storage.read:{folder}/%61lice"),
        "taken: not before a number that no clock reaches": forge.token(nbf=10**30),
    }


def wrong_key(forge: Forge) -> dict[str, str]:
    public = {"PEM": forge.public_pem(), "JWK": json.dumps(forge.jwk).encode(), "nothing": b""}
    kid_of_two = forge.jwk_of_two["kid"]
    return {
        "key: a stranger's": forge.token(key=forge.stranger),
        "key: a stranger's, without kid": forge.token({"kid": None}, key=forge.stranger),
        "key: a stranger's, in the header": forge.token(
            {"kid": None, "jwk": scitoken.public_jwk(forge.stranger)}, key=forge.stranger
        ),
        "key: a stranger's, at an address in the header": forge.token(
            {"kid": "x", "jku": "https://elsewhere.test/jwks"}, key=forge.stranger
        ),
        "key: of another kind": forge.token(
            {"alg": "RS256"}, key=rsa.generate_private_key(public_exponent=65537, key_size=2048)
        ),
        "key: the other issuer's": forge.token(key=forge.key_of_two),
        "key: the other issuer's, and its kid": forge.token({"kid": kid_of_two}, key=forge.key_of_two),
        "kid: unknown": forge.token({"kid": "nobody-knows-it"}),
        "kid: the other issuer's": forge.token({"kid": kid_of_two}),
        "kid: a number": forge.token({"kid": 7}),
        "kid: a path": forge.token({"kid": "../../../etc/passwd"}),
        **{
            f"algorithm: {name!r}, without a signature": forge.token({"alg": name}, key=None)
            for name in ("none", "None", "", None)
        },
        **{
            f"algorithm: {name!r}, signed by ES256": forge.token({"alg": name})
            for name in ("none", "RS256", "ES384", "es256")
        },
        **{
            f"algorithm: HS256 by the public key as {name}": forge.token({"alg": "HS256"}, key=key)
            for name, key in public.items()
        },
    }


def wrong_claims(forge: Forge) -> dict[str, str]:
    now, audience, one = int(time.time()), forge.audience, forge.one
    claims: dict[str, Members] = {
        "issuer: unknown": {"iss": "https://elsewhere.test"},
        "issuer: the other one": {"iss": forge.two},
        "issuer: with a slash": {"iss": one + "/"},
        "issuer: in upper case": {"iss": one.upper()},
        "issuer: without TLS": {"iss": one.replace("https", "http")},
        "issuer: longer": {"iss": one + "/more"},
        "issuer: shorter": {"iss": one.rpartition("/")[0]},
        "issuer: before another": {"iss": one.replace("://", "://elsewhere.test@")},
        "issuer: a file": {"iss": "file:///etc"},
        "issuer: a list": {"iss": [one]},
        "issuer: empty": {"iss": ""},
        "issuer: none": {"iss": None},
        "audience: another": {"aud": "https://origin.test"},
        "audience: longer": {"aud": audience + "/x"},
        "audience: shorter": {"aud": audience[:-1]},
        "audience: with a slash": {"aud": audience + "/"},
        "audience: in upper case": {"aud": audience.upper()},
        "audience: that of any SciToken": {"aud": "ANY"},
        "audience: a number": {"aud": 7},
        "audience: an empty list": {"aud": []},
        "audience: empty": {"aud": ""},
        "audience: none": {"aud": None},
        "end: an hour ago": {"iat": now - 2 * HOUR, "nbf": now - 2 * HOUR, "exp": now - HOUR},
        "end: two seconds ago": {"exp": now - 2},
        "end: 1970": {"exp": 0},
        "end: before 1970": {"exp": -1},
        "end: a word": {"exp": "tomorrow"},
        "end: a number in a text": {"exp": str(now + HOUR)},
        "end: true": {"exp": True},
        "end: a number that no clock reaches": {"exp": 10**30},
        "end: none": {"exp": None},
        "begin: in ten minutes": {"nbf": now + 600},
        "begin: a word": {"nbf": "now"},
        "issued: in ten minutes": {"iat": now + 600},
        "issued: not said": {"iat": None},
        "subject: none": {"sub": None},
        "version: a later one that the profile has": {"wlcg.ver": "1.2"},
        "version: of another major number": {"wlcg.ver": "2.0"},
        "version: a number": {"wlcg.ver": 1.0},
        "version: none": {"wlcg.ver": None},
        "version: of a SciToken, with WLCG's scope": {"wlcg.ver": None, "ver": "scitoken:2.0"},
    }
    return {name: forge.token(**changed) for name, changed in claims.items()}


def wrong_scopes(forge: Forge) -> dict[str, str]:
    folder = forge.folder
    scopes: dict[str, Any] = {
        "none": None,
        "empty": "",
        "a list": [forge.scope("alice")],
        "a number": 7,
        "a sibling": forge.scope("al"),
        "a sibling with a longer name": forge.scope("alice2"),
        "a sibling in upper case": forge.scope("ALICE"),
        "the beginning of the name": forge.scope("alic"),
        "another file": forge.scope("alice/cold"),
        "dot-dot": f"storage.read:{folder}/al/../alice",
        "dot-dot, encoded": f"storage.read:{folder}/al/%2e%2e/alice",
        "a pattern": f"storage.read:{folder}/*",
        "in upper case": forge.scope("alice").upper(),
        "two, by a comma": f"{forge.scope('al')},{forge.scope('alice')}",
        "two, by a tab": f"{forge.scope('al')}\t{forge.scope('alice')}",
        "to stage": forge.scope("alice", "storage.stage"),
        "to poll": forge.scope("alice", "storage.poll"),
        "to create": forge.scope("alice", "storage.create"),
        "to modify": forge.scope("alice", "storage.modify"),
        "to compute": "compute.read",
    }
    return {
        **{f"scope: {name}": forge.token(scope=scope) for name, scope in scopes.items()},
        "scope: by another name": forge.token(scope=None, scp=forge.scope("alice")),
        "scope: of groups alone": forge.token(scope=None, **{"wlcg.groups": ["/cms"]}),
    }


def broken(forge: Forge) -> dict[str, str]:
    token = forge.token()
    head, body, end = token.split(".")
    raw = decode(end)
    other = json.dumps(forge.claims(scope=forge.scope("al"))).encode()
    twice = json.dumps(forge.claims()).encode()[:-1] + b', "iss": "' + forge.two.encode() + b'"}'
    expired = forge.token(exp=int(time.time()) - HOUR)
    der = forge.key.sign(f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    return {
        "signature: none": f"{head}.{body}.",
        "signature: one bit": f"{head}.{body}." + encode(bytes([raw[0] ^ 1]) + raw[1:]),
        "signature: zeros": f"{head}.{body}." + encode(bytes(64)),
        "signature: half": f"{head}.{body}." + encode(raw[:32]),
        "signature: a byte more": f"{head}.{body}." + encode(raw + b"\0"),
        "signature: as DER": f"{head}.{body}." + encode(der),
        "signature: of another good token": f"{head}.{body}." + forge.of(other).rpartition(".")[2],
        "payload: of another good token": f"{head}.{encode(other)}.{end}",
        "payload: a later end": f"{head}.{encode(json.dumps(forge.claims(exp=int(time.time()) + 9 * HOUR)).encode())}.{end}",
        "payload: the issuer twice": forge.of(twice),
        "payload: a list": forge.of(b"[]"),
        "payload: null": forge.of(b"null"),
        "payload: no JSON": forge.of(b"fish"),
        "payload: empty": forge.of(b""),
        "header: another": encode(json.dumps({"alg": "ES256", "kid": forge.jwk["kid"]}).encode()) + f".{body}.{end}",
        "header: padded": f"{head}=.{body}.{end}",
        "two parts": f"{head}.{body}",
        "four parts": f"{token}.{end}",
        "cut in half": token[: len(token) // 2],
        "no letters": "..",
        "garbage": "not a token",
        "60 kB of letters": "A" * 60000,
        "the word Bearer before it": f"Bearer {token}",
        "a line behind it": f"{token}\n",
        "two tokens, the first expired": f"{expired}\n{token}",
        "two tokens, the second expired": f"{token}\n{expired}",
    }


def read(forge: Forge, name: str, query: str = "") -> Action:
    return lambda session: session.read(f"{forge.folder}/{name}{query}".encode())


def paths(forge: Forge) -> Iterator[Case]:
    """Good tokens, asked for what they do not say."""
    alice = forge.token()
    for name in ("al/hot", "al/cold", "alice2/hot", "ALICE/hot", "open/hot", "alice/../al/hot", "/al/hot"):
        yield Case(f"alice reads {name}", alice, read(forge, name))
    yield Case("alice reads alice/%2e%2e/al/hot", alice, read(forge, "alice/%2e%2e/al/hot"), codes=frozenset({ABSENT}))
    yield Case("alice reads a path from the root", alice, lambda session: session.read(b"/etc/passwd"))
    for what, request, inside in (("asks for the status of", wire.STAT, "/hot"), ("lists", wire.DIRLIST, "")):
        for place in ("alice", "al"):
            path = f"{forge.folder}/{place}{inside}".encode()
            yield Case(
                f"{'good: ' if place == 'alice' else ''}alice {what} {place}{inside}",
                alice,
                lambda session, request=request, path=path: session.ask(request, b"", path),
                GIVEN if place == "alice" else REFUSED,
            )
    expired = forge.token(exp=int(time.time()) - HOUR)
    yield Case(
        "good: alice in the URL, expired at the login",
        expired,
        read(forge, "alice/hot", f"?authz=Bearer%20{alice}"),
        GIVEN,
    )
    yield Case("expired in the URL, alice at the login", alice, read(forge, "alice/hot", f"?authz=Bearer%20{expired}"))
    yield Case("al's in the URL, alice at the login", alice, read(
        forge, "alice/hot", f"?authz=Bearer%20{forge.token(scope=forge.scope('al'))}"))  # fmt: skip


def of_two(forge: Forge) -> Iterator[Case]:
    """The second issuer gives what is in open/, whatever its tokens say."""
    for scope in ("storage.read:/open", "storage.read:/", "storage.read"):
        yield Case(f"good: the second issuer's {scope}", forge.of_two(scope), read(forge, "open/hot"), GIVEN)
    for scope in ("storage.read:/", "storage.read:/closed", "storage.read:/open/../closed", "storage.read"):
        yield Case(f"the second issuer's {scope} reads closed/", forge.of_two(scope), read(forge, "closed/hot"))
    for scope in ("storage.read:/", "storage.read:/alice", forge.scope("alice"), "storage.read:/open/../alice"):
        yield Case(f"the second issuer's {scope} reads alice/", forge.of_two(scope), read(forge, "alice/hot"))
    yield Case("the second issuer's name, signed by the first", forge.token(iss=forge.two, scope="storage.read:/open"),
               read(forge, "open/hot"))  # fmt: skip


def writes(forge: Forge) -> Iterator[Case]:
    hot, new = f"{forge.folder}/alice/hot".encode(), f"{forge.folder}/alice/new".encode()
    mode = b"\0" * 14 + b"\x01\xed"
    actions: dict[str, Action] = {
        "creates": lambda session: session.open(new, wire.OPEN_NEW | wire.OPEN_UPDATE),
        "overwrites": lambda session: session.open(hot, wire.OPEN_UPDATE),
        "removes": lambda session: session.ask(wire.RM, b"", hot),
        "makes a folder": lambda session: session.ask(wire.MKDIR, mode, new),
        "renames": lambda session: session.ask(wire.MV, b"\0" * 14 + len(hot).to_bytes(2, "big"), hot + b" " + new),
    }
    for scope in ("storage.read:/", "storage.create:/ storage.modify:/"):
        for name, action in actions.items():
            yield Case(f"{scope} {name}", forge.token(scope=scope), action, codes=frozenset({DENIED, READ_ONLY}))


def cases(forge: Forge) -> Iterator[Case]:
    hot = read(forge, "alice/hot")
    yield Case("nobody", None, hot, codes=frozenset({NO_LOGIN}))
    yield Case("an empty token", "", hot, codes=frozenset({NO_TOKEN}))
    for name, token in good(forge).items():
        yield Case(name, token, hot, GIVEN)
    for kind in (wrong_key, wrong_claims, wrong_scopes, broken):
        for name, token in kind(forge).items():
            yield Case(name, token, hot)
    yield Case(
        "a file that is not cached, by a token for al", forge.token(scope=forge.scope("al")), read(forge, "alice/cold")
    )
    for more in (paths, of_two, writes):
        yield from more(forge)
    yield Case("good: the file that was not cached", forge.token(), read(forge, "alice/cold"), GIVEN)


def outcome(case: Case, server: wire.Server) -> dict[str, str]:
    try:
        with wire.Session(server, None if case.token is None else wire.ztn(case.token.encode())) as session:
            found, answer = GIVEN, f"{len(case.action(session))} bytes"
    except wire.Refused as refusal:
        found, answer = REFUSED, str(refusal)
        if case.expected == REFUSED and refusal.code not in case.codes:
            found = "refused for another reason"
    except wire.NoAnswer as silence:
        found, answer = "no answer", str(silence)
    return {"name": case.name, "expected": case.expected, "found": found, "answer": answer}


def main() -> int:
    given = matrix.called()
    settings = given.settings
    server = wire.Server(settings["host"], settings["port"], settings["ca"], settings["address"])
    forge = Forge(settings)
    wrong = matrix.say(outcome(case, server) for case in cases(forge))
    if given.canaries:
        forge.write_canaries(given.canaries, {name: settings[name]["key"] for name in ("one", "two")})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
