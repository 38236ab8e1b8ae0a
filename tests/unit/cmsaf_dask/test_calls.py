# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from cmsaf_dask.pool import _unreachable


@pytest.mark.parametrize(
    ("call", "error", "passes"),
    [
        # As HTCondor 25's bindings said it of an access point that was killed, restarted, and that refused a token.
        ("submit", "Failed to connect to schedd, errmsg=CEDAR:6001:Failed to connect to <10.0.0.1:9618?sock=s>", True),
        ("query", "Failed to fetch ads from schedd, errmsg=SECMAN:2007:Failed to end classad message.", True),
        ("query", "SECMAN:2011:Connection closed during command authorization. Probably due to an unknown command.", True),
        ("locate", "the collector c knows no access point ap@c", True),
        ("submit", "SECMAN:2010:Received \"DENIED\" from server for user alice@u using method IDTOKENS.", False),
        ("submit", "Failed to connect to schedd, errmsg=AUTHENTICATE:1003:Failed to authenticate", False),
        ("submit", "invalid memory", False),
    ],
)  # fmt: skip
def test_what_may_pass_is_told_from_what_will_not(call: str, error: str, passes: bool) -> None:
    assert _unreachable(call, error) is passes
