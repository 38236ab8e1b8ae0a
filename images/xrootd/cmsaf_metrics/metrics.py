# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What there is to be scraped, and out of which of the server's values it is made.

Names and units follow Prometheus' "Metric and label naming". Values of the summary are passed on as they are: they begin
anew with the server, as Prometheus expects of counters. Those of the g-stream are summed up here, from the start of this
program on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cmsaf_metrics.packets import Access, PacketError, Stream, read_stream, read_summary

__all__ = ["METRICS", "Described", "Disk", "Everything"]

# A server that has said nothing for so long, in seconds, is not up: it speaks every 5.
SILENT = 30
# The g-stream counts its packets from 0 to 999, and begins again.
_SEQUENCES = 1000
# Of a number of 64 bits.
_DIGITS = 20
_HTTP_CODES = (
    *("100", "200", "201", "202", "206", "207", "302", "307", "400", "401", "403", "404", "405", "409", "416"),
    *("423", "500", "502", "504", "507"),
)


@dataclass(frozen=True)
class Described:
    """A metric: its whole name, what it says, its labels, and where the summary has it by the label's value."""

    name: str
    says: str
    labels: tuple[str, ...] = ()
    summary: Mapping[str, str] = field(default_factory=dict)

    def family(self, values: Iterable[tuple[Sequence[str], float]]) -> Metric:
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        metric = kind(self.name.removesuffix("_total"), self.says, labels=self.labels)
        for labelled, value in values:
            metric.add_metric(labelled, value)
        return metric


METRICS: Mapping[str, Described] = {
    metric.name: metric
    for metric in (
        Described("xrootd_up", f"1 if the server has sent its statistics within {SILENT} s."),
        Described("xrootd_info", "1, with the server's version and all.sitename.", ("version", "site")),
        Described("xrootd_start_time_seconds", "When the server started, since 1970.", summary={"": "tos"}),
        Described(
            "xrootd_report_time_seconds", "When the server made these statistics, since 1970.", summary={"": "tod"}
        ),
        Described("xrootd_open_connections", "Connections of clients.", summary={"": "link.num"}),
        Described("xrootd_connections_total", "Connections of clients that there have been.", summary={"": "link.tot"}),
        Described("xrootd_received_bytes_total", "Bytes received from clients.", summary={"": "link.in"}),
        Described("xrootd_sent_bytes_total", "Bytes sent to clients.", summary={"": "link.out"}),
        Described(
            "xrootd_open_files", "Files that clients have open.", ("mode",), {"read": "ofs.opr", "write": "ofs.opw"}
        ),
        Described(
            "xrootd_requests_total",
            "Requests, those of https among them.",
            ("request",),
            {
                "open": "xrootd.ops.open",
                "read": "xrootd.ops.rd",
                "pgread": "xrootd.ops.pr",
                "readv": "xrootd.ops.rv",
                "write": "xrootd.ops.wr",
                "writev": "xrootd.ops.wv",
                "sync": "xrootd.ops.sync",
                "other": "xrootd.ops.misc",
            },
        ),
        Described(
            "xrootd_errors_total",
            "Requests answered by an error of any kind: no such file, permission denied, no answer of the origin.",
            summary={"": "xrootd.err"},
        ),
        Described("xrootd_delays_total", "Requests answered by a request to wait.", summary={"": "xrootd.dly"}),
        Described("xrootd_logins_total", "Logins by way of root:// that began.", summary={"": "xrootd.lgn.num"}),
        Described(
            "xrootd_authentications_total",
            "Credentials that clients have shown at their login by way of root://.",
            ("result",),
            {"accepted": "xrootd.lgn.au", "refused": "xrootd.lgn.af"},
        ),
        Described(
            "xrootd_http_responses_total",
            "Answers by way of https, by their status.",
            ("code",),
            {code: f"http_plugin.response.http_{code}" for code in _HTTP_CODES},
        ),
        Described("xrootd_threads", "Threads that serve requests.", summary={"": "sched.threads"}),
        Described("xrootd_idle_threads", "Of these, those that wait for work.", summary={"": "sched.idle"}),
        Described("xrootd_queued_jobs", "Work that waits for a thread.", summary={"": "sched.inq"}),
        Described("xrootd_thread_limit_total", "Times that no more threads were allowed.", summary={"": "sched.tlimr"}),
        Described("xrootd_disk_size_bytes", "Size of the disk's file system.", ("disk",)),
        Described(
            "xrootd_disk_used_bytes", "Space of it that XRootD cannot use: size less what is available.", ("disk",)
        ),
        Described("xcache_low_mark_bytes", "Space used on all disks together that a purge goes down to."),
        Described("xcache_high_mark_bytes", "Space used on all disks together that starts a purge."),
        Described(
            "xcache_read_bytes_total",
            "Bytes of closed files that clients read, as XRootD judges them: hit was in memory or on disk, miss was not, and"
            " bypass was read past the cache.",
            ("kind",),
        ),
        Described(
            "xcache_saved_bytes_total",
            "Bytes of closed files that clients read, less what was fetched for them, where that is less.",
        ),
        Described("xcache_origin_bytes_total", "Bytes of closed files that the cache fetched from the origin."),
        Described(
            "xcache_file_accesses_total",
            "Files closed by the last of their clients: cache if nothing was fetched for these, else origin.",
            ("served_by",),
        ),
        Described("xcache_checksum_errors_total", "Blocks from the origin whose checksums did not match."),
        Described(
            "xcache_origin_opens_total", "Files that the cache has opened at the origin.", summary={"": "pss.open"}
        ),
        Described(
            "xcache_origin_open_errors_total",
            "Of these, those that failed: refused, no such file, given up.",
            summary={"": "pss.open.errs"},
        ),
        Described("cmsaf_metrics_packets_total", "Packets from the server, by what they were.", ("kind",)),
        Described("cmsaf_metrics_lost_packets_total", "Packets of the cache's g-stream that did not come."),
    )
}


def _number(text: str) -> float | None:
    # A counter that has run over its 32 bits is negative, and no number to show.
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


class Server:
    """What the server has said last."""

    def __init__(self) -> None:
        self._values: Mapping[str, str] = {}
        self._heard: float | None = None

    def take(self, values: Mapping[str, str], now: float) -> None:
        self._values, self._heard = values, now

    def collect(self, now: float) -> Iterator[Metric]:
        up = self._heard is not None and now - self._heard <= SILENT
        yield METRICS["xrootd_up"].family([((), up)])
        # What it said long ago would look like what it says now.
        if not up:
            return
        values = self._values
        yield METRICS["xrootd_info"].family([((values.get("ver", ""), values.get("site", "")), 1)])
        for described in METRICS.values():
            found = [
                ((label,) if label else (), _number(values.get(path, ""))) for label, path in described.summary.items()
            ]
            known = [(label, value) for label, value in found if value is not None]
            if known:
                yield described.family(known)


class Cache:
    """What the cache has said since this program began."""

    def __init__(self) -> None:
        self._read = {"hit": 0, "miss": 0, "bypass": 0}
        self._accesses = {"cache": 0, "origin": 0}
        self._origin = self._saved = self._checksum_errors = self._lost = 0
        self._last: tuple[int, int] | None = None

    def take(self, stream: Stream) -> None:
        if self._last is not None and self._last[0] == stream.server_start:
            self._lost += (stream.sequence - self._last[1] - 1) % _SEQUENCES
        self._last = (stream.server_start, stream.sequence)
        for access in stream.accesses:
            self._add(access)

    def _add(self, access: Access) -> None:
        for kind in self._read:
            self._read[kind] += getattr(access, kind)
        fetched = access.stored + access.bypass
        self._origin += fetched
        # Who reads a block in parts hits it, once the first part has had it fetched: hits of a first reading are many.
        self._saved += max(0, access.hit + access.miss + access.bypass - fetched)
        self._checksum_errors += access.checksum_errors
        self._accesses["origin" if fetched else "cache"] += 1

    def collect(self) -> Iterator[Metric]:
        yield METRICS["xcache_read_bytes_total"].family([((kind,), count) for kind, count in self._read.items()])
        yield METRICS["xcache_saved_bytes_total"].family([((), self._saved)])
        yield METRICS["xcache_origin_bytes_total"].family([((), self._origin)])
        yield METRICS["xcache_file_accesses_total"].family([((by,), count) for by, count in self._accesses.items()])
        yield METRICS["xcache_checksum_errors_total"].family([((), self._checksum_errors)])
        yield METRICS["cmsaf_metrics_lost_packets_total"].family([((), self._lost)])


@dataclass(frozen=True)
class Disk:
    """A directory of the server's data, and the name that the site knows it by."""

    path: str
    name: str


class Disks:
    """Space as XRootD counts it: what is not available is used, and disks that are one file system count once."""

    def __init__(self, disks: Sequence[Disk], low: float, high: float) -> None:
        self._disks, self._marks = disks, {"xcache_low_mark_bytes": low, "xcache_high_mark_bytes": high}
        self._broken: dict[str, str] = {}

    def collect(self) -> Iterator[Metric]:
        sizes: dict[str, int] = {}
        used: dict[str, int] = {}
        systems: dict[int, int] = {}
        broken: dict[str, str] = {}
        for disk in self._disks:
            try:
                system, space = os.stat(disk.path).st_dev, os.statvfs(disk.path)
            except OSError as error:
                broken[disk.name] = str(error)
                continue
            systems[system] = sizes[disk.name] = space.f_blocks * space.f_frsize
            used[disk.name] = sizes[disk.name] - space.f_bavail * space.f_frsize
        yield METRICS["xrootd_disk_size_bytes"].family([((name,), size) for name, size in sizes.items()])
        yield METRICS["xrootd_disk_used_bytes"].family([((name,), size) for name, size in used.items()])
        for name, share in self._marks.items():
            if share and not broken:
                yield METRICS[name].family([((), share * sum(systems.values()))])
        for name in broken.keys() - self._broken.keys():
            print(f"cmsaf_metrics: asking for the space of {name}: {broken[name]}", file=sys.stderr, flush=True)
        self._broken = broken


class Everything(Collector):
    """All that is known of a server, kept up by its packets. `low` and `high` are shares, 0 for none."""

    def __init__(
        self,
        disks: Sequence[Disk],
        *,
        cache: bool,
        low: float = 0,
        high: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._cache, self._disks = Server(), Cache() if cache else None, Disks(disks, low, high)
        self._packets = {"summary": 0, "g-stream": 0, "unreadable": 0}
        self._clock = clock
        self._lock = threading.Lock()

    def take(self, packet: bytes) -> str:
        """Stands every packet, and gives back what is wrong with this one, or nothing."""
        kind, wrong = "unreadable", ""
        with self._lock:
            try:
                if packet.startswith(b"<"):
                    self._server.take(read_summary(packet), self._clock())
                    kind = "summary"
                else:
                    stream = read_stream(packet)
                    if self._cache is not None:
                        self._cache.take(stream)
                    if stream.unreadable:
                        raise PacketError(f"{stream.unreadable} records that make no sense")
                    kind = "g-stream"
            except PacketError as error:
                wrong = str(error)
            self._packets[kind] += 1
        return wrong

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            metrics = list(self._server.collect(self._clock()))
            metrics += self._cache.collect() if self._cache is not None else ()
            counts = [((kind,), count) for kind, count in self._packets.items()]
        yield from metrics
        yield from self._disks.collect()
        yield METRICS["cmsaf_metrics_packets_total"].family(counts)
