# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import doctest
import json
from pathlib import Path

import pytest
from cmsaf_dask import analysis, check, description, explain, tokens, words
from cmsaf_dask.explain import Facts, tell


@pytest.mark.parametrize("module", [analysis, check, description, tokens, words], ids=lambda module: module.__name__)
def test_examples_in_the_text(module: object) -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


def token(**payload: object) -> str:
    return ".".join(["e30", base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("="), "signature"])


def test_no_token_an_expired_one_and_a_good_one(tmp_path: Path) -> None:
    assert "There is no HTCondor token in" in str(tokens.complaint([tmp_path, tmp_path / "absent"]))
    (tmp_path / "old").write_text(token(sub="alice", exp=100))
    said = str(tokens.complaint([tmp_path], now=200))
    assert said.startswith("The HTCondor token of this session expired at 1970-01-01 00:01:40 UTC.")
    assert "signature" not in said
    (tmp_path / "new").write_text(token(sub="alice", exp=300) + "\n")
    assert tokens.complaint([tmp_path], now=200) is None


@pytest.mark.parametrize(
    ("image", "good"),
    [
        (None, True),
        ("analysis", True),
        ("registry.example.org/cmsaf/analysis@sha256:" + "0" * 64, True),
        ("registry.example.org:5000/a/b:1.0", True),
        ("docker://a/b", False),
        ("a/B:1", False),
        ("a b", False),
        ("", False),
        ("a/b@sha256:0123", False),
    ],
)
def test_names_of_images(image: str | None, good: bool) -> None:
    assert (check.image_complaint(image) is None) == good


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("a", ["a"]),
        ("(a && b) || c", ["(a && b) || c"]),
        ("a && (b && (c || d))", ["a", "b", "c || d"]),
        ('x == "&& \\" ) " && y', ['x == "&& \\" ) "', "y"]),
        ("(a) && (b)", ["a", "b"]),
        ("a ? b : c && d", ["a ? b : c && d"]),
        ("a =?= true && f({1, 2})", ["a =?= true", "f({1, 2})"]),
    ],
)
def test_clauses(expression: str, parts: list[str]) -> None:
    assert analysis.clauses(expression) == parts


HOST = {"HasDocker": True, "Machine": "e1", "TotalSlotCpus": 8, "TotalSlotMemory": 16384, "TotalSlotDisk": 2**24}
REQUEST = {"Cpus": 2, "Memory": 2048, "Disk": 2**22}


def test_room_of_a_pool() -> None:
    assert analysis.room([HOST, {**HOST, "Machine": "e2"}], REQUEST, docker=True)["jobs"] == 8
    assert analysis.room([HOST, {**HOST, "HasDocker": "undefined"}], REQUEST, docker=True)["jobs"] == 4
    assert analysis.room([HOST], {**REQUEST, "Memory": 8192}, docker=False)["jobs"] == 2


def test_what_the_pool_can_never_give_is_refused_in_words() -> None:
    room = analysis.room([HOST], REQUEST, docker=True)
    assert check.room_complaint(room, REQUEST, 4) is None
    assert "hosts have room for 4 of them" in str(check.room_complaint(room, REQUEST, 5))
    huge = {**REQUEST, "Memory": 20000}
    said = str(check.room_complaint(analysis.room([HOST], huge, docker=True), huge, 1))
    assert "none of the pool's 1 hosts is large enough" in said
    assert "8 cores, 16 GiB of memory" in said
    # A pool whose hosts are still to come is not known to be too small.
    assert check.room_complaint(analysis.room([], REQUEST, docker=True), REQUEST, 5) is None


WAITING = {"ClusterId": 1, "ProcId": 0, "JobStatus": 1, "EnteredCurrentStatus": 1000, "ServerTime": 1100}
MATCHES = {
    "slots": 3,
    "wanted": 2,
    "empty": 2,
    "now": 1,
    "clauses": [],
    "request": {"Memory": 4096},
    "largest": {"Memory": 2048},
    "cycle": 60.0,
    "shares": [],
}


@pytest.mark.parametrize(
    ("facts", "words_in_it"),
    [
        (Facts(wanted=1, here=1), "1 of 1 workers are here."),
        (Facts(wanted=2, here=0), "2 jobs will be submitted at once."),
        (Facts(wanted=1, here=0, stopped="five rounds."), "Scaling has stopped: five rounds."),
        (Facts(wanted=1, here=0, error="no answer"), "The pool could not be asked: no answer"),
        (Facts(wanted=1, here=0, pause=7.6), "submitted in 8 s"),
        (
            Facts(wanted=1, here=0, jobs=[WAITING], analysis={**MATCHES, "wanted": 0, "clauses": [
                {"clause": "TARGET.Memory >= RequestMemory", "slots": 0}, {"clause": "TARGET.HasDocker", "slots": 3}]}),
            "Of 3 slots: memory (4096 MiB asked for, 2048 MiB is the most there is) holds for 0.",
        ),
        (Facts(wanted=1, here=0, jobs=[WAITING], analysis={**MATCHES, "empty": 0}), "their own conditions (START)"),
        (Facts(wanted=1, here=0, jobs=[WAITING], analysis={**MATCHES, "now": 0}), "All 2 slots that fit are in use"),
        (Facts(wanted=1, here=0, jobs=[WAITING], analysis=MATCHES), "next negotiation cycle, which comes about every 60 s"),
        (
            Facts(wanted=1, here=0, jobs=[{**WAITING, "EnteredCurrentStatus": 100}], analysis=MATCHES),
            "1 slot could take it now, and it was passed over",
        ),
        (
            Facts(wanted=1, here=0, jobs=[WAITING], group="cms.other.coffea.alice", analysis={
                **MATCHES, "shares": [{"Name": "cms.other", "ConfigQuota": 10, "ResourcesUsed": 12}]}),
            "Accounting group cms.other uses 12 of its quota of 10",
        ),
        (
            Facts(wanted=1, here=0, jobs=[{**WAITING, "LastRejMatchReason": "submitter limit exceeded"}]),
            "your share of the pool is used up",
        ),
        (
            Facts(wanted=1, here=0, jobs=[{**WAITING, "JobStatus": 2, "RemoteHost": "slot1_1@e1", "DaskWorkerName": "w"}]),
            "1 job: started on e1 and on the way to the scheduler.",
        ),
        (
            Facts(wanted=1, here=0, jobs=[{**WAITING, "JobStatus": 5, "HoldReasonCode": 35, "HoldReason": "x"}]),
            "held: its image is not to be had; look at worker_image",
        ),
        (
            Facts(wanted=2, here=1, now=1030, troubles=[(1000, "w1", "ended by signal 9"), (1001, "w2", "ended by signal 9")]),
            "In the last 30 s, 2 workers: ended by signal 9.",
        ),
    ],
)  # fmt: skip
def test_explanations(facts: Facts, words_in_it: str) -> None:
    assert words_in_it in str(tell(facts))


@pytest.mark.parametrize(
    ("facts", "fine"),
    [
        (Facts(wanted=0, here=0), True),
        (Facts(wanted=1, here=1, troubles=[(1000, "w1", "ended by signal 9")]), True),
        (Facts(wanted=2, here=1), False),
        # What scaling has given up is not wanted any more.
        (Facts(wanted=0, here=0, stopped="five rounds."), False),
        (Facts(wanted=1, here=1, error="no answer"), False),
    ],
)
def test_whether_all_is_well(facts: Facts, fine: bool) -> None:
    assert tell(facts).fine is fine


def test_an_explanation_shows_itself_in_a_notebook() -> None:
    shown = explain.Explanation("1 of 2", ("held: <b>",))._repr_html_()
    assert shown == "<div><b>1 of 2</b><ul><li>held: &lt;b&gt;</li></ul></div>"
