# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTCondor's protocol as far as the end of IDTOKENS authentication (AKEP2), for a client without manners.

HTCondor's own client does not send a token of another issuer or key, and breaks off itself when the server's proof
does not fit its own. Whether the daemon refuses such a token is seen only by a client that goes on regardless.
After src/condor_io/{reli_sock,authentication,condor_auth_passwd}.cpp of HTCondor 23.9.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import struct
import subprocess
from dataclasses import dataclass, field
from typing import Any

DC_AUTHENTICATE, SHARED_PORT_CONNECT, NOP_READ, NOP_WRITE, NOP_ADMINISTRATOR = 60010, 75, 60020, 60021, 60023
METHODS = {
    "CLAIMTOBE": 2, "FS": 4, "FS_REMOTE": 8, "KERBEROS": 64, "ANONYMOUS": 128, "SSL": 256, "PASSWORD": 512,
    "MUNGE": 1024, "IDTOKENS": 2048, "SCITOKENS": 4096,
}  # fmt: skip
A_OK, FAILED = 0, -1
RANDOM_BYTES = 256
TIMEOUT = 20
# The salt that HTCondor's source calls seed_ka.
SEED = base64.b64decode(
    "PkpQIEfV9OXcfGm7UhDLthZ63YCE992e860synHSg90RSk+7ex7pCt+oYsRDBN5Uc6MXL3NcLLtud1tdQNOfrOhzGCUj+SUrYjvg1LFno6gE"
    "DKz+6e49oCwKu/TZ2LEfiQBMlDkjzl2VCLs/BLxmo/ogoTpBbF5vTg0xh9Rfx4M1xeSF2yxaNxeXDMJue2udGWW0emffd6MfIvCKbAulcJei"
    "GpynxgQk9yc5q1y5FaQYW9EJgo415CEIq4UcCKPf/eDjsG89OTjNrW3275pvbcLLdPAihRLrej1oIwEGhLAVwSrDAUxPn5OOOE2tHjvXRf+M"
    "FB/XC0ZbqK9dG5i0sQ=="
)


class Refused(Exception):
    """The daemon said no, or hung up where a yes would have had an answer; the text says at which step."""


class NoAnswer(Exception):
    """The daemon said nothing that is an answer."""


@dataclass(frozen=True)
class Daemon:
    host: str
    port: int
    shared_port_id: str


@dataclass
class Proof:
    """What the client brings: token is header and payload, signature the shared secret."""

    name: str
    token: str
    signature: bytes
    # What a client without manners changes of its last word.
    last_name: str | None = None
    last_random: bytes | None = None
    last_proof: bytes | None = None


@dataclass
class Offer:
    """The terms of a session that the client proposes."""

    methods: str = "TOKEN"  # as the daemons name IDTOKENS in their lists
    bitmask: int = METHODS["IDTOKENS"]
    policy: dict[str, str] = field(default_factory=dict)
    command: int = NOP_WRITE


def public_key() -> str:
    """A key for an exchange that is never finished."""
    private = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, check=True
    ).stdout
    done = subprocess.run(
        ["openssl", "ec", "-pubout", "-outform", "DER"], input=private, capture_output=True, check=True
    )
    return base64.b64encode(done.stdout[-65:]).decode()  # the point, without its frame


def number(value: int) -> bytes:
    return struct.pack("!q", value)


def string(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape") + b"\0"


def ad(attributes: dict[str, str]) -> bytes:
    """A ClassAd; the values are expressions."""
    body = b"".join(string(f"{name} = {value}") for name, value in attributes.items())
    return number(len(attributes)) + body + string("") + string("")


def key(signature: bytes, token: str) -> bytes:
    """K of AKEP2: HKDF-SHA256 of the signature."""
    pseudo_random = hmac.new(SEED + token.encode(), signature, hashlib.sha256).digest()
    return hmac.new(pseudo_random, b"master ka\x01", hashlib.sha256).digest()


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def bytes(self, count: int) -> bytes:
        found, self.data = self.data[:count], self.data[count:]
        return found

    def number(self) -> int:
        return int(struct.unpack("!q", self.bytes(8))[0])

    def string(self) -> str:
        found, _null, self.data = self.data.partition(b"\0")
        return found.decode("utf-8", "replace")

    def ad(self) -> dict[str, str]:
        lines = [self.string() for _index in range(self.number())]
        return {name.strip(): value.strip() for name, _equals, value in (line.partition("=") for line in lines)}


class Connection:
    def __init__(self, daemon: Daemon) -> None:
        self.step = "connecting"
        try:
            self.stream = socket.create_connection((daemon.host, daemon.port), timeout=TIMEOUT)
        except OSError as error:
            raise NoAnswer(f"{daemon.host}:{daemon.port}: {error}") from error
        if daemon.shared_port_id:
            hello = number(SHARED_PORT_CONNECT) + string(daemon.shared_port_id) + string("matrix")
            self.send(hello + number(TIMEOUT) + number(0))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def send(self, message: bytes) -> None:
        try:
            self.stream.sendall(struct.pack("!BI", 1, len(message)) + message)
        except OSError as error:
            raise Refused(f"{self.step}: the daemon hung up ({error})") from error

    def _bytes(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            try:
                part = self.stream.recv(count - len(found))
            except TimeoutError as error:
                raise NoAnswer(f"{self.step}: no answer in {TIMEOUT} s") from error
            except OSError as error:
                raise Refused(f"{self.step}: the daemon hung up ({error})") from error
            if not part:
                raise Refused(f"{self.step}: the daemon hung up")
            found += part
        return found

    def packet(self) -> tuple[int, bytes]:
        end, length = struct.unpack("!BI", self._bytes(5))
        return end, self._bytes(length)

    def receive(self) -> Reader:
        message = b""
        while True:
            end, part = self.packet()
            message += part
            if end:
                return Reader(message)

    def negotiate(self, offer: Offer, exchange: str) -> dict[str, str]:
        """What the daemon answers to the terms."""
        self.step = "terms of the session"
        terms = {
            "AuthMethods": f'"{offer.methods}"',
            "CryptoMethods": '"AES"',
            "OutgoingNegotiation": '"REQUIRED"',
            "Authentication": '"REQUIRED"',
            "Encryption": '"REQUIRED"',
            "Integrity": '"REQUIRED"',
            "Enact": '"NO"',
            "NewSession": '"YES"',
            "NegotiatedSession": "true",
            "SessionDuration": '"60"',
            "SessionLease": "60",
            "Subsystem": '"TOOL"',
            "ServerPid": str(os.getpid()),
            "RemoteVersion": '"$CondorVersion: 23.9.6 2024-08-08 BuildID: matrix $"',
            "Command": str(offer.command),
            "ECDHPublicKey": f'"{exchange}"',
            **offer.policy,
        }
        self.send(number(DC_AUTHENTICATE) + ad({name: value for name, value in terms.items() if value}))
        return self.receive().ad()

    def choose(self, bitmask: int) -> int:
        self.send(number(bitmask))
        return self.receive().number()

    def prove(self, proof: Proof) -> None:
        """AKEP2, to its end whatever the daemon says in between."""
        self.step = "token"
        random = os.urandom(RANDOM_BYTES)
        name = proof.name
        size = len(name.encode("utf-8", "surrogateescape"))
        self.send(number(A_OK) + number(size) + string(name) + string(proof.token) + number(len(random)) + random)
        answer = self.receive()
        status = answer.number()
        if status != A_OK:
            self.send(number(FAILED) + number(0) + string("") + number(0) + number(0))
            self.give_up(f"status {status}")
        _size, theirs = answer.number(), answer.string()
        _size, _server = answer.number(), answer.string()
        ours = answer.bytes(answer.number())
        their_random = answer.bytes(answer.number())
        if theirs != name or ours != random:
            raise NoAnswer("token: the daemon's answer is of another session")
        self.step = "proof"
        said = string(proof.name if proof.last_name is None else proof.last_name)
        their_random = their_random if proof.last_random is None else proof.last_random
        mine = hmac.new(key(proof.signature, proof.token), said + their_random, hashlib.sha1).digest()
        mine = mine if proof.last_proof is None else proof.last_proof
        last = number(A_OK) + number(len(said) - 1) + said + number(len(their_random)) + their_random
        self.send(last + number(len(mine)) + mine)
        # Either way a zero comes: "I have no key to send", and the session's ad after it, encrypted; or, as the answer
        # to a client that has no other method to offer, "no method", and the end.
        self.send(number(0))
        self.packet()
        self.step = "proof: authentication failed"
        self.packet()

    def give_up(self, why: str) -> None:
        self.send(number(0))
        raise Refused(f"{self.step}: {why}, {self.receive().data.hex() or 'hung up'}")


def authenticate(daemon: Daemon, proof: Proof | None, offer: Offer, exchange: str) -> str:
    """What the daemon let the client be; Refused if nothing."""
    with Connection(daemon) as connection:
        answer = connection.negotiate(offer, exchange)
        code = answer.get("ReturnCode", "")
        if code:
            raise Refused(f"terms of the session: {code}")
        if answer.get("Authentication") != '"YES"':
            return f"authentication {answer.get('Authentication')}"
        connection.step = "choice of a method"
        chosen = connection.choose(offer.bitmask)
        if chosen == 0:
            raise Refused(f"choice of a method: none of {offer.bitmask} is taken")
        if chosen != METHODS["IDTOKENS"] or proof is None:
            return f"method {chosen} was taken"
        connection.prove(proof)
        return f"authenticated as {proof.name}"


def plain_command(daemon: Daemon, command: int, message: bytes) -> str:
    """A command without any security; Refused if the daemon hangs up."""
    with Connection(daemon) as connection:
        connection.step = f"command {command} without authentication"
        connection.send(number(command) + message)
        _end, answer = connection.packet()
        return f"{len(answer)} bytes"


def split(token: str) -> tuple[str, bytes]:
    """Header and payload, and the signature."""
    signed, _dot, signature = token.rpartition(".")
    return signed, base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))


def proof(token: str, name: str, **last: Any) -> Proof:
    signed, signature = split(token)
    return Proof(name, signed, signature, **last)
