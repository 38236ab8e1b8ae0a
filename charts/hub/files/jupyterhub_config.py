# SPDX-License-Identifier: GPL-3.0-or-later
"""JupyterHub's configuration: the chart's values, put where JupyterHub looks for them."""

import json
import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821  (JupyterHub's loader provides it)

SECRETS = Path("/usr/local/etc/jupyterhub-secret")
VALUES = json.loads(Path("/usr/local/etc/jupyterhub/values.json").read_text())


def get_config(name, default=None):
    """A value by its dotted name, as extraConfig knows it from the Zero to JupyterHub chart."""
    value = VALUES
    for part in name.split("."):
        if not isinstance(value, dict) or value.get(part) is None:
            return default
        value = value[part]
    return value


def get_secret(name):
    """A key of the hub's Secret, or nothing."""
    path = SECRETS / name
    return path.read_text().strip() if path.exists() else ""


def put(target, **traits):
    """Set the traits that have a value."""
    for name, value in traits.items():
        if value is not None:
            setattr(target, name, value)


put(
    c.JupyterHub,
    spawner_class="kubespawner.KubeSpawner",
    hub_bind_url="http://:8081",
    hub_connect_url="http://hub:8081",
    db_url="sqlite:////srv/jupyterhub/jupyterhub.sqlite",
    # The proxy and the users' pods go on while the hub restarts.
    cleanup_servers=False,
    cleanup_proxy=False,
    tornado_settings={"slow_spawn_timeout": 0},
    allow_named_servers=get_config("hub.allowNamedServers"),
    named_server_limit_per_user=get_config("hub.namedServerLimitPerUser"),
    active_server_limit=get_config("hub.activeServerLimit"),
    concurrent_spawn_limit=get_config("hub.concurrentSpawnLimit"),
    shutdown_on_logout=get_config("hub.shutdownOnLogout"),
)
put(c.ConfigurableHTTPProxy, should_start=False, api_url="http://proxy-api:8001")
cookie_secret = get_secret("hub.config.JupyterHub.cookie_secret")
if cookie_secret:
    c.JupyterHub.cookie_secret = bytes.fromhex(cookie_secret)
crypt_keys = get_secret("hub.config.CryptKeeper.keys")
if crypt_keys:
    c.CryptKeeper.keys = crypt_keys.split(";")

image = get_config("singleuser.image")
volume = get_config("singleuser.storage.dynamic.volumeNameTemplate")
volumes = get_config("singleuser.storage.extraVolumes", [])
mounts = get_config("singleuser.storage.extraVolumeMounts", [])
if get_config("singleuser.storage.type") == "dynamic":
    claim = get_config("singleuser.storage.dynamic.pvcNameTemplate")
    home = get_config("singleuser.storage.homeMountPath")
    volumes = [{"name": volume, "persistentVolumeClaim": {"claimName": "{pvc_name}"}}, *volumes]
    mounts = [{"name": volume, "mountPath": home}, *mounts]
    put(
        c.KubeSpawner,
        storage_pvc_ensure=True,
        pvc_name_template=claim,
        storage_capacity=get_config("singleuser.storage.capacity"),
        storage_class=get_config("singleuser.storage.dynamic.storageClass"),
        storage_access_modes=get_config("singleuser.storage.dynamic.storageAccessModes"),
    )
put(
    c.KubeSpawner,
    namespace=os.environ["POD_NAMESPACE"],
    image=f"{image['name']}:{image['tag']}",
    image_pull_policy=image["pullPolicy"],
    image_pull_secrets=get_config("imagePullSecrets"),
    cmd=get_config("singleuser.cmd"),
    default_url=get_config("singleuser.defaultUrl"),
    start_timeout=get_config("singleuser.startTimeout"),
    consecutive_failure_limit=get_config("hub.consecutiveFailureLimit"),
    uid=get_config("singleuser.uid"),
    fs_gid=get_config("singleuser.fsGid"),
    automount_service_account_token=False,
    allow_privilege_escalation=False,
    environment=get_config("singleuser.extraEnv"),
    extra_labels={
        "app.kubernetes.io/instance": get_config("release"),
        "hub.jupyter.org/network-access-hub": "true",
        **get_config("singleuser.extraLabels", {}),
    },
    extra_annotations=get_config("singleuser.extraAnnotations"),
    extra_pod_config={"enableServiceLinks": False, **get_config("singleuser.extraPodConfig", {})},
    node_selector=get_config("singleuser.nodeSelector"),
    tolerations=get_config("singleuser.extraTolerations"),
    profile_list=get_config("singleuser.profileList"),
    cpu_limit=get_config("singleuser.cpu.limit"),
    cpu_guarantee=get_config("singleuser.cpu.guarantee"),
    mem_limit=get_config("singleuser.memory.limit"),
    mem_guarantee=get_config("singleuser.memory.guarantee"),
    volumes=volumes,
    volume_mounts=mounts,
)

if get_config("cull.enabled"):
    switches = {"users": "--cull-users", "removeNamedServers": "--remove-named-servers"}
    options = {
        "timeout": "--timeout",
        "every": "--cull-every",
        "concurrency": "--concurrency",
        "maxAge": "--max-age",
    }
    command = [sys.executable, "-m", "jupyterhub_idle_culler", "--url=http://localhost:8081/hub/api"]
    command += [f"{option}={get_config(f'cull.{name}', 0):.0f}" for name, option in options.items()]
    command += [switch for name, switch in switches.items() if get_config(f"cull.{name}")]
    c.JupyterHub.services = [{"name": "idle-culler", "command": command}]
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    if get_config("cull.users"):
        scopes.append("admin:users")
    c.JupyterHub.load_roles = [{"name": "idle-culler", "scopes": scopes, "services": ["idle-culler"]}]

for section, traits in get_config("hub.config", {}).items():
    put(c[section], **traits)
for name, code in sorted(get_config("hub.extraConfig", {}).items()):
    # The site's own code, by the value that is there for it.
    exec(compile(code, f"hub.extraConfig.{name}", "exec"))  # noqa: S102
