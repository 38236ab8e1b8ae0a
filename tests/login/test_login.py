# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's login, in a real browser, by a real provider: who enters, who does not, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NODE = Path(os.environ["CMSAF_TEST_NODE"])
REPORT = Path(os.environ["CMSAF_TEST_REPORT"])
HUB, CILOGON, PROVIDER = "https://localhost:19443", "https://localhost:19445", "https://127.0.0.1:19444"
REFRESH = 2
PEOPLE = {
    "alice": {"preferred_username": "alice@af.test", "groups": ["cms"], "email": "alice@af.test"},
    "carol": {"preferred_username": "carol@cern.test", "groups": ["cms"]},
    "mallory": {"preferred_username": "mallory@af.test", "groups": ["others"]},
    # Cyrillic а: reads like alice.
    "lookalike": {"preferred_username": "аlice@af.test", "groups": ["cms"]},
    "twin": {"preferred_username": "Alice@AF.test", "groups": ["cms"]},
    "othersite": {"preferred_username": "alice@cern.test", "groups": ["cms"]},
    "bare": {"preferred_username": "alice", "groups": ["cms"]},
    "learner": {"preferred_username": "learner@af.test", "groups": ["cms", "ml"]},
    "root": {"preferred_username": "boss@af.test", "groups": []},
    "leaver": {"preferred_username": "leaver@af.test", "groups": ["cms"]},
    "token": {},
}
# What CILogon says of people: by which of its identity providers they came, and their groups at COmanage.
MEMBERS = "CO:COU:cms:members:active"
CERN, LAB = "https://cern.test/login", "https://idp.lab.test/idp/shibboleth"
PEOPLE |= {
    "physicist": {"eppn": "Paula@cern.test", "idp": CERN, "isMemberOf": [MEMBERS]},
    "local": {"eppn": "lee@af.test", "idp": LAB, "isMemberOf": [MEMBERS]},
    "outsider": {"eppn": "otto@cern.test", "idp": CERN, "isMemberOf": ["CO:COU:other:members:active"]},
    "anybody": {"eppn": "paula@cern.test", "idp": "https://mail.test", "isMemberOf": [MEMBERS]},
    "impostor": {"eppn": "lee@af.test", "idp": CERN, "isMemberOf": [MEMBERS]},
    "nameless": {"idp": CERN, "isMemberOf": [MEMBERS]},
}

LOGO = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='96' height='96'%3E%3Cg fill='none' stroke='%23e46e2e'"
    " stroke-width='6'%3E%3Ccircle cx='48' cy='48' r='42'/%3E%3Cpath d='M48 48 20 20M48 48 84 36M48 48 60 86'/%3E%3C/g%3E%3C/svg%3E"
)

PROFILES: list[dict[str, Any]] = [
    {
        "name": "Usual",
        "description": "To write an analysis and try it on a few files; what takes longer goes to the pool.",
        "image": "r.test/analysis:1",
        "cpu": 2,
        "memory": "8G",
        "default": True,
    },
    {
        "name": "Small",
        "description": "To look at plots, edit files, or watch work that runs on the pool.",
        "image": "r.test/analysis:1",
        "cpu": 1,
        "memory": "2G",
    },
    {
        "name": "Machine learning",
        "description": "To train networks: with torch, and a GPU of its own.",
        "image": "r.test/ml:1",
        "cpu": 8,
        "memory": "64G",
        "gpu": {"nvidia.com/gpu": 1},
        "groups": ["ml"],
    },
]


# The nodes of a small cluster, one with a GPU that somebody has.
CLUSTER: dict[str, Any] = {
    "nodes": [
        {
            "metadata": {"name": name},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "16", "memory": "66Gi", "pods": "110", **more},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
        for name, more in (("a", {}), ("b", {"nvidia.com/gpu": "1"}))
    ],
    "pods": [
        {
            "metadata": {"namespace": "hub"},
            "spec": {
                "nodeName": "b",
                "containers": [{"resources": {"requests": {"memory": "64Gi", "nvidia.com/gpu": "1"}}}],
            },
        }
    ],
}


class Cluster(BaseHTTPRequestHandler):
    """Answers as the API server of that cluster."""

    def do_GET(self) -> None:
        kind = self.path.removeprefix("/api/v1/").partition("?")[0]
        body = json.dumps({"items": CLUSTER[kind]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def call(url: str, data: dict[str, Any] | None = None) -> Any:
    context = ssl._create_unverified_context()
    body = None if data is None else json.dumps(data).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=body), context=context, timeout=5) as answer:
        return json.loads(answer.read())


def wait(url: str) -> None:
    for _try in range(240):
        try:
            call(url)
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"{url} did not answer in two minutes")


@pytest.fixture(scope="session")
def secret() -> str:
    return secrets.token_hex(24)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, secret: str) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("login")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            str(place / "tls.key"),
            "-out",
            str(place / "tls.crt"),
        ],
        check=True,
        capture_output=True,
    )
    (place / "client-secret").write_text(secret)
    (place / "people.json").write_text(json.dumps(PEOPLE))
    # As the image has them.
    shutil.copytree(ROOT / "images/hub/cmsaf_hub", place / "lib/cmsaf_hub")
    shutil.copytree(ROOT / "plugins/module_utils", place / "lib/cmsaf_mint")
    (place / "values.json").write_text(
        json.dumps(
            {
                "dask": {"domain": "dask.af.test", "lifetime": 3600},
                "login": login(place),
                "profiles": PROFILES,
                "sessions": {"idle": 86400, "longest": 604800},
            }
        )
    )
    cluster = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=cluster.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{cluster.server_address[1]}"
    with (REPORT / "provider.log").open("w") as said:
        provider = subprocess.Popen(
            ["node", str(NODE.parent / "provider.mjs"), str(place), "19444", HUB, CILOGON], stdout=said, stderr=said
        )
    (place / "provider.pid").write_text(str(provider.pid))
    try:
        wait(f"{PROVIDER}/test/alice")
        with hub(place, HUB, 19081, address):
            yield place
    finally:
        provider.terminate()
        provider.wait(30)
        cluster.shutdown()


@pytest.fixture(scope="session")
def cilogon(folder: Path) -> Iterator[str]:
    """A second hub, whose people come by CILogon: the same provider, with what CILogon says of people."""
    place = folder / "cilogon"
    place.mkdir()
    for name in ("lib", "tls.key", "tls.crt"):
        (place / name).symlink_to(folder / name)
    values = {
        "dask": {"domain": "dask.af.test", "lifetime": 3600},
        "login": {
            **{name: value for name, value in login(folder).items() if name != "scopes"},
            "kind": "cilogon",
            "homeUrl": f"{CILOGON}/",
            "providers": {CERN: ["cern.test"], LAB: ["af.test"]},
            "allowedGroups": [MEMBERS],
            "endProviderSession": False,
        },
    }
    (place / "values.json").write_text(json.dumps(values))
    with hub(place, CILOGON, 19083, "http://127.0.0.1:1"):
        yield CILOGON


@contextlib.contextmanager
def hub(place: Path, url: str, port: int, cluster: str) -> Iterator[None]:
    environment = {
        **os.environ,
        "CMSAF_TEST_LOGIN": str(place),
        "CMSAF_TEST_HUB": url,
        "CMSAF_TEST_PORT": str(port),
        "CMSAF_TEST_PROXY_PORT": str(port + 1),
        "CMSAF_TEST_CLUSTER": cluster,
        "TMPDIR": str(place),
        "PYTHONPATH": str(place / "lib"),
        "PATH": f"{NODE / '.bin'}:{os.environ['PATH']}",
    }
    with (REPORT / f"{place.name if place.name == 'cilogon' else 'hub'}.log").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--debug", "--config", str(HERE / "jupyterhub_config.py")],
            stdout=out,
            stderr=out,
            env=environment,
            cwd=place,
        )
    try:
        wait(f"{url}/hub/api/")
        yield
    finally:
        process.terminate()
        process.wait(30)


def login(place: Path) -> dict[str, Any]:
    return {
        "kind": "oidc",
        "issuer": PROVIDER,
        "clientId": "hub",
        "clientSecretFile": str(place / "client-secret"),
        "homeUrl": f"{HUB}/",
        "localDomain": "af.test",
        "allowedGroups": ["cms"],
        "admins": ["boss"],
        "scopes": ["openid", "profile", "email", "offline_access"],
        "authorizeParams": {"prompt": "consent"},
        "session": 3600,
        "refreshEvery": REFRESH,
        "endProviderSession": True,
        "caFile": str(place / "tls.crt"),
        "page": {
            "title": "Test facility",
            "text": "Authorized CMS users only.",
            "shared": "The facility learns your name, your mail address and your groups.",
            "contact": "admins@af.test",
            "logo": LOGO,
            "service": "your institute",
        },
    }


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with sync_playwright() as tools:
        found = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def context(browser: Any, folder: Path) -> Iterator[BrowserContext]:
    found = browser.new_context(ignore_https_errors=True)
    found.set_default_timeout(30000)
    yield found
    found.close()


def sign_in(page: Page, person: str, hub: str = HUB) -> None:
    page.goto(f"{hub}/hub/login?next=/hub/home")
    page.get_by_role("button", name=re.compile("Sign in with")).click()
    page.locator("input[name=login]").fill(person)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # consent
    page.wait_for_url(f"{hub}/**")


def who(page: Page, hub: str = HUB) -> dict[str, Any]:
    return page.request.get(f"{hub}/hub/api/user", headers={"X-XSRFToken": xsrf(page)}).json()


def choices(page: Page) -> list[str]:
    return [str(radio.get_attribute("value")) for radio in page.locator("input[name=profile]").all()]


def xsrf(page: Page) -> str:
    found = [item["value"] for item in page.context.cookies() if item["name"] == "_xsrf" and item["path"] == "/hub/"]
    return found[-1] if found else ""


@contextlib.contextmanager
def page_of(browser: Any, scheme: Any, width: int) -> Iterator[Any]:
    """A page of somebody who likes it so, in a window of this width."""
    context = browser.new_context(
        ignore_https_errors=True, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    yield context.new_page()
    context.close()


def look(page: Page, name: str, scheme: str, width: int) -> None:
    """Nothing of it is beyond the window's edge; a picture is taken."""
    page.screenshot(path=str(REPORT / f"{name}-{scheme}-{width}.png"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_are_as_drawn(browser: Any, folder: Path, scheme: Any, width: int) -> None:
    with page_of(browser, scheme, width) as page:
        page.goto(f"{HUB}/hub/login")
        assert "Authorized CMS users only." in page.inner_text("body")
        assert page.evaluate("document.querySelector('main img, .text-center img').naturalWidth") == 96
        look(page, "login", scheme, width)
        sign_in(page, "mallory")
        assert "none of the groups" in page.inner_text("body") and "admins@af.test" in page.inner_text("body")
        look(page, "refused", scheme, width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_jupyterhub_s_own_pages_are_looked_at_too(browser: Any, folder: Path, scheme: Any, width: int) -> None:
    with page_of(browser, scheme, width) as page:
        sign_in(page, "root")
        named = f"{scheme}-{width}"
        page.goto(f"{HUB}/hub/spawn/boss/{named}")
        page.locator("button[type=submit]").click()
        page.wait_for_url(f"{HUB}/hub/spawn-pending/**")
        page.get_by_text("Your server is starting up").wait_for()
        look(page, "starting", scheme, width)
        page.goto(f"{HUB}/hub/spawn/boss/none-{named}")
        page.evaluate("document.querySelector('input[name=profile]:checked').value = 'machine-learning'")
        page.locator("button[type=submit]").click()
        page.get_by_text("There is no server 'machine-learning' for you.").wait_for()
        look(page, "failed", scheme, width)
        # That of admins is for a desk.
        pages = {"home": "home", "tokens": "token", "missing": "nothing"} | ({"admin": "admin"} if width > 360 else {})
        for name, path in pages.items():
            page.goto(f"{HUB}/hub/{path}")
            page.wait_for_load_state("networkidle")
            look(page, name, scheme, width)
        # The next one finds it stopped.
        page.request.delete(f"{HUB}/hub/api/users/boss/servers/{named}", headers={"X-XSRFToken": xsrf(page)})


def test_one_signs_in_and_out_by_keyboard_alone(context: BrowserContext) -> None:
    page = context.new_page()

    def tab_to(text: str) -> None:
        for _ in range(30):
            if text in page.evaluate(
                "document.activeElement.matches('a, button') ? document.activeElement.innerText : ''"
            ):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{text!r} is not reached by Tab")

    page.goto(f"{HUB}/hub/login?next=/hub/home")
    tab_to("Sign in with")
    page.keyboard.press("Enter")
    page.locator("input[name=login]").wait_for()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("any")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Continue").wait_for()
    tab_to("Continue")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{HUB}/hub/home")
    tab_to("Logout")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{PROVIDER}/session/end**")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_server_is_chosen_by_keyboard_alone(browser: Any, folder: Path, scheme: Any, width: int) -> None:
    with page_of(browser, scheme, width) as page:
        sign_in(page, "learner")
        page.goto(f"{HUB}/hub/spawn/learner/second")
        assert page.inner_text("legend") == "The server “second”"
        assert "is stopped after 1 day, and every one after 7 days" in page.inner_text("form")
        assert choices(page) == ["usual", "small", "machine-learning"]
        assert re.findall(r"· ([^·]+ now[^·\n]*)", page.inner_text("form")) == [
            "8 of these could start now",
            "17 of these could start now",
            "no room now: a start waits up to 1 minute for it",
        ]
        look(page, "spawn", scheme, width)
        assert page.evaluate("document.activeElement.value") == "usual"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.locator("input[name=profile]:checked").input_value() == "machine-learning"
        look(page, "spawn-chosen", scheme, width)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.type") == "submit"


def test_a_server_of_others_is_neither_shown_nor_given(context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, "alice")
    page.goto(f"{HUB}/hub/spawn")
    assert choices(page) == ["usual", "small"]
    page.evaluate("document.querySelector('input[name=profile]:checked').value = 'machine-learning'")
    page.locator("button[type=submit]").click()
    page.get_by_text("There is no server 'machine-learning' for you. Yours are: usual, small.").wait_for()
    headers = {"X-XSRFToken": xsrf(page)}
    page.request.post(f"{HUB}/hub/api/users/alice/server", data={"profile": "machine-learning"}, headers=headers)
    said = page.request.get(f"{HUB}/hub/api/users/alice/server/progress?_xsrf={xsrf(page)}").text()
    assert "Yours are: usual, small." in said and '"failed": true' in said
    assert who(page)["servers"] == {}


@pytest.mark.parametrize(
    ("person", "name", "admin"),
    [
        ("alice", "alice", False),
        ("carol", "carol@cern.test", False),
        ("root", "boss", True),
        ("othersite", "alice@cern.test", False),
    ],
)
def test_who_may_enter_does(context: BrowserContext, person: str, name: str, admin: bool) -> None:
    page = context.new_page()
    sign_in(page, person)
    assert page.url.startswith(f"{HUB}/hub/home"), page.inner_text("body")
    found = who(page)
    assert (found["name"], found["admin"]) == (name, admin)
    assert page.goto(f"{HUB}/hub/admin").status == (200 if admin else 403)
    assert "You cannot enter here" not in page.inner_text("body")


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ("mallory", "none of the groups"),
        ("lookalike", "cannot be a name here"),
        ("twin", "belongs to another identity"),
        ("bare", "has no domain"),
    ],
)
def test_who_may_not_enter_is_told_why(context: BrowserContext, person: str, why: str) -> None:
    page = context.new_page()
    sign_in(page, "alice")
    context.clear_cookies()
    sign_in(page, person)
    assert page.url.startswith(f"{HUB}/hub/oauth_callback")
    assert why in page.inner_text("body")
    assert who(page).get("name") is None


@pytest.mark.parametrize(("person", "name"), [("physicist", "paula@cern.test"), ("local", "lee")])
def test_who_comes_by_cilogon_enters(context: BrowserContext, cilogon: str, person: str, name: str) -> None:
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, person, cilogon)
    assert page.url.startswith(f"{cilogon}/hub/home"), page.inner_text("body")
    found = who(page, cilogon)
    assert (found["name"], found["groups"]) == (name, [MEMBERS])
    query = next(parse_qs(urlsplit(url).query) for url in asked if url.startswith(f"{PROVIDER}/auth?"))
    assert query["selected_idp"] == [f"{CERN},{LAB}"]
    assert query["scope"] == ["openid email profile org.cilogon.userinfo"]


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ("outsider", "none of the groups"),
        ("anybody", "does not take the identity provider"),
        ("impostor", "does not speak for the domain"),
        ("nameless", "did not give your eppn"),
    ],
)
def test_who_comes_by_cilogon_and_may_not_enter_is_told_why(
    context: BrowserContext, cilogon: str, person: str, why: str
) -> None:
    page = context.new_page()
    sign_in(page, person, cilogon)
    assert page.url.startswith(f"{cilogon}/hub/oauth_callback")
    assert why in page.inner_text("body")
    assert who(page, cilogon).get("name") is None


def test_a_login_is_good_in_the_browser_that_began_it_only(context: BrowserContext, browser: Any) -> None:
    page = context.new_page()
    page.set_default_timeout(5000)
    caught: list[str] = []
    # Held where the provider sends the browser back, so that the hub never sees it: stolen on the way.
    tools = context.new_cdp_session(page)
    tools.on("Fetch.requestPaused", lambda event: caught.append(event["request"]["url"]))
    tools.send("Fetch.enable", {"patterns": [{"urlPattern": f"{HUB}/hub/oauth_callback*"}]})
    with contextlib.suppress(PlaywrightError):
        sign_in(page, "alice")
    assert len(caught) == 1

    other = browser.new_context(ignore_https_errors=True)
    victim = other.new_page()
    answer = victim.goto(caught[0])
    assert answer is not None and answer.status == 400
    assert "state" in victim.inner_text("body")
    # Nor with a state of its own: the code was given for another nonce and another proof.
    asked: list[str] = []
    victim.on("request", lambda request: asked.append(request.url))
    victim.goto(f"{HUB}/hub/oauth_login")
    state = next(found[1] for url in asked if (found := re.search(r"/auth\?.*[?&]state=([^&]+)", url)))
    answer = victim.goto(re.sub(r"state=[^&]+", f"state={state}", caught[0]))
    assert answer is not None and answer.status >= 400
    assert who(victim).get("name") is None
    other.close()


def test_tokens_are_renewed_once_for_many_requests(context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, "alice")
    before = call(f"{PROVIDER}/test/alice")["refreshed"]
    time.sleep(5)  # the access token has ended
    script = "() => Promise.all([...Array(8)].map(() => fetch('/hub/home').then(a => a.url + ' ' + a.status)))"
    assert set(page.evaluate(script)) == {f"{HUB}/hub/home 200"}
    assert call(f"{PROVIDER}/test/alice")["refreshed"] == before + 1
    assert who(page)["name"] == "alice"


def test_who_leaves_the_group_is_out_at_the_next_renewal(context: BrowserContext, folder: Path) -> None:
    page = context.new_page()
    sign_in(page, "leaver")
    assert who(page)["name"] == "leaver"
    place = f"{HUB}/hub/api/users/leaver"
    made = page.request.post(f"{place}/tokens", data={}, headers={"X-XSRFToken": xsrf(page)}).json()
    assert made["expires_at"], "a token without an end"
    refused = folder / "cmsaf-refused-users.json"
    assert json.loads(refused.read_text()) == []
    call(f"{PROVIDER}/test/leaver", {"groups": []})
    time.sleep(REFRESH + 1)
    page.goto(f"{HUB}/hub/home")
    assert "/hub/home" not in page.url.split("?")[0]
    # JupyterHub takes his token all the same: for nothing that needs who he was.
    script = context.browser.new_context(
        ignore_https_errors=True, extra_http_headers={"Authorization": f"token {made['token']}"}
    ).request
    assert script.get(f"{HUB}/hub/api/user").json()["groups"] == []
    script.post(f"{place}/server", data={"profile": "small"})
    assert "The login of leaver is over" in script.get(f"{place}/server/progress").text()
    assert script.get(f"{HUB}/hub/api/user").json()["servers"] == {}
    assert json.loads(refused.read_text()) == ["leaver"]
    # And back.
    call(f"{PROVIDER}/test/leaver", {"groups": ["cms"]})
    time.sleep(REFRESH + 1)
    assert script.get(f"{HUB}/hub/api/user").json()["groups"] == ["cms"]
    assert json.loads(refused.read_text()) == []
    # Nor may he enter by what is no name here.
    call(f"{PROVIDER}/test/leaver", {"preferred_username": "not a name@af.test"})
    time.sleep(REFRESH + 1)
    assert script.get(f"{HUB}/hub/api/user").json()["groups"] == []
    assert json.loads(refused.read_text()) == ["leaver"]


def test_a_token_endpoint_that_fails_ends_no_session(context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, "alice")
    call(f"{PROVIDER}/test/token", {"status": 503})
    try:
        time.sleep(5)  # the access token has ended
        page.goto(f"{HUB}/hub/home")
        assert page.url == f"{HUB}/hub/home"
    finally:
        call(f"{PROVIDER}/test/token", {"status": 0})


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({}, {"name": "alice", "admin": False, "groups": ["cms"]}),
        ({"admins": ["alice"]}, {"name": "alice", "admin": True, "groups": ["cms"]}),
        ({"allowedGroups": ["others"]}, False),
        ({"providers": {CERN: ["cern.test"]}}, False),
    ],
)
def test_rules_of_now_hold_for_who_has_nothing_to_renew_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, Any], found: dict[str, Any] | bool
) -> None:
    monkeypatch.syspath_prepend(folder / "lib")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    from cmsaf_hub.login import OpenIDConnect
    from cmsaf_hub.settings import Settings

    values = {"dask": {"domain": "dask.af.test", "lifetime": 3600}, "login": {**login(folder), **rules}}
    authenticator = OpenIDConnect()
    authenticator.settings = Settings.from_values(values).login
    state = {
        "token_response": {"access_token": "any"},
        authenticator.user_auth_state_key: {"sub": "1", **PEOPLE["alice"]},
        "cmsaf_since": time.time(),
    }

    async def auth_state() -> dict[str, Any]:
        return state

    left: list[dict[str, Any]] = []

    async def auth_to_user(model: dict[str, Any], _user: Any) -> None:
        left.append(model)

    user = SimpleNamespace(name="alice", get_auth_state=auth_state)
    asked = authenticator.refresh_user(user, SimpleNamespace(auth_to_user=auth_to_user))
    # The browser's driver has a loop in this thread.
    with ThreadPoolExecutor(1) as aside:
        answer = aside.submit(asyncio.run, asked).result()
    if found:
        assert answer == {**found, "auth_state": state} and not left
    else:
        assert answer is False
        assert left == [{"name": "alice", "admin": False, "groups": [], "auth_state": state}]


def test_a_provider_that_does_not_answer_holds_up_one_page_and_ends_no_session(
    context: BrowserContext, browser: Any, folder: Path
) -> None:
    first, second = context.new_page(), browser.new_context(ignore_https_errors=True).new_page()
    sign_in(first, "alice")
    sign_in(second, "carol")
    time.sleep(REFRESH + 1)
    provider = int((folder / "provider.pid").read_text())
    os.kill(provider, signal.SIGSTOP)
    try:
        took = []
        for page in (first, second):
            began = time.monotonic()
            page.goto(f"{HUB}/hub/home")
            took.append(time.monotonic() - began)
            assert page.url == f"{HUB}/hub/home"
    finally:
        os.kill(provider, signal.SIGCONT)
        second.context.close()
    assert took[0] > 5 and took[1] < REFRESH, took


def test_log_out_ends_both_sessions(context: BrowserContext, folder: Path) -> None:
    page = context.new_page()
    sign_in(page, "carol")
    page.goto(f"{HUB}/hub/logout")
    assert page.url.startswith(f"{PROVIDER}/session/end")
    page.get_by_role("button", name=re.compile("Yes")).click()
    page.wait_for_url(f"{HUB}/**")
    assert who(page).get("name") is None
    page.goto(f"{HUB}/hub/oauth_login")
    assert page.locator("input[name=login]").count() == 1, "the provider did not ask again"


def test_no_secret_is_in_log_or_data_base(context: BrowserContext, folder: Path, secret: str) -> None:
    page = context.new_page()
    sign_in(page, "alice")
    log = (REPORT / "hub.log").read_text()
    assert "alice" in log
    assert secret not in log
    dump = "\n".join(sqlite3.connect(folder / "hub.sqlite").iterdump())
    assert "refresh_token" not in dump and secret not in dump and "'alice'" in dump
