# SPDX-License-Identifier: GPL-3.0-or-later
"""HTCondor's codes and states in plain words: pure functions over job ads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["COMPLETED", "HELD", "IDLE", "REMOVED", "RUNNING", "SPOOLING", "ended", "held", "rejected", "state"]

IDLE, RUNNING, REMOVED, COMPLETED, HELD, TRANSFERRING, SUSPENDED = 1, 2, 3, 4, 5, 6, 7
SPOOLING = 16

STATES = {
    IDLE: "idle",
    RUNNING: "running",
    REMOVED: "being removed",
    COMPLETED: "ended",
    HELD: "held",
    TRANSFERRING: "sending its output",
    SUSPENDED: "suspended",
}

# condor_holdcodes.h; only what a worker can meet.
IMAGE_HOLD = 35
HOLDS = {
    1: "somebody held it (condor_hold)",
    3: "its own policy held it",
    6: "the execute host could not start it",
    7: "its standard files could not be opened",
    12: "its files could not be sent back",
    13: "its files could not be sent to the execute host",
    14: "it has no working directory on the execute host",
    16: "its files never came to the access point",
    21: "the execute host held it",
    26: "a policy of the access point held it",
    32: "its files are larger than the pool takes",
    34: "it took more memory or disk than it asked for; ask for more with memory= or disk=",
    IMAGE_HOLD: "its image is not to be had; look at worker_image",
    45: "the execute host's container system failed",
    46: "it ran longer than it may",
    47: "it ran longer than it may",
}
IMAGE = ("cannot pull image", "unable to find image", "manifest unknown", "pull access denied", "docker pull")


def state(ad: Mapping[str, Any]) -> str:
    return STATES.get(int(ad.get("JobStatus", 0)), "in a state unknown here")


def held(ad: Mapping[str, Any]) -> str:
    """Why a job is held.

    >>> held({"HoldReasonCode": 1, "HoldReason": "via condor_hold (by user alice)"})
    'held: somebody held it (condor_hold) ("via condor_hold (by user alice)")'
    """
    reason = str(ad.get("HoldReason") or "no reason given")
    words = HOLDS.get(int(ad.get("HoldReasonCode") or 0))
    if any(sign in reason.lower() for sign in IMAGE):
        words = HOLDS[IMAGE_HOLD]
    return f'held: {words} ("{reason}")' if words else f'held ("{reason}")'


def ended(ad: Mapping[str, Any]) -> str:
    """How a job came to its end.

    >>> ended({"ExitBySignal": True, "ExitSignal": 9})
    'ended by signal 9'
    >>> ended({"ExitBySignal": False, "ExitCode": 1})
    'ended with exit status 1'
    >>> ended({"RemoveReason": "via condor_rm (by user alice)"})
    'removed from the queue ("via condor_rm (by user alice)")'
    """
    if ad.get("ExitBySignal"):
        return f"ended by signal {ad.get('ExitSignal', '?')}"
    if ad.get("ExitCode") is not None:
        return f"ended with exit status {ad['ExitCode']}"
    if ad.get("RemoveReason"):
        return f'removed from the queue ("{ad["RemoveReason"]}")'
    return "no longer in the queue"


def rejected(reason: str) -> str | None:
    """What the negotiator's last word on a job means; None where it says nothing more than that it did not match.

    >>> rejected("submitter limit exceeded")
    'your share of the pool is used up while others wait; it grows as theirs is served'
    """
    text = reason.lower()
    if "quota" in text:
        return "the quota of your accounting group is used up; jobs start as the group's others end"
    if "submitter limit" in text or "priority" in text or "floor" in text or "ceiling" in text:
        return "your share of the pool is used up while others wait; it grows as theirs is served"
    if "concurrency limit" in text:
        return "a limit on jobs of this kind is reached"
    return None
