# SPDX-License-Identifier: GPL-3.0-or-later
"""A user whose home and whose token are to come back: python user.py write|change|compare|spoil|leave STATE

write      logs in, takes a token, starts a server and fills the home; the server stays
change     changes what is in the home, and stops the server
compare    with the token: the user is the same, and the home is as after "change"
spoil      removes and changes what is in the home, and stops the server
leave      gives the token back
STATE holds settings.json (url, ca, password_file) and gets user.json.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from users import Facility, Hub, HubError  # type: ignore[import-not-found]  # found by the line before

USER = "keeper"
LIMIT = 600
TOKEN_SECONDS = 4 * 3600

LIST = """
import hashlib, os, stat
root = os.path.expanduser("~/kept")

def path(name):
    return os.path.join(root, name)

def put(name, content, mode=0o644):
    with open(path(name), "wb") as file:
        file.write(content)
    os.chmod(path(name), mode)

def told(name):
    status = os.lstat(name)
    known = [oct(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns]
    if stat.S_ISREG(status.st_mode):
        with open(name, "rb") as file:
            known += [status.st_nlink, status.st_size, hashlib.file_digest(file, "sha256").hexdigest()]
    elif stat.S_ISLNK(status.st_mode):
        known.append(os.readlink(name))
    return known

def listed():
    return dict(
        (os.path.relpath(os.path.join(folder, name), root), told(os.path.join(folder, name)))
        for folder, folders, files in os.walk(root)
        for name in folders + files
    )
"""

WRITE = """
import shutil
shutil.rmtree(root, ignore_errors=True)
os.makedirs(path("many"))
os.makedirs(path("empty"))
for number in range(300):
    put("many/%d" % number, os.urandom(1 + number * 37))
put("large", os.urandom(64 * 2**20))
put("secret", b"mine", 0o600)
put("a name with a space, \\u00fc and \\n", b"odd")
os.symlink("/etc/passwd", path("outside"))
os.symlink("large", path("inside"))
os.link(path("large"), path("same"))
with open(path("sparse"), "wb") as file:
    file.truncate(2**28)
put("canary", CANARY.encode() * 1000)
put("gone", b"soon")
put("grows", b"before")
answer(listed())
"""

CHANGE = """
os.remove(path("gone"))
put("grows", b"before, and after")
put("new", os.urandom(2**20), 0o640)
answer(listed())
"""

SPOIL = """
os.remove(path("large"))
os.remove(path("inside"))
os.symlink("/tmp", path("inside"))
os.rename(path("many"), path("moved"))
put("grows", b"not what it was")
put("unknown", b"to be gone")
answer(listed())
"""


class User:
    """One user, and what he remembers."""

    def __init__(self, state: Path) -> None:
        self.file = state / "user.json"
        facility = Facility.told(state)
        self.password = facility.password
        self.known: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
        # Stopping the server gives back the token that is named here; "leave" names it.
        self.hub = Hub(facility.session(USER, token=self.known.get("token", "")), timeout=180)

    def ask(self, path: str) -> dict[str, Any]:
        answer = self.hub.http.get(f"{self.hub.session.url}{path}", timeout=180)
        if answer.status_code != 200:
            raise HubError(f"GET {path} with the token: {answer.status_code} {answer.text[:200]}")
        found: dict[str, Any] = answer.json()
        return found

    def keep(self, **known: Any) -> None:
        self.known |= known
        with open(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(self.known, file)

    def run(self, code: str) -> Any:
        self.hub.start(LIMIT)
        self.hub.open_kernel()
        return self.hub.run(f"CANARY = {self.known.get('canary')!r}\n{LIST}\n{code}", LIMIT)

    def stop(self) -> None:
        self.hub.session.token_id = "none"
        self.hub.stop(LIMIT)

    def write(self) -> None:
        self.hub.login(self.password)
        request = {"note": "kept over a restoration", "expires_in": TOKEN_SECONDS}
        url = f"{self.hub.session.url}/hub/api/users/{USER}/tokens"
        made = self.hub.http.post(url, json=request, timeout=180)
        if made.status_code != 201:
            raise HubError(f"POST {url}: {made.status_code} {made.text[:200]}")
        token = made.json()
        self.keep(token=token["token"], token_id=token["id"], canary=f"cmsaf-canary-{secrets.token_hex(16)}")
        self.keep(listed=self.run(WRITE), created=self.ask(f"/hub/api/users/{USER}")["created"])

    def change(self) -> None:
        self.keep(listed=self.run(CHANGE))
        self.stop()

    def spoil(self) -> None:
        found = self.run(SPOIL)
        self.stop()
        if found == self.known["listed"]:
            raise HubError("the home could not be changed")

    def compare(self) -> None:
        user = self.ask("/hub/api/user")
        if user["name"] != USER:
            raise HubError(f"the token is that of {user['name']}")
        created = self.ask(f"/hub/api/users/{USER}")["created"]
        if created != self.known["created"]:
            raise HubError(f"the user was made at {self.known['created']}, and now {created}")
        found, wanted = self.run("answer(listed())"), self.known["listed"]
        self.stop()
        different = {name for name in {*found, *wanted} if found.get(name) != wanted.get(name)}
        for name in sorted(different)[:10]:
            print(f"backup: {name!r}: was {wanted.get(name)}, is {found.get(name)}", file=sys.stderr)
        if different:
            raise HubError(f"{len(different)} of {len(wanted)} in the home differ")
        print(f"backup: the token is good, the user is the same, {len(wanted)} in the home are the same")

    def leave(self) -> None:
        self.hub.session.token_id = self.known["token_id"]
        self.hub.stop(LIMIT)


def main() -> int:
    step, state = sys.argv[1:]
    steps = {name: getattr(User, name) for name in ("write", "change", "compare", "spoil", "leave")}
    try:
        steps[step](User(Path(state)))
    except HubError as problem:
        print(f"backup: {step}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
