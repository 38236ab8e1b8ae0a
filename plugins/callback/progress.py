# Copyright (c) 2026, cmsaf.facility contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which stage and task of how many is running, and for how long."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: stdout
short_description: Shows stage, task and time of a long run
version_added: 0.1.0
author:
  - cmsaf.facility contributors (@cmsaf)
description:
  - Each line of a task says how long the run has taken, which play of how many, and which task of how many it is.
    Tasks that a dynamic include brings are counted when they come.
  - A task that takes long is shown again, with the hosts that are not ready, on a terminal every second in place,
    elsewhere as a line every 30 seconds.
  - Hosts where nothing changed are not listed, unless C(-v) is given. Failures are printed in full.
  - The last line says whether anything changed.
extends_documentation_fragment:
  - ansible.builtin.default_callback
  - ansible.builtin.result_format_callback
requirements:
  - set as stdout callback in the configuration
options:
  timings_file:
    description: File that gets the seconds of each play and what changed, as JSON. Not written if empty.
    type: str
    default: ""
    env:
      - name: CMSAF_TIMINGS
"""

import json
import os
import sys
import threading
import time
import typing as t
from pathlib import Path

from ansible.playbook.block import Block
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

TICK_TERMINAL = 1.0
TICK_LINES = 30.0
ERASE = "\x1b[2K\r"


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are some.

    >>> clock(59.6), clock(3671)
    ('01:00', '1:01:11')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def count_tasks(entries: t.Iterable[t.Any]) -> int:
    """Tasks in nested blocks, without the ones that never show (meta)."""
    number = 0
    for entry in entries:
        if isinstance(entry, list):
            number += count_tasks(entry)
        elif isinstance(entry, Block):
            number += count_tasks([*entry.block, *entry.always])
        elif entry.action not in ("meta", "ansible.builtin.meta", "ansible.legacy.meta"):
            number += 1
    return number


class Stage(t.NamedTuple):
    """One play that has begun."""

    name: str
    start: float


class CallbackModule(DefaultCallback):  # type: ignore[misc] # Ansible carries no types
    """Default output with less noise and more orientation."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "cmsaf.facility.progress"

    def __init__(self) -> None:
        super().__init__()
        self._begin = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._playbook = ""
        self._stages = 0
        self._stage_number = 0
        self._stage: Stage | None = None
        self._done: list[dict[str, t.Any]] = []
        self._tasks = 0
        self._task_number = 0
        self._changed = 0
        self._task: tuple[str, float] | None = None
        self._busy: dict[str, None] = {}
        self._live = False
        self._stop = threading.Event()

    def set_options(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Hide what did not change, unless asked for more."""
        super().set_options(*args, **kwargs)
        if self._display.verbosity == 0:
            self.set_option("display_ok_hosts", False)
            self.set_option("display_skipped_hosts", False)

    # What runs now

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """Count the plays and start the ticker."""
        super().v2_playbook_on_start(playbook)
        self._playbook = os.path.basename(playbook._file_name)
        self._stages = len(playbook.get_plays())
        threading.Thread(target=self._tick, name="progress", daemon=True).start()

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Head of a stage."""
        self._erase()
        self._end_stage()
        self._play = play
        self._stage_number += 1
        self._stage = Stage(play.get_name().strip(), time.monotonic())
        self._tasks = count_tasks(play.get_tasks()) + int(play.gather_facts is not False)
        self._task_number = 0
        check = " (check mode)" if play.check_mode else ""
        self._display.display(
            f"\n== stage {self._stage_number} of {self._stages}: {self._stage.name}{check}  [{self._elapsed()}]",
            color="bright blue",
        )

    def _task_start(self, task: t.Any, prefix: str | None = None) -> None:
        super()._task_start(task, prefix)
        self._erase()
        name = task.get_name().strip().replace("cmsaf.facility.", "")
        if prefix == "RUNNING HANDLER":
            place = "handler"
        else:
            self._task_number += 1
            self._tasks = max(self._tasks, self._task_number)
            place = f"{self._task_number}/{self._tasks}"
        self._busy = {}
        self._task = (name, time.monotonic())
        self._last_task_banner = task._uuid
        self._display.display(f"{self._elapsed()}  {self._stage_number}/{self._stages}  {place:>7}  {name}")

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        """Remember who is at work."""
        self._busy[host.get_name()] = None

    # What became of it

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Count what changed."""
        self._finished(result)
        self._changed += int(bool(result.result.get("changed", False)))
        if result.result.get("_ansible_verbose_always") and not self.get_option("display_ok_hosts"):
            # debug speaks on purpose
            self.set_option("display_ok_hosts", True)
            super().v2_runner_on_ok(result)
            self.set_option("display_ok_hosts", False)
        else:
            super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Show it in full."""
        self._finished(result)
        super().v2_runner_on_failed(result, ignore_errors=ignore_errors)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        """Nothing to show."""
        self._finished(result)
        super().v2_runner_on_skipped(result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Show it in full."""
        self._finished(result)
        super().v2_runner_on_unreachable(result)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """One item of a loop."""
        self._erase()
        super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """One item of a loop."""
        self._erase()
        super().v2_runner_item_on_failed(result)

    def v2_runner_retry(self, result: t.Any) -> None:
        """Retries are for C(-v), the ticker says that it takes long."""
        if self._display.verbosity:
            self._erase()
            super().v2_runner_retry(result)

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        """Included tasks speak for themselves."""
        if self._display.verbosity:
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """The end: hosts, stages, and whether anything changed."""
        self._stop.set()
        self._erase()
        self._end_stage()
        super().v2_playbook_on_stats(stats)
        for number, stage in enumerate(self._done, 1):
            changed = f", {stage['changed']} changed" if stage["changed"] else ""
            self._display.display(f"{clock(stage['seconds']):>8}  {number}/{self._stages} {stage['name']}{changed}")
        hosts = {name: stats.summarize(name) for name in sorted(stats.processed)}
        changed = sum(host["changed"] for host in hosts.values())
        failed = sum(host["failures"] + host["unreachable"] for host in hosts.values())
        says = f"{changed} changed" if changed else "nothing changed"
        self._display.display(
            f"{self._playbook}: {says}, {failed} failed, {self._elapsed()}",
            color="red" if failed else "green",
        )
        self._write(finished=True, hosts=hosts, changed=changed, failed=failed)

    # Helpers

    def _elapsed(self) -> str:
        return clock(time.monotonic() - self._begin)

    def _finished(self, result: t.Any) -> None:
        self._erase()
        self._busy.pop(result.host.get_name(), None)

    def _end_stage(self) -> None:
        if self._stage is None:
            return
        seconds = round(time.monotonic() - self._stage.start, 1)
        self._done.append({"name": self._stage.name, "seconds": seconds, "changed": self._changed})
        self._stage = None
        self._task = None
        self._changed = 0
        self._write(finished=False)

    def _write(self, **more: t.Any) -> None:
        target = self.get_option("timings_file")
        if not target:
            return
        seconds = round(time.monotonic() - self._begin, 1)
        record = {"playbook": self._playbook, "seconds": seconds, "stages": self._done, **more}
        part = Path(f"{target}.part")
        try:
            part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            part.replace(target)
        except OSError as error:
            self._display.warning(
                f"Writing the timings to {target}: {error}. Set CMSAF_TIMINGS to a file that can be written."
            )

    def _erase(self) -> None:
        if self._live:
            self._live = False
            self._display.display(ERASE, newline=False, screen_only=True)

    def _tick(self) -> None:
        pause = TICK_TERMINAL if self._terminal else TICK_LINES
        last = 0.0
        # display() takes the lock that is also held where workers fork, so a thread may use it.
        while not self._stop.wait(TICK_TERMINAL):
            task = self._task
            if task is None:
                continue
            name, start = task
            now = time.monotonic()
            if now - max(start, last) < pause - 0.1:
                continue
            last = now
            seconds = now - start
            waiting = list(self._busy)
            hosts = ", ".join(waiting[:4]) + (f" and {len(waiting) - 4} more" if len(waiting) > 4 else "")
            line = f"{self._elapsed()}  ... {name}: {clock(seconds)}" + (f", waiting for {hosts}" if hosts else "")
            if self._terminal:
                self._live = True
                columns = max(20, self._display.columns)
                self._display.display(ERASE + line[:columns], newline=False, screen_only=True)
            else:
                self._display.display(line, color="dark gray")
