# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import doctest

from cmsaf_dask import panel


def test_examples_in_the_text() -> None:
    result = doctest.testmod(panel)
    assert result.attempted and not result.failed


def test_a_log_is_cut_at_its_end_and_is_never_html() -> None:
    text = "\n".join(["first", *["line"] * (panel.LINES - 1), "<script>last</script>"])
    shown = panel.logs_html({"w-<2>": text, "w-1": "x"})
    assert "first" not in shown and "&lt;script&gt;last" in shown and "<script>" not in shown
    assert shown.index("<summary>w-1<") < shown.index("<summary>w-&lt;2&gt;<")
