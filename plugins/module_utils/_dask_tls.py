# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The TLS set of one Dask cluster: a CA, and one leaf for each part it plays.

Private to this collection: its interface may change in any release.

The CA's key signs three leaves and is dropped when :func:`mint` returns; it is
never written anywhere, so nobody can add a fourth. Keys are P-256.

* scheduler: serves, and dials workers; carries the names it is reached by
* worker: serves its peers and dials scheduler and peers; carries the addresses
  of the hosts that workers run on
* client: dials only; carries a name that nothing resolves

distributed gives every peer with a leaf of this CA the same rights, whatever
its part; the usages only keep a client's leaf from serving.

* RFC 5280: names, constraints and usages of certificates
* "TLS/SSL" in the documentation of distributed: who presents which file
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    # Only where sets are made: hosts have no need of it.
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

__all__ = ["MAXIMUM_LIFETIME", "DaskTls", "DaskTlsError", "mint"]

MAXIMUM_LIFETIME = timedelta(days=30)

# Peers' clocks may be behind ours by this much.
_CLOCK_SKEW = timedelta(minutes=5)
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_MAXIMUM_NAME = 253
# X.509 allows 64 characters in a common name.
_MAXIMUM_COMMON_NAME = 64


class DaskTlsError(ValueError):
    """A name, an address or a lifetime that cannot be used, or no library to sign with; the message says which."""


@dataclass(frozen=True)
class DaskTls:
    """PEM texts. Each leaf is certificate, then key, in one text."""

    ca_pem: str
    scheduler_pem: str = field(repr=False)
    worker_pem: str = field(repr=False)
    client_pem: str = field(repr=False)
    ends: datetime


def mint(*, names: list[str], ips: list[str], lifetime: timedelta, now: datetime | None = None) -> DaskTls:
    """Make a CA and its three leaves.

    :param names: DNS names of the scheduler, the one that workers dial first
    :param ips: addresses of the hosts that workers are reached at, may be empty
    :param lifetime: how long the whole set is good, at most 30 days
    :param now: start of the lifetime, this moment if not given
    """
    if not HAS_CRYPTOGRAPHY:
        raise DaskTlsError("the Python package cryptography is not installed here")
    _check(names, lifetime)
    addresses = [_address(ip) for ip in ips]
    start = datetime.now(timezone.utc) if now is None else now
    start = start.replace(microsecond=0)
    authority = _Authority(names[0], start, start + lifetime)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    scheduler = [*(x509.DNSName(name) for name in names), x509.DNSName("localhost"), loopback]
    worker = [x509.DNSName("worker.invalid"), *(x509.IPAddress(ip) for ip in addresses)]
    client: list[x509.GeneralName] = [x509.DNSName("client.invalid")]
    serve, dial = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    return DaskTls(
        ca_pem=authority.pem,
        scheduler_pem=authority.issue("scheduler", scheduler, [serve, dial]),
        worker_pem=authority.issue("worker", worker, [serve, dial]),
        client_pem=authority.issue("client", client, [dial]),
        ends=start + lifetime,
    )


class _Authority:
    """A CA that lives as long as one call of :func:`mint`."""

    def __init__(self, name: str, start: datetime, end: datetime) -> None:
        self._start = start - _CLOCK_SKEW
        self._end = end
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(f"Dask {name}")
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = (
            self._begin(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def issue(self, part: str, names: list[x509.GeneralName], usages: list[x509.ObjectIdentifier]) -> str:
        """One leaf: its certificate, then its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        certificate = (
            self._begin(_subject(f"Dask {part}"), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(identifier, critical=False)
            .add_extension(above, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return (certificate.public_bytes(serialization.Encoding.PEM) + private).decode("ascii")

    def _begin(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._start)
            .not_valid_after(self._end)
        )


def _check(names: list[str], lifetime: timedelta) -> None:
    if not names:
        raise DaskTlsError("names is empty: workers need a name to reach the scheduler by")
    for name in names:
        if len(name) > _MAXIMUM_NAME or not _NAME.fullmatch(name):
            raise DaskTlsError(f"{name!r} in names is not a DNS name in lower case")
    if not timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
        raise DaskTlsError(f"lifetime {lifetime} is not between 0 and {MAXIMUM_LIFETIME}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise DaskTlsError(f"{text!r} in ips is not an IP address") from None


def _subject(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_MAXIMUM_COMMON_NAME])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
