# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a reader from its data is made for real, and the verification says what it is (make soak TARGET=cache)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles/verify/files/cmsaf_verify"))
from causes import Seen, find
from lab import CACHE, MIB, ORIGIN, SERVER, USER, run
from watched import Watched

FILES = [f"/store/some/{number:03}" for number in range(4)]
IDENTITY = "etc/xrootd/origin/token"


class Asked(Watched):
    """A cache whose reader is asked what it was told."""

    # Nobody waits here.
    patience: Mapping[str, str] = {"XRD_CONNECTIONWINDOW": "3", "XRD_CONNECTIONRETRY": "1"}

    def said(self, token: str = "cache", ready: str = "1/1") -> str:
        """What it is that a reader by this token comes upon, by the cache's log of that time."""
        before = self.log("cache").stat().st_size
        reading = self.reading(FILES[:1], token=f"/user/{token}").end()
        self.settled()
        log = self.log("cache").read_bytes()[before:].decode(errors="replace")
        found = find(Seen(said="; ".join(reading.errors), log=log, ready=ready))
        self.say(f"{reading.errors}", it_is=found.title if found else "nothing")
        return found.title if found else ""


@pytest.fixture(scope="module")
def lab() -> Iterator[Asked]:
    place = Asked(Path(os.environ["CACHE_LAB_ROOT"]), Path(os.environ["CACHE_LAB_CONFIG"]), 0)
    place.prepare([("some", len(FILES), 4 * MIB)])
    place.start("origin")
    yield place
    place.report("causes")


@pytest.fixture(autouse=True)
def identity(lab: Asked) -> None:
    """The cache's own token, which is good."""
    lab.token(ORIGIN, lab.root / IDENTITY, SERVER)
    lab.fresh()


def test_nothing_is_wrong(lab: Asked) -> None:
    assert lab.said() == ""


def test_the_cache_refuses_a_token(lab: Asked) -> None:
    lab.token(CACHE, lab.root / "user/ended", USER, seconds=-60)
    assert lab.said("ended") == "The cache refuses the token"
    assert lab.said("origin") == "The cache refuses the token"


def test_a_token_is_for_another_path(lab: Asked) -> None:
    lab.token(CACHE, lab.root / "user/other", USER, prefix="/store/other")
    assert lab.said("other") == "The token is not good for this path"


def test_the_origin_refuses_the_cache(lab: Asked) -> None:
    lab.token(ORIGIN, lab.root / IDENTITY, SERVER, seconds=-60)
    lab.fresh()
    assert lab.said() == "The origin refuses the cache's identity"
    (lab.root / IDENTITY).unlink()
    lab.fresh()
    assert lab.said() == "The origin refuses the cache's identity"


def test_the_origin_does_not_let_the_cache_read_a_path(lab: Asked) -> None:
    lab.token(ORIGIN, lab.root / IDENTITY, SERVER, prefix="/store/other")
    lab.fresh()
    assert lab.said() == "The origin does not let the cache read this path"


def test_the_origin_is_down(lab: Asked) -> None:
    lab.fresh(environ={"XRD_CONNECTIONRETRY": "1"})
    lab.relay.refuse()
    try:
        assert lab.said() == "The origin is down"
    finally:
        lab.relay.accept()


def test_no_origin_has_a_file(lab: Asked) -> None:
    found = find(Seen(said=lab.copied("/store/some/none"), ready="1/1"))
    assert found and found.title == "No origin has this file"


def test_bytes_changed_on_the_disk(lab: Asked) -> None:
    assert lab.said() == ""
    link = lab.root / f"cache/0/facility/namespace{FILES[0]}"
    with (lab.root / os.readlink(link).lstrip("/")).open("r+b") as file:
        (byte,) = file.read(1)
        file.seek(0)
        file.write(bytes([byte ^ 1]))
    lab.stop("cache")
    lab.start("cache")
    assert lab.said() == "Bytes have changed on a cache's disk"


def test_a_disk_is_full(lab: Asked) -> None:
    lab.stop("cache")
    disk = lab.root / "cache/0"
    run("mount", "-t", "tmpfs", "-o", "size=32m", "none", str(disk))
    try:
        lab.fresh()
        with (disk / "others").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(MIB))
        assert lab.said() == "A cache's disk is full, so it keeps nothing"
        lab.stop("cache")
        with pytest.raises(RuntimeError, match="does not start"):
            lab.start("cache")
        log = lab.log("cache").read_text(errors="replace")
        found = find(Seen(said="[FATAL] Connection error", log=log, ready="0/1"))
        assert found and found.title == "A cache does not start, as nothing is left of its disk"
    finally:
        if "cache" in lab.running:
            lab.stop("cache")
        run("umount", str(disk))


def test_the_cache_is_down(lab: Asked) -> None:
    lab.stop("cache")
    assert lab.said(ready="0/1") == "A cache is down"
    assert lab.said(ready="1/1") == "The cache is not reached"
