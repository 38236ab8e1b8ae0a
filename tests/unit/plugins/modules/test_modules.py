# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module through a real play: made, changed, drifted; each as check, run, check again, run again."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

PREFIX = "cmsaf.facility."
CYCLE = [(True, True), (False, True), (True, False), (False, False)]  # check mode, and whether it changes something
Task = dict[str, Any]
Play = Callable[..., tuple[list[dict[str, Any]], str]]


class Case(NamedTuple):
    """A module, what makes its file, and what each further cycle begins with and asks for."""

    module: str
    make: Task
    changes: list[tuple[list[Task], Task]]
    prepare: list[Task] = []  # noqa: RUF012 # never changed
    secret: bool = True


def content(path: str, text: str) -> Task:
    return {"ansible.builtin.copy": {"dest": path, "content": text, "mode": "0600"}}


def mode(path: str, value: str) -> Task:
    return {"ansible.builtin.file": {"path": path, "mode": value}}


KEY = {PREFIX + "htcondor_signing_key": {"path": "{{ here }}/POOL"}}
IDTOKEN = {
    "path": "{{ here }}/token",
    "key_path": "{{ here }}/POOL",
    "issuer": "pool.af.test",
    "identity": "alice@users.af.test",
    "scopes": ["READ", "WRITE"],
    "lifetime": 3600,
    "renew_before": 600,
}
MACAROON = {
    "path": "{{ here }}/token",
    "secret_path": "{{ here }}/secret",
    "location": "AF-ORIGIN",
    "activities": ["DOWNLOAD"],
    "prefix": "/store",
    "lifetime": 3600,
}
SECRET = {"path": "{{ here }}/macaroon-secret"}
ISSUER = {"path": "{{ here }}/issuer.pem", "jwks_path": "{{ here }}/jwks"}
SCITOKEN = {
    "path": "{{ here }}/token",
    "key_path": "{{ here }}/issuer.pem",
    "issuer": "https://tokens.af.test",
    "subject": "alice",
    "audience": ["https://xcache.af.test"],
    "scopes": ["storage.read:/store"],
    "lifetime": 3600,
}
BUILD = {
    "name": "thing",
    "inputs": ["{{ here }}/input"],
    "values": ["1"],
    "argv": ["cp", "{{ here }}/input", "$OUTPUT/thing"],
    "outputs": [{"name": "thing", "path": "{{ here }}/built/out/thing"}],
    "directory": "{{ here }}/built",
}
ARCHIVE = {"folders": {".": "{{ here }}/tree"}, "dest": "{{ here }}/tree.tar"}

CASES = [
    Case(
        "htcondor_signing_key",
        {"path": "{{ here }}/POOL"},
        [
            ([content("{{ here }}/POOL", "")], {"path": "{{ here }}/POOL", "regenerate": "when_invalid"}),
            ([mode("{{ here }}/POOL", "0644")], {"path": "{{ here }}/POOL"}),
        ],
    ),
    Case(
        "htcondor_idtoken",
        IDTOKEN,
        [
            ([], {**IDTOKEN, "scopes": ["READ"], "regenerate": "when_invalid"}),
            ([content("{{ here }}/token", "x.y.z")], {**IDTOKEN, "regenerate": "when_invalid"}),
            ([mode("{{ here }}/token", "0644")], IDTOKEN),
        ],
        [KEY],
    ),
    Case(
        "xrootd_macaroon",
        MACAROON,
        [
            ([], {**MACAROON, "prefix": "/store/data", "regenerate": "when_invalid"}),
            ([content("{{ here }}/token", "nonsense")], {**MACAROON, "regenerate": "when_invalid"}),
            ([mode("{{ here }}/token", "0644")], MACAROON),
        ],
        [content("{{ here }}/secret", "QUFB" * 24)],
    ),
    Case(
        "xrootd_macaroon_secret",
        SECRET,
        [([content("{{ here }}/macaroon-secret", "c2hvcnQ=")], {**SECRET, "regenerate": "when_invalid"})],
    ),
    Case(
        "scitoken_issuer_key",
        ISSUER,
        [([{"ansible.builtin.file": {"path": "{{ here }}/issuer.pem", "state": "absent"}}], ISSUER)],
    ),
    Case(
        "scitoken",
        SCITOKEN,
        [([], {**SCITOKEN, "scopes": ["compute.create"], "regenerate": "when_invalid"})],
        [{PREFIX + "scitoken_issuer_key": ISSUER}],
    ),
    Case(
        "cached_build",
        BUILD,
        [
            ([], {**BUILD, "values": ["2"]}),
            ([content("{{ here }}/input", "two")], {**BUILD, "values": ["2"]}),
            (
                [{"ansible.builtin.file": {"path": "{{ here }}/built/out/thing", "state": "absent"}}],
                {**BUILD, "values": ["2"]},
            ),
        ],
        [
            content("{{ here }}/input", "one"),
            {"ansible.builtin.file": {"path": "{{ here }}/built", "state": "directory"}},
        ],
        secret=False,
    ),
    Case(
        "tree_archive",
        ARCHIVE,
        [
            ([content("{{ here }}/tree/b", "two")], ARCHIVE),
            ([mode("{{ here }}/tree.tar", "0600")], ARCHIVE),
        ],
        [
            {"ansible.builtin.file": {"path": "{{ here }}/tree", "state": "directory"}},
            content("{{ here }}/tree/a", "one"),
        ],
        secret=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.module)
def test_predicts_what_it_does_and_does_it_once(case: Case, tmp_path: Path, play: Play) -> None:
    tasks = [*case.prepare]
    expected: list[bool | None] = [None] * len(tasks)
    for before, arguments in [([], case.make), *case.changes]:
        tasks += before
        expected += [None] * len(before)
        for check, changes in CYCLE:
            tasks.append({PREFIX + case.module: arguments, "check_mode": check, "diff": True})
            expected.append(changes)
    results, said = play(tmp_path, tasks)
    assert len(results) == len(tasks), results[-1]
    for task, result, changes in zip(tasks, results, expected):
        assert not result.get("failed"), (task, result)
        assert changes is None or result["changed"] is changes, (task, result)
    if case.secret:
        # Tokens and keys are long words.
        assert not re.search(r"[A-Za-z0-9_+-]{65,}|eyJ[A-Za-z0-9_-]{8,}", said)
        for path in tmp_path.iterdir():
            if path.name not in ("play.yml", "secret", "jwks"):
                assert path.stat().st_mode & 0o777 == 0o600
                assert path.read_bytes().strip().decode("latin-1") not in said


REFUSED = [
    ("htcondor_signing_key", {"path": "{{ here }}/bad"}, "set regenerate to when_invalid"),
    ("htcondor_idtoken", {**IDTOKEN, "path": "{{ here }}/bad"}, "set regenerate to when_invalid"),
    ("htcondor_idtoken", {**IDTOKEN, "renew_before": 3600}, "is not less than lifetime"),
    ("htcondor_idtoken", {**IDTOKEN, "key_path": "{{ here }}/none"}, "set key_path to the right one"),
    ("xrootd_macaroon", {**MACAROON, "path": "{{ here }}/bad"}, "set regenerate to when_invalid"),
    ("xrootd_macaroon", {**MACAROON, "secret_path": "{{ here }}/none"}, "set secret_path to the right one"),
    ("cached_build", {**BUILD, "argv": ["sh", "-c", "echo broken; exit 3"]}, "broken"),
    ("tree_archive", {**ARCHIVE, "folders": {".": "{{ here }}/none"}}, "{{ here }}/none"),
]


def test_refusals_say_what_to_set_and_leave_what_is_there(tmp_path: Path, play: Play) -> None:
    (tmp_path / "bad").write_bytes(b"")
    (tmp_path / "input").write_text("one", encoding="utf-8")
    (tmp_path / "built").mkdir()
    prepare = [KEY, content("{{ here }}/secret", "QUFB" * 24)]
    tasks = [
        {PREFIX + module: arguments, "ignore_errors": True}  # all refusals in one play
        for module, arguments, _ in REFUSED
    ]
    results, _ = play(tmp_path, [*prepare, *tasks])
    for result, (module, arguments, message) in zip(results[len(prepare) :], REFUSED):
        assert result.get("failed"), (module, arguments)
        assert message.replace("{{ here }}", str(tmp_path)) in result["msg"], (module, result["msg"])
    assert (tmp_path / "bad").read_bytes() == b""


def test_a_token_near_its_end_is_renewed(tmp_path: Path, play: Play) -> None:
    module = PREFIX + "htcondor_idtoken"
    results, _ = play(
        tmp_path,
        [KEY, {module: {**IDTOKEN, "lifetime": 700}}, {module: {**IDTOKEN, "renew_before": 800}}, {module: IDTOKEN}],
    )
    assert [result["changed"] for result in results[1:]] == [True, True, False]
    assert results[2]["reason"].startswith("the token ends in ")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("htcondor_idtoken", {**IDTOKEN, "key_path": "{{ here }}/none"}),
        ("xrootd_macaroon", {**MACAROON, "secret_path": "{{ here }}/none"}),
    ],
)
def test_check_mode_needs_nothing_that_an_earlier_task_makes(
    module: str, arguments: dict[str, Any], tmp_path: Path, play: Play
) -> None:
    results, _ = play(tmp_path, [{PREFIX + module: arguments, "check_mode": True}])
    assert results[0]["changed"] and "not there yet" in results[0]["reason"]


def test_info_modules_tell_what_is_there_and_no_secret(tmp_path: Path, play: Play) -> None:
    secret = {"path": "{{ here }}/secret"}
    tasks = [
        KEY,
        {PREFIX + "htcondor_idtoken": IDTOKEN},
        {PREFIX + "htcondor_idtoken_info": {"path": "{{ here }}/token", "key_path": "{{ here }}/POOL"}},
        {PREFIX + "xrootd_macaroon_secret": secret},
        {PREFIX + "xrootd_macaroon": {**MACAROON, "path": "{{ here }}/macaroon"}},
        {PREFIX + "xrootd_macaroon_info": {"path": "{{ here }}/macaroon", "secret_path": "{{ here }}/secret"}},
        {PREFIX + "scitoken_issuer_key": ISSUER},
        {PREFIX + "scitoken": {**SCITOKEN, "path": "{{ here }}/scitoken"}},
        {PREFIX + "scitoken_info": {"path": "{{ here }}/scitoken", "jwks_path": "{{ here }}/jwks"}},
    ]
    results, said = play(tmp_path, tasks)
    for made, told in zip(results[1::3], results[2::3]):
        assert told["signature_good"] and not told["changed"]
        assert told["expires_at"] == made["expires_at"]
    for name in ("POOL", "token", "secret", "macaroon", "issuer.pem", "scitoken"):
        assert (tmp_path / name).read_bytes().strip().decode("latin-1") not in said


MANIFEST = b'{"schemaVersion": 2, "config": {"digest": "sha256:00"}}'
DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """A registry that has cmsaf/hub:1."""

    contents: ClassVar[dict[str, bytes]] = {
        "/v2/cmsaf/hub/manifests/1": MANIFEST,
        f"/v2/cmsaf/hub/manifests/{DIGEST}": MANIFEST,
        "/v2/cmsaf/hub/blobs/sha256:00": b'{"config": {"Labels": {"of": "the hub"}}}',
    }

    def do_HEAD(self) -> None:
        content = self.contents.get(self.path, b"")
        self.send_response(200 if content else 404)
        self.send_header("Docker-Content-Digest", "sha256:" + hashlib.sha256(content).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_GET = do_HEAD

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_registry_image_info_reads_digest_and_labels(registry: str, tmp_path: Path, play: Play) -> None:
    module = PREFIX + "registry_image_info"
    tasks: list[Task] = [
        {module: {"name": f"{registry}/cmsaf/hub:1", "scheme": "http"}, "check_mode": check} for check in (True, False)
    ]
    tasks.append({module: {"name": "hub", "scheme": "http"}})
    results, _ = play(tmp_path, tasks)
    for result in results[:2]:
        assert not result["changed"]
        assert (result["digest"], result["labels"]) == (DIGEST, {"of": "the hub"})
    assert "host/repository:tag" in results[2]["msg"]
