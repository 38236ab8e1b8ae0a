#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: scitoken
short_description: Mint a SciToken or a WLCG token into a file
version_added: 0.1.0
description:
  - Signs a token with an issuer's key on the same host and writes it to a file. The token is never returned.
  - A token that is still good for what is asked is kept, and renewed when O(renew_before) its end.
  - It begins a minute before it is made, for services whose clocks are behind.
requirements:
  - cryptography
  - PyJWT >= 2.4 (C(python3-jwt) of Debian and Enterprise Linux)
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
      - The issuer's private key, PEM, as M(cmsaf.facility.scitoken_issuer_key) makes it. P-256, or RSA of 2048 bits and more.
      - Refused if others than its owner have any right to it.
    type: path
    required: true
  profile:
    description: Whose claims the token has, those of the WLCG Common JWT Profiles or of SciTokens 2.0.
    type: str
    choices: [wlcg, scitokens]
    default: wlcg
  issuer:
    description: The issuer's https URL, as services know it.
    type: str
    required: true
  subject:
    description: Whom the token stands for.
    type: str
    required: true
  audience:
    description: The services that may take the token, such as V(https://xcache.example.org). At least one.
    type: list
    elements: str
    required: true
  scopes:
    description:
      - What the token is good for. At least one.
      - Of profile V(wlcg) V(storage.read), V(storage.create), V(storage.modify), V(storage.stage), V(storage.poll), each with a
        path as in V(storage.read:/store), and V(compute.read), V(compute.create), V(compute.modify), V(compute.cancel).
      - Of profile V(scitokens) V(read) and V(write) with a path, V(queue) and V(execute).
      - Paths are in their shortest form. A path with C(//), C(/./), C(/../), percent signs or characters outside of ASCII is
        refused, since two programs may read it as two different paths.
    type: list
    elements: str
    required: true
  lifetime:
    description: Seconds from O(issued_at) until the token ends, at most six hours, as the WLCG's profile has it.
    type: int
    required: true
  issued_at:
    description:
      - Seconds since the epoch at which the token is said to be made. The present when not set.
      - With a time more than O(lifetime) ago the token is an expired one, which shows that services refuse it. It is then not renewed.
      - A time more than five minutes in the future by this host's clock is refused.
    type: int
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Mint a token that reads one dataset
  cmsaf.facility.scitoken:
    path: /run/reader/token
    key_path: /etc/cmsaf/issuer/key.pem
    issuer: https://tokens.example.org
    subject: reader
    audience: [https://xcache.example.org]
    scopes: ["storage.read:/store/data"]
    lifetime: 21600
    renew_before: 7200
"""

RETURN = r"""
path:
  description: File that holds the token.
  type: str
  returned: success
  sample: /run/reader/token
key_id:
  description: Id of the key that signed it.
  type: str
  returned: when a token is there
  sample: NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
expires_at:
  description: Seconds since the epoch at which the token ends.
  type: int
  returned: when a token is there
  sample: 1795537791
reason:
  description: Why a new token was made.
  type: str
  returned: when changed
  sample: the token ends in 3600 s
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _scitoken, _token_file


def kind(params: dict[str, Any]) -> _token_file.Kind:
    """How such a token is made, read and compared with what is asked."""

    def mint(key: bytes) -> str:
        names = ("profile", "issuer", "subject", "audience", "scopes", "lifetime", "issued_at")
        return str(_scitoken.mint(key=key, **{name: params[name] for name in names}))

    def verify(token: str, key: bytes) -> Any:
        return _scitoken.check_signature(token, [_scitoken.public_jwk(_scitoken.load_key(key))])

    def differing(found: Any, _key: bytes) -> list[str]:
        pairs = {
            "profile": (params["profile"], found.profile),
            "issuer": (params["issuer"], found.issuer),
            "subject": (params["subject"], found.subject),
            "audience": (tuple(params["audience"]), found.audience),
            "scopes": (tuple(params["scopes"]), found.scopes),
        }
        if params["issued_at"] is not None:
            pairs["issued_at"] = (params["issued_at"], found.issued_at)
            pairs["lifetime"] = (params["issued_at"] + params["lifetime"], found.expires_at)
        return [name for name, (asked, there) in pairs.items() if asked != there]

    return _token_file.Kind(
        what=f"Minting a token for {params['subject']}",
        key_option="key_path",
        errors=(_scitoken.ScitokenError,),
        parse=_scitoken.parse,
        verify=verify,
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
            "profile": {"type": "str", "choices": ["wlcg", "scitokens"], "default": "wlcg"},
            "issuer": {"type": "str", "required": True},
            "subject": {"type": "str", "required": True},
            "audience": {"type": "list", "elements": "str", "required": True},
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
