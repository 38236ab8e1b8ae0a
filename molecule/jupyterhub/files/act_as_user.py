#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acts as a user of the hub from outside: logs in, starts a server, asks it, stops it.

Arguments: the hub's address, the user's name, what to do (start or stop).
The password comes by standard input. Prints one JSON object.
"""

from __future__ import annotations

import http.cookiejar
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

DEADLINE_SECONDS = 600


class Browser:
    """A browser as far as the hub can tell: cookies, and the token against forged requests."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        body = urllib.parse.urlencode(form).encode() if form is not None else None
        # The address is the tester's own.
        request = urllib.request.Request(self.address + path, data=body, method=method)  # noqa: S310
        request.add_header("Referer", self.address + "/hub/home")
        request.add_header("X-XSRFToken", self.forgery_token())
        try:
            with self.opener.open(request, timeout=60) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode(errors="replace")

    def forgery_token(self) -> str:
        tokens = [cookie.value or "" for cookie in self.cookies if cookie.name == "_xsrf" and cookie.path == "/hub/"]
        return tokens[0] if tokens else ""

    def log_in(self, user: str, password: str) -> bool:
        self.ask("GET", "/hub/login")
        form = {"username": user, "password": password, "_xsrf": self.forgery_token()}
        self.ask("POST", "/hub/login", form)
        return self.ask("GET", f"/hub/api/users/{urllib.parse.quote(user)}")[0] == 200


def start(browser: Browser, user: str) -> dict[str, object]:
    began = time.monotonic()
    path = f"/hub/api/users/{urllib.parse.quote(user)}"
    status, body = browser.ask("POST", path + "/server")
    if status not in (201, 202):
        return {"started": False, "why": f"{status} {body[:500]}"}
    while time.monotonic() - began < DEADLINE_SECONDS:
        servers = json.loads(browser.ask("GET", path)[1]).get("servers", {})
        server = servers.get("", {})
        if server.get("ready"):
            seconds = round(time.monotonic() - began, 1)
            return {"started": True, "seconds": seconds, "url": server["url"]}
        if not server:
            return {"started": False, "why": "the hub gave the start up; its log says why"}
        time.sleep(0.5)
    return {"started": False, "why": f"not ready after {DEADLINE_SECONDS} s"}


def stop(browser: Browser, user: str) -> dict[str, object]:
    began = time.monotonic()
    path = f"/hub/api/users/{urllib.parse.quote(user)}"
    browser.ask("DELETE", path + "/server")
    while time.monotonic() - began < DEADLINE_SECONDS:
        if not json.loads(browser.ask("GET", path)[1]).get("servers"):
            return {"stopped": True, "seconds": round(time.monotonic() - began, 1)}
        time.sleep(0.5)
    return {"stopped": False, "why": f"still there after {DEADLINE_SECONDS} s"}


def main() -> int:
    address, user, action = sys.argv[1:4]
    password = sys.stdin.read().strip()
    wrong = Browser(address).log_in(user, "not-" + password)
    browser = Browser(address)
    found: dict[str, object] = {
        "wrong_password_refused": not wrong,
        "logged_in": browser.log_in(user, password),
    }
    if found["logged_in"]:
        found |= {"start": start, "stop": stop}[action](browser, user)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
