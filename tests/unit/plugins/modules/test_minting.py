# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that mint: made, changed, drifted, refused; each as check, run, check again, run again.

Here in this process, for many cases; test_modules.py does some of it through real plays.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken, _macaroon, _scitoken

Arguments = dict[str, Any]
Run = Callable[..., dict[str, Any]]
CYCLE = [(True, True), (False, True), (True, False), (False, False)]  # check mode, and whether it changes something
HOUR, DAY = 3600, 86400

IDTOKEN = {
    "path": "token",
    "key_path": "POOL",
    "issuer": "pool.af.test",
    "identity": "alice@users.af.test",
    "scopes": ["READ", "WRITE"],
    "lifetime": HOUR,
}
MACAROON = {
    "path": "token",
    "secret_path": "secret",
    "location": "AF-ORIGIN",
    "activities": ["DOWNLOAD"],
    "prefix": "/store",
    "lifetime": HOUR,
}
SCITOKEN = {
    "path": "token",
    "key_path": "issuer.pem",
    "issuer": "https://tokens.af.test",
    "subject": "alice",
    "audience": ["https://xcache.af.test"],
    "scopes": ["storage.read:/store"],
    "lifetime": HOUR,
}
ISSUER = {"path": "made.pem", "jwks_path": "jwks"}
TOKENS = {"htcondor_idtoken": IDTOKEN, "xrootd_macaroon": MACAROON, "scitoken": SCITOKEN}
KEYS = {
    "htcondor_signing_key": {"path": "made"},
    "xrootd_macaroon_secret": {"path": "made"},
    "scitoken_issuer_key": ISSUER,
}
KEY_OPTION = {"htcondor_idtoken": "key_path", "xrootd_macaroon": "secret_path", "scitoken": "key_path"}
MINTERS = list(TOKENS.items())


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a key of each kind; the options' file names are of it."""
    for name, data in (
        ("POOL", _idtoken.generate_key()),
        ("secret", _macaroon.generate_secret()),
        ("issuer.pem", _scitoken.generate_key()),
    ):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def placed(here: Path, arguments: Arguments) -> Arguments:
    return {
        name: str(here / value) if name == "path" or name.endswith("_path") else value
        for name, value in arguments.items()
    }


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def no_secret_in(said: str, here: Path) -> None:
    # Tokens and keys are long words; ids of keys have 43 characters.
    assert not re.search(r"[A-Za-z0-9+/_-]{65,}|eyJ[A-Za-z0-9_-]{8,}|PRIVATE", said.replace(str(here), ""))


def cycle(run: Run, here: Path, module: str, arguments: Arguments) -> None:
    for check, changes in CYCLE:
        before = {path.name: path.read_bytes() for path in here.iterdir()}
        result = run(module, placed(here, arguments), check=check)
        assert not result.get("failed"), result
        assert result["changed"] is changes, (check, result)
        after = {path.name: path.read_bytes() for path in here.iterdir()}
        assert not check or before == after
        assert changes or before == after
        no_secret_in(result["said"], here)
    assert stat.S_IMODE((here / arguments["path"]).stat().st_mode) == 0o600


@pytest.mark.parametrize(("module", "arguments"), [*MINTERS, *KEYS.items()])
def test_made_once_as_predicted(module: str, arguments: Arguments, run: Run, here: Path) -> None:
    cycle(run, here, module, arguments)


CHANGES: list[tuple[str, Arguments]] = [
    ("htcondor_idtoken", {"scopes": ["READ"]}),
    ("htcondor_idtoken", {"identity": "bob@users.af.test"}),
    ("htcondor_idtoken", {"issuer": "other.af.test"}),
    ("htcondor_idtoken", {"lifetime": HOUR // 2}),
    ("xrootd_macaroon", {"prefix": "/store/data"}),
    ("xrootd_macaroon", {"activities": ["DOWNLOAD", "LIST"]}),
    ("xrootd_macaroon", {"name": "alice"}),
    ("xrootd_macaroon", {"lifetime": HOUR // 2}),
    ("scitoken", {"scopes": ["storage.read:/store/data"]}),
    ("scitoken", {"profile": "scitokens", "scopes": ["read:/store"]}),
    ("scitoken", {"audience": ["https://xcache.af.test", "https://origin.af.test"]}),
    ("scitoken", {"subject": "bob"}),
    ("scitoken", {"lifetime": HOUR // 2}),
]


@pytest.mark.parametrize(("module", "changed"), CHANGES)
def test_changed_as_predicted(module: str, changed: Arguments, run: Run, here: Path) -> None:
    run(module, placed(here, TOKENS[module]))
    cycle(run, here, module, {**TOKENS[module], **changed, "regenerate": "when_invalid"})


@pytest.mark.parametrize(("module", "arguments"), [*MINTERS, *KEYS.items()])
@pytest.mark.parametrize("content", [b"", b"x.y.z", b"\xff\x00"], ids=["empty", "garbage", "binary"])
def test_what_is_no_secret_is_replaced_only_on_demand(
    module: str, arguments: Arguments, content: bytes, run: Run, here: Path
) -> None:
    there = here / arguments["path"]
    write(there, content)
    for regenerate in ("fail", "never"):
        result = run(module, placed(here, {**arguments, "regenerate": regenerate}))
        assert there.read_bytes() == content
        # An issuer's key set cannot be published without a key.
        assert result.get("failed", False) is (regenerate == "fail" or module == "scitoken_issuer_key")
    assert "set regenerate to when_invalid" in run(module, placed(here, arguments))["msg"]
    cycle(run, here, module, {**arguments, "regenerate": "when_invalid"})


@pytest.mark.parametrize(("module", "arguments"), [*MINTERS, *KEYS.items()])
def test_a_wider_mode_is_put_right(module: str, arguments: Arguments, run: Run, here: Path) -> None:
    run(module, placed(here, arguments))
    (here / arguments["path"]).chmod(0o644)
    cycle(run, here, module, arguments)


@pytest.mark.parametrize(("module", "arguments"), [*MINTERS, *KEYS.items()])
def test_always_makes_a_new_one(module: str, arguments: Arguments, run: Run, here: Path) -> None:
    wanted = placed(here, {**arguments, "regenerate": "always"})
    made = set()
    for _round in range(2):
        assert run(module, wanted)["changed"]
        made.add((here / arguments["path"]).read_bytes())
    assert len(made) == 2


@pytest.mark.parametrize(("module", "arguments"), MINTERS)
def test_renewed_near_its_end_and_not_before(module: str, arguments: Arguments, run: Run, here: Path) -> None:
    run(module, placed(here, {**arguments, "lifetime": 700}))
    result = run(module, placed(here, {**arguments, "renew_before": 800}))
    assert result["changed"] and result["reason"].startswith("the token ends in ")
    assert not run(module, placed(here, {**arguments, "renew_before": 800}))["changed"]


@pytest.mark.parametrize(("module", "arguments"), MINTERS)
def test_an_expired_one_is_renewed_and_no_failure(module: str, arguments: Arguments, run: Run, here: Path) -> None:
    past = {"before": int(time.time()) - 60} if module == "xrootd_macaroon" else {"issued_at": int(time.time()) - 7200}
    asked = {name: value for name, value in arguments.items() if not (name == "lifetime" and "before" in past)}
    first = run(module, placed(here, {**asked, **past}))
    assert first["expires_at"] < time.time()
    # Asked for as it is, it is kept.
    assert not run(module, placed(here, {**asked, **past}))["changed"]
    renewed = run(module, placed(here, arguments))
    assert renewed["changed"] and renewed["expires_at"] > time.time()


@pytest.mark.parametrize(("module", "arguments"), MINTERS)
def test_a_token_of_another_key_is_not_taken_for_ours(module: str, arguments: Arguments, run: Run, here: Path) -> None:
    run(module, placed(here, arguments))
    write(
        here / arguments[KEY_OPTION[module]],
        {
            "htcondor_idtoken": _idtoken.generate_key,
            "xrootd_macaroon": _macaroon.generate_secret,
            "scitoken": _scitoken.generate_key,
        }[module](),
    )
    assert run(module, placed(here, arguments))["failed"]
    cycle(run, here, module, {**arguments, "regenerate": "when_invalid"})


@pytest.mark.parametrize(("module", "arguments"), MINTERS)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_key_that_others_can_use_is_refused(
    module: str, arguments: Arguments, mode: int, run: Run, here: Path
) -> None:
    key = here / arguments[KEY_OPTION[module]]
    key.chmod(mode)
    result = run(module, placed(here, arguments))
    assert result["failed"]
    assert f"{KEY_OPTION[module]} {key} has mode {mode:04o}" in result["msg"]
    assert f"chmod 0600 {key}" in result["msg"]
    assert not (here / "token").exists()


@pytest.mark.parametrize(("module", "arguments"), MINTERS)
def test_check_mode_needs_nothing_that_an_earlier_task_makes(
    module: str, arguments: Arguments, run: Run, here: Path
) -> None:
    (here / arguments[KEY_OPTION[module]]).unlink()
    assert run(module, placed(here, arguments), check=True)["reason"] == "the key is not there yet"
    result = run(module, placed(here, arguments))
    assert result["failed"] and f"set {KEY_OPTION[module]} to" in result["msg"]


EVIL_PATHS = [
    "store",
    "/store/../etc",
    "/store/..",
    "/../store",
    "/store/./x",
    "/store//x",
    "//store",
    "/store%2F..",
    "/store%2e%2e/x",
    "/sto\u0301re",
    "/store\u2025/x",
    "/\uff0e\uff0e/x",
    "/store\u2215x",
    "/store\n",
    "/store x",
    "/store\\..",
    "",
]
BAD: list[tuple[str, Arguments, str]] = [
    *((module, {"lifetime": 0}, "lifetime 0 is not a positive number") for module in TOKENS),
    *((module, {"lifetime": -1}, "lifetime -1 is not a positive number") for module in TOKENS),
    *((module, {"renew_before": HOUR}, "is not less than lifetime") for module in TOKENS),
    *((module, {"renew_before": -1}, "renew_before -1 is negative") for module in TOKENS),
    *((module, {KEY_OPTION[module]: "."}, "Is a directory") for module in TOKENS),
    ("htcondor_idtoken", {"lifetime": 400 * DAY + 1}, "400 days"),
    ("htcondor_idtoken", {"identity": "alice"}, "user@domain"),
    ("htcondor_idtoken", {"identity": "alice@"}, "user@domain"),
    ("htcondor_idtoken", {"scopes": ["read"]}, "authorization level"),
    ("htcondor_idtoken", {"scopes": []}, "scopes is empty"),
    ("htcondor_idtoken", {"issued_at": int(time.time()) + HOUR}, "in the future by this host's clock"),
    ("xrootd_macaroon", {"lifetime": DAY + 60}, "set lifetime_max to the server's macaroons.maxduration"),
    ("xrootd_macaroon", {"lifetime": 10**15}, "lifetime"),
    ("xrootd_macaroon", {"lifetime": HOUR, "lifetime_max": HOUR - 60}, "lifetime_max 3540"),
    ("xrootd_macaroon", {"activities": ["DOWNLOAD", "EVERYTHING"]}, "are not some of DOWNLOAD"),
    ("xrootd_macaroon", {"activities": []}, "are not some of DOWNLOAD"),
    *(("xrootd_macaroon", {"prefix": path}, "the path") for path in EVIL_PATHS),
    ("scitoken", {"lifetime": 6 * HOUR + 1}, "6 hours"),
    ("scitoken", {"issuer": "http://tokens.af.test"}, "https URL"),
    ("scitoken", {"audience": []}, "audience is empty"),
    ("scitoken", {"scopes": []}, "scopes is empty"),
    ("scitoken", {"scopes": ["read:/store"]}, "is not of profile wlcg"),
    ("scitoken", {"scopes": ["storage.read:/ storage.modify:/"]}, "characters"),
    ("scitoken", {"subject": "al ice"}, "subject"),
    ("scitoken", {"issued_at": int(time.time()) + HOUR}, "in the future by this host's clock"),
    *(("scitoken", {"scopes": ["storage.read:" + path]}, "scope") for path in EVIL_PATHS),
]


@pytest.mark.parametrize(("module", "changed", "words"), BAD)
def test_bad_input_is_refused_and_the_old_token_stays(
    module: str, changed: Arguments, words: str, run: Run, here: Path
) -> None:
    run(module, placed(here, TOKENS[module]))
    before = (here / "token").read_bytes()
    for regenerate in ("when_invalid", "always"):
        result = run(module, placed(here, {**TOKENS[module], **changed, "regenerate": regenerate}))
        assert result.get("failed") and words in result["msg"], result
        no_secret_in(result["said"].replace(json.dumps(changed), ""), here)
        assert (here / "token").read_bytes() == before


@pytest.mark.parametrize(
    ("module", "data", "words"),
    [
        ("htcondor_idtoken", bytes(31), "31 bytes, at least 32"),
        ("xrootd_macaroon", base64.b64encode(bytes(31)), "31 bytes, XRootD wants 32"),
        ("xrootd_macaroon", b"%%%", "not base64"),
        ("scitoken", b"-----BEGIN PRIVATE KEY-----\n", "no private key in PEM"),
        ("scitoken", b"", "no private key in PEM"),
    ],
)
def test_a_key_of_wrong_length_or_form_is_refused(module: str, data: bytes, words: str, run: Run, here: Path) -> None:
    run(module, placed(here, TOKENS[module]))
    before = (here / "token").read_bytes()
    write(here / TOKENS[module][KEY_OPTION[module]], data)
    result = run(module, placed(here, {**TOKENS[module], "regenerate": "always"}))
    assert result["failed"] and words in result["msg"]
    assert (here / "token").read_bytes() == before


@pytest.mark.parametrize("module", ["htcondor_idtoken", "scitoken"])
@pytest.mark.parametrize(("ahead", "refused"), [(HOUR, True), (310, True), (240, False)])
def test_a_token_from_the_future_means_that_a_clock_is_wrong(
    module: str, ahead: int, refused: bool, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + ahead)
    assert run(module, placed(here, TOKENS[module]))["changed"]
    monkeypatch.setattr(time, "time", really)
    before = (here / "token").read_bytes()
    for regenerate in ("fail", "when_invalid"):
        result = run(module, placed(here, {**TOKENS[module], "regenerate": regenerate}))
        assert result.get("failed", False) is refused
        assert not refused or "Set the clock of this host right" in result["msg"]
        assert not result.get("changed"), "a loop of renewals"
    assert not run(module, placed(here, {**TOKENS[module], "regenerate": "never"}))["changed"]
    assert (here / "token").read_bytes() == before


def test_a_clock_that_was_behind_makes_no_loop_of_macaroons(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("xrootd_macaroon", placed(here, MACAROON))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 240)
    assert not run("xrootd_macaroon", placed(here, MACAROON))["changed"]


def test_retired_keys_stay_for_the_overlap(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = placed(here, {**ISSUER, "overlap": 1000})
    first = run("scitoken_issuer_key", wanted)
    token = placed(here, {**SCITOKEN, "key_path": "made.pem"})
    run("scitoken", token)
    (here / "made.pem").unlink()
    second = run("scitoken_issuer_key", wanted)
    assert second["changed"] and second["key_id"] != first["key_id"]
    end = second["retired"][first["key_id"]]
    assert abs(end - time.time() - 1000) < 60
    told = {"path": token["path"], "jwks_path": wanted["jwks_path"]}
    assert run("scitoken_info", told)["valid"]
    # Until then it is not touched again, also not by a longer overlap; then it goes.
    assert not run("scitoken_issuer_key", {**wanted, "overlap": 5000})["changed"]
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 1001)
    third = run("scitoken_issuer_key", wanted)
    assert third["changed"] and third["retired"] == {}
    result = run("scitoken_info", told)
    assert result["signature_good"] is False and "not in the key set" in result["problem"]


def test_no_overlap_drops_a_key_at_once(run: Run, here: Path) -> None:
    first = run("scitoken_issuer_key", placed(here, ISSUER))
    result = run("scitoken_issuer_key", placed(here, {**ISSUER, "regenerate": "always", "overlap": 0}))
    assert result["retired"] == {}
    assert first["key_id"] not in (here / "jwks").read_text(encoding="utf-8")


def test_a_key_is_published_before_it_signs(run: Run, here: Path) -> None:
    first = run("scitoken_issuer_key", placed(here, ISSUER))
    ahead = {**ISSUER, "next_path": "next.pem"}
    cycle(run, here, "scitoken_issuer_key", ahead)
    assert stat.S_IMODE((here / "next.pem").stat().st_mode) == 0o600
    both = run("scitoken_issuer_key", placed(here, ahead))
    assert both["key_id"] == first["key_id"] != both["next_key_id"] and both["retired"] == {}
    told = placed(here, {"path": "token", "jwks_path": "jwks"})
    for key in ("made.pem", "next.pem"):
        run("scitoken", placed(here, {**SCITOKEN, "key_path": key, "regenerate": "always"}))
        assert run("scitoken_info", told)["valid"]
    (here / "next.pem").replace(here / "made.pem")
    after = run("scitoken_issuer_key", placed(here, ISSUER))
    assert after["key_id"] == both["next_key_id"] and list(after["retired"]) == [first["key_id"]]
    assert run("scitoken_info", told)["valid"]


@pytest.mark.parametrize("content", [b"nonsense", None])
def test_a_next_key_of_no_use_is_refused_and_kept(content: bytes | None, run: Run, here: Path) -> None:
    run("scitoken_issuer_key", placed(here, ISSUER))
    write(here / "next.pem", content or (here / "made.pem").read_bytes())
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    result = run("scitoken_issuer_key", placed(here, {**ISSUER, "next_path": "next.pem"}))
    assert result["failed"] and "next_path" in result["msg"] and "Remove that file" in result["msg"]
    assert before == {path.name: path.read_bytes() for path in here.iterdir()}


def test_a_key_set_that_cannot_be_read_is_not_overwritten(run: Run, here: Path) -> None:
    write(here / "jwks", b"{", 0o644)
    result = run("scitoken_issuer_key", placed(here, ISSUER))
    assert result["failed"] and "jwks_path" in result["msg"] and not (here / "made.pem").exists()
    assert (here / "jwks").read_bytes() == b"{"
    cycle(run, here, "scitoken_issuer_key", {**ISSUER, "regenerate": "when_invalid"})


def test_public_files_are_for_all_and_point_to_each_other(run: Run, here: Path) -> None:
    issuer = "https://tokens.af.test"
    wanted = {**ISSUER, "configuration_path": "configuration", "issuer": issuer}
    cycle(run, here, "scitoken_issuer_key", wanted)
    assert json.loads((here / "configuration").read_bytes())["jwks_uri"] == issuer + "/jwks"
    for name in ("jwks", "configuration"):
        assert stat.S_IMODE((here / name).stat().st_mode) == 0o644
    (here / "jwks").chmod(0o600)
    assert run("scitoken_issuer_key", placed(here, wanted), check=True)["changed"]
    assert run("scitoken_issuer_key", placed(here, wanted))["changed"]
    assert not run("scitoken_issuer_key", placed(here, wanted))["changed"]


def test_another_library_takes_the_token_by_the_published_keys(run: Run, here: Path) -> None:
    run("scitoken_issuer_key", placed(here, ISSUER))
    run("scitoken", placed(here, {**SCITOKEN, "key_path": "made.pem"}))
    token = (here / "token").read_text(encoding="utf-8").strip()
    keys = jwt.PyJWKSet.from_json((here / "jwks").read_text(encoding="utf-8"))
    key = keys[jwt.get_unverified_header(token)["kid"]].key
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="https://xcache.af.test", issuer=SCITOKEN["issuer"])
    assert claims["scope"] == "storage.read:/store" and claims["wlcg.ver"] == "1.0"


INFOS = [
    ("htcondor_idtoken", "htcondor_idtoken_info", {"key_path": "POOL"}),
    ("xrootd_macaroon", "xrootd_macaroon_info", {"secret_path": "secret"}),
    ("scitoken", "scitoken_info", {"jwks_path": "jwks"}),
]


@pytest.mark.parametrize(("minter", "module", "key"), INFOS)
def test_info_tells_all_but_the_token(minter: str, module: str, key: Arguments, run: Run, here: Path) -> None:
    wanted = placed(here, {"path": "token", **key})
    assert run(module, wanted)["present"] is False
    pem = (here / "issuer.pem").read_bytes()
    write(here / "jwks", _scitoken.published([_scitoken.public_jwk(_scitoken.load_key(pem))]), 0o644)
    made = run(minter, placed(here, TOKENS[minter]))
    for check in (True, False):
        result = run(module, wanted, check=check)
        assert result["present"] and result["signature_good"] and not result["changed"]
        assert result["expires_at"] == made["expires_at"]
        assert HOUR - 60 < result["seconds_left"] <= HOUR
        no_secret_in(result["said"], here)
        assert (here / "token").read_text(encoding="utf-8").strip() not in result["said"]
    unchecked = run(module, placed(here, {"path": "token"}))
    assert unchecked["present"] and "signature_good" not in unchecked
    write(here / "POOL", _idtoken.generate_key())
    write(here / "secret", _macaroon.generate_secret())
    write(here / "jwks", b'{"keys": []}', 0o644)
    other = run(module, wanted)
    assert other["signature_good"] is False and other["problem"]
    write(here / "token", b"nonsense")
    assert run(module, wanted)["failed"]


def test_info_of_a_scitoken_says_why_a_service_would_refuse_it(run: Run, here: Path) -> None:
    run("scitoken_issuer_key", placed(here, ISSUER))
    run("scitoken", placed(here, {**SCITOKEN, "key_path": "made.pem", "issued_at": int(time.time()) - 2 * HOUR}))
    wanted = placed(here, {"path": "token", "jwks_path": "jwks"})
    result = run("scitoken_info", wanted)
    assert result["signature_good"] and not result["valid"] and "has ended" in result["problem"]
    assert result["seconds_left"] < 0
    result = run("scitoken_info", {**wanted, "issuer": "https://other.af.test"})
    assert result["signature_good"] and not result["valid"] and "issuer" in result["problem"]


def test_owner_of_a_file_that_is_there_is_kept(run: Run, here: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to give a file away")
    run("htcondor_idtoken", placed(here, IDTOKEN))
    os.chown(here / "token", 9940, 9940)
    run("htcondor_idtoken", placed(here, {**IDTOKEN, "regenerate": "always"}))
    assert (here / "token").stat().st_uid == 9940
