# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that talks to the pool: one JSON request a line in, one JSON answer a line out.

The bindings' calls block, some of them without a limit in time, and share state in their process. Here they can
be slow or hang without anybody noticing but the caller, who ends this process and starts another.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

DEFAULTS = {
    "SEC_CLIENT_AUTHENTICATION": "REQUIRED",
    "SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS,FS",
    "SEC_CLIENT_ENCRYPTION": "REQUIRED",
    "SEC_CLIENT_INTEGRITY": "REQUIRED",
}


class Agent:
    """The calls, each with plain values only."""

    def __init__(self) -> None:
        # A configuration of the site's own comes first; in a pod there is none.
        if not os.path.exists("/etc/condor/condor_config"):
            os.environ.setdefault("CONDOR_CONFIG", "ONLY_ENV")
        for name, value in DEFAULTS.items():
            if os.environ.get("CONDOR_CONFIG") in ("ONLY_ENV", os.devnull):
                os.environ.setdefault(f"_CONDOR_{name}", value)
        import htcondor2

        self.condor = htcondor2
        self.schedd: Any = None

    def locate(self, collector: str | None = None, name: str | None = None) -> str:
        """Find the access point, once."""
        if self.schedd is None:
            if collector or name:
                ad = self.condor.Collector(collector or None).locate(self.condor.DaemonType.Schedd, name or None)
                if ad is None:
                    raise LookupError(f"the collector {collector} knows no access point {name}")
                self.schedd = self.condor.Schedd(ad)
            else:
                self.schedd = self.condor.Schedd()
        return str(self.schedd._addr)

    def submit(self, description: dict[str, str], names: list[str], spool: bool = True) -> int:
        """Submit one proc for each name, as one cluster in one transaction; its files are sent after."""
        result = self.schedd.submit(
            self.condor.Submit(description), spool=spool, itemdata=iter([{"DaskName": name} for name in names])
        )
        cluster: int = result.cluster()
        if spool:
            try:
                self.schedd.spool(result)
            except BaseException:
                self.schedd.act(self.condor.JobAction.Remove, f"ClusterId == {cluster}", "its files did not arrive")
                raise
        return cluster

    def remove(self, constraint: str, reason: str) -> int:
        """Remove all jobs the constraint names; answers how many there were."""
        result = self.schedd.act(self.condor.JobAction.Remove, constraint, reason)
        return int(result["TotalSuccess"])

    def query(self, constraint: str, projection: list[str]) -> list[dict[str, Any]]:
        return [self._plain(ad) for ad in self.schedd.query(constraint=constraint, projection=projection)]

    def history(self, constraint: str, projection: list[str], match: int) -> list[dict[str, Any]]:
        ads = self.schedd.history(constraint=constraint, projection=projection, match=match)
        return [self._plain(ad) for ad in ads]

    @staticmethod
    def _plain(ad: Any) -> dict[str, Any]:
        values = {name: ad.eval(name) if hasattr(ad[name], "eval") else ad[name] for name in ad}
        return {
            name: value if isinstance(value, (str, int, float, bool)) else str(value) for name, value in values.items()
        }


def main() -> int:
    # Whatever a library prints must not end up between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    agent: Agent | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            agent = agent or Agent()
            call: Callable[..., Any] = getattr(agent, request["call"])
            answer = {"result": call(**request["arguments"])}
        except Exception as error:  # noqa: BLE001 # whatever happens here is the other process's answer
            answer = {"error": str(error) or type(error).__name__, "type": type(error).__name__}
        print(json.dumps(answer), file=answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
