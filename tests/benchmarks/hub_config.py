# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration of the JupyterHub that tests/benchmarks/hub.py measures: all real but the proxy and the pods.

BENCH is a JSON text: kind (hooks, blocking or none), limit (of spawns at once), hub (port), pods (port), directory, password,
and looks (seconds from one look at the proxy for what was used to the next; without it that of JupyterHub).
"""

import asyncio
import datetime
import functools
import json
import logging
import os
import time
import types
from pathlib import Path

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner
from jupyterhub.utils import exponential_backoff

given = json.loads(os.environ["BENCH"])
directory = Path(given["directory"])
(directory / "tokens").mkdir(mode=0o700)
# What the cluster takes for a call, and from the call for a pod until its server answers.
CALL, BOOT = 0.02, 2.0


class NoProxy(Proxy):
    """Knows the routes; nobody comes by them, and all were used just now."""

    should_start = False

    def __init__(self, **options):
        super().__init__(**options)
        self.routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        routes = {
            spec: {**route, "data": {**route["data"], "last_activity": now}} for spec, route in self.routes.items()
        }
        if given["kind"] == "hooks":
            # As cmsaf_hub.routes has it of a real one.
            await activity.note(self.db, routes, self.log)
        return routes


class Taken:
    """What the API server says."""

    ok = True

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def read(self):
        return b"{}"


class Cluster:
    """An API server that takes everything, after a while."""

    async def _call(self, *_, **__):
        await asyncio.sleep(CALL)
        return Taken()

    create_namespaced_secret = create_namespaced_service = _call
    delete_namespaced_secret = delete_namespaced_service = _call


class StubSpawner(Spawner):
    """A pod that is ready after two seconds; all pods have one server."""

    api = Cluster()
    namespace = "bench"
    running = False
    pod_reflector = types.SimpleNamespace(pods={})

    async def start(self):
        # What the server would have in its environment.
        (directory / "tokens" / self.user.name).write_text(self.api_token)
        self.port = given["pods"]
        name = f"jupyter-{self.user.name}"
        pods = self.pod_reflector.pods
        ready = {"metadata": {"name": name, "uid": "0"}, "status": {"podIP": "127.0.0.1"}}
        asyncio.get_running_loop().call_later(BOOT, pods.__setitem__, f"{self.namespace}/{name}", ready)
        if given["kind"] == "hooks":
            await hooks.after_pod_created(self, ready)
        # As KubeSpawner waits.
        await exponential_backoff(lambda: self.is_pod_running(pods.get(f"{self.namespace}/{name}")), name, timeout=60)
        self.running = True
        return f"http://127.0.0.1:{self.port}"

    def is_pod_running(self, pod):
        return pod is not None

    async def stop(self, now=False):
        self.running = False

    async def poll(self):
        return None if self.running else 0


def blocking(spawner):
    """Three RSA keys with certificates and eight calls of the cluster, all in the event loop's thread."""
    from minting import certificate, rsa_key

    authority = rsa_key()
    for key in (authority, rsa_key(), rsa_key()):
        certificate(key, authority, spawner.user.name)
    time.sleep(8 * CALL)


c = get_config()  # noqa: F821 # JupyterHub gives it
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.spawner_class = StubSpawner
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = given["password"]
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = f"http://127.0.0.1:{given['hub'] + 1}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{given['hub']}"
c.JupyterHub.db_url = f"sqlite:///{directory}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(directory / "cookie-secret")
c.JupyterHub.concurrent_spawn_limit = given["limit"]
c.JupyterHub.cleanup_servers = False
c.JupyterHub.log_level = logging.WARNING
if "looks" in given:
    c.JupyterHub.last_activity_interval = given["looks"]
c.JupyterHub.load_roles = [{"name": "bench", "scopes": ["admin:users", "servers"], "services": ["bench"]}]
c.JupyterHub.services = [{"name": "bench", "api_token": given["token"]}]
# It is as good as those that the hub makes. One that is not trusted is hashed for seven milliseconds each time that it comes.
c.JupyterHub.trust_user_provided_tokens = True
# As the hub's chart has it.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}

if given["kind"] == "hooks":
    import gc

    from cmsaf_hub import activity
    from cmsaf_hub.database import commit_without_waiting
    from cmsaf_hub.hooks import Hooks
    from cmsaf_hub.settings import Settings
    from cmsaf_mint import _idtoken, _macaroon

    (directory / "condor-key").write_bytes(_idtoken.generate_key())
    secret = _macaroon.generate_secret()
    (directory / "macaroon-secret").write_bytes(secret if isinstance(secret, bytes) else secret.encode())
    condor = {"keyFile": str(directory / "condor-key"), "keyId": "bench", "trustDomain": "pool.bench.test",
              "usersDomain": "users.bench.test", "lifetime": 43200}  # fmt: skip
    cache = {"secretFile": str(directory / "macaroon-secret"), "location": "BENCH", "path": "/store", "lifetime": 43200}
    dask = {"domain": "dask.bench.test", "workerAddresses": ["192.0.2.16", "192.0.2.17"], "lifetime": 86400.0}
    hooks = Hooks(Settings.from_values({"dask": dask, "condor": condor, "cache": cache}))
    # What cmsaf_hub.configure() does beside setting the hooks.
    commit_without_waiting()
    gc.freeze()
    # Functions, as traitlets copies what is none.
    c.Spawner.pre_spawn_hook = functools.partial(types.MethodType(Hooks.pre_spawn, hooks))
elif given["kind"] == "blocking":
    c.Spawner.pre_spawn_hook = blocking
