# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verification says of data that does not come. tests/cache/test_causes.py has servers say these words."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAM = Path(__file__).resolve().parents[3] / "roles" / "verify" / "files" / "cmsaf_verify"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("cmsaf_verify_causes", PROGRAM / "causes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CAUSES = load()
REFUSED = "OSError: File did not open properly: [FATAL] Auth failed: No protocols left to try"
IDENTITY = "OSError: [ERROR] Server responded with an error: [3030] [FATAL] Auth failed: No protocols left to try"
DENIED = "[ERROR] Server responded with an error: [3010] Unable to open /store/a; permission denied"
GONE = "[ERROR] Server responded with an error: [3014] [FATAL] Connection error"
LATE = "Code in the server of alice: no end in 600 s: "
AT_THE_CACHE = """\
261126 23:33:53 149 u3.182:52@localhost ofs_open: 0-600 (600) fn=/store/a
261126 23:33:53 149 ofs_open: u3.182:52@localhost Unable to open /store/a; permission denied
"""
AT_THE_ORIGIN = """\
261126 23:33:59 331 u6.350:21@localhost ofs_open: 0-600 (600) fn=/store/a
261126 23:33:59 331 macarons_Access: Macaroon verification successful; ID 65653017-5625-44ff-986a-4e469966e7d8
261126 23:33:59 331 ofs_open: u6.350:21@localhost Unable to open /store/a; permission denied
"""
ENDED = "261126 23:33:52 148 XrootdXeq: User authentication failed; Macaroon verification error, Macaroon expired at 2026-11-26T23:32:50Z"
BUSY = "261126 23:40:00 148 Scheduler: Thread limit has been reached!"
FULL = "261126 23:40:00 148 XrdPfc_File: error Open() Create failed , err_code=28, err_str=no space left on device"


@pytest.mark.parametrize(
    ("seen", "title", "by"),
    [
        ({"said": REFUSED, "log": ENDED}, "The cache refuses the token", "Macaroon expired at 2026-11-26T23:32:50Z"),
        ({"said": REFUSED}, "The cache refuses the token", "Auth failed"),
        ({"said": IDENTITY, "log": ENDED}, "The origin refuses the cache's identity", "[3030]"),
        ({"said": LATE, "unreached": ["c1 does not reach roots://o:1094"]}, "The origin is down", "c1 does not reach"),
        ({"said": GONE}, "The origin is down", "[3014]"),
        ({"said": DENIED, "log": AT_THE_CACHE}, "The token is not good for this path", "u3.182"),
        ({"said": DENIED, "log": AT_THE_ORIGIN}, "The origin does not let the cache read this path", "u6.350"),
        ({"said": LATE, "log": BUSY}, "A cache has more to do than it can", "Thread limit"),
        (
            {"said": "the origin sent 40.0 MB", "log": FULL},
            "A cache's disk is full, so it keeps nothing",
            "err_code=28",
        ),
        ({"said": LATE, "ready": "1/2"}, "A cache is down", "1/2 caches are ready"),
        ({"said": LATE, "ready": "/1"}, "A cache is down", "/1 caches are ready"),
    ],
)
def test_what_it_is_is_said(seen: dict[str, Any], title: str, by: str) -> None:
    found = CAUSES.find(CAUSES.Seen(**seen))
    assert found and found.title == title and by in found.seen and found.fix


@pytest.mark.parametrize(
    "seen",
    [
        {"said": LATE, "ready": "2/2", "log": AT_THE_ORIGIN},
        # Others' tokens that are refused are no reason of this reader's.
        {"said": "2,000,000 events wanted", "log": f"{ENDED}\n{AT_THE_CACHE}"},
        {"said": LATE},
    ],
)
def test_nothing_is_said_that_nothing_speaks_for(seen: dict[str, Any]) -> None:
    assert CAUSES.find(CAUSES.Seen(**seen)) is None


def test_the_reports_say_it(tmp_path: Path) -> None:
    failed = {
        "key": "first",
        "title": "The analysis runs in the server",
        "service": "cache",
        "attempted": "a",
        "passed": False,
    }
    settings = {
        "facility": "af",
        "version": "1",
        "url": "u",
        "identity": "i",
        "user": "i",
        "password_file": "p",
        "plot": "p",
    }
    state = {
        "settings": {**settings, "report_dir": str(tmp_path)},
        "passed": False,
        "outcomes": [failed | {"found": IDENTITY}],
        "first_failed": failed | {"found": IDENTITY},
    }
    path = tmp_path / "state.json"
    path.write_text(json.dumps(state), encoding="utf-8")
    shown = json.dumps({"ready": "1/1", "log": "", "unreached": []})
    for step, told in (("cause", shown), ("report", "the log")):
        subprocess.run([sys.executable, PROGRAM, step, path], input=told, text=True, check=True)
    cause = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["cause"]
    assert cause["title"] == "The origin refuses the cache's identity"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The origin refuses the cache&#x27;s identity" in page and "[3030]" in page


def judged(here: Path, caches: list[str], origin: int) -> dict[str, Any]:
    """What is known after the role's own look at data that did not come, in a play like that of the playbook.

    Host `here` is this machine, `gone` does not answer; neither has a cluster to ask.
    """
    failed = {"title": "The analysis runs in the server", "service": "cache", "attempted": "a", "found": LATE}
    (here / "state.json").write_text(json.dumps({"began": "2026-11-26T00:00:00Z", "first_failed": failed}))
    hosts = {
        "here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        "gone": {"ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    values = {
        "facility_name": "try",
        "facility_domain": "af.test",
        "facility_host_network": "10.0.0.0/24",
        "facility_origins": [
            {"name": "a", "url": f"roots://127.0.0.1:{origin}", "paths": ["/store"], "authentication": "none"}
        ],
        "__verify_dir": {"path": str(here)},
    }
    groups = {"kube_control_plane": {"hosts": {"here": None}}, "xcache": {"hosts": dict.fromkeys(caches)}}
    inventory = {"all": {"vars": values, "hosts": hosts, "children": groups}}
    look = {"ansible.builtin.include_role": {"name": "cmsaf.facility.verify", "tasks_from": "cause"}}
    block = [{"ansible.builtin.fail": {"msg": "as something did"}}]
    play = {
        "hosts": "kube_control_plane[0]",
        "gather_facts": False,
        "any_errors_fatal": True,
        "tasks": [{"block": block, "rescue": [{"ansible.builtin.debug": {"msg": "so it is"}}], "always": [look]}],
    }
    for name, text in (("hosts.yml", inventory), ("play.yml", [play])):
        (here / name).write_text(yaml.safe_dump(text), encoding="utf-8")
    command = ["ansible-playbook", "-i", here / "hosts.yml", here / "play.yml"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    state: dict[str, Any] = json.loads((here / "state.json").read_text())
    assert "cause" in state, done.stdout + done.stderr
    return state


def test_a_cache_that_does_not_reach_its_origin_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cause = judged(tmp_path, ["here"], port)["cause"]
    assert cause["title"] == "The origin is down" and cause["seen"] == f"here does not reach roots://127.0.0.1:{port}"


def test_a_node_that_does_not_answer_says_nothing_of_the_origin(tmp_path: Path) -> None:
    """And it ends nothing: what is wrong is said all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert judged(tmp_path, ["gone", "here"], listening.getsockname()[1])["cause"] is None
