# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab runs, as role xcache makes it: python3 kinds.py FOLDER writes it there.

A cache alone with its origin; caches of one origin behind redirectors; caches of four origins of different kinds,
and of two of which one is a web server that wants a token.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from rendered import render

ORIGIN, CACHE = "origin.bench.test", "xcache.bench.test"
# Of the origin as everybody sees it, and as it is: a relay stands between.
RELAY, BEHIND = 2094, 3094
# Origins of others.
STORAGE, PUBLIC, GRID = "storage.bench.test", "public.bench.test", "grid.bench.test"
STORAGE_PORT, PUBLIC_PORT, WEB_PORT, GRID_PORT = 4094, 8443, 8444, 5094
REDIRECTORS = {"redirector1.bench.test": "10.99.0.2", "redirector2.bench.test": "10.99.0.3"}
CACHES = {"cache1.bench.test": "10.99.0.11", "cache2.bench.test": "10.99.0.12"}

OWN: dict[str, Any] = {
    "name": "facility",
    "url": f"roots://{ORIGIN}:{RELAY}",
    "paths": ["/store"],
    "authentication": "macaroon",
}
# The site's storage has some of what the facility's own origin has, and is asked first.
ORIGINS: list[dict[str, Any]] = [
    {
        "name": "storage",
        "url": f"roots://{STORAGE}:{STORAGE_PORT}",
        "paths": ["/store"],
        "authentication": "token",
        "credential": "/etc/site/token/storage",
    },
    OWN,
    {"name": "public", "url": f"https://{PUBLIC}:{PUBLIC_PORT}", "paths": ["/public"], "authentication": "none"},
    {
        "name": "grid",
        "url": f"root://{GRID}:{GRID_PORT}",
        "paths": ["/grid"],
        "authentication": "x509",
        "credential": "/etc/site/proxy/x509",
        "certificates": "/etc/grid-security/certificates",
    },
]
# Files for who shows a token, by https; nothing else has their path.
WEB: dict[str, Any] = {
    "name": "web",
    "url": f"https://{PUBLIC}:{WEB_PORT}",
    "paths": ["/web"],
    "authentication": "token",
    "credential": "/etc/site/web/token",
}
ALONE = {"facility_origins": [OWN], "_xcache_redirectors": []}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "origin": ("origin.yml", ALONE),
    "cache": ("main.yml", ALONE),
    "caches": ("main.yml", {"facility_origins": [OWN]}),
    "redirectors": ("redirector.yml", {"facility_origins": [OWN]}),
    "caches of origins": ("main.yml", {"facility_origins": ORIGINS}),
    "redirectors of origins": ("redirector.yml", {"facility_origins": ORIGINS}),
    "caches of the web": ("main.yml", {"facility_origins": [OWN, WEB]}),
    "redirectors of the web": ("redirector.yml", {"facility_origins": [OWN, WEB]}),
}
SITE = {
    "facility_name": "bench",
    "facility_domain": "bench.test",
    "facility_registry": "mirror.bench.test",
    "facility_version": "bench",
    # As on a small node.
    "xcache_ram": "1g",
}

if __name__ == "__main__":
    groups = {"xcache": list(CACHES), "xcache_redirector": list(REDIRECTORS)}
    render(Path(sys.argv[1]), KINDS, SITE, {**CACHES, **REDIRECTORS}, groups)
