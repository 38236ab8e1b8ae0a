# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Serves a server's metrics at /metrics: to this host on loopback, and to named scrapers on the host's own address.

The server's packets come to the UDP port of the same number, on loopback alone.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import selectors
import socket
import socketserver
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from cmsaf_metrics.metrics import Disk, Everything

# The most that fits into a packet of UDP.
_LARGEST = 65535
# Packets of some seconds wait here while the metrics are made.
_BUFFER = 1 << 20
_LOOPBACK = ("127.0.0.1", "::1")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ListenError(Exception):
    """A port that is not to be had."""


class Handler(BaseHTTPRequestHandler):
    """Answers GET /metrics."""

    # Who says nothing does not hold a thread for longer.
    timeout = 10
    server_version, sys_version = "cmsaf-metrics", ""
    server: HttpServer

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "There is /metrics alone")
            return
        body = generate_latest(self.server.registry)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A scrape leaves no line."""


class HttpServer(socketserver.ThreadingTCPServer):
    """Takes connections from `networks` and closes all others unanswered."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: str, port: int, networks: Sequence[Network], registry: CollectorRegistry) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.networks, self.registry = networks, registry
        super().__init__((address, port), Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        peer = ipaddress.ip_address(client_address[0])
        return any(peer in network for network in self.networks)


def listen(port: int) -> list[socket.socket]:
    """Where the server's packets come: XRootD turns the address that it is given into a name, and that into any of its
    addresses.
    """
    sockets = []
    for address in _LOOPBACK:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            taker = socket.socket(family, socket.SOCK_DGRAM)
            taker.bind((address, port))
        except OSError as error:
            # A host without IPv6 has the first alone.
            if address == _LOOPBACK[0]:
                raise ListenError(_busy("UDP", address, port, error)) from error
            continue
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sockets.append(taker)
    return sockets


def serve(address: str, port: int, networks: Sequence[Network], registry: CollectorRegistry) -> HttpServer:
    """Serve in a thread."""
    try:
        server = HttpServer(address, port, networks, registry)
    except OSError as error:
        raise ListenError(_busy("TCP", address, port, error)) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def take_all(sockets: Sequence[socket.socket], everything: Everything) -> None:
    """Take packets for ever. Of those that make no sense the first is told of, and then each hundredth."""
    unreadable = 0
    with selectors.DefaultSelector() as selector:
        for taker in sockets:
            selector.register(taker, selectors.EVENT_READ, taker)
        while True:
            for key, _ in selector.select():
                wrong = everything.take(key.data.recv(_LARGEST))
                if wrong:
                    if unreadable % 100 == 0:
                        _say(f"a packet that makes no sense: {wrong}")
                    unreadable += 1


def _busy(kind: str, address: str, port: int, error: OSError) -> str:
    return (
        f"listening on {address}, {kind} port {port}: {error.strerror}. "
        "Set a free port: xcache_metrics_port, of an origin xcache_origin_metrics_port"
    )


def _say(text: str) -> None:
    print(f"cmsaf_metrics: {text}", file=sys.stderr, flush=True)


def _disk(text: str) -> Disk:
    path, found, name = text.partition("=")
    if not found or not path.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not PATH=NAME")
    return Disk(path, name)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cmsaf_metrics", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="TCP port to serve at, UDP port of the packets")
    parser.add_argument(
        "--scraper",
        type=ipaddress.ip_network,
        action="append",
        default=[],
        metavar="NETWORK",
        help="who may come to $CMSAF_HOST_ADDRESS; without any, it is served on loopback alone",
    )
    parser.add_argument("--disk", type=_disk, action="append", default=[], metavar="PATH=NAME")
    parser.add_argument("--cache", action="store_true", help="whether the server is a cache")
    parser.add_argument("--low-mark", type=float, default=0, metavar="SHARE")
    parser.add_argument("--high-mark", type=float, default=0, metavar="SHARE")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    given = _arguments(argv)
    everything = Everything(given.disk, cache=given.cache, low=given.low_mark, high=given.high_mark)
    registry = CollectorRegistry()
    registry.register(everything)
    try:
        sockets = listen(given.port)
        serve(_LOOPBACK[0], given.port, [ipaddress.ip_network("127.0.0.0/8")], registry)
        if given.scraper:
            serve(os.environ["CMSAF_HOST_ADDRESS"], given.port, given.scraper, registry)
    except ListenError as error:
        _say(str(error))
        return 1
    except KeyError:
        _say("serving to scrapers: there is no CMSAF_HOST_ADDRESS in the environment, the address to serve at")
        return 64
    take_all(sockets, everything)
    return 0


if __name__ == "__main__":
    sys.exit(main())
