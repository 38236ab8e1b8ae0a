# SPDX-License-Identifier: GPL-3.0-or-later
"""The check as an admin runs it: the real playbook, by ansible-playbook, on inventories good and bad."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
GOOD = [ROOT / "inventories" / "box", ROOT / "inventories" / "example", ROOT / "molecule" / "inventory"]
NO_SHA256 = "0123456789abcdef"

BAD: dict[str, Any] = {
    "facility_domain": "AF_test",
    "facility_host_network": "127.0.0.0/24",
    "facility_pod_network": "127.0.0.0/16",
    "facility_service_network": "127.0.0.0/20",
    "facility_hubname": "hub.af.test",
    "facility_user_subdomains": True,
    "facilty_name": "Bad",
    "facility_registry_mirrors": "{{ not_there }}",
    "mirror_upstream_checksums": {"get.helm.sh/helm.tar.gz": NO_SHA256},
    "xcache_image": "registry.example.org/xrootd:v5.8.1",
    "jupyterhub_hub_image": "registry.example.org/jupyterhub:5.3.0",
    "jupyterhub_sessions": {"named_servers": 3, "idle": 86400, "longest": 1209600},
    "gateway_maxconn": "many",
    # Of an older release, and what took its place.
    "xcache_origin_host": "se.example.org",
    "facility_origins": [
        {
            "name": "se",
            "url": "root://se.example.org:1094",
            "paths": ["/store"],
            "authentication": "token",
            "credential": "/etc/grid/token",
        }
    ],
    # Set here, read by a play on localhost.
    "site_check_execute_hosts": 3,
}
# Each mistake by what it begins with: variable and what was found. {port} is one that nobody listens on.
MISTAKES = [
    r"group gateway: found 0 hosts\. Put at least 1 into it",
    r"group condor_execute: found 1 host\. Put at least 3 into it \(at least that many by site_check_execute_hosts\)",
    r"group kube_control_plane: found 2 hosts, an even number\. Take one away or add one",
    r"facility_name: found nothing on .*\. Set it for all hosts",
    r"facilty_name: found a variable that does not exist, on .*\. Write facility_name instead",
    r"facility_hubname: found a variable that does not exist, on .*\. Write facility_hub_name instead",
    r"facility_registry_mirrors: found on .* a value that cannot be used \(.*'not_there' is undefined.*\)\. Set",
    r"facility_domain: found 'AF_test', which is no DNS domain\. Set lower-case labels",
    r"facility_pod_network: found 127\.0\.0\.0/16, which overlaps facility_host_network 127\.0\.0\.0/24\. Set",
    r"facility_service_network: found 127\.0\.0\.0/20, which overlaps facility_host_network 127\.0\.0\.0/24\. Set",
    r"facility_service_network: found 127\.0\.0\.0/20, which overlaps facility_pod_network 127\.0\.0\.0/16\. Set",
    r"facility_files_url: found no answer from https://127\.0\.0\.1:{port}/files \(.+\)\. Correct it",
    r"facility_registry: found no answer from https://127\.0\.0\.1:{port}/v2/ \(.+\)\. Correct it",
    rf"mirror_upstream_checksums\.get\.helm\.sh/helm\.tar\.gz: found '{NO_SHA256}'\. Set a sha256: 64 hexadecimal",
    r"xcache_image: found 'registry\.example\.org/xrootd:v5\.8\.1', below 6\.2\.0\. Set xrootd 6\.2\.0 or newer",
    r"jupyterhub_hub_image: found 'registry\.example\.org/jupyterhub:5\.3\.0', below .*\. Set jupyterhub .* or newer",
    r"jupyterhub_sessions\.longest: found 1209600 seconds\. Set at most 604800",
    r"gateway_maxconn: found a value of another type",
    r"gateway_certificate: found a certificate for hub\.af\.test, and not for hub\.AF_test and \*\.hub\.AF_test\. Give",
    r"xcache_origin_host: found a variable that does not exist, on .*\. Write url into each of facility_origins instead",
    r"facility_origins\[0\]\.authentication: found 'token', and the url is of root\. Set a url of roots or a url of",
]


class Listener:
    """Stands for all hosts' ssh port and counts who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("0.0.0.0", 0))
        self.port: int = self._socket.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def silent_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def certificate(folder: Path) -> Path:
    """For the hub's name alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hub.af.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "hub.crt"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def bad(tmp_path: Path, listener: Listener, silent_port: int) -> Path:
    """An inventory with every kind of mistake. Its hosts could be reached, so that it would be seen if they were."""
    variables = {
        **BAD,
        "gateway_certificate": str(certificate(tmp_path)),
        "facility_files_url": f"https://127.0.0.1:{silent_port}/files",
        "facility_registry": f"127.0.0.1:{silent_port}",
        "ansible_port": listener.port,
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5",
    }
    addresses = {f"h{number}": {"ansible_host": f"127.0.0.{number}"} for number in range(11, 16)}
    groups = {
        "authority": ["h11"],
        "kube_control_plane": ["h11", "h12"],
        "kube_worker": ["h13", "h14"],
        "condor_manager": ["h15"],
        "condor_access_point": ["h15"],
        "condor_execute": ["h15"],
        "xcache": ["h13"],
    }
    children = {group: {"hosts": {host: {} for host in hosts}} for group, hosts in groups.items()}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": addresses, "children": children}}), encoding="utf-8")
    place = tmp_path / "group_vars" / "all.yml"
    place.parent.mkdir()
    place.write_text(yaml.safe_dump(variables), encoding="utf-8")
    return inventory


def play(playbook: str, inventory: Path, *arguments: str) -> dict[str, Any]:
    """What Ansible says of a run: plays, and statistics by host."""
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, *arguments, ROOT / "playbooks" / f"{playbook}.yml"],
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"{done.stdout}\n{done.stderr}") from None
    return said


def failures(said: dict[str, Any]) -> list[Any]:
    """Messages of the tasks that failed and were not meant to."""
    return [
        result["msg"]
        for one in said["plays"]
        for task in one["tasks"]
        for result in task["hosts"].values()
        if result.get("failed")
    ]


@pytest.mark.parametrize(("playbook", "arguments"), [("check", ()), ("site", ("--check",))])
def test_all_mistakes_are_in_one_list_and_no_host_is_contacted(
    bad: Path, listener: Listener, silent_port: int, playbook: str, arguments: tuple[str, ...]
) -> None:
    said = play(playbook, bad, *arguments)
    assert len(failures(said)) == 1, failures(said)
    title, *found = failures(said)[0]
    assert title == f"{len(found)} mistakes in the inventory, nothing was touched:"
    for mistake in MISTAKES:
        pattern = mistake.replace("{port}", str(silent_port))
        assert sum(re.match(pattern, text) is not None for text in found) == 1, f"{pattern} in {found}"
    assert len(found) == len(MISTAKES), found
    assert list(said["stats"]) == ["localhost"]
    assert len(said["plays"]) == 1
    assert listener.came == 0


def test_the_listener_would_notice(bad: Path, listener: Listener) -> None:
    subprocess.run(["ansible", "-i", bad, "h11", "-m", "ansible.builtin.ping"], capture_output=True, check=False)
    assert listener.came > 0


def test_all_else_can_be_checked_without_network(bad: Path) -> None:
    found = failures(play("check", bad, "--extra-vars", '{"site_check_reach_mirror": false}'))[0]
    assert not any("no answer" in text for text in found)
    assert len(found) == 1 + len([mistake for mistake in MISTAKES if "no answer" not in mistake])


@pytest.mark.parametrize(("status", "answered"), [(404, True), (503, False)])
def test_a_mirror_that_answers_is_no_mistake(bad: Path, status: int, answered: bool) -> None:
    class Mirror(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    found = failures(play("check", bad, "--check", "--extra-vars", json.dumps({"facility_files_url": url})))[0]
    server.shutdown()
    server.server_close()
    assert any(text.startswith(f"facility_files_url: found no answer from {url}") for text in found) is not answered


@pytest.mark.parametrize("inventory", GOOD, ids=lambda path: str(path.relative_to(ROOT)))
def test_inventory_of_the_collection_has_no_mistake(inventory: Path) -> None:
    said = play("check", inventory)
    assert failures(said) == []
    assert list(said["stats"]) == ["localhost"]
