# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes the token service importable as the access point has it, and an authority for its certificates."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

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

Issue = Callable[..., Path]


class Authority:
    """Issues as role pki does: EC P-256, one usage each."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self._place = place
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{place.name} authority")])
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        self.certificate = place / "ca.crt"
        self._write(self.certificate, builder.sign(self._key, hashes.SHA256()))

    def issue(self, folder: str, name: str, *, client: bool = False, days: int = 1) -> Path:
        """Make tls.crt, tls.key and ca.crt in a folder of this name."""
        place = self._place / folder
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


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "facility")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "stranger")
