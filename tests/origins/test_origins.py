# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page of one user's server gets of another user's, in a real browser.

The gateway's HAProxy and the hub have what the roles write for a site with a name for each user, and for one without, where
the same page gets what it wants: so the tries are good ones. Servers are processes of this machine. Of all names the
gateway's address is the answer.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
import yaml
from playwright.sync_api import BrowserContext, Page, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REPORT = Path(os.environ["CMSAF_TEST_REPORT"])
PROXY = os.environ["CMSAF_TEST_PROXY"]
sys.path.insert(0, str(ROOT / "roles/verify/files/cmsaf_verify"))
from hub import Hub, Session  # type: ignore[import-not-found]  # noqa: E402 # after what it is found by

LIMIT = 60
PASSWORD = secrets.token_hex(16)
NOTE = "of nobody else's business"


@dataclass
class Facility:
    """A gateway and a hub that run."""

    url: str
    folder: Path
    network: str
    proxy: subprocess.Popen[bytes] | None = None

    def hub(self, user: str, server: str = "") -> Hub:
        """Somebody who has a token."""
        hub = Hub(Session(url=self.url, ca=str(self.folder / "tls.crt"), user=user, server=server))
        hub.login(PASSWORD)
        return hub

    def start_proxy(self) -> None:
        """As the chart does, with the flags of the role."""
        values = yaml.safe_load((self.folder / "values.yaml").read_text())
        hub = f"http://{self.network}.3:8081"
        at = (f"--ip={self.network}.2", "--port=80", f"--api-ip={self.network}.2", "--api-port=8001")
        flags = values["proxy"]["chp"]["extraCommandLineFlags"]
        with (REPORT / f"proxy-{self.network}.log").open("a") as log:
            self.proxy = subprocess.Popen(
                [PROXY, *at, f"--default-target={hub}", f"--error-target={hub}/hub/error", *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": PASSWORD},
            )

    def stop_proxy(self) -> None:
        assert self.proxy
        self.proxy.terminate()
        self.proxy.wait(LIMIT)


@contextmanager
def process(*command: str, log: Path, **environment: str) -> Iterator[None]:
    with log.open("w") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
    try:
        yield
    finally:
        running.terminate()
        running.wait(LIMIT)


def certify(folder: Path, hub: str) -> None:
    names = f"subjectAltName=DNS:{hub},DNS:*.{hub}"
    made = ("-keyout", f"{folder}/tls.key", "-out", f"{folder}/tls.crt", "-days", "2", "-subj", "/CN=gateway", "-nodes")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *made, "-addext", names],
        check=True,
        capture_output=True,
    )
    (folder / "tls.pem").write_text((folder / "tls.crt").read_text() + (folder / "tls.key").read_text())


@contextmanager
def facility(folder: Path, network: str, domain: str, subdomains: bool) -> Iterator[Facility]:
    hub = f"hub.{domain}"
    certify(folder, hub)
    told = {"facility_domain": domain, "facility_user_subdomains": subdomains}
    told |= {"origins_folder": str(folder), "origins_network": network}
    command = ["ansible-playbook", "-i", str(HERE / "inventory.yml"), "-e", json.dumps(told), str(HERE / "render.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    packages = folder / "packages"
    packages.mkdir()
    (packages / "cmsaf_hub").symlink_to(ROOT / "images/hub/cmsaf_hub")
    (packages / "cmsaf_mint").symlink_to(ROOT / "plugins/module_utils")
    for user in ("alice", "mallory"):
        (folder / "homes" / user).mkdir(parents=True)
    (folder / "homes/alice/note.txt").write_text(NOTE)
    found = Facility(f"https://{hub}", folder, network)
    with ExitStack() as stack:
        name = f"--address=/proxy-public.hub.svc.cluster.local/{network}.2"
        stack.enter_context(
            process(
                *("dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root"),
                *(f"--listen-address={network}.26", "--conf-file=/dev/null", name),
                log=REPORT / f"dns-{domain}.log",
            )
        )
        stack.enter_context(process("haproxy", "-f", f"{folder}/haproxy.cfg", log=REPORT / f"gateway-{domain}.log"))
        found.start_proxy()
        stack.callback(found.stop_proxy)
        stack.enter_context(
            process(
                *(sys.executable, "-m", "jupyterhub", "--debug", "--config", str(HERE / "jupyterhub_config.py")),
                log=REPORT / f"hub-{domain}.log",
                CMSAF_TEST_FOLDER=str(folder),
                CMSAF_TEST_NETWORK=network,
                CMSAF_TEST_PASSWORD=PASSWORD,
                CONFIGPROXY_AUTH_TOKEN=PASSWORD,
                PYTHONPATH=str(packages),
            )
        )
        answers(found)
        servers = [found.hub(user) for user in ("alice", "mallory")]
        for server in servers:
            server.start(LIMIT)
        yield found
        for server in servers:
            server.stop(LIMIT)


def answers(found: Facility) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        with suppress(requests.RequestException):
            if requests.get(f"{found.url}/hub/api/", verify=f"{found.folder}/tls.crt", timeout=5).status_code == 200:
                return
        time.sleep(0.5)
    raise AssertionError(f"{found.url} did not answer in {LIMIT} s; the logs are in {REPORT}")


NETWORKS = {"on.test": "127.0.81", "off.test": "127.0.82"}


@pytest.fixture(scope="module", autouse=True)
def names() -> Iterator[None]:
    """As the site's DNS would have them."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *options: Any, **more: Any) -> Any:
        network = NETWORKS.get(".".join(str(host).split(".")[-2:]))
        return look_up(f"{network}.1" if network else host, *options, **more)

    socket.getaddrinfo = getaddrinfo
    yield
    socket.getaddrinfo = look_up


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with facility(tmp_path_factory.mktemp("apart"), NETWORKS["on.test"], "on.test", True) as found:
        yield found


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with facility(tmp_path_factory.mktemp("together"), NETWORKS["off.test"], "off.test", False) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    rules = ", ".join(f"MAP *.{domain} {network}.1" for domain, network in NETWORKS.items())
    with sync_playwright() as tools:
        found = tools.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", f"--host-resolver-rules={rules}"]
        )
        yield found
        found.close()


@pytest.fixture
def context(browser: Any) -> Iterator[BrowserContext]:
    found = browser.new_context(ignore_https_errors=True)
    found.set_default_timeout(30_000)
    yield found
    found.close()


def enter(page: Page, where: Facility, user: str, path: str) -> None:
    """Log in by the form, and be at the user's own server."""
    page.goto(f"{where.url}/hub/login?next=/user/{user}/{path}")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("[type=submit]").click()
    page.wait_for_url(f"{where.hub(user).place}/{path}*")


def visit(context: BrowserContext, where: Facility) -> dict[str, str]:
    """Alice, at work in her server, opens a page of Mallory's in the same browser; what that page got."""
    alice, mallory = where.hub("alice"), where.hub("mallory")
    page = context.new_page()
    enter(page, where, "alice", "files/note.txt")
    assert NOTE in page.inner_text("body")
    # Text is shown in a sandbox, which this is not.
    page.goto(f"{alice.place}/api")
    page.evaluate("localStorage.setItem('kept', 'by alice')")
    other = context.new_page()
    other.goto(f"{mallory.place}/?victim={alice.place}&hub={where.url}")
    found: dict[str, str] = other.evaluate("all()")
    (REPORT / f"{where.folder.name}.json").write_text(json.dumps(found, indent=1))
    return found


def test_a_page_of_another_user_gets_nothing(apart: Facility, context: BrowserContext) -> None:
    found = visit(context, apart)
    assert len(found) > 8 and all(said.startswith("refused") for said in found.values()), found
    alice = apart.hub("alice")
    # Nor was anything done that leaves no answer.
    files = alice.http.get(f"{alice.place}/api/contents", timeout=LIMIT).json()["content"]
    assert [file["name"] for file in files] == ["note.txt"]
    assert list(alice.servers()) == [""]
    # And she works on, with the cookies that she had.
    page = context.pages[0]
    page.goto(f"{alice.place}/files/note.txt")
    assert NOTE in page.inner_text("body")
    page.goto(f"{apart.url}/hub/home")
    assert page.url == f"{apart.url}/hub/home" and "alice" in page.inner_text("body")


def test_with_one_name_for_all_it_gets_what_is_the_other_s(together: Facility, context: BrowserContext) -> None:
    found = visit(context, together)
    # A channel of this kind is what kernels are spoken with.
    got = {name for name, said in found.items() if said.startswith("got")}
    assert got == {"listen to his server", "read what his pages have kept"}, found


def test_what_the_browser_sends_where(apart: Facility, context: BrowserContext) -> None:
    visit(context, apart)
    alice, mallory = apart.hub("alice"), apart.hub("mallory")
    hub = apart.url.removeprefix("https://")
    assert (alice.place, mallory.place) == tuple(f"https://{user}.{hub}/user/{user}" for user in ("alice", "mallory"))
    cookies = {(cookie["name"], cookie["domain"]) for cookie in context.cookies()}
    shared = {name for name, domain in cookies if domain.startswith(".")}
    # The session's name is shared, by which a log-out finds whose tokens end; the rest is what Mallory's page has set.
    assert shared == {"jupyterhub-session-id", "_xsrf"}
    assert {
        ("__Host-jupyterhub-hub-login", hub),
        ("__Host-jupyterhub-user-alice", f"alice.{hub}"),
    } <= cookies
    sent = mallory.http.get(f"{mallory.place}/seen", timeout=LIMIT).json()
    assert {name for line in sent for name in re.findall(r"([^=; ]+)=", line)} <= {"jupyterhub-session-id"}


def test_a_user_s_name_has_no_page_of_the_hub(apart: Facility, context: BrowserContext) -> None:
    alice, alice_at = apart.hub("alice"), "https://alice.hub.on.test"
    for path in ("", "hub/login", "hub/home", "hub/api/user", "user", "users/alice", "services/x"):
        answer = alice.http.get(f"{alice_at}/{path}", timeout=LIMIT, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{apart.url}/{path}"), path
    # Mallory's path at Alice's name, and hers at the hub's, lead to the hub, which knows where they are.
    for origin, path in ((alice_at, "user/mallory/"), (apart.url, "user/alice/api/contents")):
        answer = alice.http.get(f"{origin}/{path}", timeout=LIMIT, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{apart.url}/hub/{path}")


@pytest.mark.parametrize(
    "path",
    ["user/../hub/login", "user/%2e%2e/hub/login", "user/alice/.%2E/../hub/login", "user\\..\\hub/login", "user/.."],
)
def test_there_is_no_way_round_to_one(apart: Facility, path: str) -> None:
    # As it stands, which no client of HTTP sends it.
    context = ssl.create_default_context(cafile=f"{apart.folder}/tls.crt")
    with (
        socket.create_connection(("alice.hub.on.test", 443), timeout=LIMIT) as plain,
        context.wrap_socket(plain, server_hostname="alice.hub.on.test") as sent,
    ):
        sent.sendall(f"GET /{path} HTTP/1.1\r\nHost: alice.hub.on.test\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sent.recv(65536), b"")).decode()
    status = answer.split()[1]
    assert status == "400" or (status == "302" and f"location: {apart.url}/" in answer.lower()), answer[:300]


@pytest.mark.parametrize(
    "host", ["on.test", "hubXon.test", "a.b.hub.on.test", "-a.hub.on.test", "xhub.on.test", "hub.on.test.evil.test", ""]
)
def test_no_other_name_is_served(apart: Facility, host: str) -> None:
    answer = requests.get(
        f"{apart.url}/user/alice/", headers={"Host": host}, verify=f"{apart.folder}/tls.crt", timeout=LIMIT
    )
    assert answer.status_code == 421


def test_with_one_name_no_user_s_is_served(together: Facility) -> None:
    alice = together.hub("alice")
    assert alice.place == f"{together.url}/user/alice"
    host = {"Host": "alice.hub.off.test"}
    assert alice.http.get(f"{together.url}/user/alice/api/status", headers=host, timeout=LIMIT).status_code == 421
    assert alice.http.get(f"{alice.place}/api/status", timeout=LIMIT).status_code == 200


def test_a_named_server_is_at_the_user_s_name(apart: Facility, context: BrowserContext) -> None:
    second = apart.hub("alice", "second")
    second.start(LIMIT)
    assert second.place == "https://alice.hub.on.test/user/alice/second"
    page = context.new_page()
    enter(page, apart, "alice", "second/files/note.txt")
    assert NOTE in page.inner_text("body")
    second.stop(LIMIT)


def test_log_out_ends_the_server_s_cookies_too(apart: Facility, context: BrowserContext) -> None:
    page = context.new_page()
    enter(page, apart, "alice", "files/note.txt")
    page.goto(f"{apart.url}/hub/logout")
    page.goto(f"{apart.hub('alice').place}/files/note.txt")
    assert page.url.startswith(f"{apart.url}/hub/login")


def test_names_that_are_no_label_of_dns(apart: Facility) -> None:
    places = set()
    for user in ("carol@cern.test", "carol.x"):
        hub = apart.hub(user)
        (apart.folder / "homes" / user).mkdir(parents=True)
        hub.start(LIMIT)
        assert re.match(r"https://[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.hub\.on\.test/", hub.place), hub.place
        assert hub.http.get(f"{hub.place}/api/status", timeout=LIMIT).status_code == 200
        places.add(hub.place.partition("/user/")[0])
        hub.stop(LIMIT)
    assert len(places) == 2


def test_a_proxy_that_began_anew_has_the_users_names_again(apart: Facility) -> None:
    alice = apart.hub("alice")
    url = f"{alice.place}/api/status"
    assert alice.http.get(url, timeout=LIMIT).status_code == 200
    apart.stop_proxy()
    apart.start_proxy()
    end = time.monotonic() + LIMIT
    while alice.http.get(url, timeout=LIMIT, allow_redirects=False).status_code != 200:
        assert time.monotonic() < end, f"no way to {url} in {LIMIT} s"
        time.sleep(0.5)


def test_a_websocket_by_token(apart: Facility) -> None:
    alice = apart.hub("alice")
    channel = websocket.create_connection(
        f"{alice.place}/api/events/subscribe".replace("https", "wss"),
        timeout=LIMIT,
        header=[f"Authorization: token {alice.session.token}"],
        sslopt={"ca_certs": alice.session.ca},
        http_no_proxy=["*"],
    )
    channel.close()
