# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub's login, in a real browser, by a real provider: who enters, who does not, and when it ends."""

from __future__ import annotations

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
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NODE = Path(os.environ["CMSAF_TEST_NODE"])
REPORT = Path(os.environ["CMSAF_TEST_REPORT"])
HUB, PROVIDER = "https://localhost:19443", "https://127.0.0.1:19444"
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
}

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
    log = REPORT / "hub.log"
    environment = {
        **os.environ,
        "CMSAF_TEST_LOGIN": str(place),
        "CMSAF_TEST_HUB": HUB,
        "CMSAF_TEST_PORT": "19081",
        "CMSAF_TEST_CLUSTER": f"http://127.0.0.1:{cluster.server_address[1]}",
        "PYTHONPATH": str(place / "lib"),
        "PATH": f"{NODE / '.bin'}:{os.environ['PATH']}",
    }
    with log.open("w") as out, (REPORT / "provider.log").open("w") as said:
        provider = subprocess.Popen(
            ["node", str(NODE.parent / "provider.mjs"), str(place), "19444", HUB], stdout=said, stderr=said
        )
        (place / "provider.pid").write_text(str(provider.pid))
        hub = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "--debug", "--config", str(HERE / "jupyterhub_config.py")],
            stdout=out,
            stderr=out,
            env=environment,
            cwd=place,
        )
        try:
            wait(f"{PROVIDER}/test/alice")
            wait(f"{HUB}/hub/api/")
            yield place
        finally:
            for process in (hub, provider):
                process.terminate()
                process.wait(30)
            cluster.shutdown()


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
            "logo": "",
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


def sign_in(page: Page, person: str) -> None:
    page.goto(f"{HUB}/hub/login?next=/hub/home")
    page.get_by_role("button", name=re.compile("Sign in with")).click()
    page.locator("input[name=login]").fill(person)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # consent
    page.wait_for_url(f"{HUB}/**")


def who(page: Page) -> dict[str, Any]:
    return page.request.get(f"{HUB}/hub/api/user", headers={"X-XSRFToken": xsrf(page)}).json()


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_are_as_drawn(browser: Any, folder: Path, scheme: Any, width: int) -> None:
    with page_of(browser, scheme, width) as page:
        page.goto(f"{HUB}/hub/login")
        assert "Authorized CMS users only." in page.inner_text("body")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=str(REPORT / f"login-{scheme}-{width}.png"))
        sign_in(page, "mallory")
        assert "none of the groups" in page.inner_text("body") and "admins@af.test" in page.inner_text("body")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=str(REPORT / f"refused-{scheme}-{width}.png"))


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
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=str(REPORT / f"spawn-{scheme}-{width}.png"), full_page=True)
        assert page.evaluate("document.activeElement.value") == "usual"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.locator("input[name=profile]:checked").input_value() == "machine-learning"
        page.screenshot(path=str(REPORT / f"spawn-chosen-{scheme}-{width}.png"), full_page=True)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.type") == "submit"


def test_a_server_of_others_is_neither_shown_nor_given(context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, "alice")
    page.goto(f"{HUB}/hub/spawn")
    assert choices(page) == ["usual", "small"]
    page.evaluate("document.querySelector('input[name=profile]:checked').value = 'machine-learning'")
    with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        page.locator("button[type=submit]").click()
    assert posted.value.status == 403
    assert "There is no server 'machine-learning' for you. Yours are: usual, small." in page.inner_text(
        ".spawn-error-msg"
    )
    answer = page.request.post(
        f"{HUB}/hub/api/users/alice/server", data={"profile": "machine-learning"}, headers={"X-XSRFToken": xsrf(page)}
    )
    assert answer.status == 403
    assert "Yours are: usual, small." in answer.json()["message"]


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


def test_who_leaves_the_group_is_out_at_the_next_renewal(context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, "leaver")
    assert who(page)["name"] == "leaver"
    call(f"{PROVIDER}/test/leaver", {"groups": []})
    time.sleep(REFRESH + 1)
    page.goto(f"{HUB}/hub/home")
    assert "/hub/home" not in page.url.split("?")[0]


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
