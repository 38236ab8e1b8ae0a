#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: scitoken_info
short_description: Read what a SciToken or a WLCG token in a file says
version_added: 0.1.0
description:
  - Returns the claims of a token, when it ends and which key signed it. Neither token nor key is returned.
  - With a key set it also says whether the token is good now, by every check that a service makes.
  - A file that holds no token of these profiles makes it fail.
requirements:
  - With O(jwks_path) cryptography and PyJWT >= 2.4 (C(python3-jwt) of Debian and Enterprise Linux)
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
  jwks_path:
    description: Key set of the issuer, to check signature and times with. They are not checked when not set.
    type: path
  issuer:
    description: The issuer that is wanted. Checked with O(jwks_path).
    type: str
  audience:
    description: The service that would take the token. Checked with O(jwks_path).
    type: str
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: See whether the cache would take the token
  cmsaf.facility.scitoken_info:
    path: /run/reader/token
    jwks_path: /var/www/issuer/jwks
    issuer: https://tokens.example.org
    audience: https://xcache.example.org
  register: __token
"""

RETURN = r"""
path:
  description: File that was looked at.
  type: str
  returned: success
  sample: /run/reader/token
present:
  description: Whether there is such a file. Where there is none, nothing below is returned.
  type: bool
  returned: success
profile:
  description: Whose claims it has, V(wlcg) or V(scitokens).
  type: str
  returned: when a token is there
  sample: wlcg
key_id:
  description: Id of the key that signed it, by its own account.
  type: str
  returned: when a token is there
  sample: NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
issuer:
  description: Who made it, by its own account.
  type: str
  returned: when a token is there
  sample: https://tokens.example.org
subject:
  description: Whom it stands for.
  type: str
  returned: when a token is there
  sample: reader
audience:
  description: The services that may take it.
  type: list
  elements: str
  returned: when a token is there
  sample: ["https://xcache.example.org"]
scopes:
  description: What it is good for.
  type: list
  elements: str
  returned: when a token is there
  sample: ["storage.read:/store/data"]
issued_at:
  description: Seconds since the epoch at which it was made.
  type: int
  returned: when a token is there
  sample: 1795494591
not_before:
  description: Seconds since the epoch from which on it is good.
  type: int
  returned: when a token is there
  sample: 1795494531
token_id:
  description: Name of the token in logs, which is no secret.
  type: str
  returned: when a token is there
  sample: 30d83f49403360cd7370d07003337e8d
expires_at:
  description: Seconds since the epoch at which it ends.
  type: int
  returned: when a token is there
  sample: 1795537791
seconds_left:
  description: Seconds until it ends; negative if it has.
  type: int
  returned: when a token is there
  sample: 3600
signature_good:
  description: Whether a key of the key set signed it.
  type: bool
  returned: when a token is there and O(jwks_path) is given
valid:
  description: Whether a service would take it now, by signature, key, issuer, audience, times and scopes.
  type: bool
  returned: when a token is there and O(jwks_path) is given
problem:
  description: The first reason why it is not valid.
  type: str
  returned: when RV(valid) is false
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _scitoken, _token_file


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_token_file.INFO,
            "jwks_path": {"type": "path", "no_log": False},
            "issuer": {"type": "str"},
            "audience": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params

    def check_signature(token: str, document: bytes) -> None:
        _scitoken.check_signature(token, _scitoken.read_key_set(document))

    def verify(token: str, document: bytes) -> Any:
        keys = _scitoken.read_key_set(document)
        return _scitoken.verify(token, keys, issuer=params["issuer"], audience=params["audience"])

    kind = _token_file.Kind(
        what=f"Reading the token in {params['path']}",
        key_option="jwks_path",
        errors=(_scitoken.ScitokenError,),
        parse=_scitoken.parse,
        verify=verify,
        check_signature=check_signature,
        facts=vars,
        secret_key=False,
    )
    _token_file.tell(module, kind)


if __name__ == "__main__":
    main()
