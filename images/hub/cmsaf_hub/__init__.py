# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a cmsaf facility adds to a hub: each server's own, short credentials, and the servers to choose from.

In the hub's configuration::

    import cmsaf_hub
    cmsaf_hub.configure(c, get_config("custom.cmsaf"))

The same on the Zero to JupyterHub chart, where it stands in ``hub.extraConfig``.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from typing import Any

from . import renewal
from .database import commit_without_waiting
from .errors import SettingsError
from .hooks import Hooks
from .profiles import TEMPLATES
from .settings import Settings, SigningKey
from .web import show_first

__all__ = ["configure"]

# Below JupyterHub's own logger, so that its lines look like the hub's.
_LOG = logging.getLogger("JupyterHub.cmsaf")
# Of its user's servers one may know how long they have run and when they were used: it warns before they are stopped. The first
# two are what JupyterHub gives a server by itself.
_SERVER_SCOPES = ["users:activity!user", "access:servers!server", "read:servers!user"]
# Seconds that a user's own API token lives at most: a script's user makes one a week. Without it they live for ever.
_TOKEN_LIFE = 7 * 24 * 3600


def configure(config: Any, values: Mapping[str, Any]) -> Hooks:
    """Set the spawner's hooks from the values of ``custom.cmsaf``, have the hub run the renewal and watch its proxy."""
    hooks = Hooks(Settings.from_values(values))
    condor = hooks.settings.condor
    if condor is not None and isinstance(condor.source, SigningKey):
        _LOG.warning(
            "This hub holds the pool's key %s: whoever takes the hub can be anybody on the pool, its"
            " administrator too. Let a token service make the tokens: custom.cmsaf.condor.tokenService.",
            condor.source.key_id,
        )
    config.KubeSpawner.pre_spawn_hook = hooks.pre_spawn
    config.KubeSpawner.modify_pod_hook = hooks.modify_pod
    config.KubeSpawner.after_pod_created_hook = hooks.after_pod_created
    config.KubeSpawner.post_stop_hook = hooks.post_stop
    if hooks.settings.sessions is not None:
        config.KubeSpawner.server_token_scopes = _SERVER_SCOPES
    if "token_expires_in_max_seconds" not in config.JupyterHub:
        config.JupyterHub.token_expires_in_max_seconds = _TOKEN_LIFE
    show_first(config, TEMPLATES)
    if hooks.settings.profiles:
        _offer_profiles(config, hooks)
    if "proxy_class" not in config.JupyterHub:
        # By its name: the renewal, a process of its own, has no use for it.
        config.JupyterHub.proxy_class = "cmsaf_hub.routes.WatchedProxy"
    if hooks.settings.renewal_interval is not None:
        # Beside what the chart or the site has there.
        config.JupyterHub.services.append(renewal.service(values, config.KubeSpawner.get("namespace")))
    if hooks.settings.login is not None:
        from . import login  # only a hub that has it needs oauthenticator

        login.configure(config, hooks.settings.login)
    password = hooks.settings.login_password()
    if password:
        config.SharedPasswordAuthenticator.user_password = password
    commit_without_waiting()
    # What a hub has imported by now is a quarter of a million objects, which stay. To look at all of them again in every
    # full collection takes a tenth of a second, in which nobody is served.
    gc.freeze()
    return hooks


def _offer_profiles(config: Any, hooks: Hooks) -> None:
    if config.KubeSpawner.get("profile_list"):
        raise SettingsError(
            "The servers to choose from are both in singleuser.profileList and in custom.cmsaf.profiles: leave one of"
            " them empty. Only the second knows who may take which."
        )
    config.KubeSpawner.profile_list = hooks.profile_list
    config.KubeSpawner.options_form = hooks.options_form
