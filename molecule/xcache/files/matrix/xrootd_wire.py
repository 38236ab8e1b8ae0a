# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The XRootD protocol, as much of it as a client needs to be refused.

XRootD's own client puts paths in order, does not send what it holds to be no token, and keeps the server's answer to
a login for itself. What a server refuses is seen only by a client that sends everything as it is.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any

AUTH, QUERY, CHMOD, DIRLIST, PROTOCOL, LOGIN, MKDIR, MV, OPEN, READ, RM, RMDIR, STAT, WRITE, FATTR, PREPARE, LOCATE, TRUNCATE = (
    3000, 3001, 3002, 3004, 3006, 3007, 3008, 3009, 3010, 3013, 3014, 3015, 3017, 3019, 3020, 3021, 3027, 3028,
)  # fmt: skip
OK, SO_FAR, ATTENTION, MORE, ERROR, REDIRECT, WAIT, WAIT_RESPONSE = 0, 4000, 4001, 4002, 4003, 4004, 4005, 4006
OPEN_READ, OPEN_UPDATE, OPEN_NEW, OPEN_DELETE, OPEN_APPEND, OPEN_MAKE_PATH = 0x10, 0x20, 0x08, 0x02, 0x200, 0x100
SECURITY_REQUIREMENTS, ABLE_TLS, WANT_TLS, EXPECT_LOGIN = 0x01, 0x02, 0x04, 0x03
CHECKSUM = 3
TIMEOUT = 20


class Refused(Exception):
    """The server said no; where is 'login' or 'request'."""

    def __init__(self, where: str, code: int, says: str) -> None:
        super().__init__(f"{where} [{code}] {says}")
        self.where, self.code, self.says = where, code, says


class NoAnswer(Exception):
    """The server said nothing that is an answer."""


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    ca: str
    # Where it is, for who does not find it by its name.
    address: str = ""


class Session:
    """One connection. Logs in with `credential`, the bytes of kXR_auth; with None it does not."""

    def __init__(self, server: Server, credential: bytes | None, *, protocol: bytes = b"ztn", tls: bool = True) -> None:
        self.where = "login"
        try:
            self.stream: Any = socket.create_connection((server.address or server.host, server.port), timeout=TIMEOUT)
            self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin(server, tls)
            user = struct.pack("!i8sBBBB", os.getpid() & 0x7FFFFFFF, b"matrix\0\0", 0, 0, 5, 0)
            self.wanted = self.ask(LOGIN, user)[16:]
            if credential is not None:
                self.ask(AUTH, b"\0" * 12 + protocol.ljust(4, b"\0"), credential)
        except OSError as error:
            raise NoAnswer(f"{server.host}:{server.port}: {error}") from error
        self.where = "request"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def _begin(self, server: Server, tls: bool) -> None:
        flags = SECURITY_REQUIREMENTS | (ABLE_TLS | WANT_TLS if tls else 0)
        hello = struct.pack("!iiiii", 0, 0, 0, 4, 2012)
        hello += struct.pack("!HHiBB10xi", 1, PROTOCOL, 0x520, flags, EXPECT_LOGIN, 0)
        self.stream.sendall(hello)
        self._answer()
        self._answer()
        if tls:
            context = ssl.create_default_context(cafile=server.ca)
            self.stream = context.wrap_socket(self.stream, server_hostname=server.host)

    def _bytes(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.stream.recv(count - len(found))
            if not part:
                raise NoAnswer(f"the connection was closed during {self.where}")
            found += part
        return found

    def _answer(self) -> bytes:
        body = b""
        while True:
            _stream, status, length = struct.unpack("!HHi", self._bytes(8))
            part = self._bytes(length)
            if status == ATTENTION and part[:4] == struct.pack("!i", 5008):
                status, part = struct.unpack("!H", part[10:12])[0], part[16:]
            if status == ERROR:
                (code,) = struct.unpack("!i", part[:4])
                raise Refused(self.where, code, part[4:].rstrip(b"\0").decode("utf-8", "replace"))
            if status in (WAIT_RESPONSE, ATTENTION):
                continue
            if status in (REDIRECT, WAIT, MORE):
                raise NoAnswer(f"the server answered {status} during {self.where}")
            body += part
            if status == OK:
                return body

    def ask(self, request: int, parameters: bytes = b"", data: bytes = b"") -> bytes:
        try:
            self.stream.sendall(struct.pack("!HH16si", 1, request, parameters, len(data)) + data)
            return self._answer()
        except OSError as error:
            raise NoAnswer(f"during {self.where}: {error}") from error

    def open(self, path: bytes, options: int) -> bytes:
        return self.ask(OPEN, struct.pack("!HH", 0o644, options), path)[:4]

    def read(self, path: bytes) -> bytes:
        return self.ask(READ, struct.pack("!4sqi", self.open(path, OPEN_READ), 0, 1 << 20))


def ztn(token: bytes, *, operation: bytes = b"T", version: int = 0, length: int | None = None) -> bytes:
    """What the plug-in ztn sends for a token."""
    size = len(token) + 1 if length is None else length
    return struct.pack("!4sBc2xH", b"ztn\0", version, operation, size) + token + b"\0"
