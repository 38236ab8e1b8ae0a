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
  - With O(filter) it looks at all other whole disks of the host too, and says which of them it would choose.
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
  filter:
    description:
      - What a disk that is not in O(disks) has to be to be chosen, beside whole, empty, used by nothing, and with a name below
        C(/dev/disk/by-id). With V({}) that is enough. If not set, nothing is looked for.
    type: dict
    suboptions:
      min_size:
        description: Its least size, as V(10TB) or V(1.5TiB).
        type: str
      max_size:
        description: Its greatest size.
        type: str
      rotational:
        description: Whether it has platters.
        type: bool
      model:
        description: What is in its model, as C(lsblk) says it.
        type: str
      vendor:
        description: What is in its vendor, as C(lsblk) says it.
        type: str
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

- name: Look for disks with platters of 10 TB and more
  cmsaf.facility.rook_disk_info:
    host: "{{ inventory_hostname }}"
    disks: []
    filter: {rotational: true, min_size: 10TB}
  register: __found
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
found:
  description: All whole disks of the host that something is behind.
  type: list
  elements: dict
  returned: when O(filter) is set
  contains:
    state:
      description: V(named) if it is of O(disks), V(chosen) by O(filter), or V(no).
      type: str
    reason:
      description: Why it is not chosen.
      type: str
    name:
      description: Its name below C(/dev/disk/by-id), empty if it has none.
      type: str
    device:
      description: Its name of now.
      type: str
    path:
      description: Its name in O(disks), empty if it is not there.
      type: str
    size:
      description: Its size in bytes.
      type: int
    device_class:
      description: V(hdd), V(ssd) or V(nvme).
      type: str
    model:
      description: Its model.
      type: str
    serial:
      description: Its serial number.
      type: str
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
from ansible_collections.cmsaf.facility.plugins.module_utils._disk_filter import Filter, choice

NAMES = "/dev/disk/by-id"
LSBLK = ("--json", "--bytes", "--paths", "--output")
COLUMNS = "PATH,TYPE,SIZE,RO,MOUNTPOINTS,ROTA,MODEL,VENDOR,SERIAL"
WIPEFS = ("--no-act", "--json", "--output", "TYPE,USAGE,LABEL")


class Unreadable(Exception):
    """What a program said of a disk that it could not look at."""


def ask(module: AnsibleModule, program: str, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """What a program of util-linux says of devices, in JSON; nothing where there is nothing to say."""
    done = module.run_command([module.get_bin_path(program, required=True), *arguments])
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
        for node in ask(module, "lsblk", "--all", *LSBLK, COLUMNS, disk.device).get("blockdevices", [])[:1]:
            disk.kind, disk.size, disk.read_only = node["type"], int(node["size"] or 0), bool(node["ro"])
            disk.rotational, disk.uses = bool(node["rota"]), uses(node)
            disk.model, disk.vendor, disk.serial = ((node[key] or "").strip() for key in ("model", "vendor", "serial"))
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
    disk.contents = signatures(ask(module, "wipefs", *WIPEFS, disk.device).get("signatures", []))
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


def names_by_device() -> dict[str, list[str]]:
    """The names below /dev/disk/by-id by the device to which they lead."""
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(NAMES)) if os.path.isdir(NAMES) else ():
        found.setdefault(os.path.realpath(os.path.join(NAMES, name)), []).append(name)
    return found


def look_around(module: AnsibleModule, known: list[Disk], names: dict[str, list[str]]) -> list[dict[str, Any]]:
    """All whole disks, and which of them the filter chooses."""
    try:
        wanted = Filter.of(module.params["filter"])
        nodes = ask(module, "lsblk", "--nodeps", *LSBLK, "PATH,TYPE,SIZE").get("blockdevices", [])
    except (ValueError, Unreadable) as error:
        module.fail_json(msg=f"Choosing disks of {module.params['host']} by the filter failed: {error}")
    kinds = ("disk", "loop") if module.params["loop_devices"] else ("disk",)
    # In a container lsblk tells of the machine's disks too, of which there is nothing here.
    here = [node["path"] for node in nodes if node["type"] in kinds and node["size"] and os.path.exists(node["path"])]
    chosen: list[dict[str, Any]] = choice(
        [look(module, device) for device in here],
        wanted,
        {disk.device: disk.path for disk in known},
        names,
        loops=module.params["loop_devices"],
    )
    return chosen


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "disks": {"type": "list", "elements": "path", "required": True},
            "wipe": {"type": "list", "elements": "path", "default": []},
            "fsid": {"type": "str", "default": ""},
            "osds": {"type": "list", "elements": "str"},
            "loop_devices": {"type": "bool", "default": False},
            "filter": {
                "type": "dict",
                "options": {
                    "min_size": {"type": "str"},
                    "max_size": {"type": "str"},
                    "rotational": {"type": "bool"},
                    "model": {"type": "str"},
                    "vendor": {"type": "str"},
                },
            },
        },
        supports_check_mode=True,
    )
    disks = [look(module, path) for path in module.params["disks"]]
    names = names_by_device()
    verdict = judged(
        disks,
        module.params["wipe"],
        module.params["fsid"],
        module.params["osds"],
        loops=module.params["loop_devices"],
        names=sorted(name for listed in names.values() for name in listed),
    )
    problems = [f"rook_disks of {module.params['host']}: {problem}" for problem in verdict.problems]
    looked = {} if module.params["filter"] is None else {"found": look_around(module, disks, names)}
    module.exit_json(changed=False, problems=problems, wipe=verdict.wipe, kept=verdict.kept, **looked)


if __name__ == "__main__":
    main()
