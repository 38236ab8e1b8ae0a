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
  - ansible.builtin.files
attributes:
  check_mode:
    description: Can run in check mode and predict what it would change.
    support: full
  diff_mode:
    description: Returns what has changed when run with C(--diff).
    support: partial
    details: The difference says that a key is made, and never holds the key.
  idempotent:
    description: Run again with the same state it changes nothing.
    support: partial
    details: With O(regenerate=always) every run makes a new key.
  safe_file_operations:
    description: Replaces files whole, so that no reader sees a part.
    support: full
options:
  path:
    description: File to write. HTCondor calls a key by its file's name; that of the pool is C(POOL).
    type: path
    required: true
  regenerate:
    description:
      - What to do about a file that is there.
      - V(never) leaves it, V(fail) leaves it and fails if it is no usable key.
      - V(when_invalid) makes a new key if it is no usable key, V(always) makes a new one.
        Every token of the old key is then refused.
    type: str
    choices: [never, fail, when_invalid, always]
    default: fail
  mode:
    default: "0600"
  unsafe_writes:
    description: Not used. Files are always replaced whole.
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
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken, _secret_file


def wanted(module: AnsibleModule, content: bytes | None, key_id: str) -> bool:
    """Whether a new key is to be made; fails where the user has to decide."""
    regenerate = module.params["regenerate"]
    if content is None or regenerate == "always":
        return True
    if regenerate == "never":
        return False
    try:
        _idtoken.signing_key(content, key_id)
    except _idtoken.IdTokenError as error:
        if regenerate == "when_invalid":
            return True
        module.fail_json(
            msg=f"Checking the signing key in {module.params['path']}: {error}. Put the right key"
            " there, or set regenerate to when_invalid, which ends all tokens of the old key."
        )
    return False


def main() -> None:
    """One flow: read, decide, write, set owner and mode."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "regenerate": {
                "type": "str",
                "choices": ["never", "fail", "when_invalid", "always"],
                "default": "fail",
                "no_log": False,
            },
            "mode": {"type": "raw", "default": "0600"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    path = module.params["path"]
    key_id = os.path.basename(path)
    try:
        changed = wanted(module, _secret_file.read(path), key_id)
        if changed and not module.check_mode:
            _secret_file.write(path, _idtoken.generate_key())
    except OSError as error:
        module.fail_json(msg=f"Keeping a signing key in {path} (path): {error.strerror}.")
    diff = {"before": "", "after": f"a new key {key_id}\n" if changed else ""}
    if os.path.exists(path):
        arguments = module.load_file_common_arguments(module.params)
        changed = module.set_fs_attributes_if_different(arguments, changed)
    module.exit_json(changed=changed, path=path, key_id=key_id, diff=diff)


if __name__ == "__main__":
    main()
