# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The way to users' servers, given to the proxy again when it has begun anew, and what it has seen of them."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import ClientError, ClientResponseError
from jupyterhub.proxy import ConfigurableHTTPProxy

from . import activity
from .answers import NOT_FOUND

__all__ = ["WatchedProxy"]

# Seconds between two questions, each for one route.
_EVERY = 2.0


class WatchedProxy(ConfigurableHTTPProxy):
    """A proxy in a pod of its own has its routes in memory alone, and begins without them whenever it is started again.

    JupyterHub looks for missing ones every five minutes, and till then nobody gets to a server that runs. This asks for one
    route that has to be there, every two seconds; the proxy's whole table is read only if it is not.
    """

    _watch: asyncio.Task[None] | None = None

    async def get_all_routes(self) -> dict[str, Any]:
        """As JupyterHub's; when servers were used last is noted at once."""
        routes: dict[str, Any] = await super().get_all_routes()
        await activity.note(self.db, routes, self.log)
        return routes

    async def check_routes(self, user_dict: Any, service_dict: Any, routes: Any = None) -> None:
        """As JupyterHub's, which calls it first when all else has started; from then on the proxy is watched."""
        await super().check_routes(user_dict, service_dict, routes)
        if not self.should_start and (self._watch is None or self._watch.done()):
            self._watch = asyncio.create_task(self._keep(user_dict, service_dict))

    async def _keep(self, users: Any, services: Any) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                if await self._began_anew(users):
                    self.log.warning("The proxy has begun anew: it gets its routes again")
                    await self.check_routes(users, services)
            except (ClientError, OSError, TimeoutError) as problem:
                self.log.warning("The proxy does not answer (%s), it is asked again", problem)

    async def _began_anew(self, users: Any) -> bool:
        """Whether the route of a server that is ready is not there."""
        spawners = (spawner for user in users.values() for spawner in user.spawners.values())
        spawner = next((spawner for spawner in spawners if spawner.ready), None)
        if spawner is None:
            return False
        try:
            await self.api_request(self._routespec_to_chp_path(spawner.proxy_spec))
        except ClientResponseError as problem:
            if problem.status != NOT_FOUND:
                raise
            # One that is being stopped has lost it rightly.
            return bool(spawner.ready)
        return False
