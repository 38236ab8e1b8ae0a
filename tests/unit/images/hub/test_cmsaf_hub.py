# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hub's own package: names, objects, and the hooks against a cluster that only remembers."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import re
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cmsaf_hub import configure, credentials, objects
from cmsaf_hub.errors import ClusterError, CredentialError, SettingsError
from cmsaf_hub.hooks import Hooks
from cmsaf_hub.names import SLUG_LENGTH, Server, pool_user
from cmsaf_hub.settings import Settings
from cmsaf_mint import _idtoken, _macaroon
from cmsaf_mint._token_request import is_pool_user
from kubernetes_asyncio.client import (
    ApiClient,
    V1Container,
    V1EnvVar,
    V1ObjectMeta,
    V1Pod,
    V1PodSpec,
)
from traitlets.config import Config

NAMESPACE = "hub"
DOMAIN = "dask.af.test"
OWNER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "name": "jupyter-alice",
    "uid": "8d3c",
    "blockOwnerDeletion": False,
    "controller": False,
}
CONTRACTED = {
    "condor_token",
    "xcache_token",
    "bearer_token",
    "ca.pem",
    "hostcert.pem",
    "usercert.pem",
    "workercert.pem",
}

SERVICE = {
    "url": "https://ap.af.test:9620",
    "certificateFile": "/keys/client.crt",
    "keyFile": "/keys/client.key",
    "caFile": "/keys/ca.crt",
}


def server(user: str = "alice", name: str = "") -> Server:
    return Server(user=user, name=name, namespace=NAMESPACE, dask_domain=DOMAIN)


@pytest.fixture
def values(tmp_path: Path) -> dict[str, Any]:
    key, secret = tmp_path / "condor-key", tmp_path / "macaroon-secret"
    key.write_bytes(_idtoken.generate_key())
    made = _macaroon.generate_secret()
    secret.write_bytes(made if isinstance(made, bytes) else made.encode())
    return {
        "dask": {"domain": DOMAIN, "workerAddresses": ["10.89.50.16"], "lifetime": 86400.0},
        "condor": {
            "keyFile": str(key),
            "keyId": "cmsaf-hub",
            "trustDomain": "pool.af.test",
            "usersDomain": "users.af.test",
            "lifetime": 43200,
        },
        "cache": {
            "secretFile": str(secret),
            "location": "AF-XCACHE",
            "path": "/store",
            "lifetime": 43200,
        },
    }


# -- names --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "name", "slug"),
    [
        ("alice", "", "alice"),
        ("a" * 40, "", "a" * 40),
        ("a" * 41, "", "a" * 29 + "---c0f8bd4d"),
        ("Alice", "", "alice---3bc51062"),
        ("alice@cern.ch", "", "alice-cern-ch---8da3722d"),
        ("7alice", "", "x-7alice---c07b997d"),
        ("", "", "x---e3b0c442"),
        ("alice", "two", "alice--two---aa409541"),
    ],
)
def test_slugs(user: str, name: str, slug: str) -> None:
    assert server(user, name).slug == slug


LOOK_ALIKES = [
    *("a.b", "a-b", "a--b", "a_b", "user", "user-x", "user--x", "x-", "x--"),
    # What another one's name becomes, taken as a name.
    *("alice---3bc51062", "user--x---ffffffff", "a" * 29 + "---c0f8bd4d"),
    *("alice", "Alice", "ALICE", "alice-", "-alice", "alice--", "ali ce", "alice.", "аlice"),
    *("alice@cern.ch", "alice-cern-ch", "alice.cern.ch", "ålice", "alice\u200b", "", "x", "7"),
    *("a" * length for length in (39, 40, 41, 63, 64, 65, 255)),
    *("A" * length for length in (40, 63, 64, 65)),
    *("ü" * length for length in (40, 63, 64, 65)),
    *("a" * (length - 1) + end for length in (40, 63, 64, 65) for end in "b-"),
]
SERVER_NAMES = ["", *LOOK_ALIKES[:24], *("s" * length for length in (39, 40, 63, 64, 65)), "ü" * 64]


def test_slugs_never_collide_and_always_fit() -> None:
    servers = [server(user, name) for user in LOOK_ALIKES for name in SERVER_NAMES]
    wanted = {(one.user, one.name) for one in servers}
    slugs = {one.slug for one in servers}
    assert len(slugs) == len(wanted)
    gateway = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
    for slug in slugs:
        assert gateway.fullmatch(slug), slug
        assert len(slug) <= SLUG_LENGTH


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Alice", ""), ("alice", "")),
        (("a.b", ""), ("a-b", "")),
        (("user", "x"), ("user-x", "")),
        (("user", "x"), ("user--x", "")),
        (("a-b", "c"), ("a", "b-c")),
        (("a", "b--c"), ("a--b", "c")),
        (("alice-", ""), ("alice", "")),
        (("alice", "x-"), ("alice", "x")),
        (("alice", "X"), ("alice", "x")),
        (("Alice", ""), (server("Alice").slug, "")),
        (("user", "x"), (server("user", "x").slug, "")),
        (("a" * 64, ""), ("a" * 65, "")),
        (("a" * 63 + "b", ""), ("a" * 63 + "c", "")),
        (("alice", "s" * 63), ("alice", "s" * 64)),
        (("\u00e5", ""), ("a\u030a", "")),
        (("alice", ""), ("\u0430lice", "")),
    ],
)
def test_look_alikes_have_objects_of_their_own(one: tuple[str, str], other: tuple[str, str]) -> None:
    first, second = server(*one), server(*other)
    assert not {first.secret, first.service, first.dask_name} & {second.secret, second.service, second.dask_name}
    assert one[0] == other[0] or pool_user(one[0]) != pool_user(other[0])


@pytest.mark.parametrize("length", [63, 64, 65])
def test_pool_users_at_the_limit(length: int) -> None:
    assert (pool_user("a" * length) == "a" * length) == (length <= 64)
    assert len(pool_user("a" * length)) <= 64


def test_names_of_a_server() -> None:
    one = server()
    assert (one.secret, one.service, one.dask_name) == (
        "cmsaf-alice",
        "dask-alice",
        "alice.dask.af.test",
    )
    assert one.dask_names == [
        "alice.dask.af.test",
        "dask-alice",
        "dask-alice.hub.svc",
        "dask-alice.hub.svc.cluster.local",
    ]


def test_pool_users_never_collide() -> None:
    users = [pool_user(user) for user in LOOK_ALIKES]
    assert len(set(users)) == len(LOOK_ALIKES)
    for user in users:
        assert is_pool_user(user), user
    assert pool_user("bob-y") == "bob-y"


@pytest.mark.parametrize("name", ["root", "Root", "condor", "condor_pool", "administrator", "anonymous", "a..b", "a."])
def test_nobody_is_called_what_the_token_service_refuses(name: str) -> None:
    assert is_pool_user(pool_user(name)) and not is_pool_user(name)


# -- objects ------------------------------------------------------------------


def metadata(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "hub",
        "labels": {
            "app.kubernetes.io/managed-by": "cmsaf-hub",
            "cmsaf.facility/server": "alice",
        },
        "annotations": {
            "hub.jupyter.org/username": "alice",
            "hub.jupyter.org/servername": "",
        },
        "ownerReferences": [OWNER],
    }


def test_secret() -> None:
    assert objects.secret(server(), {"ca.pem": "x"}, OWNER) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata("cmsaf-alice"),
        "type": "Opaque",
        "stringData": {"ca.pem": "x"},
    }


def test_service() -> None:
    assert objects.service(server(), OWNER) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("dask-alice"),
        "spec": {
            "clusterIP": "None",
            "selector": {"cmsaf.facility/server": "alice"},
            "ports": [
                {"name": f"dask-{port}", "port": port, "protocol": "TCP", "targetPort": port}
                for port in (8786, 8788, 8790, 8792)
            ],
        },
    }


def test_owner() -> None:
    pod = {"metadata": {"name": "jupyter-alice", "uid": "8d3c", "labels": {}}}
    assert objects.owner(pod) == OWNER


# -- credentials --------------------------------------------------------------


def made(values: dict[str, Any]) -> dict[str, str]:
    settings = Settings.from_values(values)
    return credentials.certificates(server(), settings) | asyncio.run(credentials.tokens(server(), settings))


def test_credentials(values: dict[str, Any]) -> None:
    found = made(values)
    assert set(found) == CONTRACTED
    assert found["xcache_token"] == found["bearer_token"]
    token = _idtoken.parse(found["condor_token"])
    assert (token.identity, token.issuer, token.key_id, token.scopes) == (
        "alice@users.af.test",
        "pool.af.test",
        "cmsaf-hub",
        ("READ", "WRITE"),
    )
    assert token.expires_at is not None
    assert token.expires_at - token.issued_at == 43200
    assert "PRIVATE KEY" not in found["ca.pem"]


def test_without_pool_and_cache(values: dict[str, Any]) -> None:
    found = made({"dask": values["dask"]})
    assert set(found) == {"ca.pem", "hostcert.pem", "usercert.pem", "workercert.pem"}


def test_what_is_renewed(values: dict[str, Any]) -> None:
    found = asyncio.run(credentials.tokens(server(), Settings.from_values(values)))
    assert set(found) == {"condor_token", "xcache_token", "bearer_token"}
    assert objects.renewal(found) == {"stringData": found}


def test_a_missing_key_is_named(values: dict[str, Any]) -> None:
    values["condor"]["keyFile"] = "/nonexistent/key"
    with pytest.raises(CredentialError, match=r"HTCondor token .* /nonexistent/key could not be"):
        made(values)


def test_a_short_key_is_refused(values: dict[str, Any]) -> None:
    Path(values["condor"]["keyFile"]).write_bytes(b"short")
    with pytest.raises(CredentialError, match="5 bytes") as problem:
        made(values)
    assert problem.value.jupyterhub_message == str(problem.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dask": None}, r"custom\.cmsaf\.dask\.domain is None"),
        ({"dask": {"domain": DOMAIN, "lifetime": 0}}, r"dask\.lifetime is 0"),
        ({"dask": {"domain": DOMAIN, "lifetime": True}}, r"dask\.lifetime is True"),
        ({"condor": "yes"}, r"custom\.cmsaf\.condor is 'yes'"),
        ({"cahce": {}}, "unknown keys: cahce"),
        ({"condor": {"lifetime": 1}}, r"condor\.keyFile is None"),
        ({"condor": {"tokenService": SERVICE}}, r"condor\.lifetime is None"),
        ({"condor": {"tokenService": SERVICE, "lifetime": 1, "keyFile": "/k"}}, r"condor has unknown keys: keyFile"),
        ({"condor": {"tokenService": SERVICE | {"user": "x"}, "lifetime": 1}}, r"tokenService has unknown keys: user"),
        ({"condor": {"tokenService": SERVICE | {"caFile": ""}, "lifetime": 1}}, r"tokenService\.caFile is ''"),
        ({"condor": {"tokenService": SERVICE | {"url": "http://ap:9620"}, "lifetime": 1}}, r"begin with https://"),
        ({"renewEvery": 0}, r"renewEvery is 0, it has to be a positive number"),
        ({"renewEvery": 21601}, r"renewEvery is 21601, it has to be at most half .* of a token, 43200"),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_values(values | change)


def test_time_between_renewals(values: dict[str, Any]) -> None:
    values["cache"]["lifetime"] = 3600
    assert Settings.from_values(values).renewal_interval == timedelta(seconds=1200)
    assert Settings.from_values(values | {"renewEvery": 20.0}).renewal_interval == timedelta(seconds=20)
    assert Settings.from_values({"dask": values["dask"]}).renewal_interval is None


# -- hooks --------------------------------------------------------------------


class Answer:
    """What the client gives back of the API server's, where it is not to read it itself."""

    def __init__(self, status: int = 200, reason: str = "OK") -> None:
        self.status, self.reason, self.ok = status, reason, status < 400

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        return b"{}"


class Cluster:
    """Remembers objects by kind and name; answers as the API server does."""

    def __init__(self, refuse: int | None = None, hangs: bool = False) -> None:
        self.objects: dict[tuple[str, str], Any] = {}
        self.refuse = refuse
        self.hangs = hangs
        self.together = self.most = 0

    def __getattr__(self, verb: str) -> Any:
        action, _namespaced, kind = verb.split("_", 2)

        async def create(
            namespace: str, manifest: dict[str, Any], _preload_content: bool, _request_timeout: float
        ) -> Answer:
            assert not _preload_content
            key = (kind, manifest["metadata"]["name"])
            self.together += 1
            self.most = max(self.most, self.together)
            await asyncio.sleep(0.001)
            self.together -= 1
            if self.hangs:
                raise asyncio.TimeoutError
            if self.refuse:
                return Answer(self.refuse, "Refused")
            if key in self.objects:
                return Answer(409, "Conflict")
            self.objects[key] = manifest
            return Answer(201, "Created")

        async def delete(name: str, namespace: str, _preload_content: bool, _request_timeout: float) -> Answer:
            assert not _preload_content
            return Answer(404, "Not Found") if self.objects.pop((kind, name), None) is None else Answer()

        return {"create": create, "delete": delete}[action]


class Spawner:
    def __init__(self, cluster: Cluster, user: str = "alice", name: str = "") -> None:
        self.api = cluster
        self.user = SimpleNamespace(name=user, groups=[])
        self.name = name
        self.namespace = NAMESPACE
        self.storage_pvc_ensure = False
        self.pvc_name_template = "claim-{username}"
        self.log = logging.getLogger("spawner")


def pod() -> V1Pod:
    container = V1Container(name="notebook", env=[V1EnvVar(name="CMSAF_USER", value="mallory"), V1EnvVar(name="A")])
    return V1Pod(metadata=V1ObjectMeta(labels={"app": "x"}), spec=V1PodSpec(containers=[container]))


CREATED = {"metadata": {"name": "jupyter-alice", "uid": "8d3c"}}


def test_a_server_comes_and_goes(values: dict[str, Any]) -> None:
    async def live() -> None:
        cluster = Cluster()
        hooks = Hooks(Settings.from_values(values))
        spawner = Spawner(cluster)
        await hooks.pre_spawn(spawner)
        assert cluster.objects == {}
        await hooks.store(spawner, CREATED)
        assert set(cluster.objects) == {("secret", "cmsaf-alice"), ("service", "dask-alice")}
        stored = cluster.objects["secret", "cmsaf-alice"]
        assert set(stored["stringData"]) == CONTRACTED
        assert stored["metadata"]["ownerReferences"] == [OWNER]
        await hooks.post_stop(spawner)
        assert cluster.objects == {}
        await hooks.post_stop(spawner)

    asyncio.run(live())


def test_copies_of_the_hooks_know_of_each_other(values: dict[str, Any]) -> None:
    async def live() -> None:
        cluster = Cluster()
        hooks = Hooks(Settings.from_values(values))
        spawner = Spawner(cluster)
        # Traitlets hands each value of the configuration to a spawner as a copy of its own.
        await copy.deepcopy(hooks.pre_spawn)(spawner)
        await copy.deepcopy(hooks.store)(spawner, CREATED)
        assert set(cluster.objects) == {("secret", "cmsaf-alice"), ("service", "dask-alice")}

    asyncio.run(live())


def test_leftovers_are_replaced(values: dict[str, Any]) -> None:
    async def live() -> None:
        cluster = Cluster()
        cluster.objects = {("secret", "cmsaf-alice"): "old", ("service", "dask-alice"): "old"}
        hooks = Hooks(Settings.from_values(values))
        spawner = Spawner(cluster)
        await hooks.pre_spawn(spawner)
        await hooks.store(spawner, CREATED)
        assert "old" not in cluster.objects.values()

    asyncio.run(live())


def test_servers_that_start_together_ask_the_cluster_in_turn(values: dict[str, Any]) -> None:
    async def live() -> None:
        cluster = Cluster()
        hooks = Hooks(Settings.from_values(values))
        spawners = [Spawner(cluster, f"user{number}") for number in range(20)]
        for spawner in spawners:
            await hooks.pre_spawn(spawner)
        await asyncio.gather(*(hooks.store(spawner, CREATED) for spawner in spawners))
        assert len(cluster.objects) == 40
        assert 1 < cluster.most <= 4

    asyncio.run(live())


def test_a_cluster_that_hangs_is_said_in_words(values: dict[str, Any]) -> None:
    async def live() -> None:
        hooks = Hooks(Settings.from_values(values))
        spawner = Spawner(Cluster(hangs=True))
        await hooks.pre_spawn(spawner)
        with pytest.raises(ClusterError, match="the cluster has not answered in 30 seconds"):
            await hooks.store(spawner, CREATED)

    asyncio.run(live())


def test_a_refusal_is_said_in_words(values: dict[str, Any]) -> None:
    async def live() -> None:
        hooks = Hooks(Settings.from_values(values))
        spawner = Spawner(Cluster(refuse=403))
        await hooks.pre_spawn(spawner)
        with pytest.raises(ClusterError, match="in namespace hub: the cluster answered 403") as found:
            await hooks.store(spawner, CREATED)
        assert "PRIVATE" not in str(found.value)

    asyncio.run(live())


def test_pod_is_extended(values: dict[str, Any]) -> None:
    async def live() -> Any:
        hooks = Hooks(Settings.from_values(values))
        async with ApiClient() as client:
            changed = await hooks.modify_pod(Spawner(Cluster()), pod())
            return client.sanitize_for_serialization(changed)

    assert asyncio.run(live()) == {
        "metadata": {"labels": {"app": "x", "cmsaf.facility/server": "alice"}},
        "spec": {
            "containers": [
                {
                    "name": "notebook",
                    "env": [
                        {"name": "A"},
                        {"name": "CMSAF_USER", "value": "alice"},
                        {"name": "CMSAF_SERVER", "value": ""},
                        {"name": "CMSAF_DASK_NAME", "value": "alice.dask.af.test"},
                        {"name": "CMSAF_DASK_PORTS", "value": "8786,8788,8790,8792"},
                    ],
                    "volumeMounts": [
                        {
                            "name": "cmsaf-secrets",
                            "mountPath": "/etc/cmsaf-secrets",
                            "readOnly": True,
                        }
                    ],
                }
            ],
            "volumes": [
                {
                    "name": "cmsaf-secrets",
                    "secret": {"secretName": "cmsaf-alice", "defaultMode": 0o440},
                }
            ],
        },
    }


def test_the_loop_turns_between_the_credentials_of_two_servers(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_since = most = 0
    mint = credentials._dask_tls.mint

    def counted(**options: Any) -> Any:
        nonlocal made_since, most
        made_since += 1
        most = max(most, made_since)
        return mint(**options)

    monkeypatch.setattr(credentials._dask_tls, "mint", counted)

    async def others() -> None:
        nonlocal made_since
        while True:
            made_since = 0
            await asyncio.sleep(0)

    async def live() -> None:
        hooks = Hooks(Settings.from_values(values))
        spawners = [Spawner(Cluster(), user=f"user{number}") for number in range(20)]
        beside = asyncio.create_task(others())
        await asyncio.gather(*(hooks.pre_spawn(spawner) for spawner in spawners))
        beside.cancel()

    asyncio.run(live())
    # One after the others' call in this turn, one before it in the next.
    assert 0 < most <= 2


@pytest.mark.parametrize(("service", "warnings"), [(None, 1), (SERVICE, 0)])
def test_a_key_of_the_pool_in_the_hub_is_warned_of(
    values: dict[str, Any], caplog: pytest.LogCaptureFixture, service: Any, warnings: int
) -> None:
    if service:
        values["condor"] = {"tokenService": service, "lifetime": 43200}
    configure(Config(), values)
    assert caplog.text.count("holds the pool's key cmsaf-hub") == warnings
    assert "custom.cmsaf.condor.tokenService" in caplog.text or not warnings


def test_configure(values: dict[str, Any], tmp_path: Path) -> None:
    password = tmp_path / "login"
    password.write_text("correct horse\n")
    config = Config()
    config.KubeSpawner.namespace = NAMESPACE
    config.JupyterHub.services = [{"name": "idle-culler"}]
    hooks = configure(config, values | {"loginPasswordFile": str(password)})
    assert config.KubeSpawner.pre_spawn_hook == hooks.pre_spawn
    assert config.KubeSpawner.post_stop_hook == hooks.post_stop
    assert config.SharedPasswordAuthenticator.user_password == "correct horse"
    culler, renewal = config.JupyterHub.services
    assert culler == {"name": "idle-culler"}
    assert renewal["command"] == [sys.executable, "-m", "cmsaf_hub.renewal"]
    assert renewal["environment"]["POD_NAMESPACE"] == NAMESPACE
    passed_on = json.loads(renewal["environment"]["CMSAF_HUB_VALUES"])
    assert Settings.from_values(passed_on) == hooks.settings
    assert "correct horse" not in str(renewal)
    with pytest.raises(SettingsError, match="loginPasswordFile"):
        configure(config, values | {"loginPasswordFile": str(tmp_path / "none")})


def test_what_is_imported_is_no_business_of_the_garbage_collector(values: dict[str, Any]) -> None:
    gc.unfreeze()
    try:
        configure(Config(), values)
        assert gc.get_freeze_count() > 100_000
        assert ApiClient not in gc.get_objects()
    finally:
        gc.unfreeze()


def test_nothing_to_renew_is_no_service(values: dict[str, Any]) -> None:
    config = Config()
    configure(config, {"dask": values["dask"]})
    assert "services" not in config.JupyterHub
