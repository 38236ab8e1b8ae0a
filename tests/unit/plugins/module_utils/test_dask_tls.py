# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Dask TLS set, read back by cryptography's parser and used by OpenSSL."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._dask_tls import (
    MAXIMUM_LIFETIME,
    DaskTls,
    DaskTlsError,
    mint,
)
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

NAMES = ["alice.dask.af.test", "dask-alice.hub.svc"]
IPS = ["10.89.50.16", "fd00::16"]
NOW = datetime(2026, 11, 24, 4, 0, 0, 7, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def tls() -> DaskTls:
    return mint(names=NAMES, ips=IPS, lifetime=timedelta(hours=12))


def leaf(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def names_of(pem: str) -> list[str]:
    names = leaf(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def usages_of(pem: str) -> list[x509.ObjectIdentifier]:
    return list(leaf(pem).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_names(tls: DaskTls) -> None:
    assert names_of(tls.scheduler_pem) == [*NAMES, "localhost", "127.0.0.1"]
    assert names_of(tls.worker_pem) == ["worker.invalid", *IPS]
    assert names_of(tls.client_pem) == ["client.invalid"]


def test_usages(tls: DaskTls) -> None:
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert usages_of(tls.scheduler_pem) == both
    assert usages_of(tls.worker_pem) == both
    assert usages_of(tls.client_pem) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_authority(tls: DaskTls) -> None:
    authority = leaf(tls.ca_pem)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (
        True,
        True,
        0,
    )
    for pem in (tls.scheduler_pem, tls.worker_pem, tls.client_pem):
        leaf(pem).verify_directly_issued_by(authority)
        assert not leaf(pem).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_p256_and_the_authoritys_is_gone(tls: DaskTls) -> None:
    assert "PRIVATE KEY" not in tls.ca_pem
    seen = set()
    for pem in (tls.scheduler_pem, tls.worker_pem, tls.client_pem):
        key = serialization.load_pem_private_key(pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == leaf(pem).public_key()
        seen.add(key.public_key().public_numbers())
    assert leaf(tls.ca_pem).public_key().public_numbers() not in seen
    assert len(seen) == 3


def test_lifetime() -> None:
    tls = mint(names=NAMES, ips=[], lifetime=timedelta(hours=12), now=NOW)
    assert tls.ends == datetime(2026, 11, 24, 16, tzinfo=timezone.utc)
    for pem in (tls.ca_pem, tls.scheduler_pem, tls.worker_pem, tls.client_pem):
        assert leaf(pem).not_valid_before_utc == datetime(2026, 11, 24, 3, 55, tzinfo=timezone.utc)
        assert leaf(pem).not_valid_after_utc == tls.ends


def test_repr_shows_no_key(tls: DaskTls) -> None:
    assert "PRIVATE KEY" not in repr(tls)


@pytest.mark.parametrize(
    ("names", "ips", "lifetime", "message"),
    [
        ([], [], timedelta(hours=1), "names is empty"),
        (["Alice.dask"], [], timedelta(hours=1), "'Alice.dask' in names"),
        (["*.dask.af.test"], [], timedelta(hours=1), "in names"),
        (["a" * 64 + ".dask"], [], timedelta(hours=1), "in names"),
        ([".".join(["a" * 63] * 4)], [], timedelta(hours=1), "in names"),
        (NAMES, ["10.89.50"], timedelta(hours=1), "'10.89.50' in ips"),
        (NAMES, [], timedelta(0), "lifetime"),
        (NAMES, [], MAXIMUM_LIFETIME + timedelta(seconds=1), "lifetime"),
    ],
)
def test_refusals(names: list[str], ips: list[str], lifetime: timedelta, message: str) -> None:
    with pytest.raises(DaskTlsError, match=message):
        mint(names=names, ips=ips, lifetime=lifetime)


def test_long_names_fit_the_common_name() -> None:
    name = "a" * 63 + ".dask.af.test"
    assert names_of(mint(names=[name], ips=[], lifetime=timedelta(hours=1)).scheduler_pem)[0] == name


def context(side: ssl.Purpose, tls: DaskTls, pem: str, tmp_path: Path) -> ssl.SSLContext:
    """What distributed makes of the files, with the check of the name on."""
    path = tmp_path / "leaf.pem"
    path.write_text(pem)
    made = ssl.create_default_context(side, cadata=tls.ca_pem)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(path)
    return made


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Both sides of a TLS handshake in memory; raises what the client or server raises."""
    ours, theirs = socket.socketpair()
    failures: list[Exception] = []

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as wrapped:
                wrapped.recv(1)
                wrapped.sendall(b"x")
        except (ssl.SSLError, OSError) as problem:
            failures.append(problem)
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as wrapped:
            wrapped.sendall(b"x")
            wrapped.recv(1)
    finally:
        ours.close()
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("part", ["worker_pem", "client_pem"])
def test_scheduler_takes_its_peers(tls: DaskTls, tmp_path: Path, part: str) -> None:
    server = context(ssl.Purpose.CLIENT_AUTH, tls, tls.scheduler_pem, tmp_path)
    client = context(ssl.Purpose.SERVER_AUTH, tls, getattr(tls, part), tmp_path)
    handshake(client, server, NAMES[0])


def test_worker_is_reached_by_address(tls: DaskTls, tmp_path: Path) -> None:
    server = context(ssl.Purpose.CLIENT_AUTH, tls, tls.worker_pem, tmp_path)
    client = context(ssl.Purpose.SERVER_AUTH, tls, tls.scheduler_pem, tmp_path)
    handshake(client, server, IPS[0])


def test_refused_by_openssl(tls: DaskTls, tmp_path: Path) -> None:
    other = mint(names=["bob.dask.af.test"], ips=[], lifetime=timedelta(hours=1))
    bobs = context(ssl.Purpose.CLIENT_AUTH, other, other.scheduler_pem, tmp_path)
    alice = context(ssl.Purpose.SERVER_AUTH, tls, tls.worker_pem, tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(alice, bobs, "bob.dask.af.test")
    hers = context(ssl.Purpose.CLIENT_AUTH, tls, tls.scheduler_pem, tmp_path)
    with pytest.raises(ssl.SSLError, match="ostname mismatch"):
        handshake(alice, hers, "bob.dask.af.test")
    client_serving = context(ssl.Purpose.CLIENT_AUTH, tls, tls.client_pem, tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(alice, client_serving, "client.invalid")
