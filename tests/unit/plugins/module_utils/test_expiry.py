# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends when, read from the real thing: certificates by openssl, tokens by what mints them."""

from __future__ import annotations

import base64
import doctest
import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _dask_tls, _expiry, _idtoken, _macaroon

NOW = 1_790_000_000
KEY = _idtoken.generate_key()
SECRET = _macaroon.generate_secret()
END = datetime(2027, 3, 1, tzinfo=timezone.utc)


def openssl(pem: str) -> str:
    assert "PRIVATE" not in pem
    command = ["openssl", "x509", "-noout", "-dates"]
    return subprocess.run(command, input=pem, capture_output=True, text=True, check=True).stdout


def idtoken(lifetime: int) -> str:
    return _idtoken.mint(
        key=KEY,
        key_id="POOL",
        issuer="pool.test",
        identity="a@pool.test",
        lifetime=lifetime,
        scopes=("READ",),
        issued_at=NOW,
    )


def macaroon(before: datetime) -> str:
    return _macaroon.mint(
        secret=SECRET, location="AF", name="a", activities=("DOWNLOAD",), path="/store", before=before
    )


def test_doctests() -> None:
    assert doctest.testmod(_expiry).failed == 0


def test_a_certificate_beside_its_key_is_read_and_the_key_goes_nowhere(
    tmp_path: Path, certificate: Callable[[Path, int], str]
) -> None:
    text = certificate(tmp_path / "key", 30)
    assert "PRIVATE KEY" in text
    (found,) = _expiry.read(text.encode(), openssl)
    assert found.kind == "certificate"
    assert found.begins_at is not None and found.ends_at == found.begins_at + 30 * 86400


def test_of_a_chain_every_certificate_is_read_and_the_first_to_end_counts(
    tmp_path: Path, certificate: Callable[[Path, int], str]
) -> None:
    chain = certificate(tmp_path / "leaf", 90) + certificate(tmp_path / "intermediate", 30)
    found = _expiry.read(chain.encode(), openssl)
    assert len(found) == 2
    (first,) = _expiry.earliest(found)
    assert first.begins_at is not None and first.ends_at == first.begins_at + 30 * 86400


def test_a_kubeconfig_is_read_by_the_certificate_in_it(tmp_path: Path, certificate: Callable[[Path, int], str]) -> None:
    pem = certificate(tmp_path / "key", 365)
    data = base64.b64encode(pem.encode()).decode()
    text = f"users:\n- name: admin\n  user:\n    client-certificate-data: {data}\n    client-key-data: {data}\n"
    (found,) = _expiry.read(text.encode(), openssl)
    assert found.kind == "certificate" and found.ends_at is not None


def test_tokens_are_read() -> None:
    assert _expiry.read((idtoken(60) + "\n").encode(), openssl) == [_expiry.Expiry("IDTOKEN", NOW, NOW + 60)]
    ends = int(END.timestamp())
    assert _expiry.read((macaroon(END) + "\n").encode(), openssl) == [_expiry.Expiry("macaroon", None, ends)]


def test_of_two_tokens_in_a_file_the_first_to_end_counts() -> None:
    found = _expiry.read(f"# both\n{idtoken(90)}\n{idtoken(60)}\n".encode(), openssl)
    assert [one.ends_at for one in _expiry.earliest(found)] == [NOW + 60]


def test_what_never_ends_comes_last() -> None:
    never, soon = _expiry.Expiry("IDTOKEN", NOW, None), _expiry.Expiry("IDTOKEN", NOW, NOW + 1)
    assert _expiry.earliest([never, soon]) == [soon]
    assert _expiry.earliest([never]) == [never]


@pytest.mark.parametrize("content", [b"", b"password", b"\xff\x00", b"eyJh.eyJh.x", KEY, SECRET])
def test_anything_else_is_refused_and_not_repeated(content: bytes) -> None:
    with pytest.raises(_expiry.ExpiryError) as refused:
        _expiry.read(content, openssl)
    assert len(content) < 3 or content.decode("latin-1") not in str(refused.value)


def test_a_server_s_secret_is_read_as_the_hub_makes_it() -> None:
    tls = _dask_tls.mint(names=["a.dask.test"], ips=[], lifetime=timedelta(days=7))
    held = {"ca.pem": tls.ca_pem, "hostcert.pem": tls.scheduler_pem, "condor_token": idtoken(60)}
    held |= {"xcache_token": macaroon(END), "bearer_token": macaroon(END - timedelta(hours=1)), "note": "hello"}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in held.items()}
    item = {"metadata": {"name": "s-1", "labels": {"cmsaf.facility/server": "alice"}}, "data": data}
    said = json.dumps({"items": [item, {"metadata": {"name": "empty"}}]})
    found = _expiry.read_secrets(said, openssl, "cmsaf.facility/server")
    assert {name for name, _ in found} == {"alice"}
    ends = {one.kind: one.ends_at for _, one in found}
    assert ends["IDTOKEN"] == NOW + 60
    assert ends["macaroon"] == int((END - timedelta(hours=1)).timestamp())
    assert ends["certificate"] is not None
    assert len(found) == 3


def test_an_answer_that_is_no_list_is_refused() -> None:
    with pytest.raises(_expiry.ExpiryError):
        _expiry.read_secrets("error: no such thing", openssl, "x")
