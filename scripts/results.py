# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Result of a junit file as one line.

``results.py FILE NAME SECONDS RC`` prints the line of one pytest run: name, passed, failed, seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def of_junit(path: Path, name: str, seconds: str, rc: int) -> str:
    """One line for a pytest run; a run that broke off without a result counts as one failure."""
    passed = failed = 0
    if path.exists():
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):  # noqa: S314 # pytest has just written it
            bad = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
            failed += bad
            passed += int(suite.get("tests", "0")) - bad - int(suite.get("skipped", "0"))
    if rc and not failed:
        failed = 1
    return f"{name}\t{passed}\t{failed}\t{seconds}"


def main() -> None:
    """See the module."""
    print(of_junit(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))


if __name__ == "__main__":
    main()
