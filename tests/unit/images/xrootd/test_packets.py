# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Packets that XRootD 6.2.0 has sent, and what is none.

The files in packets/ are from caches with and without https and from an origin, configured by role xcache; hosts are named
anew. A file of 20 MiB was read whole, twice, and 32 KiB of each of another one's blocks; then bad tokens were shown.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from cmsaf_metrics.packets import Access, PacketError, read_stream, read_summary

PACKETS = Path(__file__).parent / "packets"
SUMMARIES = sorted(PACKETS.glob("*.xml"))
STREAMS = sorted(PACKETS.glob("*.json"))
MIB = 1 << 20
HEADER = b'{"code":"g","pseq":1,"stod":1764000000,"sid":1,"gs":{"type":"C","tbeg":1,"tend":1}}\n'
RECORD = {"event": "file_close", "b_hit": 1, "b_miss": 2, "b_bypass": 3, "b_todisk": 4, "n_cks_errs": 5}


def record(**changed: object) -> bytes:
    return json.dumps({**RECORD, **changed}).encode() + b"\n"


def test_there_are_packets() -> None:
    assert len(SUMMARIES) == len(STREAMS) == 3


@pytest.mark.parametrize(
    ("name", "sequence", "access"),
    [
        # XRootD takes for a hit what is in memory when it is asked for, though it was fetched for this client.
        ("cold", 1, Access(hit=19660800, miss=1310720, bypass=0, stored=20 * MIB, checksum_errors=0)),
        ("hot", 2, Access(hit=20 * MIB, miss=0, bypass=0, stored=0, checksum_errors=0)),
        ("columns", 3, Access(hit=0, miss=20 * 32 * 1024, bypass=0, stored=20 * MIB, checksum_errors=0)),
    ],
)
def test_what_a_reading_leaves_behind(name: str, sequence: int, access: Access) -> None:
    stream = read_stream((PACKETS / f"{name}.json").read_bytes())
    assert (stream.sequence, stream.accesses, stream.unreadable) == (sequence, (access,), 0)


def test_what_the_summary_tells() -> None:
    values = read_summary((PACKETS / "cache-https.xml").read_bytes())
    told = {
        "pgm": "xrootd",
        "link.tot": "16",
        "link.out": "64273031",
        "xrootd.ops.open": "12",
        "xrootd.err": "6",
        "xrootd.lgn.num": "11",
        "xrootd.lgn.af": "3",
        "xrootd.lgn.au": "7",
        "pss.open": "5",
        "pss.open.errs": "2",
        "ofs.tpc.err": "0",
        "http_plugin.request.GET": "5",
        "http_plugin.response.http_403": "4",
    }
    assert {name: values[name] for name in told} == told


def test_the_summary_has_nothing_of_what_the_stream_has() -> None:
    # Else the stream would not be needed.
    values = read_summary((PACKETS / "cache-https.xml").read_bytes())
    assert {
        value for name, value in values.items() if name.startswith(("cache.rd.", "cache.pass", "cache.store."))
    } == {"0"}


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_a_summary_has_what_the_others_have(path: Path) -> None:
    values = read_summary(path.read_bytes())
    assert values["ver"] == "v6.2.0"
    assert values["site"] == ("BENCH-ORIGIN" if path.stem == "origin" else "BENCH-XCACHE")
    for name in ("tod", "tos", "link.num", "link.out", "ofs.opr", "sched.idle", "xrootd.ops.open", "xrootd.lgn.af"):
        assert values[name].isdecimal(), name


@pytest.mark.parametrize("path", [*SUMMARIES, *STREAMS], ids=lambda path: path.name)
def test_what_is_cut_off_is_refused_or_is_less(path: Path) -> None:
    packet = path.read_bytes().rstrip(b"\0\n")
    whole = read_stream(packet) if path.suffix == ".json" else None
    for end in range(len(packet)):
        if whole is None:
            with pytest.raises(PacketError):
                read_summary(packet[:end])
            continue
        try:
            part = read_stream(packet[:end])
        except PacketError:
            continue
        assert part.accesses == whole.accesses[: len(part.accesses)]
        assert part.unreadable <= 1


@pytest.mark.parametrize("path", [*SUMMARIES, *STREAMS], ids=lambda path: path.name)
def test_what_is_changed_in_a_place_raises_nothing_else(path: Path) -> None:
    packet = path.read_bytes()
    dice = random.Random(2020)
    read = read_stream if path.suffix == ".json" else read_summary
    for _ in range(2000):
        changed = bytearray(packet)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(changed))
            changed[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
        try:
            read(bytes(changed))
        except PacketError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("packet", "wrong"),
    [
        (b"", "cut off"),
        (b"link.in=5&link.out=7", "cut off"),
        (b"<statistics></statistics>", "cut off"),
        (b'<statistics tod="1"/>', "cut off"),
        (b'<!DOCTYPE s [<!ENTITY a "aaa">]><statistics tod="1">&a;</statistics>', "not a tag"),
        (b'<statistics tod="1"><stats id="link"><in>5</out></stats></statistics>', "</out> ends"),
        (b'<statistics tod="1"></statistics></statistics>', "</statistics> ends"),
        (b'<statistics tod="1"></statistics><statistics tod="2"></statistics>', "<statistics> in the place"),
        (b'<stats id="link"><in>5</in></stats>', "<stats> in the place"),
        (b'<statistics tod="1">' + b"<a>" * 20 + b"</a>" * 20 + b"</statistics>", "more than 16"),
        (b'<statistics tod="\xff"></statistics>', "no text"),
    ],
)
def test_no_summary(packet: bytes, wrong: str) -> None:
    with pytest.raises(PacketError, match=re.escape(wrong)):
        read_summary(packet)


@pytest.mark.parametrize(
    ("packet", "wrong"),
    [
        (b"", "no JSON"),
        (b"\0", "no JSON"),
        (b"[]", "no object"),
        (b"[" * 60000, "no JSON"),
        (b'{"code":"=","pseq":1,"stod":1}', "no header"),
        (record(), "no header"),
        (b'{"code":"g","pseq":"1","stod":1}', "stod, pseq are"),
        (b'{"code":"g","pseq":true,"stod":1}', "stod, pseq are"),
        (b'{"code":"g","pseq":-1,"stod":1}', "stod, pseq are"),
        (b'{"code":"g","stod":1}', "stod, pseq are"),
        (b'{"code":"g","pseq":1,"stod":' + b"9" * 5000 + b"}", "no JSON"),
        (b"\xff" + HEADER, "no text"),
    ],
)
def test_no_stream(packet: bytes, wrong: str) -> None:
    with pytest.raises(PacketError, match=re.escape(wrong)):
        read_stream(packet)


@pytest.mark.parametrize(
    "bad",
    [
        record(b_hit=-1),
        record(b_hit="1"),
        record(b_hit=1.5),
        record(b_hit=None),
        record(b_hit=True),
        record(b_hit=2**63),
        b'{"event":"file_close"}\n',
        b'{"event":"file_close","lfn":"/a"b","b_hit":1}\n',
        b"7\n",
        b"{\n",
    ],
)
def test_a_bad_record_leaves_the_others(bad: bytes) -> None:
    stream = read_stream(HEADER + record() + bad + record(event="other") + record(b_hit=9) + b"\0")
    assert stream.accesses == (Access(1, 2, 3, 4, 5), Access(9, 2, 3, 4, 5))
    assert stream.unreadable == 1
