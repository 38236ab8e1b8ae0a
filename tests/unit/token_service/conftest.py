# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes the token service importable as the access point has it, and an authority for its certificates."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import types
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ROOT = Path(__file__).resolve().parents[3]

# On the access point, as in the hub's image, plugins/module_utils is the package cmsaf_mint.
_mint = types.ModuleType("cmsaf_mint")
_mint.__path__ = [str(_ROOT / "plugins" / "module_utils")]
sys.modules.setdefault("cmsaf_mint", _mint)
sys.path.insert(0, str(_ROOT / "roles" / "htcondor" / "files"))
sys.path.insert(0, str(_ROOT / "images" / "hub"))

_CLIENT = "hub-client.af.test"
_LONGEST = 600


class Authority:
    """Issues as role pki does: EC P-256, one usage each."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self._place, self._issued = place, 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{place.name} authority")])
        signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(signs, critical=True)
        )
        self.certificate = place / "ca.crt"
        self._write(self.certificate, builder.sign(self._key, hashes.SHA256()))

    def issue(self, folder: str, name: str, *, client: bool = False, days: int = 1) -> Path:
        """Make tls.crt, tls.key and ca.crt in a folder of their own."""
        self._issued += 1
        place = self._place / f"{folder}-{self._issued}"
        place.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder)])
        builder = (
            self._builder(subject, key, days)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        self._write(place / "tls.crt", builder.sign(self._key, hashes.SHA256()))
        (place / "tls.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (place / "ca.crt").write_bytes(self.certificate.read_bytes())
        return place

    def list_revoked(self, *places: Path, days: int = 1) -> Path:
        """Make the list of revoked certificates, with those in these folders on it."""
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - timedelta(days=9))
            .next_update(now + timedelta(days=days))
        )
        for place in places:
            certificate = x509.load_pem_x509_certificate((place / "tls.crt").read_bytes())
            revoked = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        path = self._place / f"list-{len(places)}-{days}.crl"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        public = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        )

    @staticmethod
    def _write(path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class Running:
    """The program, started as the access point starts it but for the port."""

    def __init__(self, place: Path, server: Path, revoked: Path) -> None:
        place.mkdir()
        self.key = b"0123456789abcdef" * 4
        (place / "signing-key").write_bytes(self.key)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (place / name).write_bytes((server / name).read_bytes())
        (place / "ca.crl").write_bytes(revoked.read_bytes())
        (place / "program").mkdir()
        (place / "program" / "cmsaf_mint").symlink_to(_ROOT / "plugins" / "module_utils")
        self.program = place / "program" / "cmsaf_token_service.py"
        self.program.write_bytes((_ROOT / "roles" / "htcondor" / "files" / "cmsaf_token_service.py").read_bytes())
        self._place = place
        self._log = place / "journal"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        notify = self._place / "notify"
        notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self._log.open("ab") as log:
            ready.bind(str(notify))
            ready.settimeout(30)
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-sE", str(self.program), "--address", "127.0.0.1", "--port", str(self.port)),
                    *("--client", _CLIENT, "--issuer", "pool.af.test", "--users-domain", "users.af.test"),
                    *("--key-id", "cmsaf-hub", "--lifetime", str(_LONGEST)),
                ],
                env={**os.environ, "CREDENTIALS_DIRECTORY": str(self._place), "NOTIFY_SOCKET": str(notify)},
                stderr=log,
            )
            assert ready.recv(100) == b"READY=1"

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=10)

    def forget(self) -> None:
        os.truncate(self._log, 0)

    def journal(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def connect(self, own: Path | None, authority: Path, versions: tuple[Any, Any] | None = None) -> HTTPSConnection:
        context = ssl.create_default_context(cafile=str(authority))
        if own is not None:
            context.load_cert_chain(own / "tls.crt", own / "tls.key")
        if versions is not None:
            context.minimum_version, context.maximum_version = versions
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return HTTPSConnection("localhost", self.port, timeout=10, context=context)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "facility")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "stranger")


@pytest.fixture(scope="session")
def revoked(authority: Authority) -> Path:
    return authority.issue("revoked", _CLIENT, client=True)


@pytest.fixture(scope="session")
def running(authority: Authority, revoked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("service") / "service"
    running = Running(place, authority.issue("token-service", "localhost"), authority.list_revoked(revoked))
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def with_an_ended_list(authority: Authority, tmp_path: Path) -> Iterator[Running]:
    server = authority.issue("token-service", "localhost")
    running = Running(tmp_path / "service", server, authority.list_revoked(days=-1))
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def service(running: Running) -> Running:
    running.forget()
    return running


@pytest.fixture
def hub(authority: Authority) -> Path:
    return authority.issue("hub-client", _CLIENT, client=True)
