#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: rook_disk_wipe
short_description: Destroy what is on a disk, so that Ceph takes it
version_added: 0.1.0
description:
  - Removes every signature that wipefs knows, discards the blocks where the disk can, and writes zeros to both ends and to
    the places where M(cmsaf.facility.rook_disk_info) looks for data. It does not make what was on it unreadable for ever.
  - A disk that anything uses is refused, and so is one that is an OSD of O(keep).
extends_documentation_fragment:
  - cmsaf.facility.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: What was on the disk is not shown.
  idempotent:
    support: full
  safe_file_operations:
    support: none
    details: A disk cannot be replaced whole.
options:
  path:
    description: The disk by a stable name.
    type: path
    required: true
  keep:
    description: The uuids of OSDs that must not be destroyed.
    type: list
    elements: str
    default: []
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Wipe a disk that was part of something else
  cmsaf.facility.rook_disk_wipe:
    path: /dev/disk/by-id/nvme-EXAMPLE_1
"""

RETURN = r"""
device:
  description: The device behind the name.
  type: str
  returned: success
  sample: /dev/nvme0n1
"""

import os
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils._disk import blank, first_data, parse_label


def wipe(module: AnsibleModule, device: str, size: int) -> None:
    """Remove the signatures first, by the program that knows where all of them are."""
    program = module.get_bin_path("wipefs", required=True)
    done = module.run_command([program, "--all", device])
    if done[0]:
        module.fail_json(msg=f"Wiping {device} failed: wipefs ended with {done[0]} and said {done[2].strip()!r}.")
    # Not every disk can discard, and not every one that does reads zeros afterwards.
    module.run_command([module.get_bin_path("blkdiscard", required=True), device])
    descriptor = os.open(device, os.O_RDWR | os.O_EXCL)
    try:
        blank(descriptor, size)
    finally:
        os.close(descriptor)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "keep": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    device = os.path.realpath(module.params["path"])
    try:
        if not stat.S_ISBLK(os.stat(device).st_mode):
            module.fail_json(msg=f"Wiping {device} refused: it is no disk. Set the option path to one.")
        # The kernel lets nobody have a disk alone that is mounted or part of another.
        descriptor = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            label = parse_label(os.pread(descriptor, 64 << 10, 0))
            full = first_data(descriptor, size) is not None
        finally:
            os.close(descriptor)
        if label and label.osd in module.params["keep"]:
            module.fail_json(msg=f"Wiping {device} refused: it is the OSD {label.osd}, which the option keep names.")
        if full and not module.check_mode:
            wipe(module, device, size)
    except OSError as error:
        module.fail_json(
            msg=f"Wiping {module.params['path']} failed at {error.filename or device}: {error.strerror}. "
            f"Set the option path to a disk that nothing uses."
        )
    module.exit_json(changed=full, device=device)


if __name__ == "__main__":
    main()
