# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The little of the registry protocol that is needed here. Private to this collection."""

from __future__ import annotations

__all__ = ["Name", "Registry", "RegistryError", "parse_name"]

import hashlib
import json
import re
import typing as t
import urllib.error
import urllib.parse
from dataclasses import dataclass

from ansible.module_utils.urls import open_url

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
PLATFORM = {"os": "linux", "architecture": "amd64"}
NAME = re.compile(r"^(?P<host>[^/\s]+)/(?P<repository>[a-z0-9][a-z0-9._/-]*)(?::(?P<tag>[\w][\w.-]{0,127}))$")


class RegistryError(Exception):
    """What was asked of which registry, and what it answered."""


@dataclass(frozen=True)
class Name:
    """An image name in its parts."""

    host: str
    repository: str
    tag: str


def parse_name(name: str) -> Name:
    """Split host/repository:tag; host and tag have to be there."""
    match = NAME.match(name)
    if not match:
        raise RegistryError(
            f"The image name {name!r} is not of the form host/repository:tag. Set it by the option name."
        )
    return Name(match["host"], match["repository"], match["tag"])


class Registry:
    """A registry at a base URL."""

    def __init__(self, url: str, ca_path: str = "", timeout: int = 30) -> None:
        if not url.startswith(("https://", "http://")):
            raise RegistryError(f"The registry's address {url} is neither https:// nor http://.")
        self._url = url.rstrip("/")
        self._ca_path = ca_path or None
        self._timeout = timeout
        self._token = ""

    def _open(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None = None
    ) -> tuple[t.Mapping[str, str], bytes]:
        options: dict[str, t.Any] = {
            "timeout": self._timeout,
            "ca_path": self._ca_path,
            "decompress": False,
            "use_netrc": False,
            # Public registries send whoever asks for a blob on to a store of others, which refuses their token.
            "unredirected_headers": ["Authorization"],
        }
        with open_url(url, method=method, headers=headers, data=data, **options) as answer:
            return answer.headers, answer.read()

    def _authorize(self, challenge: str) -> bool:
        """Get the anonymous token that a public registry asks for."""
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        if (
            self._token
            or not challenge.lower().startswith("bearer ")
            or not fields.get("realm", "").startswith("https://")
        ):
            return False
        query = urllib.parse.urlencode({name: fields[name] for name in ("service", "scope") if name in fields})
        body = self._open("GET", f"{fields['realm']}?{query}", {})[1]
        answer = json.loads(body)
        self._token = answer.get("token") or answer.get("access_token") or ""
        return bool(self._token)

    def _manifest(
        self, method: str, repository: str, tag: str, headers: dict[str, str], data: bytes | None = None
    ) -> tuple[t.Mapping[str, str], bytes] | None:
        return self._ask(method, f"{self._url}/v2/{repository}/manifests/{tag}", headers, data)

    def _ask(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None = None
    ) -> tuple[t.Mapping[str, str], bytes] | None:
        try:
            if self._token:
                headers = {**headers, "Authorization": f"Bearer {self._token}"}
            return self._open(method, url, headers, data)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if error.code == 401 and self._authorize(error.headers.get("WWW-Authenticate", "")):
                return self._ask(method, url, headers, data)
            raise RegistryError(f"{method} {url} was answered with {error.code} {error.reason}.") from error
        except (OSError, ValueError) as error:
            raise RegistryError(f"{method} {url} failed: {getattr(error, 'reason', error)}.") from error

    def digest(self, repository: str, tag: str) -> str:
        """The digest a tag stands for, '' when the registry has no such tag."""
        found = self._manifest("HEAD", repository, tag, {"Accept": ACCEPT})
        if found is None:
            return ""
        stated = found[0].get("Docker-Content-Digest", "")
        if stated:
            return str(stated)
        found = self._manifest("GET", repository, tag, {"Accept": ACCEPT})
        return "" if found is None else "sha256:" + hashlib.sha256(found[1]).hexdigest()

    def labels(self, repository: str, digest: str) -> dict[str, str]:
        """The labels of an image; of the one for PLATFORM where the digest is of several, and none if that is missing."""
        manifest = self._json(f"{repository}/manifests/{digest}")
        for one in manifest.get("manifests", ()):
            if PLATFORM.items() <= one.get("platform", {}).items():
                manifest = self._json(f"{repository}/manifests/{one['digest']}")
        if "config" not in manifest:
            return {}
        config = self._json(f"{repository}/blobs/{manifest['config']['digest']}")
        return dict(config.get("config", {}).get("Labels") or {})

    def _json(self, path: str) -> dict[str, t.Any]:
        url = f"{self._url}/v2/{path}"
        found = self._ask("GET", url, {"Accept": ACCEPT})
        if found is None:
            raise RegistryError(f"GET {url} was answered with 404.")
        try:
            answer: dict[str, t.Any] = json.loads(found[1])
        except ValueError as error:
            raise RegistryError(f"GET {url} was answered with what is no JSON: {error}.") from error
        return answer

    def copy_tag(self, repository: str, tag: str, new_tag: str) -> None:
        """Let a second tag stand for the same image."""
        found = self._manifest("GET", repository, tag, {"Accept": ACCEPT})
        if found is None:
            raise RegistryError(f"{self._url} has no {repository}:{tag} to be tagged {new_tag}.")
        headers = {"Content-Type": str(found[0].get("Content-Type", ""))}
        if self._manifest("PUT", repository, new_tag, headers, found[1]) is None:
            raise RegistryError(f"{self._url} refused the tag {repository}:{new_tag}: 404.")
