# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Macaroons as XRootD's libXrdMacaroons takes them: format version 1, first-party caveats.

Private to this collection: its interface may change in any release.

A token may have several caveats of one kind. XRootD takes each for itself, so
they narrow what the token is good for; one that lies outside of what stands
before it is a mistake or a trick, and such a token is refused.

XRootD reads a missing caveat as "unrestricted", so every token made here has
a path, its activities and an end. Nothing but the standard library is needed;
the unit tests compare with pymacaroons.

* Birgisson et al., Macaroons: Cookies with Contextual Caveats for Decentralized
  Authorization in the Cloud, NDSS 2014
* packets of version 1 and the key's derivation: doc/format.txt and macaroons.c of libmacaroons
* caveats and the server's secret: XrdMacaroonsAuthz.cc and README.md in src/XrdMacaroons of XRootD
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

__all__ = [
    "ACTIVITIES",
    "DEFAULT_MAXIMUM_DURATION",
    "SECRET_BYTES",
    "Macaroon",
    "MacaroonError",
    "decode_secret",
    "generate_secret",
    "mint",
    "parse",
    "verify",
]

SECRET_BYTES = 64
MINIMUM_SECRET_BYTES = 32
# Seconds; what macaroons.maxduration of a server is where its configuration does not say.
DEFAULT_MAXIMUM_DURATION = 86400
ACTIVITIES = (
    "DOWNLOAD",
    "UPLOAD",
    "LIST",
    "DELETE",
    "MANAGE",
    "UPDATE_METADATA",
    "READ_METADATA",
)

_KEY_GENERATOR = b"macaroons-key-generator"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
_SITENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH = re.compile(r"/[A-Za-z0-9._~+=@/-]*")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_PACKET_MAX = 0xFFFF


class MacaroonError(ValueError):
    """A secret, a caveat or a token that cannot be used; the message says which."""


@dataclass(frozen=True)
class Macaroon:
    """What a token says. Reading it proves nothing: see :func:`verify`."""

    location: str
    identifier: str
    name: str
    activities: tuple[str, ...]
    path: str
    before: datetime | None

    @property
    def expires_at(self) -> int | None:
        """Seconds since the epoch; None if it never ends."""
        return None if self.before is None else int(self.before.timestamp())

    def seconds_left(self, now: datetime) -> float | None:
        """Until the token ends; None if it never does."""
        return None if self.before is None else (self.before - now).total_seconds()


def generate_secret() -> bytes:
    """Content of a new file for macaroons.secretkey."""
    return base64.b64encode(secrets.token_bytes(SECRET_BYTES)) + b"\n"


def decode_secret(secret: bytes) -> bytes:
    """The key in the content of such a file."""
    try:
        key = base64.b64decode(b"".join(secret.split()), validate=True)
    except binascii.Error as error:
        raise MacaroonError("the secret is not base64") from error
    if len(key) < MINIMUM_SECRET_BYTES:
        raise MacaroonError(f"the secret has {len(key)} bytes, XRootD wants {MINIMUM_SECRET_BYTES} at least")
    return key


def mint(
    *,
    secret: bytes,
    location: str,
    name: str,
    activities: tuple[str, ...],
    path: str,
    before: datetime,
) -> str:
    """A token for one path and some activities that ends at `before`.

    `secret` is the content of the secret file, `location` the server's
    sitename. An empty `name` leaves the bearer nameless.
    """
    key = decode_secret(secret)
    if not _SITENAME.fullmatch(location):
        raise MacaroonError(f"the location {location!r} is not a sitename")
    if name and not _NAME.fullmatch(name):
        raise MacaroonError(f"the name {name!r} has characters other than letters, digits and ._@+-")
    unknown = [activity for activity in activities if activity not in ACTIVITIES]
    if unknown or not activities:
        raise MacaroonError(f"the activities {list(activities)} are not some of {', '.join(ACTIVITIES)}")
    _check_path(path)
    if before.tzinfo is None:
        raise MacaroonError("before has no time zone")
    caveats = [f"name:{name}"] if name else []
    caveats += [
        "activity:" + ",".join(activities),
        f"path:{path}",
        "before:" + before.astimezone(timezone.utc).strftime(_TIME),
    ]
    identifier = str(uuid.uuid4())
    signature = _chain(key, identifier, caveats)
    packets = [("location", location.encode()), ("identifier", identifier.encode())]
    packets += [("cid", caveat.encode()) for caveat in caveats]
    packets.append(("signature", signature))
    raw = b"".join(_packet(field, value) for field, value in packets)
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def parse(token: str) -> Macaroon:
    """Read a token without checking its signature."""
    return _read(token)[0]


def verify(token: str, secret: bytes) -> Macaroon:
    """Read a token of this secret; its end is not looked at."""
    found, caveats, signature = _read(token)
    if not hmac.compare_digest(_chain(decode_secret(secret), found.identifier, caveats), signature):
        raise MacaroonError("the token was not made with this secret")
    return found


def _check_path(path: str) -> None:
    """Refuse what two programs may read as two different paths."""
    if not path.startswith("/"):
        raise MacaroonError(f"the path {path!r} is not absolute")
    if not _PATH.fullmatch(path):
        raise MacaroonError(f"the path {path!r} has characters other than ASCII letters, digits and ._~+=@/-")
    # A slash at the end is what XRootD takes off itself.
    segments = path[1:].removesuffix("/").split("/")
    if path != "/" and not {"", ".", ".."}.isdisjoint(segments):
        raise MacaroonError(f"the path {path!r} is not in its shortest form: write it without //, /./ and /../")


def _sign(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _chain(key: bytes, identifier: str, caveats: list[str]) -> bytes:
    signature = _sign(_sign(_KEY_GENERATOR, key), identifier.encode())
    for caveat in caveats:
        signature = _sign(signature, caveat.encode())
    return signature


def _packet(field: str, value: bytes) -> bytes:
    content = field.encode() + b" " + value + b"\n"
    if len(content) + 4 > _PACKET_MAX:
        raise MacaroonError(f"{field} is longer than a macaroon can hold")
    return b"%04x" % (len(content) + 4) + content


def _packets(raw: bytes) -> list[tuple[str, bytes]]:
    found = []
    while raw:
        length = int(raw[:4], 16)
        field, separator, value = raw[4:length].partition(b" ")
        if length > len(raw) or not separator or not value.endswith(b"\n"):
            raise ValueError("a packet is cut short")
        found.append((field.decode("ascii"), value[:-1]))
        raw = raw[length:]
    return found


def _read(token: str) -> tuple[Macaroon, list[str], bytes]:
    text = token.strip()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        packets = _packets(raw)
        caveats = [value.decode() for field, value in packets if field == "cid"]
        single = dict(packet for packet in packets if packet[0] != "cid")
        if [field for field, _value in packets if field != "cid"] != ["location", "identifier", "signature"]:
            raise ValueError("a part is missing, twice there, or of a third party")
        said = [tuple(caveat.split(":", 1)) for caveat in caveats]
        values = {kind: [value for found, value in said if found == kind] for kind, _value in said}
        ends = [datetime.strptime(value, _TIME).replace(tzinfo=timezone.utc) for value in values.pop("before", [])]
        location, identifier = single["location"].decode(), single["identifier"].decode()
        signature = single["signature"]
    except (binascii.Error, KeyError, UnicodeError, ValueError) as error:
        raise MacaroonError("the token is not a macaroon of version 1 with first-party caveats") from error
    names, paths = values.pop("name", [""]), values.pop("path", [""])
    activities = [tuple(value.split(",")) for value in values.pop("activity", [""])]
    if values:
        raise MacaroonError(f"the token has caveats that XRootD does not know: {', '.join(sorted(values))}")
    if len(set(names)) > 1:
        raise MacaroonError("the token has two names")
    for wider, narrower in zip(paths, paths[1:]):
        if not f"{narrower}/".startswith(wider.rstrip("/") + "/"):
            raise MacaroonError(f"the token's path {narrower!r} lies outside of its path {wider!r}")
    for more, fewer in zip(activities, activities[1:]):
        if not set(fewer) <= set(more):
            raise MacaroonError(f"the token's activities {list(fewer)} are more than its activities {list(more)}")
    found = Macaroon(
        location=location,
        identifier=identifier,
        name=names[-1],
        activities=activities[-1],
        path=paths[-1],
        before=min(ends) if ends else None,
    )
    return found, caveats, signature
