# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the checks of a site's variables have in common.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Mistake", "Site", "no_networks", "whole"]

# Variable, what was found, what to set.
Mistake = tuple[str, str, str]

_REFERENCE = re.compile(r"\{\{ (\w+) \}\}")


@dataclass
class Site:
    """An inventory as plain data."""

    groups: Mapping[str, Sequence[str]]
    # Per host: the values of the collection's variables, and errors of those that have none.
    values: Mapping[str, Mapping[str, Any]]
    errors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # What the roles declare: all names, those that must be set for every host, and defaults.
    known: frozenset[str] = frozenset()
    required: Sequence[str] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    prefixes: Sequence[str] = ("facility",)
    # Patterns of names that begin like the collection's and are read by others.
    foreign: Sequence[str] = ()
    # What was tried from the controller: address and why it failed ('' if it answered).
    probes: Mapping[str, str] = field(default_factory=dict)
    missing_files: Mapping[str, str] = field(default_factory=dict)
    minimum_execute: int = 1

    def hosts(self, group: str) -> Sequence[str]:
        return self.groups.get(group, ())

    def facility(self, name: str, group: str = "all") -> Any:
        """A value that all hosts of a group share: the first host's, else the default; None if there is neither."""
        hosts = self.values if group == "all" else self.hosts(group)
        for values in (self.values.get(host, {}) for host in hosts):
            if name in values:
                return values[name]
        try:
            return self._resolved(self.defaults.get(name))
        except LookupError:
            return None

    def _resolved(self, default: Any) -> Any:
        """A default with the values of the variables in it; LookupError where one has none."""
        if isinstance(default, Mapping):
            return {key: self._resolved(value) for key, value in default.items()}
        if isinstance(default, list):
            return [self._resolved(value) for value in default]
        if not isinstance(default, str):
            return default
        found = {reference: self.facility(reference) for reference in _REFERENCE.findall(default)}
        if None in found.values():
            raise LookupError(default)
        return _REFERENCE.sub(lambda match: str(found[match.group(1)]), default)

    def said(self, name: str) -> Any:
        """A value that the inventory sets, None if it leaves it to the role."""
        return next((values[name] for values in self.values.values() if name in values), None)


def whole(value: Any) -> bool:
    """Whether it is a whole number; other types are the specification's business."""
    return isinstance(value, int) and not isinstance(value, bool)


def no_networks(variable: str, listed: Iterable[Any]) -> Iterator[Mistake]:
    """Mistakes of a list of addresses and networks."""
    for entry in listed:
        try:
            ipaddress.ip_network(str(entry))
        except ValueError as error:
            yield variable, f"{entry!r}: {error}", "List addresses or networks."
