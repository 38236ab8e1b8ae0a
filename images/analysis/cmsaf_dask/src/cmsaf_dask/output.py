# SPDX-License-Identifier: GPL-3.0-or-later
"""What workers wrote to their standard output and error: of living ones from the inside, of ended ones from the spool."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["own_output", "tail"]

LIMIT = 16 * 2**10
# HTCondor's names for the two in a job's scratch directory, while it runs.
OWN = ("_condor_stdout", "_condor_stderr")


def tail(path: Path, limit: int = LIMIT) -> str:
    """The end of a file, in whole lines."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        text = file.read(limit).decode(errors="replace")
    return text if size <= limit else text.partition("\n")[2]


def own_output() -> str:
    """Runs on a worker: the end of what its job has written."""
    scratch = Path(os.environ.get("_CONDOR_SCRATCH_DIR") or ".")
    return "\n".join(tail(scratch / name).rstrip() for name in OWN if (scratch / name).is_file()).strip()
