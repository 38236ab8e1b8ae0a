# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that talks to the pool: one JSON request a line in, one JSON answer a line out.

The bindings' calls block, some of them without a limit in time, and share state in their process. Here they can
be slow or hang without anybody noticing but the caller, who ends this process and starts another.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cmsaf_dask import analysis, tokens
from cmsaf_dask.output import tail

# Where HTCondor looks for a site's configuration.
PLACES = ("/etc/condor", "/usr/local/etc", "~condor")
DEFAULTS = {
    "SEC_CLIENT_AUTHENTICATION": "REQUIRED",
    "SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS,FS",
    "SEC_CLIENT_ENCRYPTION": "REQUIRED",
    "SEC_CLIENT_INTEGRITY": "REQUIRED",
}


# What the bindings say of a daemon that is too old for them to use FS with it, and what that means.
OLD_FS = "doesn't match server's network address"
UPDATE = (
    "The access point's HTCondor is older than 24.0.22, 25.0.12 or 25.11.1, and these bindings refuse its FS "
    "(HTCONDOR-2026-0001). Have it updated; on a host where nobody asks strangers' daemons, "
    "SEC_FS_ENFORCE_CHANNEL_BINDING = False in HTCondor's configuration takes it as it is."
)
# What the negotiator tells of users' and groups' shares.
SHARE = ["Name", "AccountingGroup", "IsAccountingGroup", "ResourcesUsed", "ConfigQuota", "EffectiveQuota", "Priority"]


class Agent:
    """The calls, each with plain values only."""

    def __init__(self) -> None:
        # A configuration of the site's own comes first; in a pod there is none.
        if not any(os.path.exists(os.path.expanduser(f"{place}/condor_config")) for place in PLACES):
            os.environ.setdefault("CONDOR_CONFIG", "ONLY_ENV")
        for name, value in DEFAULTS.items():
            if os.environ.get("CONDOR_CONFIG") in ("ONLY_ENV", os.devnull):
                os.environ.setdefault(f"_CONDOR_{name}", value)
        import htcondor2

        self.condor = htcondor2
        self.schedd: Any = None
        self.collector: str | None = None

    def locate(self, collector: str | None = None, name: str | None = None) -> str:
        """Find the access point, once."""
        self.collector = collector
        if self.schedd is None:
            if collector or name:
                ad = self._collector().locate(self.condor.DaemonType.Schedd, name or None)
                if ad is None:
                    raise LookupError(
                        f"the collector {collector} knows no access point {name}. Is CMSAF_COLLECTOR, or collector=, "
                        "the pool you mean, and CMSAF_SCHEDD_NAME, or schedd=, one of its access points?"
                    )
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

    def edit(self, constraint: str, attribute: str, value: str) -> int:
        return int(self.schedd.edit(constraint, attribute, value) or 0)

    def outputs(self, constraint: str, directory: str) -> dict[str, str]:
        """Fetch what ended jobs have written into the directory they name as theirs; the end of it by worker."""
        self.schedd.retrieve(constraint)
        texts: dict[str, str] = {}
        for suffix in ("out", "err"):
            for file in sorted(Path(directory).glob(f"*.{suffix}")):
                text = tail(file).strip()
                file.unlink()
                if text:
                    texts[file.stem] = f"{texts[file.stem]}\n{text}" if file.stem in texts else text
        return texts

    def room(self, request: dict[str, float], docker: bool) -> dict[str, Any]:
        """What the pool could hold when nothing else ran."""
        return analysis.room(self._slots(analysis.SLOT_PROJECTION), request, docker)

    def analyze(self, cluster: int, proc: int) -> dict[str, Any]:
        """One job against all slots, and how its owner stands with the negotiator."""
        jobs = self.schedd.query(constraint=f"ClusterId == {cluster} && ProcId == {proc}")
        found: dict[str, Any] = analysis.analyze(jobs[0], self._slots([])) if jobs else {}
        shares = self._collector().query(self.condor.AdType.Accounting, projection=SHARE)
        found["cycle"], found["shares"] = self.cycle(), [self._plain(ad) for ad in shares]
        return found

    def cycle(self) -> float:
        """Seconds of a negotiation cycle."""
        ads = self._collector().query(self.condor.AdType.Negotiator, projection=[analysis.CYCLE])
        return analysis.cycle(self._plain(ad) for ad in ads)

    def complaint(self, error: str) -> str | None:
        """What is wrong with what this session shows of who it is."""
        if self._known_by_account():
            return UPDATE if OLD_FS in error else None
        return tokens.complaint(self._token_directories())

    def _known_by_account(self) -> bool:
        """Whether the access point takes this host's accounts for what they are (FS), which needs no token."""
        param = self.condor.param
        methods = param.get("SEC_CLIENT_AUTHENTICATION_METHODS") or param.get("SEC_DEFAULT_AUTHENTICATION_METHODS")
        if "FS" not in re.split(r"[\s,]+", str(methods or "FS").upper()):
            return False
        # One that was not found is this host's where no pool was named.
        return not self.collector if self.schedd is None else tokens.on_this_host(str(self.schedd._addr))

    def _token_directories(self) -> list[Path]:
        param = self.condor.param
        names = ["SEC_TOKEN_DIRECTORY", *(["SEC_TOKEN_SYSTEM_DIRECTORY"] if os.geteuid() == 0 else [])]
        places = [param.get(name) for name in names if param.get(name)]
        return [Path(place) for place in places] or [Path("~/.condor/tokens.d").expanduser()]

    def _collector(self) -> Any:
        return self.condor.Collector(self.collector or None)

    def _slots(self, projection: list[str]) -> list[Any]:
        slots: list[Any] = self._collector().query(
            self.condor.AdType.Startd, constraint='SlotType =!= "Dynamic"', projection=projection
        )
        return slots

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
            answer = {"error": str(error) or type(error).__name__, "type": type(error).__name__, "final": False}
            # A daemon that refuses a token and one that is not there look alike from here.
            if agent is not None and (complaint := agent.complaint(answer["error"])):
                answer |= {"error": f"{complaint} ({answer['error']})", "final": True}
        print(json.dumps(answer), file=answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
