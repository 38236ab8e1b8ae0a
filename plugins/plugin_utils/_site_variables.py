# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables that nobody reads, that are missing, or that hosts do not agree on.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_values import Mistake, Site

__all__ = ["claimed", "mistakes"]

# Variables of older releases, and what took their place.
REPLACED = {
    "jupyterhub_cpu_limit": ["cpu into each of jupyterhub_profiles"],
    "jupyterhub_memory_limit": ["memory into each of jupyterhub_profiles"],
    "jupyterhub_xcache_host": ["host into jupyterhub_xcache"],
    "jupyterhub_xcache_sitename": ["sitename into jupyterhub_xcache"],
    "xcache_origin_host": ["url into each of facility_origins"],
    "xcache_origin_port": ["url into each of facility_origins"],
    "xcache_origins": ["facility_origins"],
    "xcache_path": ["paths into each of facility_origins"],
}
# What some hosts read of others: the default is no stand-in for it.
_EVERYWHERE = ("facility_origins",)
# So like a role's name is what was meant to be it.
_SLIP = 0.85


def mistakes(site: Site) -> Iterator[Mistake]:
    """All that is wrong with which variables are set, and where."""
    yield from _unknown(site)
    yield from _unset(site)


def claimed(name: str, prefixes: Iterable[str], known: Iterable[str]) -> bool:
    """Whether a variable is one of the collection's, or would be without a slip in the role's name."""
    if name.startswith(tuple(f"{prefix}_" for prefix in prefixes)):
        return True
    return any(
        difflib.SequenceMatcher(None, name[: -len(rest)], prefix).ratio() >= _SLIP
        for prefix in prefixes
        for rest in (other[len(prefix) :] for other in known if other.startswith(f"{prefix}_"))
        if name.endswith(rest) and name[0] == prefix[0]
    )


def _unknown(site: Site) -> Iterator[Mistake]:
    seen: dict[str, list[str]] = {}
    for host, values in site.values.items():
        for name in (*values, *site.errors.get(host, ())):
            foreign = any(fnmatch.fnmatchcase(name, pattern) for pattern in site.foreign)
            if name not in site.known and not foreign and claimed(name, site.prefixes, site.known):
                seen.setdefault(name, []).append(host)
    for name, hosts in sorted(seen.items()):
        near = [*REPLACED.get(name, []), *difflib.get_close_matches(name, sorted(site.known), 1, 0.75)]
        fix = f"Write {near[0]} instead, or remove it" if near else "Remove it, as no role of this collection reads it"
        yield (
            name,
            f"a variable that does not exist, on {_some(hosts)}",
            f"{fix}; if another role of yours reads it, add it to site_check_foreign_variables.",
        )


def _unset(site: Site) -> Iterator[Mistake]:
    for name in site.required:
        without = [
            host
            for host, values in site.values.items()
            if values.get(name) in (None, "") and name not in site.errors.get(host, ())
        ]
        if without:
            yield name, f"nothing on {_some(without)}", "Set it for all hosts, as it has no default."
    unusable: dict[tuple[str, str], list[str]] = {}
    for host, errors in site.errors.items():
        for name, error in errors.items():
            if name in site.known:
                unusable.setdefault((name, error), []).append(host)
    for (name, error), hosts in unusable.items():
        yield name, f"on {_some(hosts)} a value that cannot be used ({error})", "Set a valid value."
    for name in sorted(name for name in {*site.defaults, *site.required} if name.startswith("facility_")):
        found = {repr(values[name]) for values in site.values.values() if name in values}
        if len(found) > 1:
            yield name, f"{len(found)} different values ({_some(sorted(found))})", "Set one for all hosts."
        without = [host for host, values in site.values.items() if name not in {*values, *site.errors.get(host, ())}]
        if name in _EVERYWHERE and found and without:
            yield name, f"a value that {_some(without)} lacks", "Set it for all hosts: the hub reads it too."


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(items[:3])
    return shown if len(items) <= 3 else f"{shown} and {len(items) - 3} more"
