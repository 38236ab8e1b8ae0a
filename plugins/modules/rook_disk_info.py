#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rook_disk_info
short_description: Tell which disks of a host Ceph may have
version_added: 0.1.0
description:
  - Looks for file systems, partition tables, other signatures, data, mounts and other uses of each disk.
  - For data it reads both ends of a disk and 64 places between them, not the whole.
  - A disk that is an OSD of the cluster already is kept, whatever else is said of it.
extends_documentation_fragment:
  - cmsaf.facility.reads_only
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  idempotent:
    support: full
options:
  host:
    description: What the problems call the host.
    type: str
    required: true
  disks:
    description: The disks by stable names.
    type: list
    elements: path
    required: true
  wipe:
    description: Those of O(disks) of which all content may be destroyed.
    type: list
    elements: path
    default: []
  fsid:
    description: Name of the cluster that the host is part of, empty if there is none yet.
    type: str
    default: ""
  osds:
    description: The uuids of all OSDs that the cluster knows. Not set if the cluster did not answer.
    type: list
    elements: str
  loop_devices:
    description: Whether loop devices may be OSDs.
    type: bool
    default: false
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Look at the disks
  cmsaf.facility.rook_disk_info:
    host: "{{ inventory_hostname }}"
    disks:
      - /dev/disk/by-id/nvme-EXAMPLE_1
      - /dev/disk/by-id/nvme-EXAMPLE_2
  register: __disks
"""

RETURN = r"""
problems:
  description: What speaks against a disk, one sentence or two for each, with what was found and what to do.
  type: list
  elements: str
  returned: success
wipe:
  description: The disks that are to be wiped before Ceph takes them.
  type: list
  elements: str
  returned: success
kept:
  description: The disks that are OSDs of the cluster.
  type: list
  elements: str
  returned: success
"""

import errno
import json
import os
import stat
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils._disk import (
    Disk,
    first_data,
    judged,
    parse_label,
    signatures,
    uses,
)

NAMES = "/dev/disk/by-id"
LSBLK = ("--all", "--json", "--bytes", "--paths", "--output", "PATH,TYPE,SIZE,RO,MOUNTPOINTS")
WIPEFS = ("--no-act", "--json", "--output", "TYPE,USAGE,LABEL")


class Unreadable(Exception):
    """What a program said of a disk that it could not look at."""


def ask(
    module: AnsibleModule, program: str, arguments: tuple[str, ...], device: str
) -> dict[str, list[dict[str, Any]]]:
    """What a program of util-linux says of a device, in JSON; nothing where there is nothing to say."""
    done = module.run_command([module.get_bin_path(program, required=True), *arguments, device])
    if done[0]:
        raise Unreadable(" ".join(done[2].split()) or f"{program} ended with {done[0]}")
    return json.loads(done[1]) if done[1].strip() else {}


def look(module: AnsibleModule, path: str) -> Disk:
    """All that can be found out about one disk without changing it."""
    disk = Disk(path)
    if not os.path.exists(path):
        return disk
    disk.device = os.path.realpath(path)
    disk.block = stat.S_ISBLK(os.stat(disk.device).st_mode)
    if not disk.block:
        return disk
    try:
        for node in ask(module, "lsblk", LSBLK, disk.device).get("blockdevices", [])[:1]:
            disk.kind, disk.size, disk.read_only = node["type"], int(node["size"] or 0), bool(node["ro"])
            disk.uses = uses(node)
        if disk.size:
            read(module, disk)
    except (OSError, Unreadable) as error:
        disk.unreadable = str(error)
    return disk


def read(module: AnsibleModule, disk: Disk) -> None:
    """Add what is on the disk, and whether somebody holds it who is not seen otherwise."""
    descriptor = os.open(disk.device, os.O_RDONLY)
    try:
        disk.label = parse_label(os.pread(descriptor, 64 << 10, 0))
        data = first_data(descriptor, disk.size)
    finally:
        os.close(descriptor)
    disk.contents = signatures(ask(module, "wipefs", WIPEFS, disk.device).get("signatures", []))
    if disk.label:
        disk.contents = [f"an OSD of cluster {disk.label.fsid or 'unknown'}", *disk.contents]
    if data is not None and not disk.contents:
        disk.contents = [f"data, the first of it at byte {data}"]
    if not disk.uses and held(disk.device):
        disk.uses = ["held by the kernel or a program"]


def held(device: str) -> bool:
    """Whether anybody has the disk for himself alone."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "disks": {"type": "list", "elements": "path", "required": True},
            "wipe": {"type": "list", "elements": "path", "default": []},
            "fsid": {"type": "str", "default": ""},
            "osds": {"type": "list", "elements": "str"},
            "loop_devices": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    verdict = judged(
        [look(module, path) for path in module.params["disks"]],
        module.params["wipe"],
        module.params["fsid"],
        module.params["osds"],
        loops=module.params["loop_devices"],
        names=sorted(os.listdir(NAMES)) if os.path.isdir(NAMES) else (),
    )
    problems = [f"rook_disks of {module.params['host']}: {problem}" for problem in verdict.problems]
    module.exit_json(changed=False, problems=problems, wipe=verdict.wipe, kept=verdict.kept)


if __name__ == "__main__":
    main()
