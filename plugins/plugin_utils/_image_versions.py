# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the images of hub, servers and workers go together, by the versions that their labels tell.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["LABEL", "Server", "mistakes"]

LABEL = "facility.cmsaf.versions"
# How many parts of a version have to be the same. JupyterHub's servers speak with hubs of the same minor release.
HUB = {"jupyterhub": 2}
# Dask's protocol has no versions of its own; what one side has pickled the other has to read, and Python's bytecode
# is of one minor release.
WORKERS = {"python": 2, "dask": 3, "distributed": 3, "cloudpickle": 3, "msgpack": 3}
_HOW = "docs/site.md, Servers to choose from, says how"


@dataclass(frozen=True)
class Server:
    """One of the servers to choose from, and the image of its workers."""

    name: str
    image: str
    worker_image: str


def mistakes(hub: str, servers: Sequence[Server], labels: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """All that does not go together, in words.

    :param hub: the hub's image
    :param labels: of each image, by its name
    """
    told = {image: _versions(found.get(LABEL, "")) for image, found in labels.items()}
    used = {hub: "the hub"}
    for server in servers:
        used.setdefault(server.image, f"the server {server.name}")
        used.setdefault(server.worker_image, f"the workers of {server.name}")
    yield from (_silent(image, used[image]) for image in used if not told[image])
    said: set[tuple[str, str]] = set()
    for server in servers:
        pairs = [(hub, server.image, HUB)]
        if server.worker_image != server.image:
            pairs.append((server.image, server.worker_image, WORKERS))
        for one, other, packages in pairs:
            if (one, other) not in said and told[one] and told[other]:
                said.add((one, other))
                yield from _apart(one, other, packages, used, told)


def _versions(label: str) -> dict[str, str]:
    return dict(word.split("==", 1) for word in label.split() if word.partition("==")[2])


def _silent(image: str, what: str) -> str:
    return (
        f"The image of {what}, {image}, does not tell its versions: it has no label {LABEL}. Build it from the"
        f" facility's analysis image, whose label it inherits, or add the label; {_HOW}."
    )


def _apart(
    one: str, other: str, packages: Mapping[str, int], used: Mapping[str, str], told: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    for package, parts in packages.items():
        first, second = (told[image].get(package, "") for image in (one, other))
        if first.split(".")[:parts] != second.split(".")[:parts]:
            yield (
                f"The image of {used[other]}, {other}, has {_words(package, second)}, but that of {used[one]}, {one}, has"
                f" {_words(package, first)}. Build it from the facility's analysis image of this release, or name another"
                f" one in jupyterhub_profiles; {_HOW}."
            )


def _words(package: str, version: str) -> str:
    return f"{package} {version}" if version else f"no {package}"
