# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs share that show servers bad credentials: how they are called, what they say, what they leave for the search.

tasks/matrix.yml judges what is said, find_canaries.py looks for what is left.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["called", "say", "write_canaries"]


def called() -> argparse.Namespace:
    """SETTINGS [--canaries FILE]; the settings are JSON."""
    options = argparse.ArgumentParser()
    options.add_argument("settings", type=json.loads)
    options.add_argument("--canaries", type=Path)
    return options.parse_args()


def say(answers: Iterable[dict[str, str]]) -> int:
    """Print a line of JSON for each; how many are not found as expected."""
    wrong = 0
    for answer in answers:
        wrong += answer["found"] != answer["expected"]
        print(json.dumps(answer), flush=True)
    return wrong


def write_canaries(path: Path, lines: Iterable[dict[str, str]]) -> None:
    """A line of JSON for each secret, with its name and its text or path, in a file of mode 0600."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)
