# SPDX-License-Identifier: GPL-3.0-or-later
"""Users' programs in the lab, what they got, and how long it took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import CACHE, FRONT, USER, Lab

# Seconds after which nobody waits any longer.
LIMIT = 300


class Reading:
    """A user's program that reads files and compares them (reader.py)."""

    def __init__(
        self, lab: Watched, url: str, paths: Sequence[str], clients: int, first: int, most: int, token: str
    ) -> None:
        self.output = lab.root / f"tmp/reader-{first}"
        numbers = [str(number) for number in (most, first, clients)]
        command = [*lab.chroot(USER), "python3", "/user/reader.py", url, *numbers, *paths]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**lab.user(CACHE), **lab.patience, "BEARER_TOKEN_FILE": token},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def begun(self) -> None:
        """Wait until it has read something."""
        end = time.monotonic() + LIMIT
        while not self.output.read_bytes().startswith(b"reading\n"):
            assert self.process.poll() is None and time.monotonic() < end, self.output.read_text()
            time.sleep(0.01)

    def end(self) -> Reading:
        self.process.wait(LIMIT)
        text = self.output.read_text(encoding="utf-8")
        assert self.process.returncode == 0, text
        found = json.loads(text.splitlines()[-1])
        self.good: list[float] = sorted(found["good"])
        self.reads: list[dict[str, Any]] = found["reads"]
        assert not self.wrong, f"wrong bytes were delivered: {self.reads}"
        return self

    def well(self) -> Reading:
        """It got all that it asked for."""
        self.end()
        assert not self.errors, self.errors
        return self

    @property
    def wrong(self) -> int:
        return sum(one["wrong"] for one in self.reads)

    @property
    def errors(self) -> list[str]:
        return sorted({one["error"] for one in self.reads if one["error"]})

    def after(self, fault: float) -> float:
        """Seconds from a time to the first right answer after it."""
        return min(at for at in self.good if at > fault) - fault


class Watched(Lab):
    """A lab with readers, and what was found there."""

    # As in images/analysis.
    patience: Mapping[str, str] = {"XRD_CONNECTIONWINDOW": "5", "XRD_CONNECTIONRETRY": "60"}

    def __init__(self, root: Path, config: Path, pause: float, relay: str = "127.0.0.1") -> None:
        super().__init__(root, config, pause, relay)
        self.figures: dict[str, Any] = {}
        self.clients = 0

    def prepare(self, folders: Iterable[tuple[str, int, int]]) -> None:
        super().prepare(folders)
        shutil.copy(Path(__file__).with_name("reader.py"), self.root / "user")

    def say(self, what: str, **figures: Any) -> None:
        self.figures[what] = figures
        words = (
            f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
        )
        print(f"\n{what}: " + ", ".join(words), flush=True)

    def report(self, name: str) -> None:
        """What was said, as JSON, and beside it the servers' logs."""
        path = Path(os.environ["CACHE_LAB_REPORT"]) / name
        path.with_suffix(".json").write_text(json.dumps(self.figures, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        for log in (self.root / "tmp").glob("*.log"):
            shutil.copy(log, path)

    def reading(
        self,
        paths: Sequence[str],
        clients: int = 1,
        most: int = 0,
        server: str = f"{CACHE}:{FRONT}",
        token: str = "/user/cache",
    ) -> Reading:
        # New names are new connections.
        self.clients += clients
        return Reading(self, f"roots://{server}", paths, clients, self.clients - clients, most, token)

    def copied(self, path: str) -> str:
        """What a copy of a file says."""
        command = [*self.chroot(USER), "xrdcp", "--nopbar", f"roots://{CACHE}:{FRONT}/{path}", "-"]
        done = subprocess.run(command, env=self.user(CACHE), capture_output=True, check=False, timeout=LIMIT)
        return done.stderr.decode(errors="replace")

    def again(self, path: str) -> float:
        """Seconds until a file that a reader was refused can be read."""
        began = time.monotonic()
        while (reading := self.reading([path]).end()).errors:
            assert time.monotonic() < began + LIMIT, reading.errors
        return time.monotonic() - began

    def settled(self) -> None:
        """Give the cache time to close what was read, which it does after its clients."""
        time.sleep(1)
