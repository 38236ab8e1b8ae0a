# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with where files and images come from, and with their checksums and versions.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site

__all__ = ["FLOORS", "image_mistakes", "mistakes", "version"]

# Software, lowest version without a known hole that matters here, and the hole.
FLOORS: dict[str, tuple[str, str]] = {
    "xrootd": ("6.2.0", "macaroons of older versions can be stretched to other users' paths"),
    "xcache": ("6.2.0", "macaroons of older XRootD can be stretched to other users' paths"),
    "jupyterhub": ("5.5.1", "security releases 5.4.4 and 5.5.1"),
    "distributed": ("2026.1.0", "CVE-2026-23528, code execution by way of the dashboard"),
    "scitokens": ("1.9.7", "CVE-2026-32716 and CVE-2026-32727"),
}
CHECKSUM_LISTS = ("upstream", "built")
_CHECKSUM_NAME = re.compile(r"_(checksums?|digests?|sha256|sha256sums?)$")
_SHA256 = re.compile(r"(sha256:)?[0-9a-f]{64}")
_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_IMAGE = re.compile(r"(?P<path>[^@]+?)(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]*))?(@(?P<digest>\S+))?")


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with sources, checksums and versions."""
    yield from _sources(site)
    yield from _checksums(site)
    yield from _versions(site)


def version(text: str) -> tuple[int, ...] | None:
    """``v6.2.0-1`` -> (6, 2, 0); None if it does not begin like a version."""
    match = re.match(r"v?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match.group(1).split(".")) if match else None


def _sources(site: Site) -> Iterator[Mistake]:
    url = site.facility("facility_files_url")
    if isinstance(url, str) and (
        not url.startswith(("https:/", "http://")) or (url.endswith("/") and url != "https:/")
    ):
        yield (
            "facility_files_url",
            f"{url!r}",
            "Set https:/ for upstream, or a mirror as https://mirror.example.org without a slash at its end.",
        )
    registries = [("facility_registry", site.facility("facility_registry"))]
    mirrors = site.facility("facility_registry_mirrors") or []
    registries += [("facility_registry_mirrors", item) for item in mirrors if isinstance(mirrors, list)]
    for name, value in registries:
        if value is not None and not (isinstance(value, str) and _REGISTRY.fullmatch(value)):
            yield name, f"{value!r}", "Set a host name, with :port if it is not 443, and no https://."
    for name, error in site.missing_files.items():
        if name not in site.known:
            continue  # a file that has no variable of its own: who needs it says so
        yield name, error, "Set the path of a file that this machine can read."
    if not site.hosts("mirror"):
        for address, error in site.probes.items():
            # An address made of a malformed value is no news.
            if error and address.count("://") == 1:
                yield (
                    "facility_registry" if address.endswith("/v2/") else "facility_files_url",
                    f"no answer from {address} ({error})",
                    "Correct it, or let this inventory make a mirror: put a host into group mirror.",
                )


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
    else:
        yield path, value


def _checksums(site: Site) -> Iterator[Mistake]:
    chosen = site.facility("facility_checksums")
    if chosen is not None and chosen not in CHECKSUM_LISTS:
        yield "facility_checksums", f"{chosen!r}", "Set upstream or built."
    if chosen == "built" and site.facility("facility_files_url") == "https:/":
        yield (
            "facility_checksums",
            "built, but by facility_files_url files come from upstream",
            "Set upstream, or facility_files_url to the mirror: what a mirror builds has other checksums.",
        )
    if chosen == "upstream" and site.hosts("mirror") and site.facility("mirror_mode", "mirror") == "build":
        yield (
            "facility_checksums",
            "upstream, but by mirror_mode the mirror builds its files",
            "Set built, or mirror_mode to upstream: what a mirror builds has other checksums.",
        )
    for values in site.values.values():
        for name, value in values.items():
            if name in site.known and name != "facility_checksums" and _CHECKSUM_NAME.search(name):
                for path, leaf in _leaves(value, name):
                    if not (isinstance(leaf, str) and _SHA256.fullmatch(leaf)):
                        yield path, f"{leaf!r}", "Set a sha256: 64 hexadecimal digits, lower case."


def _software(name: str) -> str | None:
    """``xcache_xrootd_version`` -> xrootd; None if no floor is known for it."""
    words = name.split("_")
    return next((word for word in words[-2::-1] if word in FLOORS), None) if words[-1] == "version" else None


def _versions(site: Site) -> Iterator[Mistake]:
    for values in site.values.values():
        for name, value in values.items():
            if name not in site.known or not isinstance(value, str):
                continue
            if name.endswith("_image") and value:
                yield from image_mistakes(name, value)
            elif software := _software(name):
                yield from _floor(name, software, value, value)


def image_mistakes(name: str, value: str) -> Iterator[Mistake]:
    """What is wrong with an image that the variable `name` sets."""
    match = _IMAGE.fullmatch(value)
    if match is None:
        yield name, f"{value!r}, which is no image reference", "Set registry/path:tag."
        return
    tag, software = match["tag"], match["path"].rsplit("/", 1)[-1]
    if match["digest"] is None and tag in (None, "latest"):
        yield name, f"{value!r}, which can change at any time", "Name a version or a digest."
    # The facility's own images carry the collection's version, and their contents have a floor of their own.
    if tag is not None and software in FLOORS and "/cmsaf/" not in value:
        yield from _floor(name, software, tag, value)


def _floor(name: str, software: str, text: str, found: str) -> Iterator[Mistake]:
    floor, why = FLOORS[software]
    found_version, least = version(text), version(floor)
    if found_version is None or least is None or found_version >= least:
        return
    yield name, f"{found!r}, below {floor}", f"Set {software} {floor} or newer: {why}."
