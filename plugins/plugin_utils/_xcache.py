# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of caches and redirectors for a list of origins. Private to this collection; imports nothing of Ansible.

Each origin has a server in each cache, and redirectors of its own, which know one server on each host: a redirector leaves out
by its host what a reader has tried in vain. Where there are several, readers come to a door, which has no files, and sends them
on by path.
"""

from __future__ import annotations

import posixpath
import typing as t
from collections.abc import Mapping, Sequence

__all__ = ("CLUSTER_PORT", "MOST_ORIGINS", "cache_port", "redirector_port", "redirectors", "servers")

_Document = dict[str, t.Any]
_Origin = Mapping[str, t.Any]

# Where the caches of the first origin tell its redirectors what they have. Those of the others have the ports after it.
CLUSTER_PORT = 3121
# To so many places XRootD sends on by path.
MOST_ORIGINS = 4

# Where things are inside the pod: the folder of what the cache shows to its origin, the authorities that origins are checked
# with, and, where a site names none, those of the host.
_CREDENTIALS = "/etc/xrootd/origin"
_AUTHORITIES = "/etc/grid-security/certificates"
_OUTSIDE_TRUST = "/etc/ssl/certs/ca-certificates.crt"
# By which variable XRootD's client finds its credential, for each way to show who it is.
_SHOWN = {"macaroon": "BEARER_TOKEN_FILE", "token": "BEARER_TOKEN_FILE", "x509": "X509_USER_PROXY", "none": ""}


def cache_port(first: int, number: int) -> int:
    """Port of the cache's server, or of its metrics, for the origin of a number, where that of the first is known."""
    return first + 2 * number


def redirector_port(first: int, number: int) -> int:
    """Port of the redirector, or of its metrics, for the origin of a number: so that both may be on one host."""
    return cache_port(first, number) + 1


def servers(
    origins: Sequence[_Origin], *, port: int, metrics_port: int, macaroon: str, authority: str, redirected: bool
) -> list[_Document]:
    """A server of the cache for each origin, in their order.

    `macaroon` is the file on the node with the token for the facility's own origin, `authority` the file in the pod with
    the authority that this one's certificate is of.
    """
    templates = {"xrootd": "cache.cfg.j2", **({"cmsd": "cache_cmsd.cfg.j2"} if redirected else {})}
    return [
        {
            "suffix": f"-{origin['name']}" if number else "",
            "name": origin["name"],
            "url": origin["url"],
            "port": cache_port(port, number),
            "metrics_port": cache_port(metrics_port, number),
            "cluster_port": CLUSTER_PORT + number,
            "paths": list(origin["paths"]),
            "sends_on": _sent_on(origins, number, port),
            "templates": templates,
            "environment": _environment(origin, _credential(origin, macaroon), authority),
            "mounts": _mounts(origin, _credential(origin, macaroon)),
            "trusts_host": _trusts_host(origin),
        }
        for number, origin in enumerate(origins)
    ]


def redirectors(
    origins: Sequence[_Origin], *, port: int, server_port: int, metrics_port: int, server_metrics_port: int
) -> list[_Document]:
    """The servers of a redirector: what readers come to at `port`, and behind it one for each origin if there are several."""
    paths = list(dict.fromkeys(path for origin in origins for path in origin["paths"]))
    common = {"environment": {}, "mounts": [], "trusts_host": False}
    templates = {"xrootd": "redirector.cfg.j2", "cmsd": "redirector_cmsd.cfg.j2"}
    front = {**common, "suffix": "", "port": port, "metrics_port": metrics_port, "paths": paths}
    if len(origins) == 1:
        return [{**front, "cluster_port": CLUSTER_PORT, "templates": templates}]
    first = {path: next(number for number, one in enumerate(origins) if path in one["paths"]) for path in paths}
    door = {
        **front,
        "sends_on": [{"path": path, "port": redirector_port(server_port, number)} for path, number in first.items()],
        "templates": {"xrootd": "door.cfg.j2"},
    }
    behind = [
        {
            **common,
            "suffix": f"-{origin['name']}",
            "port": redirector_port(server_port, number),
            "metrics_port": redirector_port(server_metrics_port, number),
            "cluster_port": CLUSTER_PORT + number,
            "paths": list(origin["paths"]),
            "templates": templates,
        }
        for number, origin in enumerate(origins)
    ]
    return [door, *behind]


def _sent_on(origins: Sequence[_Origin], number: int, port: int) -> list[_Document]:
    """Paths of an origin that another one has too, which is asked after it, with the port of that one's redirectors."""
    found = []
    for path in origins[number]["paths"]:
        after = [other for other in range(number + 1, len(origins)) if path in origins[other]["paths"]]
        found += [{"path": path, "port": redirector_port(port, other)} for other in after[:1]]
    return found


def _credential(origin: _Origin, macaroon: str) -> str:
    """The file on the node with what the cache shows to an origin, '' if that is nothing."""
    return macaroon if origin["authentication"] == "macaroon" else str(origin.get("credential", ""))


def _trusts_host(origin: _Origin) -> bool:
    """Whether the origin's certificate is checked with what the node trusts."""
    return origin["authentication"] != "macaroon" and not origin.get("certificates")


def _environment(origin: _Origin, credential: str, authority: str) -> dict[str, str]:
    shown = _SHOWN[origin["authentication"]]
    environment = {shown: f"{_CREDENTIALS}/{posixpath.basename(credential)}"} if shown else {}
    if origin["authentication"] == "token" and not origin["url"].startswith("https:"):
        # A server keeps to the token of the login. The role restarts it for a macaroon that it made anew; nobody tells it of a
        # token of the site. By https each request has the token that is in the file.
        environment["CMSAF_WATCHED_TOKEN"] = environment[shown]
    if origin.get("certificates"):
        environment["X509_CERT_DIR"] = _AUTHORITIES
    else:
        environment["X509_CERT_FILE"] = _OUTSIDE_TRUST if _trusts_host(origin) else authority
    return environment


def _mounts(origin: _Origin, credential: str) -> list[_Document]:
    """Folders of the node: a file that is renewed by another in its place would stay the old one in the pod."""
    folders = {_CREDENTIALS: posixpath.dirname(credential), _AUTHORITIES: str(origin.get("certificates", ""))}
    return [
        {"name": f"{origin['name']}-{posixpath.basename(place)}", "place": place, "path": folder}
        for place, folder in folders.items()
        if folder
    ]
