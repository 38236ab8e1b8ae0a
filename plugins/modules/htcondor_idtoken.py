#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: htcondor_idtoken
short_description: Mint an HTCondor IDTOKEN into a file
version_added: 0.1.0
description:
  - Signs a token with a key on the same host and writes it to a file. The token is never returned.
  - A token that is still good for what is asked is kept, and renewed when O(renew_before) its end.
extends_documentation_fragment:
  - cmsaf.facility.token_file
  - cmsaf.facility.attributes
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    details: A key that is not there is then no failure, for a task before may be the one to make it.
  diff_mode:
    support: partial
    details: The difference holds the claims, never the signature.
  idempotent:
    support: partial
    details: With O(regenerate=always), and near the token's end, a run makes a new token.
  safe_file_operations:
    support: full
options:
  key_path:
    description:
      - Signing key as HTCondor keeps it in C(passwords.d). The file's name is the key's.
      - Refused if others than its owner have any right to it.
    type: path
    required: true
  issuer:
    description: C(TRUST_DOMAIN) of the pool.
    type: str
    required: true
  identity:
    description: Whom the token stands for, C(user@domain).
    type: str
    required: true
  scopes:
    description: Authorization levels that the token is good for, such as V(READ). At least one.
    type: list
    elements: str
    required: true
  lifetime:
    description:
      - Seconds from O(issued_at) until the token ends, at most 400 days. There are no tokens without end.
    type: int
    required: true
  issued_at:
    description:
      - Seconds since the epoch at which the token begins. The present when not set.
      - A time more than five minutes in the future by this host's clock is refused.
      - With a time more than O(lifetime) ago the token is an expired one, which shows that daemons
        refuse it. It is then not renewed.
    type: int
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Mint the token of an execute host's daemons
  cmsaf.facility.htcondor_idtoken:
    path: /etc/condor/cmsaf-tokens/execute1
    key_path: /etc/condor/passwords.d/POOL
    issuer: pool.example.org
    identity: execute@pool.example.org
    scopes: [READ, ADVERTISE_MASTER, ADVERTISE_STARTD]
    lifetime: 31536000
    renew_before: 7884000
"""

RETURN = r"""
path:
  description: File that holds the token.
  type: str
  returned: success
  sample: /etc/condor/cmsaf-tokens/execute1
key_id:
  description: Name of the key that signed it.
  type: str
  returned: when a token is there
  sample: POOL
expires_at:
  description: Seconds since the epoch at which the token ends.
  type: int
  returned: when a token is there
  sample: 1795537791
reason:
  description: Why a new token was made.
  type: str
  returned: when changed
  sample: the token ends in 86400 s
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken, _token_file


def kind(params: dict[str, Any]) -> _token_file.Kind:
    """How an IDTOKEN is made, read and compared with what is asked."""
    key_id = os.path.basename(params["key_path"])

    def mint(key: bytes) -> str:
        names = ("issuer", "identity", "lifetime", "issued_at")
        asked = {name: params[name] for name in names}
        return str(_idtoken.mint(key=key, key_id=key_id, scopes=tuple(params["scopes"]), **asked))

    def differing(found: Any, _key: bytes) -> list[str]:
        pairs = {
            "key_path": (key_id, found.key_id),
            "issuer": (params["issuer"], found.issuer),
            "identity": (params["identity"], found.identity),
            "scopes": (tuple(params["scopes"]), found.scopes),
        }
        if params["issued_at"] is not None:
            pairs["issued_at"] = (params["issued_at"], found.issued_at)
            pairs["lifetime"] = (params["issued_at"] + params["lifetime"], found.expires_at)
        return [name for name, (asked, there) in pairs.items() if asked != there]

    return _token_file.Kind(
        what=f"Minting a token for {params['identity']}",
        key_option="key_path",
        errors=(_idtoken.IdTokenError,),
        parse=_idtoken.parse,
        verify=_idtoken.verify,
        mint=mint,
        differing=differing,
        facts=lambda found: {"key_id": found.key_id},
        fixed=params["issued_at"] is not None,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_token_file.TOKEN_FILE,
            "key_path": {"type": "path", "required": True, "no_log": False},
            "issuer": {"type": "str", "required": True},
            "identity": {"type": "str", "required": True},
            "scopes": {"type": "list", "elements": "str", "required": True},
            "lifetime": {"type": "int", "required": True},
            "issued_at": {"type": "int"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    _token_file.keep(module, kind(module.params))


if __name__ == "__main__":
    main()
