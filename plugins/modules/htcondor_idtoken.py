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
  - ansible.builtin.files
attributes:
  check_mode:
    description: Can run in check mode and predict what it would change.
    support: full
    details: A missing O(key_path) is then no failure, for a task before may be the one to make it.
  diff_mode:
    description: Returns what has changed when run with C(--diff).
    support: partial
    details: The difference holds the claims, never the signature.
  idempotent:
    description: Run again with the same state it changes nothing.
    support: partial
    details: With O(regenerate=always), and near the token's end, a run makes a new token.
  safe_file_operations:
    description: Replaces files whole, so that no reader sees a part.
    support: full
options:
  path:
    description: File to write the token to.
    type: path
    required: true
  key_path:
    description: Signing key as HTCondor keeps it in C(passwords.d). The file's name is the key's.
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
    description: Seconds from O(issued_at) until the token ends. There are no tokens without end.
    type: int
    required: true
  renew_before:
    description: Make a new token when the old one ends within this many seconds.
    type: int
    default: 0
  issued_at:
    description:
      - Seconds since the epoch at which the token begins. The present when not set.
      - With a time more than O(lifetime) ago the token is an expired one, which shows that daemons
        refuse it. It is then not renewed.
    type: int
  regenerate:
    description:
      - What to do about a file that is there and is not the token asked for.
      - V(never) leaves it, V(fail) leaves it and fails.
      - V(when_invalid) makes a new token then, V(always) makes a new one in every case.
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
  returned: success
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

import json
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _idtoken, _secret_file


def mismatch(params: dict[str, Any], token: str, key: bytes) -> str:
    """How the token differs from what is asked; empty if it does not."""
    try:
        found = _idtoken.verify(token, key)
    except _idtoken.IdTokenError as error:
        return str(error)
    pairs = {
        "key_path": (os.path.basename(params["key_path"]), found.key_id),
        "issuer": (params["issuer"], found.issuer),
        "identity": (params["identity"], found.identity),
        "scopes": (tuple(params["scopes"]), found.scopes),
    }
    if params["issued_at"] is not None:
        pairs["issued_at"] = (params["issued_at"], found.issued_at)
        pairs["lifetime"] = (params["issued_at"] + params["lifetime"], found.expires_at)
    differing = [name for name, (asked, there) in pairs.items() if asked != there]
    return "the token there differs in " + ", ".join(differing) if differing else ""


def near_end(params: dict[str, Any], token: str) -> str:
    """Why the token there is too old; empty if it is not."""
    if params["issued_at"] is not None:
        return ""
    left = _idtoken.parse(token).seconds_left(time.time())
    if left is None or left > params["lifetime"]:
        return "the token there lasts longer than lifetime"
    if left <= params["renew_before"]:
        return f"the token ends in {left:.0f} s"
    return ""


def reason(module: AnsibleModule, token: str | None, key: bytes) -> str:
    """Why a token is to be made; fails where the user has to decide."""
    regenerate = module.params["regenerate"]
    if token is None:
        return "there was none"
    if regenerate == "always":
        return "regenerate is always"
    found = mismatch(module.params, token, key)
    if not found:
        return near_end(module.params, token)
    if regenerate == "fail":
        module.fail_json(
            msg=f"Checking the token in {module.params['path']}: {found}. Remove the file, or set"
            " regenerate to when_invalid."
        )
    return found if regenerate == "when_invalid" else ""


def claims(token: str | None) -> str:
    """What a token says, for people."""
    try:
        found = vars(_idtoken.parse(token)) if token else {}
    except _idtoken.IdTokenError:
        found = {"token": "unreadable"}
    return json.dumps(found, indent=2, sort_keys=True, default=str) + "\n"


def main() -> None:
    """One flow: read key and token, decide, write, set owner and mode."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "key_path": {"type": "path", "required": True, "no_log": False},
            "issuer": {"type": "str", "required": True},
            "identity": {"type": "str", "required": True},
            "scopes": {"type": "list", "elements": "str", "required": True},
            "lifetime": {"type": "int", "required": True},
            "renew_before": {"type": "int", "default": 0},
            "issued_at": {"type": "int"},
            "regenerate": {
                "type": "str",
                "choices": ["never", "fail", "when_invalid", "always"],
                "default": "fail",
            },
            "mode": {"type": "raw", "default": "0600"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    params = module.params
    if params["issued_at"] is None and params["renew_before"] >= params["lifetime"] > 0:
        module.fail_json(msg="renew_before is not less than lifetime: every run would renew.")
    key_id = os.path.basename(params["key_path"])
    try:
        key = _secret_file.read(params["key_path"])
        if key is None and module.check_mode:
            module.exit_json(changed=True, path=params["path"], key_id=key_id, reason="the key is not there yet")
        if key is None:
            module.fail_json(
                msg=f"Minting a token for {params['identity']}: there is no {params['key_path']}."
                " Set key_path to a key that htcondor_signing_key made."
            )
        old = _secret_file.read(params["path"])
        token = None if old is None else old.decode("utf-8", "replace").strip()
        fresh = _idtoken.mint(
            key=key,
            key_id=key_id,
            issuer=params["issuer"],
            identity=params["identity"],
            lifetime=params["lifetime"],
            scopes=tuple(params["scopes"]),
            issued_at=params["issued_at"],
        )
        why = reason(module, token, key)
        if why and not module.check_mode:
            _secret_file.write(params["path"], fresh.encode("ascii") + b"\n")
    except _idtoken.IdTokenError as error:
        module.fail_json(msg=f"Minting a token for {params['identity']}: {error}.")
    except OSError as error:
        module.fail_json(
            msg=f"Minting a token for {params['identity']} with key_path {params['key_path']} to"
            f" path {params['path']}: {error.filename}: {error.strerror}."
        )
    result: dict[str, Any] = {"path": params["path"], "key_id": key_id, "changed": bool(why)}
    after = fresh if why else token
    result["diff"] = {"before": claims(token), "after": claims(after)}
    if why:
        result["reason"] = why
    if after:
        result["expires_at"] = json.loads(claims(after)).get("expires_at")
    if os.path.exists(params["path"]):
        arguments = module.load_file_common_arguments(params)
        result["changed"] = module.set_fs_attributes_if_different(arguments, result["changed"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
