# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The token service as its own process, and clients that it must and must not serve."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from cmsaf_mint import _idtoken

CLIENT = "hub-client.af.test"
LONGEST = 600


def ask(
    connection: HTTPSConnection, body: Any, method: str = "POST", path: str = "/v1/token"
) -> tuple[int, dict[str, Any]]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, json.loads(answer.read())


def test_the_hub_gets_a_users_token_and_nothing_else(service: Any, hub: Path, authority: Any) -> None:
    connection = service.connect(hub, authority.certificate)
    status, found = ask(connection, {"user": "alice", "lifetime": 300})
    assert status == 200 and set(found) == {"token", "expires_at"}
    token = _idtoken.verify(found["token"], service.key)
    assert (token.identity, token.issuer, token.key_id, token.scopes) == (
        *("alice@users.af.test", "pool.af.test", "cmsaf-hub"),
        ("READ", "WRITE"),
    )
    assert token.expires_at == token.issued_at + 300 == found["expires_at"]
    assert abs(token.issued_at - time.time()) < 5
    assert token.token_id
    # One connection for all that follows: a refusal does not end it.
    before = connection.sock
    for wrong in (
        *({"user": "condor", "lifetime": 300}, {"user": "x@pool.af.test", "lifetime": 300}),
        *({"user": "alice", "lifetime": -1}, {"user": "alice"}, b"no JSON"),
        {"user": "alice", "lifetime": 300, "scopes": ["ADMINISTRATOR"]},
    ):
        status, found = ask(connection, wrong)
        assert status == 400 and set(found) == {"error"} and found["error"]
    assert connection.sock is before
    status, found = ask(connection, {"user": "bob", "lifetime": 10**9})
    assert status == 200
    capped = _idtoken.verify(found["token"], service.key)
    assert capped.expires_at == capped.issued_at + LONGEST
    journal = service.journal().splitlines()
    assert any(f"minted user=alice jti={token.token_id} ends=20" in line for line in journal)
    assert sum("minted " in line for line in journal) == 2 and sum("refused " in line for line in journal) == 6
    assert found["token"] not in service.journal() and found["token"].split(".")[2] not in service.journal()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/token", 405), ("PUT", "/v1/token", 405), ("POST", "/", 404), ("POST", "/v1/token/..", 404)],
)
def test_there_is_one_path(service: Any, hub: Path, authority: Any, method: str, path: str, status: int) -> None:
    found, answer = ask(service.connect(hub, authority.certificate), {"user": "alice", "lifetime": 1}, method, path)
    assert found == status and set(answer) == {"error"}


def test_a_large_request_is_not_read(service: Any, hub: Path, authority: Any) -> None:
    status, answer = ask(service.connect(hub, authority.certificate), b" " * 100_000)
    assert status == 413 and "error" in answer


def test_another_name_of_the_same_authority_is_refused(service: Any, authority: Any) -> None:
    other = authority.issue("other", f"other.{CLIENT}", client=True)
    status, answer = ask(service.connect(other, authority.certificate), {"user": "alice", "lifetime": 1})
    assert status == 403 and f"other.{CLIENT}" in answer["error"]
    assert "refused status=403" in service.journal() and "minted" not in service.journal()


@pytest.mark.parametrize(
    "case", ["nothing", "a server's certificate", "another authority's", "one that has ended", "a revoked one"]
)
def test_who_cannot_prove_a_name_gets_no_connection(
    service: Any, authority: Any, stranger: Any, revoked: Path, case: str
) -> None:
    own = {
        "a revoked one": lambda: revoked,
        "nothing": lambda: None,
        "a server's certificate": lambda: authority.issue("server", CLIENT),
        "another authority's": lambda: stranger.issue("hub-client", CLIENT, client=True),
        "one that has ended": lambda: authority.issue("ended", CLIENT, client=True, days=-1),
    }[case]()
    with pytest.raises((OSError, HTTPException)):
        ask(service.connect(own, authority.certificate), {"user": "alice", "lifetime": 1})
    assert "minted" not in service.journal()


def test_a_list_that_has_ended_has_nobody_served(with_an_ended_list: Any, hub: Path, authority: Any) -> None:
    with pytest.raises((OSError, HTTPException)):
        ask(with_an_ended_list.connect(hub, authority.certificate), {"user": "alice", "lifetime": 1})


def test_old_tls_and_none_are_refused(service: Any, hub: Path, authority: Any) -> None:
    old = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError, match=r"EOF|PROTOCOL_VERSION"):
        ask(service.connect(hub, authority.certificate, old), {"user": "alice", "lifetime": 1})
    new = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert ask(service.connect(hub, authority.certificate, new), {"user": "alice", "lifetime": 1})[0] == 200
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as plain:
        plain.sendall(b"POST /v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert b"HTTP" not in plain.recv(1000)


def test_a_key_that_cannot_sign_ends_the_start(service: Any, tmp_path: Path) -> None:
    (tmp_path / "signing-key").write_bytes(b"short")
    arguments = [
        "--port",
        "1",
        "--client",
        "c",
        "--issuer",
        "i",
        "--users-domain",
        "u",
        "--key-id",
        "k",
        "--lifetime",
        "1",
    ]
    answer = subprocess.run(
        [sys.executable, "-sE", str(service.program), "--credentials", str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0 and "5 bytes" in answer.stderr
