#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes each role's README.md from its argument specifications.

python3 scripts/role_readmes.py           write them
python3 scripts/role_readmes.py --check   only say which are out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
_MARKUP = re.compile(r"\b([BCIMOUV])\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


def _text(value: Any) -> list[str]:
    """Ansible's markup as Markdown, one string for each paragraph."""
    paragraphs = value if isinstance(value, list) else [value or ""]
    return [_MARKUP.sub(_markdown, " ".join(str(paragraph).split())) for paragraph in paragraphs]


def _markdown(match: re.Match[str]) -> str:
    kind, text = match.groups()
    return {"B": f"**{text}**", "I": f"*{text}*", "U": f"<{text}>"}.get(kind, f"`{text}`")


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    value = option.get("default")
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{' '.join(shown.split())}`" if value not in (None, "") else "empty"


def _rows(options: dict[str, Any]) -> Iterator[str]:
    for name, option in options.items():
        kind = option.get("type", "str")
        if "elements" in option:
            kind = f"{kind} of {option['elements']}"
        description = " ".join(_text(option.get("description")))
        if "choices" in option:
            description += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
        cells = (f"`{name}`", kind, _default(option), description)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render(role: str, specs: dict[str, Any]) -> str:
    """The whole README of a role."""
    lines = [f"# Role `cmsaf.facility.{role}`"]
    for entry, spec in specs.items():
        lines += ["", f"## Entry point `{entry}`: {spec['short_description']}"]
        for paragraph in _text(spec.get("description")):
            lines += ["", paragraph] if paragraph else []
        options = spec.get("options", {})
        own = {
            name: option for name, option in options.items() if not name.startswith("facility_") or role == "facility"
        }
        shared = [f"`{name}`" for name in options if name not in own]
        if own:
            lines += ["", "| variable | type | default | what it is |", "|---|---|---|---|", *_rows(own)]
        if shared:
            lines += ["", f"Reads from role [`facility`](../facility/README.md): {', '.join(shared)}."]
    lines += ["", "<!-- Written by scripts/role_readmes.py from meta/argument_specs.yml. -->", ""]
    return "\n".join(lines)


def readmes(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each role's README and what should stand in it."""
    for path in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        yield path.parents[1] / "README.md", render(path.parents[1].name, specs)


def main(arguments: list[str]) -> int:
    """Write or check; the exit code is 1 if --check found one that is out of date."""
    stale = [(path, text) for path, text in readmes() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in stale:
        print(path.relative_to(ROOT))
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
