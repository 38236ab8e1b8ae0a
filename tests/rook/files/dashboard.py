# SPDX-License-Identifier: GPL-3.0-or-later
"""Uses Ceph's dashboard by the gateway, with its password and with another: dashboard.py NAME ADDRESS

Standard input is JSON with the gateway's authority and the password, as "ca" and "password". The last line is JSON.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
import time
from typing import Any

SECONDS = 180


class Gateway(http.client.HTTPSConnection):
    """The name at an address, which no DNS has to know for that."""

    def __init__(self, name: str, address: str, authority: str) -> None:
        self.address, self.tls = address, ssl.create_default_context(cadata=authority)
        super().__init__(name, timeout=60, context=self.tls)

    def connect(self) -> None:
        bare = socket.create_connection((self.address, 443), timeout=60)
        self.sock = self.tls.wrap_socket(bare, server_hostname=self.host)

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, str]:
        headers = {"Accept": "application/vnd.ceph.api.v1.0+json", "Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        text = answer.read().decode()
        self.close()
        return answer.status, text


def expect(what: str, found: tuple[int, str], wanted: int) -> str:
    if found[0] != wanted:
        raise SystemExit(f"{what}: {found[0]}, expected {wanted}: {found[1][:400]}")
    return found[1]


def page(gateway: Gateway) -> str:
    """The first page. The mgr restarts once the dashboard is switched on, and the gateway asks for its name by and by."""
    end = time.monotonic() + SECONDS
    while (found := gateway.ask("GET", "/"))[0] != 200 and time.monotonic() < end:
        time.sleep(5)
    return expect("The page", found, 200)


def main() -> None:
    name, address = sys.argv[1:]
    given = json.load(sys.stdin)
    gateway = Gateway(name, address, given["ca"])
    if "<title>Ceph</title>" not in page(gateway):
        raise SystemExit("The page is another one.")
    expect("Another password", gateway.ask("POST", "/api/auth", {"username": "admin", "password": "another"}), 400)
    login = gateway.ask("POST", "/api/auth", {"username": "admin", "password": given["password"]})
    if login[0] != 201:
        raise SystemExit(f"The password: {login[0]}")
    token = json.loads(login[1])["token"]
    expect("Health without a token", gateway.ask("GET", "/api/health/minimal"), 401)
    health = json.loads(expect("Health", gateway.ask("GET", "/api/health/minimal", token=token), 200))
    print(json.dumps({"health": health["health"]["status"], "osds": len(health["osd_map"]["osds"])}))


if __name__ == "__main__":
    main()
