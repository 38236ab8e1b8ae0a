# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until both tokens of a server are renewed; runs in its kernel, which has "given" and answer().

Answers the ends of the tokens, in seconds since 1970, before and after.
"""

import base64
import json
import re
import time
from datetime import datetime
from pathlib import Path


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ends():
    pool = json.loads(decoded(Path("/run/cmsaf/tokens.d/condor_token").read_text().split(".")[1]))["exp"]
    macaroon = decoded(Path("/run/cmsaf/bearer_token").read_text().strip())
    before = re.search(rb"before:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z", macaroon).group(1).decode()
    return {"condor_token": pool, "bearer_token": datetime.fromisoformat(before + "+00:00").timestamp()}


first = ends()
limit = time.monotonic() + given["limit"]  # noqa: F821
while not all(now > then for now, then in zip(ends().values(), first.values())) and time.monotonic() < limit:
    time.sleep(1)
modes = {path.name: f"{path.stat().st_mode & 0o7777:o}" for path in Path("/run/cmsaf").rglob("*_token")}
answer({"before": first, "after": ends(), "modes": modes})  # noqa: F821
