#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the fuzzer's seed corpus to the folder that is the argument."""

from __future__ import annotations

import hashlib
import pathlib
import sys

URLS = [
    "root://xcache//store/a.root",
    "roots://me:pw@xcache:1094//store/a?x=y&xrdcl.intent=tpc",
    "xroot://[::1]:1094//store/a?authz=Bearer%20abc",
    "root://xcache",
    "root://@xcache?a=b?c&",
    "https://xcache/store/a",
    "://",
]
HOSTS = ["cache.site.test", "[fd00::1]", "", "-x", "cache:1094", "root://cache"]
PORTS = ["1094", "0", "65536", "", "1x"]
TOKENS = ["eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "MDAxY2xvY2F0aW9u==", " a\t", "a b", "=", "\0", "\xe9"]


def seeds() -> list[bytes]:
    """Return inputs: the first byte chooses what is tried, as in fuzz.cc."""
    found = ["0" + url for url in URLS]
    found += [
        "1" + "\n".join([host, port, authz, token, "", "", URLS[0]])
        for host in HOSTS
        for port in PORTS
        for authz in ("", "1", "yes")
        for token in ("", TOKENS[0])
    ]
    found += [
        "1" + "\n".join(["cache.test", "1094", "1", "", path, "/run", URLS[1]]) for path in ("/dev/null", "x", "/")
    ]
    found += ["2" + token for token in TOKENS]
    return [seed.encode("latin-1") for seed in found]


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
