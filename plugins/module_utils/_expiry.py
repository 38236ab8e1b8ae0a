# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a certificate or a token ends, by what is in its file.

Private to this collection: its interface may change in any release.

Hosts have no X.509 library everywhere, and all have the openssl program: the
caller gives a function that has it read one certificate. What goes there is a
certificate, never a key, though both may stand in one file.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import _idtoken, _macaroon

__all__ = ["Expiry", "ExpiryError", "dates", "earliest", "read", "read_secrets"]

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.S)
# A kubeconfig; what it names by path is looked for at that path.
_EMBEDDED = re.compile(r"^\s*client-certificate-data:\s*[\"']?([A-Za-z0-9+/=]+)", re.M)
_IDTOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_DATE = re.compile(r"^not(Before|After)=(.*)$", re.M)


class ExpiryError(ValueError):
    """Something that has no end to be read; the message says why."""


@dataclass(frozen=True)
class Expiry:
    """One thing that ends. Times are seconds since the epoch, None where nothing says."""

    kind: str
    begins_at: int | None
    ends_at: int | None


def dates(said: str) -> tuple[int, int]:
    """Begin and end in what ``openssl x509 -noout -dates`` says.

    >>> dates("notBefore=Jan  5 09:34:43 2018 GMT\\nnotAfter=Jan  5 09:34:43 2028 GMT\\n")
    (1515144883, 1830677683)
    """
    found = dict(_DATE.findall(said))
    try:
        return int(ssl.cert_time_to_seconds(found["Before"])), int(ssl.cert_time_to_seconds(found["After"]))
    except (KeyError, ValueError):
        raise ExpiryError("openssl says no dates of the certificate") from None


def earliest(found: Iterable[Expiry]) -> list[Expiry]:
    """Of each kind the one that ends first; what never ends comes last."""
    first: dict[str, Expiry] = {}
    for one in sorted(found, key=lambda one: (one.ends_at is None, one.ends_at)):
        first.setdefault(one.kind, one)
    return list(first.values())


def read(content: bytes, openssl: Callable[[str], str]) -> list[Expiry]:
    """What ends in a file: certificates, a kubeconfig's certificate, IDTOKENs or a macaroon."""
    text = content.decode("utf-8", "replace")
    certificates = _CERTIFICATE.findall(text)
    if not certificates:
        certificates = [pem for data in _EMBEDDED.findall(text) for pem in _CERTIFICATE.findall(_decoded(data))]
    if certificates:
        return [Expiry("certificate", *dates(openssl(pem))) for pem in certificates]
    tokens = _IDTOKEN.findall(text)
    try:
        if tokens:
            found = [_idtoken.parse(token) for token in tokens]
            return [Expiry("IDTOKEN", token.issued_at, token.expires_at) for token in found]
        before = _macaroon.parse(text).before
    except (_idtoken.IdTokenError, _macaroon.MacaroonError):
        raise ExpiryError("there is neither a certificate nor a token in it") from None
    return [Expiry("macaroon", None, None if before is None else int(before.timestamp()))]


def read_secrets(said: str, openssl: Callable[[str], str], label: str) -> list[tuple[str, Expiry]]:
    """Of each Secret in ``kubectl get secrets -o json``, by its label: of each kind what ends first."""
    found = []
    for item in _items(said):
        ends: list[Expiry] = []
        for data in (item.get("data") or {}).values():
            try:
                ends += read(_decoded(data).encode(), openssl)
            except ExpiryError:
                # Whatever else a Secret holds does not end.
                continue
        name = item["metadata"].get("labels", {}).get(label) or item["metadata"]["name"]
        found += [(name, one) for one in earliest(ends)]
    return found


def _items(said: str) -> list[Mapping[str, Any]]:
    try:
        return list(json.loads(said)["items"])
    except (ValueError, KeyError, TypeError):
        raise ExpiryError("kubectl's answer is no list of Secrets") from None


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise ExpiryError("it is not base64") from None
