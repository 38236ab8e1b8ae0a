# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Macaroons, with pymacaroons as the second opinion."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

import pymacaroons
import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils import _macaroon
from ansible_collections.cmsaf.facility.plugins.module_utils._macaroon import MacaroonError

BEFORE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.fixture(name="secret")
def _secret() -> bytes:
    return _macaroon.generate_secret()


def mint(secret: bytes, **changes: object) -> str:
    wanted: dict[str, object] = {
        "location": "SITE-XCACHE",
        "name": "alice",
        "activities": ("DOWNLOAD", "READ_METADATA"),
        "path": "/store",
        "before": BEFORE,
    }
    return _macaroon.mint(secret=secret, **{**wanted, **changes})


def test_another_library_takes_it(secret: bytes) -> None:
    token = mint(secret)
    theirs = pymacaroons.Macaroon.deserialize(token)
    assert theirs.location == "SITE-XCACHE"
    assert theirs.version == 1
    checker = pymacaroons.Verifier()
    caveats = [
        "name:alice",
        "activity:DOWNLOAD,READ_METADATA",
        "path:/store",
        "before:2030-01-02T03:04:05Z",
    ]
    for caveat in caveats:
        checker.satisfy_exact(caveat)
    assert checker.verify(theirs, base64.b64decode(secret))
    assert [caveat.caveat_id for caveat in theirs.caveats] == caveats


def test_same_bytes_as_another_library(secret: bytes) -> None:
    token = mint(secret)
    theirs = pymacaroons.Macaroon(
        location="SITE-XCACHE",
        identifier=_macaroon.parse(token).identifier,
        key=base64.b64decode(secret),
    )
    for caveat in pymacaroons.Macaroon.deserialize(token).caveats:
        theirs.add_first_party_caveat(caveat.caveat_id)
    assert theirs.serialize().rstrip("=") == token


def test_reads_what_it_made(secret: bytes) -> None:
    found = _macaroon.verify(mint(secret), secret)
    assert found == _macaroon.Macaroon(
        location="SITE-XCACHE",
        identifier=found.identifier,
        name="alice",
        activities=("DOWNLOAD", "READ_METADATA"),
        path="/store",
        before=BEFORE,
    )
    assert found.seconds_left(BEFORE - timedelta(seconds=90)) == 90


def test_no_name_no_caveat(secret: bytes) -> None:
    token = mint(secret, name="")
    caveats = [caveat.caveat_id for caveat in pymacaroons.Macaroon.deserialize(token).caveats]
    assert not any(caveat.startswith("name:") for caveat in caveats)
    assert _macaroon.parse(token).name == ""


def test_time_zone_becomes_utc(secret: bytes) -> None:
    local = BEFORE.astimezone(timezone(timedelta(hours=5)))
    assert _macaroon.parse(mint(secret, before=local)).before == BEFORE


def test_other_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(MacaroonError, match="not made with this secret"):
        _macaroon.verify(mint(secret), _macaroon.generate_secret())


def test_changed_caveat_is_refused(secret: bytes) -> None:
    raw = base64.urlsafe_b64decode(mint(secret) + "==")
    forged = base64.urlsafe_b64encode(raw.replace(b"alice", b"mallo")).decode()
    with pytest.raises(MacaroonError, match="not made with this secret"):
        _macaroon.verify(forged, secret)


def narrowed(secret: bytes, *caveats: str) -> str:
    theirs = pymacaroons.Macaroon.deserialize(mint(secret))
    for caveat in caveats:
        theirs.add_first_party_caveat(caveat)
    return theirs.serialize()


def test_later_caveats_narrow(secret: bytes) -> None:
    token = narrowed(secret, "path:/store/data", "activity:DOWNLOAD", "before:2029-01-01T00:00:00Z")
    found = _macaroon.verify(token, secret)
    assert (found.path, found.activities) == ("/store/data", ("DOWNLOAD",))
    assert found.expires_at == datetime(2029, 1, 1, tzinfo=timezone.utc).timestamp()
    later = _macaroon.verify(narrowed(secret, "before:2040-01-01T00:00:00Z"), secret)
    assert later.before == BEFORE


@pytest.mark.parametrize(
    ("caveat", "word"),
    [
        ("path:/", "outside"),
        ("path:/storehouse", "outside"),
        ("path:/other", "outside"),
        ("activity:UPLOAD", "are more than"),
        ("activity:DOWNLOAD,DELETE", "are more than"),
        ("name:bob", "two names"),
        ("gateway:any", "does not know: gateway"),
        ("nonsense", "not a macaroon"),
        ("before:never", "not a macaroon"),
    ],
)
def test_caveats_that_widen_are_refused(secret: bytes, caveat: str, word: str) -> None:
    with pytest.raises(MacaroonError, match=word):
        _macaroon.verify(narrowed(secret, caveat), secret)


@pytest.mark.parametrize("token", ["", "x", "!!!", "AAAA", "MDAxY2xvY2F0aW9u", "a.b.c"])
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(MacaroonError, match="not a macaroon"):
        _macaroon.parse(token)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"location": ""}, "location"),
        ({"location": "SITE\n"}, "location"),
        ({"name": "al ice"}, "name"),
        ({"name": "alice\ncid path:/"}, "name"),
        ({"activities": ()}, "activities"),
        ({"activities": ("READ",)}, "activities"),
        ({"path": ""}, "path"),
        ({"path": "store"}, "path"),
        ({"path": "/store/../etc"}, "shortest form"),
        ({"path": "/store/./etc"}, "shortest form"),
        ({"path": "/store//etc"}, "shortest form"),
        ({"path": "//store"}, "shortest form"),
        ({"path": "/store//"}, "shortest form"),
        ({"path": "/store%2f..%2fetc"}, "characters"),
        ({"path": "/st\u00f6re"}, "characters"),
        ({"path": "/store\u2024\u2024/etc"}, "characters"),
        ({"path": "/store\n"}, "path"),
        ({"before": datetime(2030, 1, 1)}, "time zone"),
        ({"path": "/" + "a" * 70000}, "longer"),
    ],
)
def test_refuses_what_would_not_restrict(secret: bytes, changes: dict[str, object], word: str) -> None:
    with pytest.raises(MacaroonError, match=word):
        mint(secret, **changes)


@pytest.mark.parametrize(("secret", "word"), [(b"%%%", "base64"), (base64.b64encode(b"x" * 31), "31 bytes")])
def test_refuses_bad_secrets(secret: bytes, word: str) -> None:
    with pytest.raises(MacaroonError, match=word):
        mint(secret)


@pytest.mark.parametrize("path", ["/", "/store", "/store/", "/store/user/a@b"])
def test_paths_that_have_one_reading_are_taken(secret: bytes, path: str) -> None:
    assert _macaroon.parse(mint(secret, path=path)).path == path


def test_secret_in_lines_as_openssl_writes_it() -> None:
    raw = bytes(range(64))
    assert _macaroon.decode_secret(base64.encodebytes(raw)) == raw
