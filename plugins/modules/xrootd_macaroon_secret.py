#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: xrootd_macaroon_secret
short_description: Make the secret that an XRootD server makes and checks macaroons with
version_added: 0.1.0
description:
  - Writes 64 random bytes in base64, as C(macaroons.secretkey) of the server reads them.
  - The secret is never returned, and a secret that is there is kept.
extends_documentation_fragment:
  - cmsaf.facility.key_file
  - cmsaf.facility.attributes
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: The difference says that a secret is made, and never holds the secret.
  idempotent:
    support: partial
    details: With O(regenerate=always) every run makes a new secret.
  safe_file_operations:
    support: full
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Make the cache's secret once
  cmsaf.facility.xrootd_macaroon_secret:
    path: /etc/cmsaf/xcache/macaroon-secret
    owner: xrootd
    group: xrootd
"""

RETURN = r"""
path:
  description: File that holds the secret.
  type: str
  returned: success
  sample: /etc/cmsaf/xcache/macaroon-secret
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _key_file, _macaroon, _token_file


def main() -> None:
    module = AnsibleModule(argument_spec={**_token_file.KEY_FILE}, add_file_common_args=True, supports_check_mode=True)
    _key_file.keep(
        module,
        what="macaroon secret",
        errors=(_macaroon.MacaroonError,),
        check=_macaroon.decode_secret,
        generate=_macaroon.generate_secret,
        facts={},
    )


if __name__ == "__main__":
    main()
