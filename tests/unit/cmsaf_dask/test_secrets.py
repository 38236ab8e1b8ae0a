# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from cmsaf_dask import secrets


def tls(**values: str | None) -> SimpleNamespace:
    return SimpleNamespace(get_tls_config_for_role=lambda role: values)


def test_what_travels_with_a_worker(tmp_path: Path) -> None:
    for name in ("ca.pem", "workercert.pem", "token", "ca.crt"):
        (tmp_path / name).write_text(f"{name}\n")
    leaf = str(tmp_path / "workercert.pem")
    security = tls(ca_file=str(tmp_path / "ca.pem"), cert=leaf, key=leaf)
    environ = {"BEARER_TOKEN_FILE": str(tmp_path / "token"), "X509_CERT_FILE": str(tmp_path / "ca.crt")}
    assert secrets.worker_files(security, environ) == {
        "ca.pem": b"ca.pem\n",
        "workercert.pem": b"workercert.pem\n",
        "bearer_token": b"token\n",
        "facility-ca.crt": b"ca.crt\n",
    }


def test_certificates_in_memory_travel_too(tmp_path: Path) -> None:
    security = tls(ca_file="CA\n", cert="CERT\n", key="KEY\n")
    files = secrets.worker_files(security, {"CMSAF_SECRETS": str(tmp_path)})
    assert files == {"ca.pem": b"CA\n", "workercert.pem": b"CERT\nKEY\n"}


def test_order_in_which_a_token_is_looked_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "bt_u1").write_text("x")
    (tmp_path / "bearer_token").write_text("s")
    environ = {"XDG_RUNTIME_DIR": str(run), "CMSAF_SECRETS": str(tmp_path)}
    assert secrets.find_bearer_token(environ, 1) == run / "bt_u1"
    assert secrets.find_bearer_token(environ, 987654) == tmp_path / "bearer_token"
    assert secrets.find_bearer_token({"CMSAF_SECRETS": str(run)}, 987654) is None


def test_copies_are_the_owners_alone(tmp_path: Path) -> None:
    path = secrets.write_private({"a": b"1"}, parent=str(tmp_path))
    assert path.stat().st_mode & 0o777 == 0o700
    assert (path / "a").stat().st_mode & 0o777 == 0o600
