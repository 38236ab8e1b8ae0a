# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The token service as its own process, and clients that it must and must not serve."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from cmsaf_mint import _idtoken

ROOT = Path(__file__).resolve().parents[3]
CLIENT = "hub-client.af.test"
LONGEST = 600


class Running:
    """The program, started as the access point starts it but for the port."""

    def __init__(self, place: Path, server: Path) -> None:
        place.mkdir()
        self.key = _idtoken.generate_key()
        (place / "signing-key").write_bytes(self.key)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (place / name).write_bytes((server / name).read_bytes())
        (place / "program").mkdir()
        (place / "program" / "cmsaf_mint").symlink_to(ROOT / "plugins" / "module_utils")
        (place / "program" / "cmsaf_token_service.py").write_bytes(
            (ROOT / "roles" / "htcondor" / "files" / "cmsaf_token_service.py").read_bytes()
        )
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
            program = self._place / "program" / "cmsaf_token_service.py"
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-sE", str(program), "--address", "127.0.0.1", "--port", str(self.port)),
                    *("--client", CLIENT, "--issuer", "pool.af.test", "--users-domain", "users.af.test"),
                    *("--key-id", "cmsaf-hub", "--lifetime", str(LONGEST)),
                ],
                env={**os.environ, "CREDENTIALS_DIRECTORY": str(self._place), "NOTIFY_SOCKET": str(notify)},
                stderr=log,
            )
            assert ready.recv(100) == b"READY=1"

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=10)

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


@pytest.fixture
def service(authority: Any, tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "service", authority.issue("token-service", "localhost"))
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def hub(authority: Any) -> Path:
    return authority.issue("hub-client", CLIENT, client=True)


def ask(
    connection: HTTPSConnection, body: Any, method: str = "POST", path: str = "/v1/token"
) -> tuple[int, dict[str, Any]]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, json.loads(answer.read())


def test_the_hub_gets_a_users_token_and_nothing_else(service: Running, hub: Path, authority: Any) -> None:
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
def test_there_is_one_path(
    service: Running, hub: Path, authority: Any, method: str, path: str, status: int
) -> None:
    found, answer = ask(service.connect(hub, authority.certificate), {"user": "alice", "lifetime": 1}, method, path)
    assert found == status and set(answer) == {"error"}


def test_a_large_request_is_not_read(service: Running, hub: Path, authority: Any) -> None:
    status, answer = ask(service.connect(hub, authority.certificate), b" " * 100_000)
    assert status == 413 and "error" in answer


def test_another_name_of_the_same_authority_is_refused(service: Running, authority: Any) -> None:
    other = authority.issue("other", f"other.{CLIENT}", client=True)
    status, answer = ask(service.connect(other, authority.certificate), {"user": "alice", "lifetime": 1})
    assert status == 403 and f"other.{CLIENT}" in answer["error"]
    assert "refused status=403" in service.journal() and "minted" not in service.journal()


@pytest.mark.parametrize("case", ["nothing", "a server's certificate", "another authority's", "one that has ended"])
def test_who_cannot_prove_a_name_gets_no_connection(
    service: Running, authority: Any, stranger: Any, case: str
) -> None:
    own = {
        "nothing": lambda: None,
        "a server's certificate": lambda: authority.issue("server", CLIENT),
        "another authority's": lambda: stranger.issue("hub-client", CLIENT, client=True),
        "one that has ended": lambda: authority.issue("ended", CLIENT, client=True, days=-1),
    }[case]()
    with pytest.raises((OSError, HTTPException)):
        ask(service.connect(own, authority.certificate), {"user": "alice", "lifetime": 1})
    assert "minted" not in service.journal()


def test_old_tls_and_none_are_refused(service: Running, hub: Path, authority: Any) -> None:
    old = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        ask(service.connect(hub, authority.certificate, old), {"user": "alice", "lifetime": 1})
    new = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    assert ask(service.connect(hub, authority.certificate, new), {"user": "alice", "lifetime": 1})[0] == 200
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as plain:
        plain.sendall(b"POST /v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert b"HTTP" not in plain.recv(1000)


def test_a_key_that_cannot_sign_ends_the_start(service: Running, tmp_path: Path) -> None:
    (tmp_path / "service" / "signing-key").write_bytes(b"short")
    program = tmp_path / "service" / "program" / "cmsaf_token_service.py"
    arguments = ["--port", "1", "--client", "c", "--issuer", "i", "--users-domain", "u", "--key-id", "k", "--lifetime", "1"]
    answer = subprocess.run(
        [sys.executable, "-sE", str(program), "--credentials", str(tmp_path / "service"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0 and "5 bytes" in answer.stderr
