# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus gets for XRootD's packets."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from cmsaf_metrics.metrics import METRICS, Disk, Everything
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

PACKETS = Path(__file__).parent / "packets"
CACHE, HTTPS, ORIGIN = (PACKETS / f"{name}.xml" for name in ("cache", "cache-https", "origin"))
COLD, HOT, COLUMNS = (PACKETS / f"{name}.json" for name in ("cold", "hot", "columns"))
MIB = 1 << 20


def text(everything: Everything) -> str:
    registry = CollectorRegistry()
    registry.register(everything)
    return generate_latest(registry).decode()


def said(everything: Everything) -> dict[str, float]:
    """By name and labels, as they are scraped."""
    found = {}
    for family in text_string_to_metric_families(text(everything)):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def numbered(sequence: int, start: int = 1764000000) -> bytes:
    """The recorded packet under another number, of another start."""
    packet = re.sub(rb'"pseq": *\d+', b'"pseq":%3d' % sequence, COLD.read_bytes())
    return re.sub(rb'"stod":\d+', b'"stod":%d' % start, packet)


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def cache(clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Everything:
    # Others write to this machine's disk meanwhile.
    space = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: space)
    disk = Disk(str(tmp_path), "/var/cache/xcache")
    return Everything([disk], cache=True, low=0.5, high=0.75, clock=lambda: clock[0])


def test_a_cache_says_all_that_is_described(cache: Everything) -> None:
    for path in (HTTPS, COLD, HOT):
        assert cache.take(path.read_bytes()) == ""
    assert {name.partition("{")[0] for name in said(cache)} == set(METRICS)


def test_types_and_descriptions(cache: Everything) -> None:
    assert cache.take(HTTPS.read_bytes()) == ""
    for name, metric in METRICS.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        assert f"# TYPE {name} {kind}\n" in text(cache)
        assert f"# HELP {name} {metric.says}\n" in text(cache)


def test_before_there_is_anything(cache: Everything) -> None:
    found = said(cache)
    assert found["xrootd_up"] == 0
    # From the start, so that the first file shows in a rate.
    assert found['xcache_read_bytes_total{kind="hit"}'] == found["xcache_origin_bytes_total"] == 0
    assert "xrootd_sent_bytes_total" not in found


def test_what_a_silent_server_said_is_not_said_again(cache: Everything, clock: list[float]) -> None:
    cache.take(CACHE.read_bytes())
    cache.take(COLD.read_bytes())
    before = said(cache)
    clock[0] += 30
    assert said(cache) == before
    clock[0] += 1
    after = said(cache)
    assert after["xrootd_up"] == 0
    assert {name for name in before if name not in after} == {
        name for name in before if METRICS[name.partition("{")[0]].summary or name.startswith("xrootd_info")
    }
    cache.take(CACHE.read_bytes())
    assert said(cache)["xrootd_up"] == 1


def test_an_origin_says_nothing_of_a_cache(tmp_path: Path) -> None:
    origin = Everything([Disk(str(tmp_path), "/data")], cache=False)
    assert origin.take(ORIGIN.read_bytes()) == ""
    found = said(origin)
    assert found["xrootd_up"] == 1 and found["xrootd_sent_bytes_total"] == 41985554
    assert not [name for name in found if name.startswith("xcache_")]


def test_names_of_files_go_no_further(cache: Everything) -> None:
    lfns = re.findall(r'"lfn":"([^"]+)"', COLD.read_text() + HOT.read_text())
    for path in (CACHE, COLD, HOT):
        cache.take(path.read_bytes())
    assert lfns and not [lfn for lfn in lfns if lfn in text(cache)]


@pytest.mark.parametrize(
    ("packets", "lost"),
    [
        ([numbered(1), numbered(2)], 0),
        # What was sent before this program began is none of its own.
        ([numbered(500)], 0),
        ([numbered(1), numbered(5)], 3),
        ([numbered(999), numbered(0)], 0),
        ([numbered(998), numbered(1)], 2),
        ([numbered(700), numbered(1, start=1764009999)], 0),
    ],
)
def test_lost_packets_are_counted(cache: Everything, packets: list[bytes], lost: int) -> None:
    assert [cache.take(packet) for packet in packets] == [""] * len(packets)
    assert said(cache)["cmsaf_metrics_lost_packets_total"] == lost


def test_bad_packets_are_counted_and_change_nothing_else(cache: Everything) -> None:
    cache.take(CACHE.read_bytes())
    before = said(cache)
    bad = (b"", b"\0", b"hello", b"<", b"{}", CACHE.read_bytes()[:-1], COLD.read_bytes()[:50], os.urandom(2000))
    assert all(cache.take(packet) for packet in bad)
    after = said(cache)
    assert after.pop('cmsaf_metrics_packets_total{kind="unreadable"}') == len(bad)
    before.pop('cmsaf_metrics_packets_total{kind="unreadable"}')
    assert after == before


@pytest.mark.parametrize("value", [b"-5", b"nan", b"1e400", b"9" * 40, b"0x10", "\u0663".encode(), b""])
def test_a_value_that_is_no_count_is_left_out(cache: Everything, value: bytes) -> None:
    packet, count = re.subn(rb"<err>\d+</err>(?=<rdr>)", b"<err>" + value + b"</err>", CACHE.read_bytes())
    assert count == 1 and cache.take(packet) == ""
    found = said(cache)
    assert "xrootd_errors_total" not in found and "xrootd_delays_total" in found


def test_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    both = [tmp_path / name for name in ("a", "b")]
    for place in both:
        place.mkdir()
    disks = [Disk(str(place), f"/disk/{place.name}") for place in both]
    found = said(Everything(disks, cache=True, low=0.5, high=0.75))
    answer = subprocess.run(
        ["df", "--block-size=1", "--output=size", str(tmp_path)], capture_output=True, text=True, check=True
    )
    size = int(answer.stdout.split()[-1])
    space = os.statvfs(tmp_path)
    assert found['xrootd_disk_size_bytes{disk="/disk/a"}'] == found['xrootd_disk_size_bytes{disk="/disk/b"}'] == size
    # Others write to it meanwhile.
    used = (space.f_blocks - space.f_bavail) * space.f_frsize
    assert found['xrootd_disk_used_bytes{disk="/disk/a"}'] == pytest.approx(used, abs=1 << 28)
    # Both are one file system, of which XRootD has as much space once.
    assert found["xcache_high_mark_bytes"] == 0.75 * size and found["xcache_low_mark_bytes"] == 0.5 * size


def test_a_disk_that_is_gone_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = Everything(
        [Disk(str(tmp_path), "/here"), Disk(str(tmp_path / "gone"), "/gone")], cache=True, low=0.5, high=0.75
    )
    found = said(everything)
    assert 'xrootd_disk_size_bytes{disk="/here"}' in found and 'xrootd_disk_size_bytes{disk="/gone"}' not in found
    assert "xcache_high_mark_bytes" not in found
    said(everything)
    # Told once, not at each scrape.
    assert capsys.readouterr().err.count("the space of /gone: [Errno 2]") == 1


@pytest.mark.parametrize(
    ("path", "grown"),
    [
        (COLD, {"xcache_origin_bytes_total": 20 * MIB, 'xcache_file_accesses_total{served_by="origin"}': 1}),
        (HOT, {"xcache_saved_bytes_total": 20 * MIB, 'xcache_file_accesses_total{served_by="cache"}': 1}),
        (COLUMNS, {"xcache_origin_bytes_total": 20 * MIB, 'xcache_file_accesses_total{served_by="origin"}': 1}),
    ],
)
def test_what_a_reading_costs_and_saves(cache: Everything, path: Path, grown: dict[str, float]) -> None:
    names = ("xcache_origin_bytes_total", "xcache_saved_bytes_total", "xcache_file_accesses_total")
    before = said(cache)
    assert cache.take(path.read_bytes()) == ""
    after = said(cache)
    found = {name: after[name] - before[name] for name in after if name.startswith(names)}
    assert {name: value for name, value in found.items() if value} == grown


def test_readings_add_up(cache: Everything) -> None:
    for path in (COLD, HOT, COLUMNS, HOT):
        cache.take(path.read_bytes())
    found = said(cache)
    read = {kind: found[f'xcache_read_bytes_total{{kind="{kind}"}}'] for kind in ("hit", "miss", "bypass")}
    assert read == {"hit": 19660800 + 40 * MIB, "miss": 1310720 + 655360, "bypass": 0}
    assert found["xcache_origin_bytes_total"] == found["xcache_saved_bytes_total"] == 40 * MIB
    assert found['cmsaf_metrics_packets_total{kind="g-stream"}'] == 4


def test_half_of_a_file(cache: Everything) -> None:
    packet = COLD.read_bytes().replace(b'"b_todisk":20971520', b'"b_todisk":5242880')
    packet = packet.replace(b'"b_bypass":0', b'"b_bypass":1048576').replace(b'"n_cks_errs":0', b'"n_cks_errs":2')
    assert cache.take(packet) == ""
    found = said(cache)
    assert found["xcache_origin_bytes_total"] == 6 * MIB
    # What was read: 20 MiB by the cache, and 1 MiB past it.
    assert found["xcache_saved_bytes_total"] == 15 * MIB
    assert found["xcache_checksum_errors_total"] == 2


def test_what_the_summary_says_is_passed_on(cache: Everything) -> None:
    cache.take(HTTPS.read_bytes())
    found = said(cache)
    told = {
        "xrootd_up": 1,
        'xrootd_info{site="BENCH-XCACHE",version="v6.2.0"}': 1,
        "xrootd_start_time_seconds": 1795669130,
        "xrootd_report_time_seconds": 1795669280,
        "xrootd_open_connections": 1,
        "xrootd_connections_total": 16,
        "xrootd_received_bytes_total": 16143,
        "xrootd_sent_bytes_total": 64273031,
        'xrootd_requests_total{request="open"}': 12,
        'xrootd_requests_total{request="readv"}': 2,
        "xrootd_errors_total": 6,
        "xrootd_logins_total": 11,
        'xrootd_authentications_total{result="accepted"}': 7,
        'xrootd_authentications_total{result="refused"}': 3,
        'xrootd_http_responses_total{code="200"}': 1,
        'xrootd_http_responses_total{code="403"}': 4,
        "xrootd_threads": 7,
        "xrootd_idle_threads": 2,
        "xrootd_queued_jobs": 1,
        "xcache_origin_opens_total": 5,
        "xcache_origin_open_errors_total": 2,
    }
    assert {name: found[name] for name in told} == told
