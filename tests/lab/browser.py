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

from playwright.sync_api import Page, sync_playwright

__all__ = ["JOBS", "WIDE", "browser_page", "open_lab", "picture", "until"]

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
def browser_page() -> Iterator[Page]:
    """A page of Debian's chromium, which has not heard of the facility's authority."""
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(ignore_https_errors=True, viewport=WIDE)
        context.set_default_timeout(120_000)
        yield context.new_page()
        browser.close()


def open_lab(page: Page, url: str, user: str, password: str) -> None:
    """Log in by the form, and be at the JupyterLab of a server that runs."""
    page.goto(f"{url}/hub/login?next=/user/{user}/lab")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(password)
    page.locator("[type=submit]").click()
    page.wait_for_url(f"{url}/user/{user}/lab**")
    page.locator("#jp-main-dock-panel").wait_for()


def picture(page: Page, path: Path) -> None:
    """Of the page as it is."""
    # What slides in has to be there.
    page.wait_for_timeout(1000)
    page.screenshot(path=str(path))
