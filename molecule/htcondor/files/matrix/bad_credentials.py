# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show an access point and its collector credentials that they must refuse, beside some that they must take.

bad_credentials.py SETTINGS [--canaries FILE]

SETTINGS is JSON: {"manager", "schedd", "trust_domain", "users_domain", "key", "guarded"}, where key is the path of the key
of users' tokens. HTCondor 23.9 takes some credentials that it should refuse (docs/tests.md); they are expected to be
refused where "guarded" is true, and else to be given, so that a change is seen. Runs on the access point, as root: the tokens are made here from the key, and leave this process only to
the daemons, to files of mode 0600 that HTCondor's tools read (as nobody, who can read nothing else), and to FILE (0600),
a list of what must be found nowhere else. Prints one line of JSON for each case; ends with 1 if one is not as it is to be.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import _idtoken as idtoken
import condor_wire as wire
import matrix

GIVEN, REFUSED = "given", "refused"
HOUR = 3600
SCOPES = "condor:/READ condor:/WRITE"


@dataclass
class Case:
    name: str
    ask: Callable[[], str]
    expected: str = REFUSED


class Refusal(Exception):
    """A tool ended as one does that was refused."""


class Pool:
    """What the cases are made of: keys, names, daemons."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.manager, self.schedd = settings["manager"], settings["schedd"]
        self.issuer, self.users = settings["trust_domain"], settings["users_domain"]
        self.key_path = Path(settings["key"])
        self.kid = self.key_path.name
        self.raw = self.key_path.read_bytes()
        self.signing = idtoken.signing_key(self.raw, self.kid)
        self.exchange = wire.public_key()
        self.daemons: dict[str, wire.Daemon] = {}
        self.fault = REFUSED if settings["guarded"] else GIVEN
        self.made: set[str] = set()

    def user(self, name: str) -> str:
        return f"{name}@{self.users}"

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "exp": now + HOUR,
            "iat": now,
            "iss": self.issuer,
            "jti": secrets.token_hex(16),
            "scope": SCOPES,
            "sub": self.user("alice"),
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def header(self, **changed: Any) -> dict[str, Any]:
        return {
            name: value for name, value in {"alg": "HS256", "kid": self.kid, **changed}.items() if value is not None
        }

    def token(
        self, claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, key: bytes | None = None
    ) -> str:
        signed = ".".join(
            encode(json.dumps(part, separators=(",", ":")).encode())
            for part in (header or self.header(), self.claims() if claims is None else claims)
        )
        digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get((header or {}).get("alg", ""), hashlib.sha256)
        token = signed + "." + encode(hmac.new(self.signing if key is None else key, signed.encode(), digest).digest())
        self.made.add(token)
        return token

    def write_canaries(self, path: Path) -> None:
        lines = [{"name": f"token {number}", "text": token} for number, token in enumerate(sorted(self.made))]
        lines.append({"name": f"key {self.kid}", "path": str(self.key_path)})
        matrix.write_canaries(path, lines)

    def mint(self, name: str, *scopes: str) -> str:
        token = idtoken.mint(
            key=self.raw, key_id=self.kid, issuer=self.issuer, identity=self.user(name), lifetime=HOUR,
            scopes=scopes or ("READ", "WRITE"),
        )  # fmt: skip
        self.made.add(token)
        return token

    def find_daemons(self, tools: Tools) -> None:
        """Where they listen, as they tell the collector."""
        port = re.search(r":(\d+)$", self.manager)
        host = self.manager.removesuffix(f":{port[1]}") if port else self.manager
        self.daemons["collector"] = wire.Daemon(host, int(port[1]) if port else 9618, "collector")
        said = tools.run(
            "finder",
            self.mint("alice"),
            ["condor_status", "-pool", self.manager, "-schedd", self.schedd, "-af", "MyAddress"],
        ).stdout
        sinful = re.search(r"<([^:>]+):(\d+)\?[^>]*sock=([^&>]+)", said)
        if not sinful:
            sys.exit(
                f"asking {self.manager} for the address of {self.schedd}: found {said!r}, expected one with a sock="
            )
        self.daemons["schedd"] = wire.Daemon(sinful[1], int(sinful[2]), sinful[3])


class Tools:
    """HTCondor's own tools, run by nobody with one token."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.nobody = pwd.getpwnam("nobody")
        self.homes: dict[str, Path] = {}

    def run(
        self,
        name: str,
        tokens: str,
        command: list[str],
        methods: str = "IDTOKENS",
        files: dict[str, tuple[str, int]] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        home = Path(tempfile.mkdtemp(prefix=re.sub(r"\W+", "-", name)[:40] + "-", dir=self.directory))
        self.homes.setdefault(name, home)
        (home / "tokens.d").mkdir(mode=0o700)
        (home / "empty").mkdir(mode=0o700)
        if tokens:
            write_private(home / "tokens.d" / "token", tokens.encode())
        for file, (content, mode) in (files or {}).items():
            (home / file).write_text(content, encoding="utf-8")
            (home / file).chmod(mode)
        for path in (home, *home.rglob("*")):
            os.chown(path, self.nobody.pw_uid, self.nobody.pw_gid)
        environment = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "CONDOR_CONFIG": "/dev/null",
            "_CONDOR_SEC_CLIENT_AUTHENTICATION": "REQUIRED",
            "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": methods,
            "_CONDOR_SEC_TOKEN_DIRECTORY": str(home / "tokens.d"),
            "_CONDOR_SEC_TOKEN_SYSTEM_DIRECTORY": str(home / "empty"),
            "_CONDOR_SEC_PASSWORD_DIRECTORY": str(home / "empty"),
            "_CONDOR_SEC_TOKEN_POOL_SIGNING_KEY_FILE": str(home / "empty" / "none"),
        }
        return subprocess.run(
            command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False,
            user=self.nobody.pw_uid, group=self.nobody.pw_gid, extra_groups=[],
        )  # fmt: skip

    def ask(self, name: str, tokens: str, command: list[str], **how: Any) -> str:
        """Output of a command that is to succeed; Refusal with its last words."""
        done = self.run(name, tokens, command, **how)
        said = " ".join((done.stderr + done.stdout).split())
        if done.returncode != 0:
            raise Refusal(said[-300:])
        return said


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)


def tokens(pool: Pool) -> dict[str, tuple[str, str]]:
    """Tokens that name alice and are no tokens of hers, and the name that the client says."""
    alice, now = pool.user("alice"), int(time.time())
    good = pool.token()
    head, body, signature = good.split(".")
    raw_signature = base64.urlsafe_b64decode(signature + "=")
    other = pool.token(pool.claims(sub=pool.user("bob")))
    unsigned = {"alg": "none", "kid": pool.kid}
    found: dict[str, str] = {
        "key: random": pool.token(key=os.urandom(32)),
        "key: empty": pool.token(key=b""),
        "key: zeros": pool.token(key=bytes(32)),
        "key: the name of the key": pool.token(key=pool.kid.encode()),
        "key: the file as it stands, not derived": pool.token(key=pool.raw),
        "key: the file unscrambled, not derived": pool.token(key=idtoken.unscramble(pool.raw)),
        "key: derived as POOL": pool.token(key=idtoken.signing_key(pool.raw, "POOL")),
        "key: derived of nothing": pool.token(key=derived(b"")),
        "kid: POOL, the users' key": pool.token(header=pool.header(kid="POOL")),
        "kid: POOL, the users' key derived as POOL": pool.token(
            header=pool.header(kid="POOL"), key=idtoken.signing_key(pool.raw, "POOL")
        )
        if not Path("/etc/condor/passwords.d/POOL").exists()
        else pool.token(header=pool.header(kid="POOL"), key=derived(b"")),
        "kid: unknown": pool.token(header=pool.header(kid="nobody-knows-it")),
        "kid: in upper case": pool.token(header=pool.header(kid=pool.kid.upper())),
        "kid: with a blank": pool.token(header=pool.header(kid=pool.kid + " ")),
        "kid: empty": pool.token(header=pool.header(kid="")),
        "kid: a dot": pool.token(header=pool.header(kid=".")),
        "kid: none": pool.token(header=pool.header(kid=None)),
        "kid: a number": pool.token(header=pool.header(kid=7)),
        "kid: a file of the system": pool.token(header=pool.header(kid="../../passwd"), key=derived(
            Path("/etc/passwd").read_bytes())),
        "kid: the null device": pool.token(header=pool.header(kid="../../../dev/null"), key=derived(b"")),
        "algorithm: none": pool.token(header=unsigned).rpartition(".")[0] + ".",
        "algorithm: none, signed": pool.token(header=unsigned),
        "algorithm: None": pool.token(header=pool.header(alg="None")).rpartition(".")[0] + ".",
        "algorithm: empty": pool.token(header=pool.header(alg="")).rpartition(".")[0] + ".",
        "algorithm: not named": pool.token(header=pool.header(alg=None)).rpartition(".")[0] + ".",
        "algorithm: RS256, without a signature": pool.token(header=pool.header(alg="RS256")).rpartition(".")[0] + ".",
        "algorithm: RS256, signed as HS256": pool.token(header=pool.header(alg="RS256")),
        "algorithm: ES256, without a signature": pool.token(header=pool.header(alg="ES256")).rpartition(".")[0] + ".",
        "algorithm: HS384, signed as HS256": resigned(pool, pool.header(alg="HS384")),
        "algorithm: HS512, signed as HS256": resigned(pool, pool.header(alg="HS512")),
        "algorithm: hs256": pool.token(header=pool.header(alg="hs256")),
        "end: an hour ago": pool.token(pool.claims(iat=now - 2 * HOUR, exp=now - HOUR)),
        "end: two seconds ago": pool.token(pool.claims(iat=now - HOUR, exp=now - 2)),
        "end: 1970": pool.token(pool.claims(exp=0)),
        "end: before 1970": pool.token(pool.claims(exp=-HOUR)),
        "end: a word": pool.token(pool.claims(exp="tomorrow")),
        "signature: one bit": f"{head}.{body}." + encode(bytes([raw_signature[0] ^ 1]) + raw_signature[1:]),
        "signature: empty": f"{head}.{body}.",
        "signature: zeros": f"{head}.{body}." + encode(bytes(32)),
        "signature: cut in half": f"{head}.{body}." + encode(raw_signature[:16]),
        "signature: with one byte more": f"{head}.{body}." + encode(raw_signature + b"\0"),
        "signature: of another good token": f"{head}.{body}." + other.rpartition(".")[2],
        "payload: of another good token": f"{head}.{other.split('.')[1]}.{signature}",
        "payload: the end later": swapped(good, exp=now + 30 * 24 * HOUR),
        "payload: another user": swapped(good, sub=pool.user("bob")),
        "payload: wider scopes": swapped(good, scope=SCOPES + " condor:/ADMINISTRATOR"),
        "payload: cut": f"{head}.{body[:-4]}.{signature}",
        "payload: no JSON": f"{head}.{encode(b'not JSON')}.{signature}",
        "payload: a list": f"{head}.{encode(b'[]')}.{signature}",
        "payload: empty": f"{head}..{signature}",
        "header: no JSON": f"{encode(b'not JSON')}.{body}.{signature}",
        "header: empty": f".{body}.{signature}",
        "no token at all": ".",
        "one part": "x.",
        "four parts": f"{head}.{body}.{body}.{signature}",
        "64 KiB of letters": "A" * 65536 + ".",
        "issuer: another": pool.token(pool.claims(iss="elsewhere.test"), key=os.urandom(32)),
        "user: an empty name": pool.token(pool.claims(sub="")),
    }  # fmt: skip
    named = {name: (token, alice) for name, token in found.items()}
    named["payload: another user"] = (found["payload: another user"], pool.user("bob"))
    named["payload: of another good token"] = (found["payload: of another good token"], pool.user("bob"))
    named["user: an empty name"] = (found["user: an empty name"], "")
    named["name said is not the token's: bob"] = (pool.token(), pool.user("bob"))
    named["name said is not the token's: root"] = (pool.token(), pool.user("root"))
    named["name said is not the token's: the pool"] = (pool.token(), "condor@password")
    named["name said is not the token's: shorter"] = (pool.token(), alice[:-1])
    named["algorithm: none, the administrator"] = (
        pool.token(pool.claims(sub=f"condor@{pool.issuer}"), unsigned).rpartition(".")[0] + ".",
        f"condor@{pool.issuer}",
    )
    return named


def derived(content: bytes) -> bytes:
    """The signing key that a file of this content is."""
    secret = idtoken.unscramble(content)
    pseudo_random = hmac.new(b"htcondor", secret, hashlib.sha256).digest()
    return hmac.new(pseudo_random, b"master jwt\x01", hashlib.sha256).digest()


def resigned(pool: Pool, header: dict[str, Any]) -> str:
    signed = pool.token(header=header).rpartition(".")[0]
    return signed + "." + encode(hmac.new(pool.signing, signed.encode(), hashlib.sha256).digest())


def swapped(token: str, **changed: Any) -> str:
    head, body, signature = token.split(".")
    claims = {**json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))), **changed}
    return f"{head}.{encode(json.dumps(claims).encode())}.{signature}"


def authentications(pool: Pool) -> Iterator[Case]:
    """By a client without manners, so that the daemon itself has to say no."""
    good, alice = pool.token(), pool.user("alice")
    for where, daemon in pool.daemons.items():

        def ask(proof: wire.Proof | None, offer: wire.Offer, daemon: wire.Daemon = daemon) -> str:
            return wire.authenticate(daemon, proof, offer, pool.exchange)

        offer = wire.Offer(command=wire.NOP_WRITE if where == "schedd" else wire.NOP_READ)
        yield Case(f"{where}: good: alice", partial(ask, wire.proof(good, alice), offer), GIVEN)
        yield Case(
            f"{where}: good: signed by HS512",
            partial(ask, wire.proof(pool.token(header=pool.header(alg="HS512")), alice), offer),
            GIVEN,
        )
        # Daemons look at no more of the claims than exp, sub and scope: docs/secrets.md.
        later = int(time.time()) + HOUR
        for name, claims in {
            "taken: not before an hour from now": pool.claims(nbf=later, exp=later + HOUR),
            "taken: issued in an hour": pool.claims(iat=later, exp=later + HOUR),
            "taken: of another issuer, by the key": pool.claims(iss="elsewhere.test"),
            "taken: without an end": pool.claims(exp=None),
        }.items():
            yield Case(f"{where}: {name}", partial(ask, wire.proof(pool.token(claims), alice), offer), GIVEN)
        for name, (token, said) in tokens(pool).items():
            fault = name.startswith("algorithm:") and token.endswith(".") and name != "algorithm: not named"
            yield Case(
                f"{where}: {name}", partial(ask, wire.proof(token, said), offer), pool.fault if fault else REFUSED
            )
        for name, last in {
            "proof: empty": {"last_proof": b""},
            "proof: zeros": {"last_proof": bytes(20)},
            "proof: another's number": {"last_random": os.urandom(wire.RANDOM_BYTES)},
            "proof: no number": {"last_random": b""},
            "proof: another name": {"last_name": pool.user("bob")},
        }.items():
            yield Case(f"{where}: {name}", partial(ask, wire.proof(good, alice, **last), offer))
        for method, bit in wire.METHODS.items():
            if method != "IDTOKENS":
                yield Case(
                    f"{where}: method {method}", partial(ask, None, wire.Offer(method, bit, command=offer.command))
                )
                yield Case(
                    f"{where}: method {method} where tokens were agreed",
                    partial(ask, None, wire.Offer(bitmask=bit, command=offer.command)),
                )
        for name, policy in {
            "terms: no authentication": {"Authentication": '"NEVER"'},
            "terms: no authentication, encryption or integrity": dict.fromkeys(
                ("Authentication", "Encryption", "Integrity"), '"NEVER"'
            ),
            "terms: no negotiation": {"OutgoingNegotiation": '"NEVER"', "Authentication": '"NEVER"'},
            "terms: a session that is not there": {
                "UseSession": '"YES"',
                "Sid": '"nowhere:1:1:1"',
                "ResumeResponse": "true",
            },
            "terms: a cookie": {"Cookie": '"0"'},
        }.items():
            yield Case(f"{where}: {name}", partial(ask, None, wire.Offer(policy=policy, command=offer.command)))
        query = wire.ad({"MyType": '"Query"', "TargetType": '"Scheduler"', "Requirements": "true"})
        command = 6 if where == "collector" else 516  # QUERY_SCHEDD_ADS, QUERY_JOB_ADS
        yield Case(f"{where}: a query without authentication", partial(wire.plain_command, daemon, command, query))
    yield Case("schedd: the queue without authentication", partial(
        wire.plain_command, pool.daemons["schedd"], 1112, b""))  # fmt: skip
    yield Case("collector: an advertisement without authentication", partial(
        wire.plain_command, pool.daemons["collector"], 1, wire.ad({"MyType": '"Scheduler"', "Name": '"me"'}) + wire.number(0)))  # fmt: skip


def rights(pool: Pool, tools: Tools) -> Iterator[Case]:
    """Tokens that are genuine and say too little, or name who may not; shown by HTCondor's own tools."""
    at = ["-pool", pool.manager, "-name", pool.schedd]

    def ping(name: str, token: str, level: str, kind: str = "schedd", methods: str = "IDTOKENS") -> Callable[[], str]:
        where = at if kind == "schedd" else ["-pool", pool.manager]
        return partial(lambda: tools.ask(name, token, ["condor_ping", *where, "-type", kind, level], methods=methods))

    alice = pool.mint("alice")
    yield Case("right: good: alice WRITE", ping("alice", alice, "WRITE"), GIVEN)
    yield Case("right: good: alice READ", ping("alice", alice, "READ"), GIVEN)
    yield Case("right: good: alice READ at the collector", ping("alice", alice, "READ", "collector"), GIVEN)
    yield Case("right: good: token to read READ", ping("reader", pool.mint("alice", "READ"), "READ"), GIVEN)
    yield Case("right: good: second token in the file, the first of another pool", ping("two", "\n".join(
        (pool.token(pool.claims(iss="elsewhere.test")), alice)), "WRITE"), GIVEN)  # fmt: skip
    yield Case("right: two tokens in the file, the first expired", ping("two", "\n".join(
        (pool.token(pool.claims(exp=int(time.time()) - HOUR)), alice)), "WRITE"))  # fmt: skip
    yield Case("right: two tokens in the file, the first of another key", ping("two", "\n".join(
        (pool.token(key=os.urandom(32)), alice)), "WRITE"))  # fmt: skip
    yield Case("right: no token", ping("none", "", "READ"))
    for method in ("ANONYMOUS", "CLAIMTOBE", "FS", "FS_REMOTE", "PASSWORD", "KERBEROS", "SSL", "MUNGE", "SCITOKENS"):
        yield Case(f"right: {method} READ", ping(method, alice, "READ", methods=method))
    for kind, levels in {
        "schedd": ("ADMINISTRATOR", "DAEMON", "NEGOTIATOR", "CONFIG", "OWNER"),
        "collector": (
            "WRITE", "ADMINISTRATOR", "DAEMON", "NEGOTIATOR", "CONFIG",
            "ADVERTISE_STARTD", "ADVERTISE_SCHEDD", "ADVERTISE_MASTER",
        ),
    }.items():  # fmt: skip
        for level in levels:
            everything = pool.mint("alice", "READ", "WRITE", level)
            yield Case(f"right: alice {level} at the {kind}", ping(level, everything, level, kind))
    for name, scope in {
        "READ alone": "condor:/READ",
        "one that is unknown": "condor:/FISH",
        "ADVERTISE_STARTD alone": "condor:/ADVERTISE_STARTD",
        "ALLOW": "condor:/ALLOW",
        "empty after the colon": "condor:/",
    }.items():
        yield Case(f"right: scope {name}: WRITE", ping("scope", pool.token(pool.claims(scope=scope)), "WRITE"))
    for name in ("root", "condor", "condor_pool"):
        yield Case(f"right: user {name}: WRITE", ping(name, pool.mint(name), "WRITE"))
    for identity in (
        "alice", "alice@", "alice@elsewhere.test", f"alice@x.{pool.users}", f"alice@{pool.users[:-1]}",
        f"execute@{pool.issuer}", f"alice@{pool.issuer}", "unauthenticated@unmapped", "anonymous@",
    ):  # fmt: skip
        yield Case(f"right: user {identity!r}: WRITE", ping("identity", pool.token(pool.claims(sub=identity)), "WRITE"))


def fetched(pool: Pool, tools: Tools) -> Iterator[Case]:
    """Tokens that daemons make for whoever has one."""
    at = ["-pool", pool.manager, "-name", pool.schedd, "-type", "SCHEDD"]
    reader, alice = pool.mint("alice", "READ"), pool.mint("alice")

    def more(kind: list[str]) -> str:
        token = tools.run("fetch", reader, ["condor_token_fetch", *kind]).stdout.strip()
        if not token:
            raise Refusal("no token was made")
        command = ["condor_ping", "-pool", pool.manager, "-name", pool.schedd, "-type", "schedd", "WRITE"]
        return tools.ask("fetched", token, command)

    yield Case("fetch: a token to read gets one to write, from the schedd", partial(more, at))
    yield Case("fetch: a token to read gets one to write, from the collector", partial(more, [
        "-pool", pool.manager, "-type", "COLLECTOR"]))  # fmt: skip

    def longer() -> str:
        token = tools.ask("fetch", alice, ["condor_token_fetch", *at, "-lifetime", "-1"]).strip()
        first, second = (idtoken.parse(each).expires_at for each in (alice, token))
        if second is not None and first is not None and second <= first + 1:
            raise Refusal("a token was made that ends with the first")
        return f"a token that ends {second}, where the first ended {first}"

    yield Case("fetch: a token that ends later than the one shown", longer)
    yield Case("request: a token for the administrator, by nobody", partial(
        tools.ask, "request", "", ["timeout", "5", "condor_token_request", "-pool", pool.manager, "-type", "COLLECTOR",
        "-identity", f"condor@{pool.issuer}"], methods="ANONYMOUS"))  # fmt: skip
    yield Case("request: approved by a user", partial(
        tools.ask, "approve", alice, ["condor_token_request_auto_approve", "-pool", pool.manager, "-netblock",
        "0.0.0.0/0", "-lifetime", "60"]))  # fmt: skip


@contextmanager
def jobs(pool: Pool, tools: Tools) -> Iterator[str]:
    """A job of alice's that never starts, with files in the spool."""
    at = ["-pool", pool.manager, "-name", pool.schedd]
    job = "\n".join(
        ("universe = vanilla", "executable = job.sh", "transfer_input_files = secret", "requirements = false", "log = log",
         "transfer_output_files = secret", "should_transfer_files = YES", "when_to_transfer_output = ON_EXIT", "queue")
    )  # fmt: skip
    files = {
        "job.sh": ("#!/bin/sh\nexit 0\n", 0o700),
        "secret": ("a secret of alice\n", 0o600),
        "job.sub": (job, 0o600),
    }
    alice = pool.mint("alice")
    said = tools.ask("submit", alice, ["condor_submit", "-terse", "-spool", *at, "job.sub"], files=files)
    found = re.search(r"(\d+)\.\d+ - ", said)
    if not found:
        sys.exit(f"submitting as alice to {pool.schedd}: found {said!r}, expected the number of a job")
    (tools.homes["submit"] / "secret").unlink()
    try:
        yield found[1]
    finally:
        tools.run("remove", alice, ["condor_rm", *at, found[1]])
        tools.run("remove", alice, ["condor_rm", "-forcex", *at, found[1]])


def others_jobs(pool: Pool, tools: Tools, cluster: str) -> Iterator[Case]:
    at = ["-pool", pool.manager, "-name", pool.schedd]
    commands = {
        "removes": ["condor_rm", *at, cluster],
        "removes at once": ["condor_rm", "-forcex", *at, cluster],
        "holds": ["condor_hold", *at, cluster],
        "releases": ["condor_release", *at, cluster],
        "edits": ["condor_qedit", *at, cluster, "JobPrio", "9"],
        "takes over": ["condor_qedit", *at, cluster, "Owner", '"bob"'],
        "exchanges the program of": ["condor_qedit", *at, cluster, "Cmd", '"/bin/true"'],
    }
    submit = {"job.sub": ("executable = /bin/true\ntransfer_executable = false\nrequirements = false\nqueue\n", 0o600)}
    for who, token in {
        "bob": pool.mint("bob"),
        "a user named root": pool.mint("root"),
        "a user named condor": pool.mint("condor"),
        "alice's token to read": pool.mint("alice", "READ"),
        "alice's expired token": pool.token(pool.claims(exp=int(time.time()) - HOUR)),
        "nobody": "",
    }.items():
        for name, command in commands.items():
            yield Case(f"job: {who} {name} alice's job", partial(tools.ask, name, token, command))
        yield Case(f"job: {who} reads the spool of alice's job", partial(read_spool, pool, tools, token, cluster))
        if who != "bob":
            yield Case(f"job: {who} submits", partial(
                lambda token: tools.ask("submit", token, ["condor_submit", "-spool", *at, "job.sub"], files=submit), token))  # fmt: skip
    for name, command in {
        "puts bob's name on a job": ["condor_submit", "-spool", *at, "-append", '+Owner="bob"', "job.sub"],
        "puts another user on a job": [
            "condor_submit",
            "-spool",
            *at,
            "-append",
            f'+User="{pool.user("bob")}"',
            "job.sub",
        ],
    }.items():
        yield Case(f"job: alice {name}", partial(
            lambda command: impersonated(pool, tools, command, submit), command))  # fmt: skip
    for name in ("edits", "holds"):
        yield Case(
            f"job: good: alice {name} her job", partial(tools.ask, name, pool.mint("alice"), commands[name]), GIVEN
        )


def read_spool(pool: Pool, tools: Tools, token: str, cluster: str) -> str:
    """The tool says nothing of jobs that are not its holder's, and puts files where the job was submitted."""
    at = ["-pool", pool.manager, "-name", pool.schedd]
    said = tools.ask("spool", token, ["condor_transfer_data", *at, cluster])
    secret = tools.homes["submit"] / "secret"
    if not secret.exists():
        raise Refusal(f"no file came: {said}")
    secret.unlink()
    return f"the file came: {said}"


def own_spool(pool: Pool, tools: Tools, cluster: str) -> Iterator[Case]:
    """After the others have tried: the one whose file it is gets it."""
    yield Case("job: good: alice reads the spool of her job", partial(
        read_spool, pool, tools, pool.mint("alice"), cluster), GIVEN)  # fmt: skip


def impersonated(pool: Pool, tools: Tools, command: list[str], files: dict[str, tuple[str, int]]) -> str:
    """A submit that claims another owner is refused, or gives a job of the one who came."""
    at, alice = ["-pool", pool.manager, "-name", pool.schedd], pool.mint("alice")
    said = tools.ask("impersonate", alice, command, files=files)
    found = re.search(r"cluster (\d+)", said)
    if not found:
        return said
    owner = tools.run("owner", alice, ["condor_q", *at, found[1], "-af", "User"]).stdout.strip()
    tools.run("remove", alice, ["condor_rm", *at, found[1]])
    if owner == pool.user("alice"):
        raise Refusal(f"the job is {owner}'s")
    return f"the job is {owner}'s"


def keys_of_users(pool: Pool, tools: Tools, cluster: str) -> Iterator[Case]:
    """A file that a user sent with his job, named as a key: it belongs to the daemons' account."""
    spool = subprocess.run(["condor_config_val", "SPOOL"], capture_output=True, text=True, check=True).stdout.strip()
    sent = list(Path(spool).glob(f"**/cluster{cluster}.proc0.*/secret"))
    if not sent:
        sys.exit(f"looking for the files of job {cluster} in {spool}: found none")
    kid = os.path.relpath(sent[0], pool.key_path.parent)
    token = pool.token(header=pool.header(kid=kid), key=derived(b"a secret of alice\n"))
    for name, daemon in pool.daemons.items():
        offer = wire.Offer(command=wire.NOP_WRITE if name == "schedd" else wire.NOP_READ)
        yield Case(f"{name}: kid: a file that a user sent with his job", partial(
            wire.authenticate, daemon, wire.proof(token, pool.user("alice")), offer, pool.exchange), pool.fault)  # fmt: skip


def outcome(case: Case) -> dict[str, str]:
    try:
        found, answer = GIVEN, case.ask()[:300]
    except (wire.Refused, Refusal) as refusal:
        found, answer = REFUSED, str(refusal)
    except (wire.NoAnswer, subprocess.TimeoutExpired) as silence:
        found, answer = "no answer", str(silence)
    return {"name": case.name, "expected": case.expected, "found": found, "answer": answer}


def main() -> int:
    given = matrix.called()
    pool = Pool(given.settings)
    directory = Path(tempfile.mkdtemp(prefix="cmsaf-matrix-"))
    directory.chmod(0o711)
    wrong = 0
    try:
        tools = Tools(directory)
        pool.find_daemons(tools)
        with jobs(pool, tools) as cluster, ThreadPoolExecutor(4) as threads:
            for cases in (
                authentications(pool),
                keys_of_users(pool, tools, cluster),
                rights(pool, tools),
                fetched(pool, tools),
                others_jobs(pool, tools, cluster),
                own_spool(pool, tools, cluster),
            ):
                wrong += matrix.say(threads.map(outcome, cases))
    finally:
        shutil.rmtree(directory)
        if given.canaries:
            pool.write_canaries(given.canaries)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
