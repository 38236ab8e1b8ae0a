#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act as users of the hub from outside: act_as_users.py STEP STATE [PROGRAM]

STATE is a JSON file that the steps hand on to each other; it begins with url, ca and users. Steps:

start  standard input is the password: every user logs in, after a wrong password was tried, and starts a server
ask    runs PROGRAM in the kernel of the first user; standard input is JSON, which the program has as "given"
stop   every user stops the server

Prints what was found as one JSON object. The browser is that of the facility's own verification.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/verify/files/cmsaf_verify"))
from hub import Hub, HubError, Session  # type: ignore[import-not-found]

LIMIT = 600


def start(state: dict[str, Any], users: list[str], given: str) -> dict[str, Any]:
    def one(user: str) -> tuple[bool, dict[str, Any]]:
        hub = Hub(Session(url=state["url"], ca=state["ca"], user=user))
        refused = hub.refused("not-" + given)
        hub.login(given)
        state["sessions"][user] = hub.session.as_dict()
        hub.start(LIMIT)
        return refused, hub.session.as_dict()

    state["sessions"] = {}
    with ThreadPoolExecutor() as crowd:
        found = list(crowd.map(one, users))
    first = Hub(Session(**found[0][1]))
    first.open_kernel()
    state["sessions"][users[0]] = first.session.as_dict()
    return {"wrong_password_refused": all(refused for refused, _ in found), "started": users}


def ask(state: dict[str, Any], users: list[str], given: str) -> Any:
    program = Path(sys.argv[3]).read_text(encoding="utf-8")
    return Hub(Session(**state["sessions"][users[0]])).run(f"given = {json.loads(given)!r}\n{program}", LIMIT)


def stop(state: dict[str, Any], users: list[str], given: str) -> dict[str, Any]:
    for session in state["sessions"].values():
        Hub(Session(**session)).stop(LIMIT)
    return {"stopped": list(state["sessions"])}


def main() -> int:
    step, path = sys.argv[1], Path(sys.argv[2])
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    try:
        found = {"start": start, "ask": ask, "stop": stop}[step](state, state["users"], sys.stdin.read().strip())
    except HubError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        # It holds tokens.
        with open(os.open(path, os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(state, file)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
