#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: xrootd_macaroon_info
short_description: Read what a macaroon for an XRootD server in a file says
version_added: 0.1.0
description:
  - Returns what a macaroon is good for and when it ends. Neither macaroon nor secret is returned.
  - A file that holds no macaroon makes it fail, and so does a macaroon whose later caveats lie outside of the earlier ones.
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
  secret_path:
    description:
      - Secret as C(macaroons.secretkey) of the server names it, to check the signature with. It is not checked when not set.
      - Refused if others than its owner have any right to it.
    type: path
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Look at the token that the cache shows to the origin
  cmsaf.facility.xrootd_macaroon_info:
    path: /etc/cmsaf/origin/cache-token
    secret_path: /etc/cmsaf/origin/macaroon-secret
  register: __token
"""

RETURN = r"""
path:
  description: File that was looked at.
  type: str
  returned: success
  sample: /etc/cmsaf/origin/cache-token
present:
  description: Whether there is such a file. Where there is none, nothing below is returned.
  type: bool
  returned: success
location:
  description: C(all.sitename) of the server that it is for.
  type: str
  returned: when a token is there
  sample: SITE-ORIGIN
identifier:
  description: The token's identifier, which is no secret.
  type: str
  returned: when a token is there
  sample: 9f0c3f5e-6c0b-4f53-9a55-0d4c5b1e7a61
name:
  description: Whom it stands for, empty if for nobody in particular.
  type: str
  returned: when a token is there
  sample: alice
activities:
  description: What the bearer may do.
  type: list
  elements: str
  returned: when a token is there
  sample: [DOWNLOAD, LIST, READ_METADATA]
prefix:
  description: Path below which it is good, empty if everywhere.
  type: str
  returned: when a token is there
  sample: /store
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
  description: Whether it was made with the secret.
  type: bool
  returned: when a token is there and O(secret_path) is given
problem:
  description: Why the signature is not good.
  type: str
  returned: when RV(signature_good) is false
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _macaroon, _token_file


def facts(found: Any) -> dict[str, Any]:
    """What it says, by the names of the options of xrootd_macaroon."""
    return {
        "location": found.location,
        "identifier": found.identifier,
        "name": found.name,
        "activities": found.activities,
        "prefix": found.path,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={**_token_file.INFO, "secret_path": {"type": "path", "no_log": False}},
        supports_check_mode=True,
    )
    kind = _token_file.Kind(
        what=f"Reading the macaroon in {module.params['path']}",
        key_option="secret_path",
        errors=(_macaroon.MacaroonError,),
        parse=_macaroon.parse,
        verify=_macaroon.verify,
        facts=facts,
    )
    _token_file.tell(module, kind)


if __name__ == "__main__":
    main()
