# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A server that starts is noticed as soon as it listens.

KubeSpawner looks whether the pod runs, and then JupyterHub whether the server answers, each in pauses that double up to five
seconds: a server that needs three seconds is often not noticed for two more. What stands before both of them, and returns when
the server listens, lets each find it at its first look.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Arrivals"]

# Seconds between two looks at a server; and looks in a second at all that start together, so that many cost no more than a few.
_PAUSE = 0.1
_LOOKS = 100
# Seconds for a connection to a pod that is there, and until it is left to the others to wait.
_CONNECT = 1.0
_LIMIT = 60.0


class Arrivals:
    """The servers of one hub that are on their way."""

    def __init__(self) -> None:
        self._awaited = 0

    async def wait(self, spawner: Any, pod: str) -> None:
        """Return when the server listens, or when it is not to be waited for here any longer. Nothing is said of it.

        :param pod: its name
        """
        self._awaited += 1
        try:
            async with asyncio.timeout(_LIMIT):
                while not await _listens(spawner, f"{spawner.namespace}/{pod}"):  # noqa: ASYNC110  # nothing tells of it
                    await asyncio.sleep(max(_PAUSE, self._awaited / _LOOKS))
        except TimeoutError:
            spawner.log.debug("%s does not listen after %g seconds, it is waited for the usual way", pod, _LIMIT)
        finally:
            self._awaited -= 1


async def _listens(spawner: Any, name: str) -> bool:
    pod = spawner.pod_reflector.pods.get(name)
    if not spawner.is_pod_running(pod):
        return False
    try:
        async with asyncio.timeout(_CONNECT):
            _reader, writer = await asyncio.open_connection(pod["status"]["podIP"], spawner.port)
    except OSError:
        return False
    writer.close()
    return True
