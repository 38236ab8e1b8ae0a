# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that start at once: what their credentials cost the hub, by our hooks and by one that blocks.

Both run on an event loop beside a clock that asks every millisecond to be called, as a hub's other requests do; what
it is late is the stall. Both store what they make at the same API server, in a namespace that is gone afterwards. Ours
are the hooks of cmsaf_hub with the settings and keys of the hub that runs there. The other one does what a
straightforward hook does: three RSA keys of 2048 bits with their certificates, two tokens, and eight calls of the API
one after the other, all in the event loop's own thread. The limit is the API server's: the objects of ours alone, of
credentials that our code made before, and not one for each server.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import datetime
import json
import logging
import os
import statistics
import time
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import requests
from cmsaf_hub import answers, credentials, hooks, objects, token_service
from cmsaf_hub.names import Server
from cmsaf_hub.settings import Settings
from cmsaf_mint import _idtoken, _macaroon
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from kubernetes_asyncio import client, config
from kubernetes_asyncio.client.exceptions import ApiException

NAMESPACE = "cmsaf-bench"
KEYS = "/etc/cmsaf-hub"
TICK = 0.001


class Clock:
    """How late the event loop calls back."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Clock:
        self._task = asyncio.create_task(self._run())
        await asyncio.sleep(0.1)
        self.late.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(2 * TICK)
        assert self._task is not None
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(TICK)
            self.late.append(time.perf_counter() - asked - TICK)


async def hub_settings(api: Any, namespace: str, directory: Path) -> dict[str, Any]:
    """The values of the hub that runs, its keys copied to files of this user alone."""
    values = json.loads((await api.read_namespaced_config_map("hub", namespace)).data["values.json"])["custom"]["cmsaf"]
    secret = await api.read_namespaced_secret("hub-keys", namespace)
    for name, content in secret.data.items():
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64decode(content))
    return json.loads(json.dumps(values).replace(KEYS, str(directory)))


async def prepare(api: Any) -> dict[str, Any]:
    """A namespace, and a pod that waits for a node that is not there: it owns what is stored, and takes it along."""
    try:
        await api.create_namespace({"metadata": {"name": NAMESPACE}})
    except ApiException as problem:
        if problem.status != 409:
            raise
    for _try in range(30):
        try:
            pod = await api.create_namespaced_pod(
                NAMESPACE,
                {
                    "metadata": {"generateName": "owner-"},
                    "spec": {
                        "nodeSelector": {"cmsaf.facility/nowhere": "true"},
                        "containers": [{"name": "none", "image": "none"}],
                    },
                },
            )
        except ApiException as problem:
            # The namespace has no service account in its first moments.
            if problem.status != 403:
                raise
            await asyncio.sleep(0.5)
        else:
            return {"metadata": {"name": pod.metadata.name, "uid": pod.metadata.uid}}
    raise TimeoutError(f"Making a pod in {NAMESPACE}: refused for 15 s")


def of_hub(api: Any, settings: Settings, pod: dict[str, Any]) -> Callable[[int], Awaitable[None]]:
    """The hooks, in the order in which KubeSpawner calls them."""
    ours = hooks.Hooks(settings)

    async def start(number: int) -> None:
        spawner = Spawner(api, f"bench{number}")
        await ours.pre_spawn(spawner)
        await ours.after_pod_created(spawner, pod)

    return start


async def limit(api: Any, settings: Settings, pod: dict[str, Any]) -> Callable[[int], Awaitable[None]]:
    """The objects that the hooks store, by the same calls, as many at a time, of credentials that are there already."""
    owner = objects.owner(pod)
    gate = asyncio.Semaphore(hooks._TOGETHER)

    def server_of(user: str) -> Server:
        return Server(user=user, name="", namespace=NAMESPACE, dask_domain=settings.dask.domain)

    # Another server's differ in size by the letters of its name.
    made_for = server_of("limit0")
    minted = credentials.certificates(made_for, settings) | await credentials.tokens(made_for, settings)

    async def call(create: Callable[..., Awaitable[Any]], manifest: dict[str, Any]) -> None:
        async with gate:
            await answers.ask(create, NAMESPACE, manifest)

    async def start(number: int) -> None:
        server = server_of(f"limit{number}")
        await asyncio.gather(
            call(api.create_namespaced_secret, objects.secret(server, minted, owner)),
            call(api.create_namespaced_service, objects.service(server, owner)),
        )

    return start


class Spawner:
    """What the hooks ask of a spawner."""

    def __init__(self, api: Any, user: str) -> None:
        self.api = api
        self.user = types.SimpleNamespace(name=user, groups=[])
        self.user_options: dict[str, str] = {}
        self.name = ""
        self.namespace = NAMESPACE
        self.log = logging.getLogger("bench")


def blocking(server: str, session: requests.Session, pod: dict[str, Any]) -> Callable[[int], Awaitable[None]]:
    """A hook that does all in the loop's thread."""
    owner = [{"apiVersion": "v1", "kind": "Pod", **pod["metadata"]}]
    key = os.urandom(64)
    secret = base64.b64encode(os.urandom(64))

    def call(verb: str, kind: str, name: str = "", body: dict[str, Any] | None = None) -> None:
        path = f"{server}/api/v1/namespaces/{NAMESPACE}/{kind}" + (f"/{name}" if name else "")
        answer = session.request(verb, path, json=body, timeout=60)
        assert answer.ok or answer.status_code == 404, answer.text

    async def start(number: int) -> None:
        name = f"plain{number}"
        authority = rsa_key()
        files = {"ca.pem": certificate(authority, authority, name)}
        for part in ("host", "user"):
            leaf = rsa_key()
            files[f"{part}.pem"] = certificate(leaf, authority, name) + private(leaf)
        files["condor_token"] = _idtoken.mint(
            key=key, key_id="K", issuer="i", identity="a@b", lifetime=3600, scopes=("READ", "WRITE")
        )
        files["xcache_token"] = _macaroon.mint(
            secret=secret,
            location="X",
            name="a",
            activities=("DOWNLOAD",),
            path="/store",
            before=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1),
        )
        ports = [{"name": "dask", "port": 8786}]
        for kind, suffix, body in (
            ("secrets", "", {"stringData": files}),
            ("services", "-scheduler", {"spec": {"clusterIP": "None", "ports": ports}}),
            ("services", "-worker", {"spec": {"clusterIP": "None", "ports": ports}}),
        ):
            metadata = {"name": name + suffix, "ownerReferences": owner}
            call("DELETE", kind, name + suffix)
            call("POST", kind, body={"metadata": metadata, **body})
        call("GET", "services", f"{name}-scheduler")
        call("GET", "services", f"{name}-worker")

    return start


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def certificate(key: rsa.RSAPrivateKey, issuer: rsa.RSAPrivateKey, name: str) -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=365))
        .sign(issuer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


async def measure(start: Callable[[int], Awaitable[None]], first: int, servers: int) -> dict[str, float]:
    """All at once; seconds of all, and the loop's lateness in milliseconds."""
    async with Clock() as clock:
        began = time.perf_counter()
        await asyncio.gather(*(start(first + number) for number in range(servers)))
        seconds = time.perf_counter() - began
    late = sorted(clock.late)
    return {"rate": servers / seconds, "p99": 1e3 * late[int(0.99 * (len(late) - 1))], "longest": 1e3 * late[-1]}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--directory", type=Path, required=True, help="for the keys")
    parser.add_argument("--namespace", default="hub", help="where the hub runs")
    parser.add_argument("--servers", type=int, default=50, help="that start at once")
    parser.add_argument("--rounds", type=int, default=5, help="of each, one after the other by turns")
    options = parser.parse_args()

    await config.load_kube_config(str(options.kubeconfig))
    async with client.ApiClient() as connection:
        api = client.CoreV1Api(connection)
        settings = Settings.from_values(await hub_settings(api, options.namespace, options.directory))
        pod = await prepare(api)
        found: dict[str, list[dict[str, float]]] = {"hooks": [], "blocking": [], "limit": []}
        try:
            kube = connection.configuration
            with requests.Session() as session:
                session.trust_env = False  # the cluster's authority, whatever this machine trusts
                session.verify, session.cert = kube.ssl_ca_cert, (kube.cert_file, kube.key_file)
                starts = {
                    "hooks": of_hub(api, settings, pod),
                    "blocking": blocking(kube.host, session, pod),
                    "limit": await limit(api, settings, pod),
                }
                for turn in range(options.rounds):
                    for name, start in starts.items():
                        found[name].append(await measure(start, turn * options.servers, options.servers))
                        print(
                            f"round {turn + 1} of {options.rounds}, {name}: {found[name][-1]['rate']:.1f}/s", flush=True
                        )
        finally:
            await token_service.close()
            await api.delete_namespace(NAMESPACE)
    print(f"\n{options.servers} servers at once, median of {options.rounds} rounds")
    print(f"{'':10}{'servers/s':>12}{'stall p99, ms':>16}{'longest, ms':>14}")
    medians = {
        name: {what: statistics.median(row[what] for row in rows) for what in rows[0]} for name, rows in found.items()
    }
    for name, row in medians.items():
        print(f"{name:10}{row['rate']:12.1f}{row['p99']:16.1f}{row['longest']:14.1f}")
    ours = medians.pop("hooks")
    for name, row in medians.items():
        print(
            f"hooks to {name}: servers/s {ours['rate'] / row['rate']:.2f}, stall p99 {ours['p99'] / row['p99']:.1f},"
            f" longest {ours['longest'] / row['longest']:.3f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
