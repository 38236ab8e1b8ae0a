# SPDX-License-Identifier: GPL-3.0-or-later
"""JupyterLab in a browser: the login, a picture, something that has to come true."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright
from users import Hub  # type: ignore[import-not-found]  # found by who imports this

__all__ = ["JOBS", "WIDE", "browser_page", "failure_pictured", "open_lab", "picture", "until"]

WIDE = {"width": 1280, "height": 800}

# The clusters of jobs that the user has in the queue, asked in his server.
JOBS = """
import os
from cmsaf_dask.agent import Agent
agent = Agent()
agent.locate(os.environ["CMSAF_COLLECTOR"], os.environ["CMSAF_SCHEDD_NAME"])
answer([job["ClusterId"] for job in agent.query(f'Owner == "{os.environ["CMSAF_USER"]}"', ["ClusterId"])])
"""


def until(what: str, true: Callable[[], Any], limit: float) -> float:
    """Seconds until it is true."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > limit:
            sys.exit(f"{what}: not in {limit:g} s")
        time.sleep(1)
    return round(time.monotonic() - began, 1)


@contextmanager
def browser_page(url: str) -> Iterator[Page]:
    """A page of Debian's chromium, which has not heard of the facility's authority, and knows users' names below the hub's."""
    hub = urlsplit(url).hostname
    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", f"--host-resolver-rules=MAP *.{hub} {hub}"],
        )
        context = browser.new_context(ignore_https_errors=True, viewport=WIDE)
        context.set_default_timeout(120_000)
        yield context.new_page()
        browser.close()


def open_lab(page: Page, hub: Hub, password: str) -> None:
    """Log in by the form, and be at the JupyterLab of a server that runs."""
    page.goto(f"{hub.session.url}/hub/login?next=/user/{hub.user}/lab")
    page.locator("input[name=username]").fill(hub.session.user)
    page.locator("input[name=password]").fill(password)
    page.locator("[type=submit]").click()
    page.wait_for_url(f"{hub.place}/lab**")
    page.locator("#jp-main-dock-panel").wait_for()


@contextmanager
def failure_pictured(page: Page, path: Path) -> Iterator[None]:
    """Where something goes wrong, what is seen then."""
    try:
        yield
    except BaseException:
        print(f"At {page.url}, see {path}", file=sys.stderr)
        picture(page, path)
        raise


def picture(page: Page, path: Path) -> None:
    """Of the page as it is."""
    # What slides in has to be there.
    page.wait_for_timeout(1000)
    page.screenshot(path=str(path))
