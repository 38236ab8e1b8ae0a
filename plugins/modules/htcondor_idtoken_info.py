#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: htcondor_idtoken_info
short_description: Read what an HTCondor IDTOKEN in a file says
version_added: 0.1.0
description:
  - Returns the claims of a token, when it ends and which key signed it. Neither token nor key is returned.
  - A file that holds no token makes it fail.
extends_documentation_fragment:
  - cmsaf.facility.info
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing, so there is no difference.
  idempotent:
    support: full
options:
  key_path:
    description:
      - Signing key as HTCondor keeps it in C(passwords.d), to check the signature with. It is not checked when not set.
      - Refused if others than its owner have any right to it.
    type: path
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Look at the daemons' token
  cmsaf.facility.htcondor_idtoken_info:
    path: /etc/condor/tokens.d/cmsaf-execute
  register: __token

- name: Warn a fortnight ahead
  ansible.builtin.assert:
    that: __token.present and __token.seconds_left > 14 * 86400
"""

RETURN = r"""
path:
  description: File that was looked at.
  type: str
  returned: success
  sample: /etc/condor/tokens.d/cmsaf-execute
present:
  description: Whether there is such a file. Where there is none, nothing below is returned.
  type: bool
  returned: success
key_id:
  description: Name of the key that signed it, by its own account.
  type: str
  returned: when a token is there
  sample: POOL
issuer:
  description: The pool's C(TRUST_DOMAIN).
  type: str
  returned: when a token is there
  sample: pool.example.org
identity:
  description: Whom the token stands for.
  type: str
  returned: when a token is there
  sample: execute@pool.example.org
scopes:
  description: Authorization levels that it is good for. Empty if it is not limited.
  type: list
  elements: str
  returned: when a token is there
  sample: [READ, ADVERTISE_STARTD]
issued_at:
  description: Seconds since the epoch at which it was made.
  type: int
  returned: when a token is there
  sample: 1795494591
token_id:
  description: Name of the token in HTCondor's logs, which is no secret.
  type: str
  returned: when a token is there
  sample: 30d83f49403360cd7370d07003337e8d
expires_at:
  description: Seconds since the epoch at which the token ends, null if it never does.
  type: int
  returned: when a token is there
  sample: 1795537791
seconds_left:
  description: Seconds until the token ends; negative if it has.
  type: int
  returned: when a token is there that ends
  sample: 86400
signature_good:
  description: Whether the key signed it.
  type: bool
  returned: when a token is there and O(key_path) is given
problem:
  description: Why the signature is not good.
  type: str
  returned: when RV(signature_good) is false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken, _token_file


def main() -> None:
    module = AnsibleModule(
        argument_spec={**_token_file.INFO, "key_path": {"type": "path", "no_log": False}},
        supports_check_mode=True,
    )
    kind = _token_file.Kind(
        what=f"Reading the token in {module.params['path']}",
        key_option="key_path",
        errors=(_idtoken.IdTokenError,),
        parse=_idtoken.parse,
        verify=_idtoken.verify,
        facts=vars,
    )
    _token_file.tell(module, kind)


if __name__ == "__main__":
    main()
