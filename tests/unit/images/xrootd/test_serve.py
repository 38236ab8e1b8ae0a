# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program as it runs beside the server."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKETS = Path(__file__).parent / "packets"
IMAGE = Path(__file__).resolve().parents[4] / "images" / "xrootd"
# All of 127.0.0.0/8 is this host, so that it can come from several addresses.
HOST, SCRAPER, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind(("127.0.0.1", 0))
        tcp.bind(("127.0.0.1", udp.getsockname()[1]))
        return int(udp.getsockname()[1])


def start(*arguments: str, host: str | None = HOST) -> subprocess.Popen[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(IMAGE), **({"CMSAF_HOST_ADDRESS": host} if host else {})}
    command = [sys.executable, "-m", "cmsaf_metrics", *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def get(port: int, path: str = "/metrics", host: str = "127.0.0.1", source: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=10, source_address=(source, 0))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    port = free_port()
    process = start(f"--port={port}", *arguments)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                get(port)
                break
            except ConnectionRefusedError:
                assert process.poll() is None and time.monotonic() < end, process.communicate()[1]
                time.sleep(0.05)
        yield port, process
    finally:
        process.kill()
        process.communicate()


def send(port: int, packet: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(packet, ("127.0.0.1", port))


def wait_for(port: int, line: str) -> None:
    end = time.monotonic() + 10
    while line not in get(port)[1].splitlines():
        assert time.monotonic() < end, f"{line} in\n{get(port)[1]}"
        time.sleep(0.05)


def test_packets_become_metrics_and_bad_ones_end_nothing() -> None:
    with serving("--cache", "--disk=/=/root of all", "--high-mark=0.95") as (port, process):
        wait_for(port, "xrootd_up 0.0")
        for packet in (b"", b"\0" * 9, b"<statistics", b"{}", b"\xff" * 65000):
            send(port, packet)
        wait_for(port, 'cmsaf_metrics_packets_total{kind="unreadable"} 5.0')
        send(port, (PACKETS / "cache.xml").read_bytes())
        send(port, (PACKETS / "cold.json").read_bytes())
        wait_for(port, "xrootd_up 1.0")
        wait_for(port, 'xcache_file_accesses_total{served_by="origin"} 1.0')
        assert 'xrootd_disk_size_bytes{disk="/root of all"}' in get(port)[1]
        assert process.poll() is None
        process.terminate()
        # The first of the bad ones is told of, not each.
        assert process.communicate()[1].count("makes no sense") == 1


def test_it_serves_metrics_and_nothing_else() -> None:
    with serving() as (port, _):
        assert get(port, "/metrics?name[]=xrootd_up")[0] == 200
        assert get(port, "/")[0] == get(port, "/metrics/../etc/passwd")[0] == 404
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            assert b" 501 " in client.recv(100)
            client.close()


def test_without_scrapers_it_is_on_loopback_alone() -> None:
    with serving() as (port, _), pytest.raises(ConnectionRefusedError):
        get(port, host=HOST, source=SCRAPER)


def test_scrapers_and_nobody_else_come_to_the_hosts_address() -> None:
    with serving(f"--scraper={SCRAPER}", "--scraper=192.0.2.0/24") as (port, _):
        assert get(port, host=HOST, source=SCRAPER)[0] == 200
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            get(port, host=HOST, source=STRANGER)
        # A stranger's connection does not keep others out.
        assert get(port, host=HOST, source=SCRAPER)[0] == 200


def test_who_says_nothing_keeps_nobody_out() -> None:
    with serving() as (port, _):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        assert get(port)[0] == 200
        for client in silent:
            client.close()


@pytest.mark.parametrize(("kind", "number"), [("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)])
def test_a_port_that_is_taken_is_said(kind: str, number: int) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET, number) as taken:
        taken.bind(("127.0.0.1", port))
        if number == socket.SOCK_STREAM:
            taken.listen()
        process = start(f"--port={port}")
        _, text = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f"listening on 127.0.0.1, {kind} port {port}: Address already in use" in text
    assert "xcache_metrics_port" in text and "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--scraper=127.0.0.3"], 64, "no CMSAF_HOST_ADDRESS"),
        (["--scraper=prometheus"], 2, "invalid ip_network value: 'prometheus'"),
        (["--disk=/data"], 2, "'/data' is not PATH=NAME"),
    ],
)
def test_bad_arguments(arguments: list[str], code: int, text: str) -> None:
    process = start(f"--port={free_port()}", *arguments, host=None)
    _, found = process.communicate(timeout=20)
    assert process.returncode == code and text in found and "Traceback" not in found
