# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache's servers for a list of origins. Private to this collection; imports nothing of Ansible."""

from __future__ import annotations

import posixpath
import typing as t
from collections.abc import Mapping, Sequence

__all__ = ("AUTHORITIES", "CREDENTIALS", "OUTSIDE_TRUST", "servers")

_Document = dict[str, t.Any]
_Origin = Mapping[str, t.Any]

# Where things are inside the pod: the folder of what the cache shows to its origin, the authorities that origins are checked
# with, and, where a site names none, those of the host.
CREDENTIALS = "/etc/xrootd/origin"
AUTHORITIES = "/etc/grid-security/certificates"
OUTSIDE_TRUST = "/etc/ssl/certs/ca-certificates.crt"
# By which variable XRootD's client finds its credential, for each way to show who it is.
_SHOWN = {"macaroon": "BEARER_TOKEN_FILE", "token": "BEARER_TOKEN_FILE", "x509": "X509_USER_PROXY", "none": ""}


def servers(origins: Sequence[_Origin], port: int, metrics_port: int, macaroon: str, authority: str) -> list[_Document]:
    """A server for each origin, in their order; ports are counted on from those of the first.

    `macaroon` is the file on the node with the token for the facility's own origin, `authority` the file in the pod with
    the authority that this one's certificate is of.
    """
    return [
        {
            # Of the first, there is not more to say than what it is.
            "suffix": f"-{origin['name']}" if number else "",
            "name": origin["name"],
            "url": origin["url"],
            "port": port + number,
            "metrics_port": metrics_port + number,
            "exports": [_export(origins, number, path, port) for path in origin["paths"]],
            "environment": _environment(origin, _credential(origin, macaroon), authority),
            "mounts": _mounts(origin, _credential(origin, macaroon)),
            "trusts_host": _trusts_host(origin),
        }
        for number, origin in enumerate(origins)
    ]


def _export(origins: Sequence[_Origin], number: int, path: str, port: int) -> _Document:
    """One path of an origin: whether a redirector sends new files there, and the port of who is asked next, 0 for nobody."""
    asked = [other for other, origin in enumerate(origins) if path in origin["paths"]]
    after = [port + other for other in asked if other > number]
    return {"path": path, "first": number == asked[0], "next": after[0] if after else 0}


def _credential(origin: _Origin, macaroon: str) -> str:
    """The file on the node with what the cache shows to an origin, '' if that is nothing."""
    return macaroon if origin["authentication"] == "macaroon" else str(origin.get("credential", ""))


def _trusts_host(origin: _Origin) -> bool:
    """Whether the origin's certificate is checked with what the node trusts."""
    return origin["authentication"] != "macaroon" and not origin.get("certificates")


def _environment(origin: _Origin, credential: str, authority: str) -> dict[str, str]:
    shown = _SHOWN[origin["authentication"]]
    environment = {shown: f"{CREDENTIALS}/{posixpath.basename(credential)}"} if shown else {}
    if origin["authentication"] == "token" and not origin["url"].startswith("https:"):
        # A server keeps to the token of the login. The role restarts it for a macaroon that it made anew; nobody tells it of a
        # token of the site. By https each request has the token that is in the file.
        environment["CMSAF_WATCHED_TOKEN"] = environment[shown]
    if origin.get("certificates"):
        environment["X509_CERT_DIR"] = AUTHORITIES
    else:
        environment["X509_CERT_FILE"] = OUTSIDE_TRUST if _trusts_host(origin) else authority
    return environment


def _mounts(origin: _Origin, credential: str) -> list[_Document]:
    """Folders of the node: a file that is renewed by another in its place would stay the old one in the pod."""
    folders = {CREDENTIALS: posixpath.dirname(credential), AUTHORITIES: str(origin.get("certificates", ""))}
    return [
        {"name": f"{origin['name']}-{posixpath.basename(place)}", "place": place, "path": folder}
        for place, folder in folders.items()
        if folder
    ]
