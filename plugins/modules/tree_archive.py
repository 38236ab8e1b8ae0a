#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_archive
short_description: Place folders of the controller on a host as one archive
version_added: 0.1.0
description:
  - Packs folders into one tar archive, always the same for the same content, and copies it like M(ansible.builtin.copy) would.
  - Owners, times and all permissions but the executable bit are left out, and so is what tools leave behind, such as C(__pycache__).
attributes:
  action:
    description: Has an action plugin that runs on the controller.
    support: full
  check_mode:
    description: Can run in check mode and predict the change.
    support: full
  diff_mode:
    description: Returns what has changed when run with C(--diff).
    support: none
    details: The archive is binary.
  idempotent:
    description: Run again with the same folders it changes nothing.
    support: full
  safe_file_operations:
    description: Uses Ansible's strict file operation functions to ensure proper permissions and avoid data corruption.
    support: full
options:
  folders:
    description: The folders on the controller, by the name that each has in the archive. The name V(.) is its root.
    type: dict
    required: true
  dest:
    description: Where the archive belongs on the host.
    type: path
    required: true
  mode:
    description: Permissions of the archive.
    type: str
    default: '0644'
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Place what the image is built of
  cmsaf.facility.tree_archive:
    folders:
      .: /home/admin/facility/images/hub
      cmsaf_mint: /home/admin/facility/plugins/module_utils
    dest: /var/cache/cmsaf/contexts/hub.tar
"""

RETURN = r"""
dest:
  description: Where the archive is.
  type: str
  returned: success
checksum:
  description: The sha1 of the archive, as M(ansible.builtin.copy) returns it.
  type: str
  returned: success
"""
