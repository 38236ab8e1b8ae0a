# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cmsaf_dask.watch import Limits, Sighting, judge

LIMITS = Limits(spool=60, start=900, register=120, lost=15)
RUNS = {"JobStatus": 2, "ServerTime": 1000, "JobCurrentStartDate": 900, "RemoteHost": "slot1_1@e1"}


@pytest.mark.parametrize(
    ("ad", "seen", "here", "why"),
    [
        (None, {}, False, "no longer in the queue"),
        ({"JobStatus": 1}, {}, False, None),
        ({"JobStatus": 1, "NumShadowStarts": 1, "LastRemoteHost": "e1"}, {}, False, "sent back by e1"),
        ({"JobStatus": 3, "RemoveReason": "by bob"}, {}, False, 'removed from the queue ("by bob")'),
        ({"JobStatus": 4, "ExitBySignal": True, "ExitSignal": 9}, {}, False, "ended by signal 9"),
        ({"JobStatus": 4, "ExitBySignal": False, "ExitCode": 0}, {"came": True}, False, "ended with exit status 0"),
        ({"JobStatus": 5, "HoldReasonCode": 16}, {"submitted": 950.0}, False, None),
        ({"JobStatus": 5, "HoldReasonCode": 16, "HoldReason": "Spooling"}, {}, False, "held: its files never came"),
        ({"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "x"}, {"came": True}, True, "held: somebody held it"),
        (RUNS, {}, False, None),
        ({**RUNS, "JobCurrentStartDate": 50}, {}, False, "was not started by slot1_1@e1 in 900 s"),
        ({**RUNS, "JobCurrentStartExecutingDate": 901}, {}, False, None),
        ({**RUNS, "JobCurrentStartDate": 800, "JobCurrentStartExecutingDate": 801}, {}, False, "did not come to the"),
        # Of an earlier start: says nothing about this one.
        ({**RUNS, "JobCurrentStartExecutingDate": 100}, {}, False, None),
        ({**RUNS, "JobCurrentStartDate": 50}, {"came": True}, True, None),
        (RUNS, {"came": True, "missed": 990.0}, False, None),
        (RUNS, {"came": True, "missed": 980.0}, False, "lost its connection"),
    ],
)
def test_what_a_job_in_the_queue_says_of_its_worker(
    ad: dict[str, Any] | None, seen: dict[str, Any], here: bool, why: str | None
) -> None:
    sighting = Sighting(SimpleNamespace(name="w"), **({"submitted": 0.0} | seen))
    found = judge(ad, sighting, LIMITS, here, now=1000.0)
    assert found is None if why is None else why in str(found)
