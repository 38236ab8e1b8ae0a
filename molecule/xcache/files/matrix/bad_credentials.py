# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a cache and its origin credentials that they must refuse, beside some that they must take.

bad_credentials.py SETTINGS [--canaries FILE]

SETTINGS is JSON: {"cache": {"host", "port", "location", "secret"}, "origin": {"host", "port", "token"}, "ca", "folder"},
where secret and token are paths. The folder has the files hot and cold in alice/ and in al/, and hot in alice2/ and in
ALICE/; each holds the name of its own folder. Runs on the node of the cache: the tokens are made here from the secret
and leave this process only to the servers, and for FILE (mode 0600), a list of what must be found nowhere else.
Prints one line of JSON for each case, and ends with 1 if one is not as it is to be.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import struct
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import _macaroon as macaroon
import matrix
import xrootd_wire as wire

# Silence: the server closes the connection.
GIVEN, REFUSED, SILENCE = "given", "refused", "no answer"
HOUR = 3600
READING = "DOWNLOAD,READ_METADATA,LIST"
WRITING = "UPLOAD,MANAGE,DELETE,UPDATE_METADATA"
# Refused at the login; for want of a right; because nobody may write here; there is no such file.
LOGIN, DENIED, READ_ONLY, ABSENT = {3030, 3010}, {3010}, {3025, 3010}, {3011, 3010}
# Asked without a login that was finished.
NO_LOGIN = {3006}

Caveats = list[str]
Action = Callable[[wire.Session], Any]


@dataclass
class Case:
    name: str
    credential: bytes | None
    action: Action
    expected: str = REFUSED
    where: str = "login"
    server: str = "cache"
    codes: frozenset[int] = frozenset(LOGIN)
    protocol: bytes = b"ztn"
    tls: bool = True


class Forge:
    """Macaroons of one location, whatever is asked for."""

    def __init__(self, location: str, secret: bytes) -> None:
        self.location, self.key = location, macaroon.decode_secret(secret)
        self.made: set[str] = set()

    def caveats(self, path: str, *, activity: str = READING, before: str | None = None) -> Caveats:
        return [f"activity:{activity}", f"path:{path}", f"before:{before or stamp(HOUR)}"]

    def raw(
        self, caveats: Caveats, *, key: bytes | None = None, location: str | None = None
    ) -> list[tuple[str, bytes]]:
        identifier = str(uuid.uuid4())
        signature = macaroon._chain(self.key if key is None else key, identifier, caveats)
        where = self.location if location is None else location
        packets = [("location", where.encode()), ("identifier", identifier.encode())]
        packets += [("cid", caveat.encode()) for caveat in caveats]
        return [*packets, ("signature", signature)]

    def make(self, caveats: Caveats, **how: Any) -> str:
        token = text(self.raw(caveats, **how))
        self.made.add(token)
        return token

    def write_canaries(self, path: Path, **files: str) -> None:
        lines = [{"name": f"token {number}", "text": token} for number, token in enumerate(sorted(self.made))]
        lines += [{"name": name, "path": file} for name, file in files.items()]
        matrix.write_canaries(path, lines)


def text(packets: list[tuple[str, bytes]]) -> str:
    raw = b"".join(macaroon._packet(field, value) for field, value in packets)
    return encode(raw)


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sign(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def replaced(packets: list[tuple[str, bytes]], field: str, old: bytes, new: bytes) -> list[tuple[str, bytes]]:
    found = [(name, value.replace(old, new) if name == field else value) for name, value in packets]
    if found == packets:
        raise ValueError(f"{field} has no {old!r}")
    return found


def appended(packets: list[tuple[str, bytes]], *caveats: str) -> list[tuple[str, bytes]]:
    """What whoever holds a macaroon can make of it without the key."""
    *rest, (_field, signature) = packets
    for caveat in caveats:
        signature = sign(signature, caveat.encode())
        rest.append(("cid", caveat.encode()))
    return [*rest, ("signature", signature)]


def third_party(packets: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    *rest, (_field, signature) = packets
    there, verification = b"asked elsewhere", bytes(72)
    bound = sign(signature, sign(signature, verification) + sign(signature, there))
    return [*rest, ("cid", there), ("vid", verification), ("cl", b"https://elsewhere.test"), ("signature", bound)]


def version_2(packets: list[tuple[str, bytes]]) -> str:
    kinds = {"location": 1, "identifier": 2, "cid": 2, "signature": 6}
    fields = {name: value for name, value in packets if name != "cid"}

    def packed(name: str, value: bytes) -> bytes:
        # A length of one byte is enough here.
        return bytes([kinds[name], len(value)]) + value

    raw = b"\x02" + packed("location", fields["location"]) + packed("identifier", fields["identifier"]) + b"\0"
    raw += b"".join(packed(name, value) + b"\0" for name, value in packets if name == "cid")
    return encode(raw + b"\0" + packed("signature", fields["signature"]))


def version_2_json(packets: list[tuple[str, bytes]]) -> str:
    fields = {name: value for name, value in packets if name != "cid"}
    return json.dumps(
        {
            "v": 2,
            "l": fields["location"].decode(),
            "i": fields["identifier"].decode(),
            "c": [{"i": value.decode()} for name, value in packets if name == "cid"],
            "s64": encode(fields["signature"]),
        }
    )


def jwt(header: dict[str, Any], claims: dict[str, Any], key: bytes | None) -> str:
    signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    return signed + "." + (encode(sign(key, signed.encode())) if key is not None else "")


class Folder:
    """The files, and what can be asked of them."""

    def __init__(self, path: str) -> None:
        self.path = path

    def of(self, name: str) -> str:
        return f"{self.path}/{name}"

    def bytes(self, name: str) -> bytes:
        return self.of(name).encode()

    def read(self, name: str, query: str = "") -> Action:
        return lambda session: session.read(self.bytes(name) + query.encode())

    def open(self, name: str, options: int) -> Action:
        return lambda session: session.open(self.bytes(name), options)

    def ask(self, request: int, name: str, parameters: bytes = b"") -> Action:
        return lambda session: session.ask(request, parameters, self.bytes(name))


def broken_tokens(forge: Forge, folder: Folder, foreign: str) -> dict[str, bytes | str]:
    """Tokens that are good for alice's file, but for one thing."""
    good = forge.raw(forge.caveats(folder.of("alice")))
    alice, token = folder.of("alice"), text(good)
    signature = good[-1][1]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    expired = forge.raw(forge.caveats(alice, before=stamp(-HOUR)))
    claims = {"sub": "alice", "iss": forge.location, "scope": "storage.read:/", "exp": int(time.time()) + HOUR}
    extra = [f"activity:{READING}", f"path:{alice}"]
    soon = f"before:{stamp(HOUR)}"
    return {
        "empty token": "",
        "one letter": "x",
        "blanks": "   ",
        "garbage": "not a token at all",
        "random bytes": os.urandom(256),
        "random base64": encode(os.urandom(256)),
        "64 KiB of letters": "A" * 65000,
        "JSON web token, signed with the secret": jwt({"alg": "HS256", "typ": "JWT"}, claims, forge.key),
        "JSON web token, algorithm none": jwt({"alg": "none"}, claims, None),
        "the word Bearer before a good token": f"Bearer {token}",
        "a good token twice": token + token,
        "two tokens in one, the first of them bad": text(expired) + "\n" + token,
        "two tokens in one, the first of them good": token + "\n" + text(expired),
        "good token cut in half": token[: len(token) // 2],
        "good token without its last letters": token[:-8],
        "good token without its first letters": token[8:],
        "good token in upper case": token.upper(),
        "key: random": text(forge.raw(forge.caveats(alice), key=os.urandom(64))),
        "key: empty": text(forge.raw(forge.caveats(alice), key=b"")),
        "key: zeros": text(forge.raw(forge.caveats(alice), key=bytes(64))),
        "key: first half of the secret": text(forge.raw(forge.caveats(alice), key=forge.key[:32])),
        "key: the secret's base64": text(forge.raw(forge.caveats(alice), key=base64.b64encode(forge.key))),
        "key: the location": text(forge.raw(forge.caveats(alice), key=forge.location.encode())),
        "the cache's own token, made with the origin's secret": foreign,
        "identifier exchanged": text([(n, b"0" * len(v) if n == "identifier" else v) for n, v in good]),
        "path caveat changed": text(replaced(good, "cid", b"/alice", b"/al")),
        "path caveat widened": text(replaced(good, "cid", b"path:" + alice.encode(), b"path:/")),
        "activity caveat changed": text(replaced(good, "cid", b"DOWNLOAD", b"DOWNLOAD,UPLOAD")),
        "before caveat changed": text(replaced(expired, "cid", expired[-2][1], soon.encode())),
        "path caveat removed": text([packet for packet in good if not packet[1].startswith(b"path:")]),
        "activity caveat removed": text([packet for packet in good if not packet[1].startswith(b"activity:")]),
        "before caveat removed": text([packet for packet in good if not packet[1].startswith(b"before:")]),
        "all caveats removed": text([packet for packet in good if packet[0] != "cid"]),
        "caveats removed, the signature used as the key": text(
            [*good[:2], ("cid", b"path:/"), ("signature", sign(signature, b"path:/"))]
        ),
        "caveats in another order": text([*good[:2], *reversed(good[2:-1]), good[-1]]),
        "signature: one bit": text([*good[:-1], ("signature", bytes([signature[0] ^ 1]) + signature[1:])]),
        "signature: zeros": text([*good[:-1], ("signature", bytes(32))]),
        "signature: short": text([*good[:-1], ("signature", signature[:31])]),
        "signature: empty": text([*good[:-1], ("signature", b"")]),
        # XRootD 6.2.0 by itself does not survive what has no signature; more caveats are written further.
        "signature: none": text(good[:-1]),
        "signature: none, one caveat": text(good[:3]),
        "signature: none, many caveats": text([*good[:2], *[("cid", b"path:/" + b"x" * 200)] * 40]),
        "signature: before the caveats": text([*good[:2], good[-1], *good[2:-1]]),
        "signature: twice": text([*good, good[-1]]),
        "location: none": text(good[1:]),
        "location: twice": text([good[0], *good]),
        "identifier: none": text([good[0], *good[2:]]),
        "nothing but a location": text(good[:1]),
        "nothing but a signature": text(good[-1:]),
        "a packet of no length": encode(b"0000" + raw),
        "a packet that is no longer than its length": encode(raw[:-38] + b"0004" + raw[-38:]),
        "a packet of an unknown name": text([*good[:-1], ("fish", b"yes"), good[-1]]),
        "verification without a caveat": text([*good[:2], ("vid", bytes(72)), good[-1]]),
        "signature: of another good token": text([*good[:-1], forge.raw(forge.caveats(alice))[-1]]),
        "packet's length beyond the end": encode(raw[:-38] + b"ffff" + raw[-34:]),
        "location of another server": forge.make(forge.caveats(alice), location="ELSEWHERE"),
        "location longer than the name": forge.make(forge.caveats(alice), location=forge.location + "X"),
        "serialised as version 2": version_2(good),
        "serialised as version 2 in JSON": version_2_json(good),
        "unknown caveat": forge.make([*forge.caveats(alice), "ip:127.0.0.1"]),
        "unknown caveat, appended": text(appended(good, "fish:yes")),
        "caveat without a colon": forge.make([*forge.caveats(alice), "anything"]),
        "caveat that is empty": forge.make([*forge.caveats(alice), ""]),
        "caveat's name in upper case": forge.make([*extra, soon.replace("before", "BEFORE")]),
        "caveat with a blank before its name": forge.make([*extra, " " + soon]),
        "caveat of a third party": text(third_party(good)),
        "expired an hour ago": text(expired),
        "expired a second ago": forge.make(forge.caveats(alice, before=stamp(-1))),
        "expired in 1970": forge.make(forge.caveats(alice, before="1970-01-01T00:00:00Z")),
        "expired, a later end appended": text(appended(expired, soon)),
        "two ends, the first gone by": forge.make([*extra, f"before:{stamp(-HOUR)}", soon]),
        "end: empty": forge.make([*extra, "before:"]),
        "end: a word": forge.make([*extra, "before:tomorrow"]),
        "end: seconds since 1970": forge.make([*extra, f"before:{int(time.time()) + HOUR}"]),
        "end: without the Z": forge.make([*extra, soon.rstrip("Z")]),
        "end: with another zone": forge.make([*extra, soon.replace("Z", "+00:00")]),
        "end: a day and an hour ahead": forge.make(forge.caveats(alice, before=stamp(25 * HOUR))),
        "end: in the year 9999": forge.make(forge.caveats(alice, before="9999-12-31T23:59:59Z")),
    }


def logins(forge: Forge, folder: Folder, foreign: str) -> list[Case]:
    read = folder.read("alice/hot")
    cases = [
        Case(name, wire.ztn(token if isinstance(token, bytes) else token.encode()), read)
        for name, token in broken_tokens(forge, folder, foreign).items()
    ]
    good = forge.make(forge.caveats(folder.of("alice"))).encode()
    return [
        *cases,
        # The cases behind it show that the server is still there.
        Case("no credential at all", b"", read, expected=SILENCE),
        Case("ztn: nothing but the name", b"ztn\0", read),
        Case("ztn: asks who issues tokens", wire.ztn(good, operation=b"S"), read),
        Case("ztn: another version", wire.ztn(good, version=9), read),
        Case("ztn: length beyond the end", wire.ztn(good, length=len(good) + 100), read),
        Case("ztn: length without the last byte", wire.ztn(good, length=len(good)), read),
        Case("a good token in the clear, without TLS", wire.ztn(good), read, tls=False, codes=frozenset({3028, 3010, 3030})),
        *[
            Case(f"another protocol: {name}", name.encode() + b"\0root\0", read, protocol=name.encode())
            for name in ("unix", "host", "sss", "gsi", "krb5", "pwd")
        ],
    ]  # fmt: skip


def requests(forge: Forge, folder: Folder) -> list[Case]:
    """Tokens that are good, asked for what they do not say."""
    owns = {who: forge.make(forge.caveats(folder.of(who))) for who in ("alice", "al")}
    own = {who: wire.ztn(token.encode()) for who, token in owns.items()}
    writer = wire.ztn(forge.make(forge.caveats(folder.path, activity=WRITING)).encode())
    cases: list[Case] = []

    def denied(name: str, credential: bytes | None, action: Action, codes: set[int] | None = None) -> None:
        allowed = NO_LOGIN if credential is None else codes or DENIED
        cases.append(Case(name, credential, action, where="request", codes=frozenset(allowed)))

    def having(**how: str) -> bytes:
        return wire.ztn(forge.make(forge.caveats(folder.of("alice"), **how)).encode())

    for name in ("alice/hot", "alice/cold"):
        denied(f"nobody reads {name}", None, folder.read(name))
        denied(f"al reads {name}", own["al"], folder.read(name))
    denied("nobody asks for the status", None, folder.ask(wire.STAT, "alice/hot"))
    denied("nobody lists", None, folder.ask(wire.DIRLIST, "alice"))
    for name in ("al/hot", "al/cold", "alice2/hot", "ALICE/hot"):
        denied(f"alice reads {name}", own["alice"], folder.read(name))
    denied("alice asks for the status of al/hot", own["alice"], folder.ask(wire.STAT, "al/hot"))
    denied("alice lists al/", own["alice"], folder.ask(wire.DIRLIST, "al"))
    denied("alice asks for the checksum of al/hot", own["alice"], folder.ask(
        wire.QUERY, "al/hot", struct.pack("!H", wire.CHECKSUM)), {3010, 3013})  # fmt: skip
    denied("alice asks where al/hot is", own["alice"], folder.ask(wire.LOCATE, "al/hot"), {3010, 3013})
    for path in (
        "alice/../al/hot",
        "alice/../../al/hot",
        "alice//../al/hot",
        "alice/./../al/hot",
        "alice/..",
        "./al/hot",
        "/al/hot",
        "/alice/../al/hot",
        "al/hot/",
        "alice2/../al/hot",
    ):
        denied(f"alice reads {path}", own["alice"], folder.read(path), {3010, 3000, 3016, 3011})
    for path in (
        "alice/%2e%2e/al/hot",
        "alice%2f..%2fal%2fhot",
        "alice/..%2fal/hot",
        "alice/\\../al/hot",
        "alice/hot/../../al/hot",
        "alice\x01/../al/hot",
        "alice\n/al/hot",
        "al%2fhot",
        "alice/hot ",
        "alice/HOT",
    ):
        denied(f"alice reads {path!r}", own["alice"], folder.read(path), ABSENT | {3000})
    denied(
        "alice reads by a path from the root",
        own["alice"],
        lambda session: session.read(b"/etc/passwd"),
        DENIED | {3000},
    )
    denied(
        "alice reads by a path without a root", own["alice"], lambda session: session.read(b"al/hot"), DENIED | {3000}
    )
    denied("alice's token with a wider path appended reads al/hot", wire.ztn(
        text(appended(forge.raw(forge.caveats(folder.of("alice"))), "path:/")).encode()), folder.read("al/hot"))  # fmt: skip
    denied("token for one file reads another", wire.ztn(
        forge.make(forge.caveats(folder.of("alice/hot"))).encode()), folder.read("alice/cold"))  # fmt: skip
    for path in ("", folder.of("alice")[1:], folder.of("alice/*"), folder.of("alice").upper(), folder.of("alic")):
        denied(f"path caveat {path.replace(folder.path, '...')!r}", wire.ztn(
            forge.make(forge.caveats(path)).encode()), folder.read("alice/hot"))  # fmt: skip
    for activity in (
        WRITING,
        "LIST",
        "READ_METADATA",
        "",
        "download",
        " DOWNLOAD",
        "DOWNLOAD ",
        "DOWNLOADS",
        "READ",
        "*",
    ):
        denied(f"activity {activity!r} reads", having(activity=activity), folder.read("alice/hot"))
    denied("token to read, with more activities appended, writes", wire.ztn(
        text(appended(forge.raw(forge.caveats(folder.of("alice"))), f"activity:{WRITING}")).encode()),
        folder.open("alice/new", wire.OPEN_NEW | wire.OPEN_UPDATE), READ_ONLY)  # fmt: skip
    denied("activity DOWNLOAD alone lists", having(activity="DOWNLOAD"), folder.ask(wire.DIRLIST, "alice"))
    cases += [*writes("reader", own["alice"], folder), *writes("writer", writer, folder)]
    cases += in_urls(forge, folder, own, owns)
    return cases


def writes(who: str, credential: bytes, folder: Folder) -> list[Case]:
    both = folder.bytes("alice/hot") + b" " + folder.bytes("alice/moved")
    length = struct.pack("!14xh", len(folder.bytes("alice/hot")))
    attribute = b"\0" + b"\0\0U.note\0" + struct.pack("!i", 1) + b"x"
    actions: dict[str, Action] = {
        "creates": folder.open("alice/new", wire.OPEN_NEW | wire.OPEN_UPDATE),
        "creates with folders": folder.open("alice/a/b/new", wire.OPEN_NEW | wire.OPEN_UPDATE | wire.OPEN_MAKE_PATH),
        "overwrites": folder.open("alice/hot", wire.OPEN_UPDATE),
        "replaces": folder.open("alice/hot", wire.OPEN_DELETE | wire.OPEN_UPDATE),
        "appends": folder.open("alice/hot", wire.OPEN_APPEND | wire.OPEN_UPDATE),
        "removes": folder.ask(wire.RM, "alice/hot"),
        "removes the folder": folder.ask(wire.RMDIR, "alice"),
        "makes a folder": folder.ask(wire.MKDIR, "alice/folder", struct.pack("!14xH", 0o755)),
        "truncates": folder.ask(wire.TRUNCATE, "alice/hot"),
        "changes the mode": folder.ask(wire.CHMOD, "alice/hot", struct.pack("!14xH", 0o777)),
        "renames": lambda session: session.ask(wire.MV, length, both),
        "sets an attribute": lambda session: session.ask(
            wire.FATTR, struct.pack("!4xBBB", 3, 1, 0), folder.bytes("alice/hot") + attribute
        ),
    }
    codes = frozenset(READ_ONLY | {3013})
    return [Case(f"{who} {name}", credential, action, where="request", codes=codes) for name, action in actions.items()]


def in_urls(forge: Forge, folder: Folder, own: dict[str, bytes], owns: dict[str, str]) -> list[Case]:
    """A token of the URL on top of the session's, which it outranks."""
    expired = forge.make(forge.caveats(folder.of("alice"), before=stamp(-HOUR)))
    elsewhere = forge.make(forge.caveats(folder.of("alice")), location="ELSEWHERE")
    wrong = forge.make(forge.caveats(folder.of("alice")), key=os.urandom(64))
    tries = {
        "nobody, authz alice's": (None, owns["alice"]),
        "alice, authz al's": (own["alice"], owns["al"]),
        "alice, authz expired": (own["alice"], expired),
        "alice, authz garbage": (own["alice"], "garbage"),
        "alice, authz of another key": (own["alice"], wrong),
        "al, authz of another location": (own["al"], elsewhere),
        "al, authz empty": (own["al"], ""),
        "al, authz expired": (own["al"], expired),
    }
    return [
        Case(f"{name}: reads alice/hot", session, folder.read("alice/hot", f"?authz=Bearer%20{token}"),
             where="request", codes=frozenset(DENIED if session else NO_LOGIN))
        for name, (session, token) in tries.items()
    ]  # fmt: skip


def at_origin(forge: Forge, folder: Folder, foreign: str) -> list[Case]:
    read, cache = folder.read("alice/hot"), wire.ztn(foreign.encode())
    user = wire.ztn(forge.make(forge.caveats(folder.path)).encode())
    denied = {"where": "request", "server": "origin", "codes": frozenset(DENIED)}
    return [
        Case("origin: nobody reads", None, read, where="request", server="origin", codes=frozenset(NO_LOGIN)),
        Case("origin: a user reads", user, read, server="origin"),
        Case("origin: the cache creates", cache, folder.open("alice/new", wire.OPEN_NEW | wire.OPEN_UPDATE), **denied),
        Case("origin: the cache overwrites", cache, folder.open("alice/hot", wire.OPEN_UPDATE), **denied),
        Case("origin: the cache removes", cache, folder.ask(wire.RM, "alice/hot"), **denied),
        Case("origin: the cache makes a folder", cache, folder.ask(
            wire.MKDIR, "alice/folder", struct.pack("!14xH", 0o755)), **denied),
        Case("origin: the cache reads", cache, read, expected=GIVEN, server="origin"),
    ]  # fmt: skip


def good_ones(forge: Forge, folder: Folder, secret: bytes) -> list[Case]:
    alice = forge.raw(forge.caveats(folder.of("alice")))
    hour = datetime.fromtimestamp(time.time() + HOUR, timezone.utc)
    minted = macaroon.mint(
        secret=secret,
        location=forge.location,
        name="alice",
        activities=tuple(READING.split(",")),
        path=folder.of("alice"),
        before=hour,
    )
    forge.made.add(minted)
    whole = forge.make(forge.caveats(folder.path))
    tokens: dict[str, tuple[str, str]] = {
        "good: as the hub makes it": (minted, "alice/hot"),
        "good: nameless": (text(alice), "alice/hot"),
        "good: caveats in another order": (forge.make(list(reversed(forge.caveats(folder.of("alice"))))), "alice/hot"),
        "good: narrowed by its holder": (text(appended(alice, f"path:{folder.of('alice/hot')}")), "alice/hot"),
        "good: for one file": (forge.make(forge.caveats(folder.of("alice/hot"))), "alice/hot"),
        "good: path with a slash at its end": (forge.make(forge.caveats(folder.of("alice/"))), "alice/hot"),
        "good: a blank line behind it": (minted, "alice/hot"),
        "good: al's": (forge.make(forge.caveats(folder.of("al"))), "al/hot"),
        "good: the whole folder": (whole, "alice2/hot"),
        "good: the whole folder, upper case": (whole, "ALICE/hot"),
    }
    cases = [Case(name, wire.ztn(token.encode()), folder.read(path), GIVEN) for name, (token, path) in tokens.items()]
    status = folder.ask(wire.STAT, "alice/hot")
    return [*cases, Case("good: status", wire.ztn(minted.encode()), status, GIVEN)]


def last_ones(forge: Forge, folder: Folder) -> list[Case]:
    """What was refused before the cache had it, and while it had it, is there.

    A token of the URL is asked for too, and not passed on: the origin would refuse it.
    """
    owns = {who: forge.make(forge.caveats(folder.of(who))) for who in ("alice", "al")}
    return [
        Case(f"good: {who} reads {who}/cold{query and ', with a token in the URL'}", wire.ztn(owns[who].encode()),
             folder.read(f"{who}/cold", query), GIVEN)
        for who, query in (("alice", ""), ("al", f"?x=y&authz=Bearer%20{owns['al']}&z=1"))
    ]  # fmt: skip


def outcome(case: Case, servers: dict[str, wire.Server]) -> dict[str, Any]:
    found, where, answer = GIVEN, "", ""
    try:
        with wire.Session(servers[case.server], case.credential, protocol=case.protocol, tls=case.tls) as session:
            content = case.action(session)
            answer = f"{len(content)} bytes"
    except wire.Refused as refusal:
        found, where, answer = REFUSED, refusal.where, f"[{refusal.code}] {refusal.says}"
        if case.expected == REFUSED and (refusal.where, refusal.code) not in {
            (case.where, code) for code in case.codes
        }:
            found = "refused for another reason"
    except wire.NoAnswer as silence:
        found, answer = SILENCE, str(silence)
    return {"name": case.name, "expected": case.expected, "found": found, "where": where, "answer": answer}


def warm(forge: Forge, folder: Folder, server: wire.Server) -> None:
    """Let the cache have what the cases call hot."""
    credential = wire.ztn(forge.make(forge.caveats(folder.path)).encode())
    with wire.Session(server, credential) as session:
        for who in ("alice", "al", "alice2", "ALICE"):
            content = session.read(folder.bytes(f"{who}/hot"))
            if content.strip() != who.encode():
                sys.exit(f"reading {folder.of(who)}/hot at {server.host}: found {content!r}, expected {who!r}")


def main() -> int:
    given = matrix.called()
    settings = given.settings
    servers = {
        name: wire.Server(settings[name]["host"], settings[name]["port"], settings["ca"])
        for name in ("cache", "origin")
    }
    secret = Path(settings["cache"]["secret"]).read_bytes()
    foreign = Path(settings["origin"]["token"]).read_text(encoding="ascii").strip()
    forge, folder = Forge(settings["cache"]["location"], secret), Folder(settings["folder"])
    warm(forge, folder, servers["cache"])
    cases = [
        *good_ones(forge, folder, secret),
        *logins(forge, folder, foreign),
        *requests(forge, folder),
        *at_origin(forge, folder, foreign),
        *last_ones(forge, folder),
    ]
    if given.canaries:
        forge.write_canaries(given.canaries, secret=settings["cache"]["secret"], origin=settings["origin"]["token"])
    return 1 if matrix.say(outcome(case, servers) for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
