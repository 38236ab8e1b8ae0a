# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import typing as t

import pytest
from ansible_collections.cmsaf.facility.plugins.module_utils._registry import (
    Name,
    Registry,
    RegistryError,
    parse_name,
)

LABELS = {"facility.cmsaf.versions": "python==3.13"}
CONFIG = json.dumps({"architecture": "amd64", "config": {"Labels": LABELS}}).encode()
PLAIN = json.dumps({"architecture": "amd64", "config": {"Labels": None}}).encode()


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def manifest(config: bytes) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": {"digest": digest_of(config)}}).encode()


def index(**architectures: bytes) -> bytes:
    platforms = [
        {"digest": digest_of(content), "platform": {"os": "linux", "architecture": name, "variant": "v1"}}
        for name, content in architectures.items()
    ]
    return json.dumps({"schemaVersion": 2, "manifests": platforms}).encode()


MANIFEST = manifest(CONFIG)
DIGEST = digest_of(MANIFEST)
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Handler(http.server.BaseHTTPRequestHandler):
    """A registry with one image; broken/x answers 500, silent/x states no digest."""

    tags: t.ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        content = self.tags.get(self.path)
        code = 500 if "/broken/" in self.path else 404 if content is None else 200
        self.send_response(code)
        if content is not None and "/silent/" not in self.path:
            self.send_header("Docker-Content-Digest", digest_of(content))
        self.send_header("Content-Type", MEDIA_TYPE)
        self.end_headers()
        if content is not None and self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        assert self.headers["Content-Type"] == MEDIA_TYPE
        self.tags[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> t.Iterator[str]:
    Handler.tags = {"/v2/cmsaf/hub/manifests/0.1.0": MANIFEST, "/v2/silent/x/manifests/1": MANIFEST}
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mirror.af.test/cmsaf/hub:0.1.0", Name("mirror.af.test", "cmsaf/hub", "0.1.0")),
        ("127.0.0.1:5000/registry.k8s.io/pause:3.10.2", Name("127.0.0.1:5000", "registry.k8s.io/pause", "3.10.2")),
    ],
)
def test_names(name: str, parts: Name) -> None:
    assert parse_name(name) == parts


@pytest.mark.parametrize(
    "name", ["", "hub", "hub:1", "host/hub", "host/hub:", "host/Hub:1", "host/hub@sha256:00", "host /hub:1"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(RegistryError, match="host/repository:tag"):
        parse_name(name)


def test_digest_of_a_tag(url: str) -> None:
    assert Registry(url).digest("cmsaf/hub", "0.1.0") == DIGEST
    assert Registry(url).digest("silent/x", "1") == DIGEST
    assert Registry(url).digest("cmsaf/hub", "0.2.0") == ""


@pytest.mark.parametrize(
    ("top", "labels"),
    [
        (MANIFEST, LABELS),
        (manifest(PLAIN), {}),
        (index(arm64=manifest(PLAIN), amd64=MANIFEST), LABELS),
        (index(arm64=MANIFEST), {}),
    ],
    ids=["an image", "without any", "of several platforms", "of another platform"],
)
def test_labels_are_read_without_the_image(url: str, top: bytes, labels: dict[str, str]) -> None:
    for content in (top, MANIFEST, manifest(PLAIN)):
        Handler.tags[f"/v2/cmsaf/hub/manifests/{digest_of(content)}"] = content
    for content in (CONFIG, PLAIN):
        Handler.tags[f"/v2/cmsaf/hub/blobs/{digest_of(content)}"] = content
    assert Registry(url).labels("cmsaf/hub", digest_of(top)) == labels


def test_labels_that_cannot_be_read_name_the_request(url: str) -> None:
    Handler.tags["/v2/cmsaf/hub/manifests/sha256:00"] = b"<html>"
    with pytest.raises(RegistryError, match=r"GET .*/manifests/sha256:00 was answered with what is no JSON"):
        Registry(url).labels("cmsaf/hub", "sha256:00")
    Handler.tags["/v2/cmsaf/hub/manifests/sha256:00"] = MANIFEST
    with pytest.raises(RegistryError, match=r"GET .*/cmsaf/hub/blobs/sha256:[0-9a-f]{64} was answered with 404"):
        Registry(url).labels("cmsaf/hub", "sha256:00")


def test_copied_tag_is_the_same_image(url: str) -> None:
    registry = Registry(url)
    registry.copy_tag("cmsaf/hub", "0.1.0", "key-1")
    assert registry.digest("cmsaf/hub", "key-1") == DIGEST
    with pytest.raises(RegistryError, match=r"no cmsaf/hub:0\.3\.0"):
        registry.copy_tag("cmsaf/hub", "0.3.0", "key-1")


def test_errors_name_the_request(url: str) -> None:
    with pytest.raises(RegistryError, match=r"HEAD .*/v2/broken/x/manifests/1 was answered with 500"):
        Registry(url).digest("broken/x", "1")
    with pytest.raises(RegistryError, match="neither https:// nor http://"):
        Registry("file:///etc")
    with pytest.raises(RegistryError, match=r"http://127.0.0.1:1/v2/x/manifests/1 failed: .*refused"):
        Registry("http://127.0.0.1:1").digest("x", "1")
