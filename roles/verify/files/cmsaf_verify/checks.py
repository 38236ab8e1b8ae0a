# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold. Each check looks at what was collected and says what was attempted and found; pure code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["CHECKS", "Check", "Outcome", "judge"]

Evidence = Mapping[str, Any]
# Of what the origin sends during the later readings: opening and closing, probes of its health.
ORIGIN_SHARE = 0.01


@dataclass(frozen=True)
class Check:
    """One link of the chain. service names who is asked for its log when it does not hold."""

    key: str
    title: str
    service: str
    attempted: str
    find: Callable[[Evidence], tuple[bool, str]]


@dataclass(frozen=True)
class Outcome:
    """passed is None where the check could not be made."""

    key: str
    title: str
    service: str
    attempted: str
    found: str
    passed: bool | None


def _reach(evidence: Evidence) -> tuple[bool, str]:
    return True, f"JupyterHub {evidence['hub_version']}, certificate as it should be"


def _login(evidence: Evidence) -> tuple[bool, str]:
    refused = evidence["wrong_password_refused"]
    return refused, "logged in" + ("; a wrong password was turned away" if refused else "; so was a wrong password")


def _server(evidence: Evidence) -> tuple[bool, str]:
    return True, f"ready, Python {evidence['kernel']['python']} as uid {evidence['kernel']['uid']}"


def _first(evidence: Evidence) -> tuple[bool, str]:
    return _events(evidence, evidence["first"])


def _pool(evidence: Evidence) -> tuple[bool, str]:
    return _events(evidence, evidence["pool"])


def _events(evidence: Evidence, result: Mapping[str, Any]) -> tuple[bool, str]:
    wanted = evidence["settings"]["events"]
    found = f"{result['events']:,} events by {result['workers']} workers in {result['seconds']:.1f} s"
    found += f": {result['rate']:,.0f} events/s"
    return result["events"] >= wanted, found + ("" if result["events"] >= wanted else f"; {wanted:,} wanted")


def _workers(evidence: Evidence) -> tuple[bool, str]:
    wanted, arrived = evidence["settings"]["workers"], evidence["arrived"]
    found = f"{len(arrived['workers'])} of {wanted}; the first after {arrived['first']:.1f} s, "
    return len(arrived["workers"]) >= wanted, found + f"the last after {arrived['last']:.1f} s"


def _spread(evidence: Evidence) -> tuple[bool, str]:
    names = evidence["hosts"]["execute"]
    seen: dict[str, int] = {}
    for worker in evidence["arrived"]["workers"]:
        address = worker["address"].partition("://")[2].rpartition(":")[0]
        host = names.get(address, address)
        seen[host] = seen.get(host, 0) + 1
    wanted = min(len(names), evidence["settings"]["execute_hosts"])
    used = [host for host in seen if host in names.values()]
    return len(used) >= wanted, ", ".join(f"{count} on {host}" for host, count in sorted(seen.items())) or "none"


def _owners(evidence: Evidence) -> tuple[bool, str]:
    jobs, identity = evidence["jobs"], evidence["settings"]["identity"]
    workers = {worker["name"] for worker in evidence["present"]["workers"]}
    without = workers - {str(job.get("DaskWorkerName")) for job in jobs}
    owners = sorted({str(job.get("User")) for job in jobs})
    clusters = sorted({int(job["ClusterId"]) for job in jobs})
    groups = sorted({str(job.get("AccountingGroup", "none")) for job in jobs})
    found = f"{len(jobs)} running jobs of {', '.join(owners) or 'nobody'} in cluster "
    found += f"{', '.join(map(str, clusters)) or 'none'}, accounting group {', '.join(groups) or 'none'}"
    if without:
        found += f"; no job for {', '.join(sorted(without))}"
    for name, text in evidence["present"]["ended"].items():
        found += f"; {name} ended meanwhile, its last line: {(text.strip().splitlines() or ['none'])[-1]}"
    return bool(jobs) and owners == [identity] and not without, found


def _same_local(evidence: Evidence) -> tuple[bool, str]:
    return _same(evidence["pool"], evidence["first"])


def _same_plain(evidence: Evidence) -> tuple[bool, str]:
    return _same(evidence["pool"], evidence["plain"])


def _same(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[bool, str]:
    if left["edges"] != right["edges"]:
        return False, "the bins differ"
    pairs = list(zip(left["counts"], right["counts"], strict=True))
    different = [index for index, (one, other) in enumerate(pairs) if one != other]
    if different:
        index = different[0]
        return False, f"{len(different)} of {len(pairs)} bins differ, first bin {index}: {pairs[index]}"
    return True, f"{len(pairs)} bins equal, {sum(left['counts']):,} events in each"


def _cached(evidence: Evidence) -> tuple[bool, str]:
    sent = evidence["origin_bytes"]
    first, later = sent["first"] - sent["before"], sent["end"] - sent["first"]
    read = evidence["again"]["bytes_read"] + evidence["pool"]["bytes_read"]
    found = f"the origin sent {_bytes(first)} for the first reading and {_bytes(later)} for two more of {_bytes(read)}"
    return read > 0 and later <= max(ORIGIN_SHARE * read, 1_000_000), found


def _bytes(number: float) -> str:
    return f"{number / 1e6:,.1f} MB"


def _refusal(probe: str, kind: str) -> Callable[[Evidence], tuple[bool, str]]:
    def find(evidence: Evidence) -> tuple[bool, str]:
        own, other = evidence[probe]["own"], evidence[probe][kind]
        return own.startswith("accepted") and other.startswith("refused"), f"{other}. The user's own token: {own}"

    return find


def _left(evidence: Evidence) -> tuple[bool, str]:
    count = len(evidence["jobs_left"])
    return count == 0, f"{count} jobs of the cluster in the queue"


CHECKS: Sequence[Check] = (
    Check("reach", "The hub answers over HTTPS", "gateway", "GET /hub/api/ from the controller", _reach),
    Check("login", "A user can log in", "hub", "the login form, with a wrong and the right password", _login),
    Check("server", "The user's server starts", "hub", "POST to the hub's API, then a kernel", _server),
    Check(
        "first", "The analysis runs in the server", "cache", "missing_et by a LocalCluster, through the cache", _first
    ),
    Check("workers", "Workers come", "access_point", "HTCondorCluster.scale", _workers),
    Check("spread", "Workers run on the execute hosts", "execute", "the workers' addresses at the scheduler", _spread),
    Check("owners", "Workers are the user's own jobs", "access_point", "condor_q at the access point", _owners),
    Check("pool", "The analysis runs on the pool", "cache", "missing_et by the HTCondor workers", _pool),
    Check("same_local", "Pool and server agree", "hub", "both histograms, bin by bin", _same_local),
    Check("same_plain", "Pool and plain uproot agree", "origin", "uproot on the origin's own files", _same_plain),
    Check("cached", "Later readings come from the cache", "cache", "bytes counted at the origin", _cached),
    Check(
        "schedd_anonymous",
        "The access point refuses who has no token",
        "access_point",
        "a submission from the server without a token",
        _refusal("schedd", "anonymous"),
    ),
    Check(
        "schedd_expired",
        "The access point refuses an expired token",
        "access_point",
        "a submission from the server with one of this user that ended an hour ago",
        _refusal("schedd", "expired"),
    ),
    Check(
        "cache_anonymous",
        "The cache refuses who has no token",
        "cache",
        "reading a file that it holds, without a token",
        _refusal("cache", "anonymous"),
    ),
    Check(
        "cache_expired",
        "The cache refuses an expired token",
        "cache",
        "reading a file that it holds, with a token of this user that ended an hour ago",
        _refusal("cache", "expired"),
    ),
    Check("left", "Closing the cluster leaves no job", "access_point", "condor_q after close()", _left),
)


def judge(evidence: Evidence) -> list[Outcome]:
    """All checks in the order of the chain; what a step broke on is said at the first check it was for."""
    broken = dict(evidence.get("broken") or {})
    skipped = dict(evidence.get("skipped") or {})
    outcomes = []
    for check in CHECKS:
        passed: bool | None
        try:
            passed, found = check.find(evidence)
        except KeyError as missing:
            passed, found = None, f"not reached ({missing.args[0]} is missing)"
        if check.key in broken:
            passed, found = False, broken[check.key]
        elif check.key in skipped and passed is None:
            found = skipped[check.key]
        outcomes.append(Outcome(check.key, check.title, check.service, check.attempted, found, passed))
    return outcomes
