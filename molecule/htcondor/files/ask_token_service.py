# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the token service as the hub does, and in every way that it must refuse.

Reads from standard input where the service is, the certificates' directories and
the file for alice's token; writes as JSON what came of each attempt. No token is
ever part of that: of those that came it has the claims.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

TOLD = json.load(sys.stdin)
ALICE = {"user": "alice", "lifetime": 3600}
NO_USERS = [
    *("condor", "Condor", "root", "ROOT", "condor_pool", "administrator", "unauthenticated", "unmapped", "anonymous"),
    *(f"x@{TOLD['trust_domain']}", f"condor@{TOLD['trust_domain']}", "condor@password", "condor@family", "@", "*"),
    *("", ".", "..", ".alice", "alice.", "a..b", " alice", "alice\n", "al\nice", "alice\0", "a,b", "a/b", "a" * 65),
    *("ålice", "аlice", "alice\u200b", "\ud800", None, 7, ["alice"]),
]
NO_LIFETIMES = [0, -1, None, "3600", 3600.5, True]
MORE = {
    "scopes": ["ADMINISTRATOR"],
    "scope": "condor:/DAEMON",
    "domain": TOLD["trust_domain"],
    "identity": f"condor@{TOLD['trust_domain']}",
    "sub": f"condor@{TOLD['trust_domain']}",
    "issuer": "elsewhere.test",
    "key_id": "POOL",
}


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in token.split(".")[:2]:
        found |= json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def ask(body: Any, who: str | None = "hub", *, plain: bool = False) -> dict[str, Any]:
    """One request on a connection of its own: the status, and the token's claims if one came."""
    context = ssl.create_default_context(cafile=TOLD["ca"])
    if who:
        context.load_cert_chain(f"{TOLD['tls']}/{who}/tls.crt", f"{TOLD['tls']}/{who}/tls.key")
    if plain:
        connection = http.client.HTTPConnection(TOLD["host"], TOLD["port"], timeout=10)
    else:
        connection = http.client.HTTPSConnection(TOLD["host"], TOLD["port"], timeout=10, context=context)
    with contextlib.closing(connection):
        try:
            connection.request("POST", "/v1/token", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            return {"status": 0, "problem": str(problem)}
    found = json.loads(text)
    token = found.pop("token", None)
    if token is None:
        return {"status": answer.status, "said": sorted(found)}
    return {"status": answer.status, "claims": claims(token), "token": token}


def main() -> None:
    alice = ask(ALICE)
    if "token" in alice:
        place = Path(TOLD["alice"])
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(alice["token"] + "\n")
    found = {
        "alice": alice,
        "long": ask(ALICE | {"lifetime": 10**9}),
        "requests": [
            *({"asked": ascii(user), **ask({"user": user, "lifetime": 60})} for user in NO_USERS),
            *({"asked": ascii(lifetime), **ask({"user": "alice", "lifetime": lifetime})} for lifetime in NO_LIFETIMES),
            *({"asked": f"{field}={value}", **ask(ALICE | {field: value})} for field, value in MORE.items()),
            *({"asked": ascii(body), **ask(body)} for body in ({"user": "alice"}, {}, [], "alice", None)),
        ],
        "clients": [
            {"who": "other", **ask(ALICE, "other")},
            *({"who": str(who), **ask(ALICE, who)} for who in (None, "server", "self-signed")),
            {"who": "plain HTTP", **ask(ALICE, plain=True)},
        ],
    }
    for answer in (found["alice"], found["long"], *found["requests"], *found["clients"]):
        answer.pop("token", None)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
