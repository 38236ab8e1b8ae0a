# SPDX-License-Identifier: GPL-3.0-or-later
"""Why workers are not there, in words: cluster.explain(), and what workers have written: cluster.logs()."""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cmsaf_dask import output, words
from cmsaf_dask.analysis import CYCLES
from cmsaf_dask.description import accounting_group
from cmsaf_dask.pool import PoolError
from distributed.utils import Log, Logs

__all__ = ["Explaining", "Explanation", "Facts", "tell"]

SHOWN = 5
# Of an ended worker's output, where it is shown by itself.
LINES = 20


@dataclass(frozen=True)
class Explanation:
    """A headline and what it rests on. Shows itself as text and in a notebook."""

    headline: str
    reasons: tuple[str, ...] = ()
    # All workers that were asked for are here, and nothing keeps more from coming.
    fine: bool = False

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"- {reason}" for reason in self.reasons)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(reason)}</li>" for reason in self.reasons)
        return f"<div><b>{html.escape(self.headline)}</b><ul>{items}</ul></div>"


@dataclass
class Facts:
    """All that an explanation is made of."""

    wanted: int
    here: int
    processes: int = 1
    stopped: str | None = None
    error: str | None = None
    complaint: str | None = None
    pause: float = 0.0
    jobs: list[dict[str, Any]] = field(default_factory=list)
    here_names: set[str] = field(default_factory=set)
    analysis: dict[str, Any] | None = None
    group: str | None = None
    troubles: list[tuple[float, str, str]] = field(default_factory=list)
    now: float = field(default_factory=time.time)


def tell(facts: Facts) -> Explanation:
    """The explanation of these facts."""
    headline = f"{facts.here} of {facts.wanted} workers are here."
    reasons = []
    if facts.stopped:
        reasons.append(f"Scaling has stopped: {facts.stopped}")
    if facts.complaint:
        reasons.append(facts.complaint)
    if facts.error:
        reasons.append(f"The pool could not be asked: {facts.error}")
    if facts.pause > 0:
        reasons.append(
            f"The next jobs are submitted in {facts.pause:.0f} s, because the last did not come to anything."
        )
    reasons += _jobs(facts)
    if facts.here < facts.wanted or facts.troubles:
        reasons += _troubles(facts)
    missing = facts.wanted // facts.processes - len(facts.jobs)
    if not reasons and missing > 0:
        reasons.append(f"{_count(missing, 'job')} will be submitted at once.")
    fine = facts.here >= facts.wanted and not (facts.stopped or facts.complaint or facts.error)
    return Explanation(headline, tuple(reasons), fine)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 180 else f"{seconds / 60:.0f} min"


def _jobs(facts: Facts) -> list[str]:
    found: list[str] = []
    by_state: dict[str, list[dict[str, Any]]] = {}
    for ad in facts.jobs:
        by_state.setdefault(_kind(ad, facts.here_names), []).append(ad)
    for kind, text in (
        ("starting", "started on {where} and on the way to the scheduler"),
        ("sending", "submitted, and the files are still being sent to the access point"),
    ):
        if ads := by_state.get(kind):
            hosts = sorted({str(ad.get("RemoteHost", "its execute host")).rpartition("@")[2] for ad in ads})
            found.append(f"{_count(len(ads), 'job')}: {text.format(where=', '.join(hosts[:SHOWN]))}.")
    for ad, count in _same(by_state.get("held", []), words.held):
        found.append(f"{_count(count, 'job')} {ad}.")
    if waiting := by_state.get("waiting"):
        found += _waiting(waiting, facts)
    return found


def _kind(ad: Mapping[str, Any], here: set[str]) -> str:
    status = ad.get("JobStatus")
    if status == words.HELD:
        return "sending" if ad.get("HoldReasonCode") == words.SPOOLING else "held"
    if status == words.IDLE:
        return "waiting"
    if status == words.RUNNING:
        name = str(ad.get("DaskWorkerName"))
        return "here" if name in here or f"{name}-0" in here else "starting"
    return "leaving"


def _same(ads: list[dict[str, Any]], text: Any) -> list[tuple[str, int]]:
    return Counter(text(ad) for ad in ads).most_common(SHOWN)


def _waiting(ads: list[dict[str, Any]], facts: Facts) -> list[str]:
    clock = max(float(ad.get("ServerTime") or facts.now) for ad in ads)
    oldest = max(clock - float(ad.get("EnteredCurrentStatus") or ad.get("QDate") or clock) for ad in ads)
    found = [f"{_count(len(ads), 'job')} in the queue, for {_ago(oldest)} at most."]
    reasons = [text for ad in ads if (text := words.rejected(str(ad.get("LastRejMatchReason") or "")))]
    if reasons:
        found.append(f"The negotiator says: {Counter(reasons).most_common(1)[0][0]}.")
    if facts.analysis:
        found += _matching(facts.analysis, oldest)
        found += _shares(facts.analysis, facts.group)
    return found


def _matching(analysis: Mapping[str, Any], waited: float) -> list[str]:
    if not analysis.get("slots"):
        return ["The pool has no execute host now, or shows none to you."]
    if not analysis["wanted"]:
        blocking = [clause for clause in analysis["clauses"] if clause["slots"] < analysis["slots"]]
        blocking.sort(key=lambda clause: clause["slots"])
        text = "; ".join(
            f"{_plain(clause['clause'], analysis)} holds for {clause['slots']}" for clause in blocking[:SHOWN]
        )
        return [f"No slot fits the job, not even an empty one. Of {analysis['slots']} slots: {text}."]
    if not analysis["empty"]:
        return [
            f"{_count(analysis['wanted'], 'slot')} would be large enough, but none of them takes such jobs: their own "
            "conditions (START) refuse it. That is for the pool's administrators."
        ]
    if not analysis["now"]:
        return [
            f"All {analysis['empty']} slots that fit are in use by other jobs at the moment; the job starts when enough "
            "of one is free."
        ]
    cycle = analysis.get("cycle")
    if not cycle or waited < CYCLES * cycle:
        every = f", which comes about every {cycle:.0f} s" if cycle else ""
        return [f"{_count(analysis['now'], 'slot')} could take it now: it waits for the next negotiation cycle{every}."]
    return [f"{_count(analysis['now'], 'slot')} could take it now, and it was passed over: others are served first."]


def _plain(clause: str, analysis: Mapping[str, Any]) -> str:
    """A clause, with the figures of the three resources where it is about one of them."""
    for name, keyword, unit in (("Memory", "memory", "MiB"), ("Disk", "disk", "KiB"), ("Cpus", "cores", "")):
        if f"Request{name}" in clause:
            asked, most = analysis["request"].get(name), analysis["largest"].get(name)
            return f"{keyword} ({asked:g} {unit} asked for, {most:g} {unit} is the most there is)".replace(" )", ")")
    return clause


def _shares(analysis: Mapping[str, Any], group: str | None) -> list[str]:
    found = []
    shares = {str(ad.get("Name")): ad for ad in analysis.get("shares", [])}
    for name, ad in shares.items():
        quota = float(ad.get("EffectiveQuota") or ad.get("ConfigQuota") or 0)
        used = float(ad.get("ResourcesUsed") or 0)
        if group and quota and used >= quota and (group == name or group.startswith(f"{name}.")):
            found.append(
                f"Accounting group {name} uses {used:g} of its quota of {quota:g}; its jobs wait for each other."
            )
    return found


def _troubles(facts: Facts) -> list[str]:
    if not facts.troubles:
        return []
    last = Counter(text for _, _, text in facts.troubles).most_common(SHOWN)
    since = _ago(facts.now - facts.troubles[0][0])
    return [f"In the last {since}, {_count(count, 'worker')}: {text}." for text, count in last]


class Explaining:
    """The cluster's own words."""

    _watch: Any
    _config: dict[str, Any]

    def explain(self) -> Any:
        """Say why workers are not there. Awaitable where the cluster is asynchronous."""
        return self.sync(self._explain)  # type: ignore[attr-defined]

    async def _explain(self) -> Explanation:
        facts = await self._facts()
        return tell(facts)

    async def _facts(self) -> Facts:
        cluster: Any = self
        facts = Facts(
            wanted=len(cluster.plan),
            here=len(cluster.observed),
            processes=cluster._processes(),
            here_names=set(map(str, cluster.observed)),
            group=accounting_group(self._config["accounting-group"], cluster.user),
        )
        watch = self._watch
        if watch is not None:
            facts.stopped, facts.troubles = watch.stopped, list(watch.troubles)
            facts.pause = watch.pause_left() if facts.here < facts.wanted else 0.0
            facts.error = watch.unreachable
        if facts.error:
            return facts
        try:
            facts.jobs = await cluster._jobs_in_queue()
            waiting = [ad for ad in facts.jobs if ad.get("JobStatus") == words.IDLE]
            if waiting:
                first = min(waiting, key=lambda ad: (ad["ClusterId"], ad["ProcId"]))
                facts.analysis = await cluster._ask("analyze", cluster=first["ClusterId"], proc=first["ProcId"])
        except PoolError as error:
            facts.error = str(error)
        return facts

    def _last_lines(self) -> dict[str, str]:
        """What those workers wrote last that have ended last, by their names."""
        outputs = [] if self._watch is None else list(self._watch.outputs.items())
        return {name: "\n".join(text.splitlines()[-LINES:]) for name, text in outputs[-SHOWN:]}

    def logs(self) -> Any:
        """What workers have written, living and ended ones. Awaitable where the cluster is asynchronous."""
        return self.sync(self._worker_logs)  # type: ignore[attr-defined]

    async def _worker_logs(self) -> Logs:
        from distributed.protocol.pickle import dumps

        cluster: Any = self
        found = Logs()
        names = {address: str(worker["name"]) for address, worker in cluster.scheduler_info["workers"].items()}
        answers = await cluster.scheduler_comm.broadcast(
            msg={"op": "run", "function": dumps(output.own_output), "wait": True}, on_error="return_pickle"
        )
        for address, answer in answers.items():
            text = answer.get("result") if isinstance(answer, dict) else None
            found[names.get(address, address)] = Log(text if isinstance(text, str) else "its output could not be read")
        if self._watch is not None:
            for name, text in self._watch.outputs.items():
                found[f"{name} (ended)"] = Log(text)
        return found

    async def _get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True) -> Logs:
        logs: Logs = await super()._get_logs(cluster, scheduler, workers)  # type: ignore[misc]
        if cluster and self._watch is not None:
            lines = [
                f"{time.strftime('%H:%M:%S', time.localtime(at))} {name}: {text}"
                for at, name, text in self._watch.troubles
            ]
            logs["Cluster"] = Log("\n".join([*filter(None, [str(logs["Cluster"])]), *lines]))
        if workers is True and self._watch is not None:
            logs |= {f"{name} (ended)": Log(text) for name, text in self._watch.outputs.items()}
        return logs
