# SPDX-License-Identifier: GPL-3.0-or-later
"""JupyterHub as a user's browser sees it: the login page, the user's API, the kernel's channel."""

from __future__ import annotations

import json
import ssl
import time
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin

import requests
import websocket

__all__ = ["Hub", "HubError", "Session"]

TOKEN_SECONDS = 7200
MARK = "cmsaf-verify:"


class HubError(RuntimeError):
    """A step did not do what it should; the message says what was attempted, where and what was found."""


@dataclass
class Session:
    """What a later step needs to go on. The token ends by itself, and is revoked at the end."""

    url: str
    ca: str
    user: str
    # Name of the user's server; the first one has none.
    server: str = ""
    # Where which of the user's servers answers, by the hub's word: at a name of the user's own, or at that of the hub.
    places: dict[str, str] = field(default_factory=dict)
    token: str = ""
    token_id: str = ""
    kernel: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Hub:
    """One user at one hub."""

    def __init__(self, session: Session, timeout: float = 30) -> None:
        self.session = session
        self.timeout = timeout
        self.http = requests.Session()
        # Settings of the controller's environment (proxies, other trust stores) are not the user's.
        self.http.trust_env = False
        self.http.verify = session.ca
        if session.token:
            self.http.headers["Authorization"] = f"token {session.token}"

    @property
    def user(self) -> str:
        return quote(self.session.user, safe="")

    @property
    def place(self) -> str:
        """Where the server itself answers, once it has been started."""
        if self.session.server not in self.session.places:
            server = self.servers().get(self.session.server)
            if server is None:
                raise HubError(f"Asking {self.session.url} where the server of {self.session.user} is: it does not run")
            self.session.places[self.session.server] = urljoin(self.session.url, server["url"]).rstrip("/")
        return self.session.places[self.session.server]

    @property
    def _handle(self) -> str:
        """By what the hub starts and stops it."""
        named = quote(self.session.server, safe="")
        return f"/hub/api/users/{self.user}/" + (f"servers/{named}" if named else "server")

    def _call(self, method: str, path: str, good: tuple[int, ...] = (200, 201, 202, 204), **options: Any) -> Any:
        url = urljoin(self.session.url, path)
        try:
            answer = self.http.request(method, url, timeout=self.timeout, **options)
        except requests.RequestException as error:
            raise HubError(f"{method} {url}: {error}") from error
        if answer.status_code not in good:
            raise HubError(f"{method} {url}: {answer.status_code} {answer.reason}: {answer.text[:300].strip()}")
        return answer

    def reach(self) -> str:
        """Ask for the hub's version over HTTPS; the certificate is checked."""
        return str(self._call("GET", "/hub/api/").json()["version"])

    def refused(self, password: str) -> bool:
        """Whether a login with this password is turned away."""
        self.http.cookies.clear()
        xsrf = self._xsrf()
        form = {"username": self.session.user, "password": password, "_xsrf": xsrf}
        answer = self._call("POST", "/hub/login", good=(200, 302, 401, 403), data=form, allow_redirects=False)
        return answer.status_code != 302

    def login(self, password: str) -> None:
        """Log in by the form and take a token that lasts as long as the verification may."""
        if self.refused(password):
            raise HubError(f"POST {self.session.url}/hub/login as {self.session.user}: turned away")
        request = {"note": "facility verification", "expires_in": TOKEN_SECONDS}
        headers = {"X-XSRFToken": self._xsrf("/hub/token")}
        made = self._call("POST", f"/hub/api/users/{self.user}/tokens", json=request, headers=headers).json()
        self.session.token, self.session.token_id = made["token"], made["id"]
        self.http.cookies.clear()
        self.http.headers["Authorization"] = f"token {made['token']}"

    def _xsrf(self, page: str = "/hub/login") -> str:
        self._call("GET", page)
        found = [cookie.value for cookie in self.http.cookies if cookie.name == "_xsrf" and cookie.path == "/hub/"]
        if not found or found[-1] is None:
            raise HubError(f"GET {self.session.url}{page}: no _xsrf cookie in the answer; is this a JupyterHub?")
        return found[-1]

    def start(self, limit: float, profile: str = "") -> None:
        """Start the user's server, of the profile or of the one that the hub takes itself, and wait until it is ready."""
        if not self._ready():
            options = {"json": {"profile": profile}} if profile else {}
            self._call("POST", self._handle, good=(201, 202, 400), **options)
        end = time.monotonic() + limit
        while not self._ready():
            if time.monotonic() > end:
                raise HubError(
                    f"Starting the server of {self.session.user}: not ready in {limit:g} s. {self._events()}"
                )
            server = self.servers().get(self.session.server, {})
            if not server.get("pending") and not server.get("ready"):
                raise HubError(f"Starting the server of {self.session.user}: given up by the hub. {self._events()}")
            time.sleep(1)

    def runs(self) -> bool:
        """Whether the hub knows of a server of the user, ready or on its way."""
        return bool(self.servers())

    def quiet(self) -> float:
        """Seconds since something went on in the server, by its own word."""
        answer = self._call("GET", f"{self.place}/api/status")
        last = datetime.fromisoformat(answer.json()["last_activity"].replace("Z", "+00:00"))
        return (parsedate_to_datetime(answer.headers["Date"]) - last).total_seconds()

    def servers(self) -> dict[str, Any]:
        """The user's servers that run or are on their way, by name."""
        servers: dict[str, Any] = self._call("GET", f"/hub/api/users/{self.user}").json().get("servers", {})
        return servers

    def _ready(self) -> bool:
        return bool(self.servers().get(self.session.server, {}).get("ready"))

    def _events(self) -> str:
        """The last things the hub said about the start."""
        try:
            text = self._call("GET", f"{self._handle}/progress", good=(200, 400, 404)).text
        except HubError:
            return ""
        events = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]
        return " | ".join(str(event.get("message", "")) for event in events[-3:])

    def stop(self, limit: float) -> None:
        """Stop the server and wait until it is gone. One with a name is forgotten; after the first, the token goes back."""
        options = {"json": {"remove": True}} if self.session.server else {}
        self._call("DELETE", self._handle, good=(202, 204, 400, 404), **options)
        end = time.monotonic() + limit
        while self.session.server in self.servers():
            if time.monotonic() > end:
                raise HubError(f"Stopping the server of {self.session.user}: still there after {limit:g} s")
            time.sleep(1)
        if not self.session.server:
            self._call("DELETE", f"/hub/api/users/{self.user}/tokens/{self.session.token_id}", good=(204, 403, 404))

    def open_kernel(self) -> None:
        made = self._call("POST", f"{self.place}/api/kernels", json={"name": "python3"}).json()
        self.session.kernel = made["id"]

    def run(self, code: str, limit: float) -> Any:
        """Run code in the kernel; the answer is what it gave to answer(...)."""
        define = f"def answer(value):\n    import json\n    print({MARK!r} + json.dumps(value), flush=True)\n\n"
        text = self._execute(define + code, limit)
        for line in reversed(text.splitlines()):
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        raise HubError(f"Running code in the server of {self.session.user}: no answer in its output: {text[-1000:]}")

    def _execute(self, code: str, limit: float) -> str:
        session = uuid.uuid4().hex
        kernel = f"{self.place}/api/kernels/{self.session.kernel}"
        url = f"{kernel.replace('https', 'wss', 1)}/channels?session_id={session}"
        end = time.monotonic() + limit
        try:
            channel = websocket.create_connection(
                url,
                timeout=self.timeout,
                header=[f"Authorization: token {self.session.token}"],
                sslopt={"ca_certs": self.session.ca, "cert_reqs": ssl.CERT_REQUIRED},
                http_no_proxy=["*"],
            )
        except (OSError, websocket.WebSocketException) as error:
            raise HubError(f"Opening {url.partition('?')[0]}: {error}") from error
        message = {"header": _header(session), "parent_header": {}, "metadata": {}, "channel": "shell"}
        message["content"] = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        try:
            channel.send(json.dumps(message))
            return self._collect(channel, message["header"]["msg_id"], end, limit)
        finally:
            channel.close()

    def _collect(self, channel: websocket.WebSocket, asked: str, end: float, limit: float) -> str:
        output: list[str] = []
        channel.settimeout(5)
        while time.monotonic() < end:
            try:
                received = channel.recv()
            except websocket.WebSocketTimeoutException:
                channel.ping()
                continue
            except (OSError, websocket.WebSocketException) as error:
                raise HubError(
                    f"The kernel's channel broke: {error}. Output so far: {''.join(output)[-1000:]}"
                ) from error
            if not received:
                continue
            message = json.loads(received)
            if message.get("parent_header", {}).get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                output.append(content["text"])
            elif message["msg_type"] == "error":
                lines = "".join(output).splitlines()[-8:]
                raise HubError(f"{content['ename']}: {content['evalue']} (output before it: {' | '.join(lines)})")
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(output)
        raise HubError(f"Code in the server of {self.session.user}: no end in {limit:g} s: {''.join(output)[-1000:]}")


def _header(session: str) -> dict[str, str]:
    return {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "verify",
        "session": session,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "version": "5.3",
    }
