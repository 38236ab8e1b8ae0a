# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub of the test: cmsaf_hub's own configuration, with a spawner that needs no cluster."""

import json
import os
from pathlib import Path

import cmsaf_hub
from jupyterhub.spawner import SimpleLocalProcessSpawner
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

folder = Path(os.environ["CMSAF_TEST_LOGIN"])
clients = []


class Spawner(SimpleLocalProcessSpawner):
    """Has what the page of servers to choose from looks at."""

    namespace, pvc_name_template = "hub", "claim-{username}"
    storage_pvc_ensure = False
    node_selector, tolerations = {}, []

    @property
    def api(self):
        if not clients:
            clients.append(CoreV1Api(ApiClient(Configuration(host=os.environ["CMSAF_TEST_CLUSTER"]))))
        return clients[0]


c = get_config()  # noqa: F821  # JupyterHub's loader provides it
c.JupyterHub.spawner_class = Spawner
c.JupyterHub.bind_url = os.environ["CMSAF_TEST_HUB"]
c.JupyterHub.hub_bind_url = "http://127.0.0.1:" + os.environ["CMSAF_TEST_PORT"]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:" + os.environ["CMSAF_TEST_PROXY_PORT"]
c.JupyterHub.ssl_key, c.JupyterHub.ssl_cert = str(folder / "tls.key"), str(folder / "tls.crt")
c.JupyterHub.db_url = f"sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(folder / "cookie-secret")
c.JupyterHub.services = []
c.CryptKeeper.keys = [os.urandom(32)]
# Starts, and is on its way for as long as somebody looks at the page of that.
c.Spawner.cmd = ["sleep", "120"]
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
cmsaf_hub.configure(c, json.loads((folder / "values.json").read_text()))
# What it does for servers in pods it does here for those that need none.
c.JupyterHub.allow_named_servers = True
c.Spawner.options_form, c.Spawner.options_from_form = c.KubeSpawner.options_form, "simple"
c.Spawner.pre_spawn_hook = c.KubeSpawner.pre_spawn_hook
