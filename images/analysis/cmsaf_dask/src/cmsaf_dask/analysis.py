# SPDX-License-Identifier: GPL-3.0-or-later
"""A job against the pool's slots, clause by clause: what condor_q -better-analyze does, from the collector alone.

Runs in the agent's process. Ads are taken as they are, nothing is asked for here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["CYCLE", "CYCLES", "analyze", "clauses", "cycle", "room"]

RESOURCES = ("Cpus", "Memory", "Disk")
# What the negotiator tells of its last cycle: seconds from the end of the one before to its own.
CYCLE = "LastNegotiationCyclePeriod0"
# A job is looked at in every cycle; one that has waited for two was looked at.
CYCLES = 2
SLOT_PROJECTION = ["Machine", "HasDocker", *(f"TotalSlot{name}" for name in RESOURCES), *RESOURCES]


def clauses(expression: str) -> list[str]:
    """The parts of an expression that all have to be true.

    >>> clauses('((A == 1) && (B || C && D)) && f("&&", x)')
    ['A == 1', 'B || C && D', 'f("&&", x)']
    """
    text = _bare(expression)
    parts, start = [], 0
    for index, depth in _outside_strings(text):
        if depth or index < start:
            continue
        if text.startswith(("||", "? "), index):
            return [text]
        if text.startswith("&&", index):
            parts.append(text[start:index])
            start = index + 2
    if not parts:
        return [text]
    return [clause for part in [*parts, text[start:]] for clause in clauses(part)]


def _bare(text: str) -> str:
    """Without the parentheses around the whole."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")"):
        if any(depth == 0 for _, depth in _outside_strings(text[:-1])):
            return text
        text = text[1:-1].strip()
    return text


def _outside_strings(text: str) -> Iterator[tuple[int, int]]:
    """The place of each letter that is in no string, and how many brackets are open behind it.

    >>> list(_outside_strings('(")")'))
    [(0, 1), (4, 0)]
    """
    depth, quoted, escaped = 0, False, False
    for index, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        else:
            depth += (letter in "([{") - (letter in ")]}")
            yield index, depth


def _number(ad: Mapping[str, Any], name: str) -> float:
    value = ad.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def cycle(negotiators: Iterable[Mapping[str, Any]]) -> float:
    """Seconds from one look at all jobs to the next, of the slowest negotiator; nothing where none says so.

    >>> cycle([{"LastNegotiationCyclePeriod0": 300}, {}])
    300.0
    """
    return max((_number(ad, CYCLE) for ad in negotiators), default=0.0)


def room(slots: Iterable[Mapping[str, Any]], request: Mapping[str, float], docker: bool) -> dict[str, Any]:
    """How many jobs of this size all slots hold when nothing else runs, and the most that one slot has."""
    total, used = 0, 0
    largest = dict.fromkeys(RESOURCES, 0.0)
    hosts = set()
    for slot in slots:
        if docker and slot.get("HasDocker") is not True:
            continue
        used += 1
        hosts.add(slot.get("Machine"))
        sizes = {name: _number(slot, f"TotalSlot{name}") or _number(slot, name) for name in RESOURCES}
        largest = {name: max(largest[name], sizes[name]) for name in RESOURCES}
        total += int(min(sizes[name] // size for name, size in request.items() if size > 0))
    return {"jobs": total, "slots": used, "hosts": len(hosts), "largest": largest}


def _emptied(slot: Any) -> Any:
    """The slot as it is when none of it is in use."""
    import classad2

    empty = classad2.ClassAd(repr(slot))
    for name in RESOURCES:
        if f"TotalSlot{name}" in slot:
            empty[name] = slot[f"TotalSlot{name}"]
    return empty


def analyze(job: Any, slots: list[Any]) -> dict[str, Any]:
    """How many slots take the job now, how many would if they were empty, and which clause keeps it from the others."""
    import classad2

    empties = [_emptied(slot) for slot in slots]
    found = []
    for text in clauses(str(job.lookup("Requirements"))):
        expression = classad2.ExprTree(text)
        passed = sum(expression.eval(job, slot) is True for slot in empties)
        found.append({"clause": text, "slots": passed})
    wanted = [slot for slot in empties if classad2.ExprTree("MY.Requirements").eval(job, slot) is True]
    return {
        "slots": len(slots),
        "now": sum(job.symmetricMatch(slot) for slot in slots),
        "empty": sum(job.symmetricMatch(slot) for slot in empties),
        "wanted": len(wanted),
        "refused": sum(not job.symmetricMatch(slot) for slot in wanted),
        "clauses": found,
        "request": {name: job.eval(f"Request{name}") for name in RESOURCES if f"Request{name}" in job},
        "largest": {
            name: max((_number(slot, f"TotalSlot{name}") for slot in slots), default=0.0) for name in RESOURCES
        },
    }
