# SPDX-License-Identifier: GPL-3.0-or-later
"""What role xcache makes of an inventory: its pods, and the files of their configuration, by the role's own templates."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[2] / "roles" / "xcache"
COMMON = ROLE.parent / "facility"
# An image that nobody fetches.
IMAGE = {"__xcache_image": {"reference": "mirror.test/cmsaf/xrootd@sha256:0"}}


@dataclass(frozen=True)
class Rendered:
    """A DaemonSet's pod, and what is in its ConfigMap by name."""

    pod: dict[str, Any]
    files: dict[str, str]

    @property
    def containers(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.pod["containers"]}


def service(file: str) -> dict[str, Any]:
    """The variables that an entry point of the role gives to service.yml."""
    tasks = yaml.safe_load((ROLE / "tasks" / file).read_text(encoding="utf-8"))
    (variables,) = [task["vars"] for task in tasks if "_xcache_component" in task.get("vars", {})]
    return {name: value for name, value in variables.items() if name != "_xcache_hosts"}


def render(
    here: Path,
    kinds: Mapping[str, tuple[str, Mapping[str, Any]]],
    site: Mapping[str, Any],
    hosts: Mapping[str, str],
    groups: Mapping[str, Sequence[str]],
    memory: Mapping[str, int] | None = None,
) -> None:
    """Write to a folder what comes of each kind, which is the file of an entry point and variables; see `read`.

    `memory` is that of hosts in MiB, as they say themselves.
    """
    here.mkdir(parents=True, exist_ok=True)
    (here / "templates").unlink(missing_ok=True)
    (here / "templates").symlink_to(ROLE / "templates")
    tasks = [
        {
            "ansible.builtin.template": {"src": template, "dest": str(here / f"{kind}.{end}"), "mode": "0600"},
            "vars": {**service(file), **variables},
        }
        for kind, (file, variables) in kinds.items()
        for end, template in (("pods", "daemonset.yml.j2"), ("files", "configmap.yml.j2"))
    ]
    facts = [
        {
            "ansible.builtin.set_fact": {"memtotal_mb": size, "cacheable": True},
            "delegate_to": host,
            "delegate_facts": True,
        }
        for host, size in (memory or {}).items()
    ]
    sources = (COMMON / "defaults/main.yml", ROLE / "defaults/main.yml", ROLE / "vars/main.yml")
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(path) for path in sources],
        "vars": {"ansible_python_interpreter": sys.executable},
        "tasks": [*facts, *tasks],
    }
    (here / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf-8")
    inventory = {
        "all": {
            "hosts": {
                **{name: {"ansible_host": address} for name, address in hosts.items()},
                "localhost": {"ansible_connection": "local"},
            },
            "children": {group: {"hosts": dict.fromkeys(members)} for group, members in groups.items()},
        }
    }
    (here / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(here / "hosts.yml"), str(here / "play.yml")]
    variables = yaml.safe_dump({**site, **IMAGE}, default_flow_style=True, width=10**6)
    done = subprocess.run([*command, "-e", variables], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def read(here: Path, kind: str) -> Rendered:
    """What `render` wrote."""
    pod, files = (yaml.safe_load((here / f"{kind}.{end}").read_text(encoding="utf-8")) for end in ("pods", "files"))
    return Rendered(pod["spec"]["template"]["spec"], files["data"])
