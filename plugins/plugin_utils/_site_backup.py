# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be wrong with where a site's backups go and how long they stay, as far as the inventory alone tells.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, whole

__all__ = ["Backup", "mistakes"]

# What restic takes after --keep-.
PERIODS = ("last", "daily", "weekly", "monthly", "yearly")

_BUCKET = re.compile(r"s3:https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._-]+)+")
# No word of a shell or of ssh's: restic splits what it hands to ssh.
_DIRECTORY = re.compile(r"(/[A-Za-z0-9._-]+)+")


@dataclass(frozen=True)
class Backup:
    """What an inventory says of backups."""

    repository: Any
    host: Any
    keep: Any
    percent: Any
    files: Any
    groups: Mapping[str, Sequence[str]]


def mistakes(backup: Backup) -> Iterator[Mistake]:
    """All mistakes, in the order of the variables. A site without a repository has no backups, which is none."""
    if backup.repository:
        yield from _place(backup)
    if isinstance(backup.keep, Mapping):
        yield from _keep(backup.keep)
    if whole(backup.percent) and not 1 <= backup.percent <= 100:
        yield "backup_read_data_percent", f"{backup.percent}", "Set 1 to 100."
    for number, entry in enumerate(backup.files if isinstance(backup.files, list) else ()):
        yield from _file(f"backup_files[{number}]", entry, backup.groups)


def _place(backup: Backup) -> Iterator[Mistake]:
    place = str(backup.repository)
    if _DIRECTORY.fullmatch(place):
        if backup.host not in backup.groups.get("all", ()):
            yield (
                "backup_host",
                f"{backup.host or ''!r}, which is no host of the inventory",
                "Set the host whose directory backup_repository is.",
            )
    elif not _BUCKET.fullmatch(place):
        yield (
            "backup_repository",
            f"{place!r}",
            "Set a directory, such as /srv/backup, or a bucket, such as s3:https://s3.example.org/backup.",
        )
    elif backup.host:
        yield "backup_host", f"{backup.host!r}, but the backups are in a bucket", "Remove it."


def _keep(keep: Mapping[Any, Any]) -> Iterator[Mistake]:
    for period, count in keep.items():
        if period not in PERIODS:
            yield f"backup_keep.{period}", f"{count!r}", f"Remove it: known are {', '.join(PERIODS)}."
        elif not whole(count) or count < 0:
            yield f"backup_keep.{period}", f"{count!r}", "Set how many backups are kept, 0 for none."
    if not any(whole(count) and count > 0 for count in keep.values()):
        yield "backup_keep", "nothing that is kept", "Set one of its numbers to 1 or more."


def _file(where: str, entry: Any, groups: Mapping[str, Sequence[str]]) -> Iterator[Mistake]:
    group, path = (entry.get(key) for key in ("group", "path")) if isinstance(entry, Mapping) else (None, None)
    if not groups.get(str(group)):
        yield f"{where}.group", f"{group!r}, which has no hosts", "Set a group; the file is on its first host."
    if not str(path).startswith("/"):
        yield f"{where}.path", f"{path!r}", "Set the whole path of a file."
