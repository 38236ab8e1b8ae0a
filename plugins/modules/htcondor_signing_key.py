#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: htcondor_signing_key
short_description: Make a key that HTCondor's daemons sign and check IDTOKENs with
version_added: 0.1.0
description:
  - Writes a key of 64 random bytes, in the form that HTCondor reads from C(passwords.d).
  - The key is never returned, and a key that is there is kept.
extends_documentation_fragment:
  - cmsaf.facility.key_file
  - cmsaf.facility.attributes
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: The difference says that a key is made, and never holds the key.
  idempotent:
    support: partial
    details: With O(regenerate=always) every run makes a new key.
  safe_file_operations:
    support: full
options:
  path:
    description: File to write. HTCondor calls a key by its file's name; that of the pool is C(POOL).
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Make the key of users' tokens once
  cmsaf.facility.htcondor_signing_key:
    path: /etc/condor/passwords.d/cmsaf-hub
    owner: condor
    group: condor
"""

RETURN = r"""
path:
  description: File that holds the key.
  type: str
  returned: success
  sample: /etc/condor/passwords.d/cmsaf-hub
key_id:
  description: Name of the key in tokens.
  type: str
  returned: success
  sample: cmsaf-hub
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken, _key_file, _token_file


def main() -> None:
    module = AnsibleModule(argument_spec={**_token_file.KEY_FILE}, add_file_common_args=True, supports_check_mode=True)
    key_id = os.path.basename(module.params["path"])

    def check(content: bytes) -> None:
        _idtoken.signing_key(content, key_id)

    _key_file.keep(
        module,
        what=f"signing key {key_id}",
        errors=(_idtoken.IdTokenError,),
        check=check,
        generate=_idtoken.generate_key,
        facts={"key_id": key_id},
    )


if __name__ == "__main__":
    main()
