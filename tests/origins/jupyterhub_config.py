# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub with what role jupyterhub configures it by, and servers that are processes here."""

import os
import sys
from pathlib import Path

import yaml

folder, network = Path(os.environ["CMSAF_TEST_FOLDER"]), os.environ["CMSAF_TEST_NETWORK"]
values = yaml.safe_load((folder / "values.yaml").read_text())


def server_of(spawner):
    """Who is called mallory runs something else than the facility's server."""
    server = [str(Path(__file__).with_name("stranger.py"))] if spawner.user.name == "mallory" else None
    spawner.cmd = [sys.executable, *(server or ["-m", "jupyterhub.singleuser", "--allow-root"])]
    spawner.environment = {"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}


c = get_config()  # noqa: F821  # JupyterHub's loader provides it
for section in ("JupyterHub", "Authenticator"):
    for name, value in values["hub"]["config"][section].items():
        setattr(c[section], name, value)
c.SharedPasswordAuthenticator.user_password = os.environ["CMSAF_TEST_PASSWORD"]
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{folder}/homes/{{username}}"
c.Spawner.pre_spawn_hook = server_of
c.JupyterHub.allow_named_servers = values["hub"]["allowNamedServers"]
c.JupyterHub.hub_bind_url = f"http://{network}.3:8081"
c.JupyterHub.bind_url = f"http://{network}.2:80"
c.JupyterHub.db_url = f"sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie-secret"
# A process of its own, as in the cluster.
c.JupyterHub.proxy_class = "cmsaf_hub.routes.WatchedProxy"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://{network}.2:8001"
