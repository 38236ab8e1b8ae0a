#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: xrootd_macaroon
short_description: Mint a macaroon for an XRootD server into a file
version_added: 0.1.0
description:
  - Makes a macaroon with the server's secret on the same host and writes it to a file. The token is never returned.
  - A token that is still good for what is asked is kept, and renewed when O(renew_before) its end.
  - Every token has a path, activities and an end, since XRootD takes a missing one as unrestricted.
extends_documentation_fragment:
  - ansible.builtin.files
attributes:
  check_mode:
    description: Can run in check mode and predict what it would change.
    support: full
  diff_mode:
    description: Returns what has changed when run with C(--diff).
    support: partial
    details: The difference holds the caveats, never the signature.
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
  secret_path:
    description: Secret as C(macaroons.secretkey) of the server names it, base64 in a file.
    type: path
    required: true
  location:
    description: C(all.sitename) of the server.
    type: str
    required: true
  name:
    description: Whom the token stands for. Nobody in particular when empty.
    type: str
    default: ""
  activities:
    description: What the bearer may do, such as V(DOWNLOAD). At least one.
    type: list
    elements: str
    required: true
  prefix:
    description: Path below which the token is good.
    type: str
    required: true
  lifetime:
    description: Seconds from now until the token ends. Either this or O(before).
    type: int
  before:
    description:
      - Seconds since the epoch at which the token ends. Either this or O(lifetime).
      - A time in the past gives an expired token, which shows that servers refuse it. It is then not renewed.
    type: int
  renew_before:
    description: Make a new token when the old one ends within this many seconds.
    type: int
    default: 0
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
- name: Mint the token that the cache shows to the origin
  cmsaf.facility.xrootd_macaroon:
    path: /etc/cmsaf/origin/cache-token
    secret_path: /etc/cmsaf/origin/macaroon-secret
    location: SITE-ORIGIN
    activities: [DOWNLOAD, LIST, READ_METADATA]
    prefix: /store
    lifetime: 2592000
    renew_before: 1296000
"""

RETURN = r"""
path:
  description: File that holds the token.
  type: str
  returned: success
  sample: /etc/cmsaf/origin/cache-token
identifier:
  description: The token's identifier, which is no secret.
  type: str
  returned: when a token is there
  sample: 9f0c3f5e-6c0b-4f53-9a55-0d4c5b1e7a61
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
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _macaroon, _secret_file


def mismatch(params: dict[str, Any], token: str, secret: bytes) -> str:
    """How the token differs from what is asked; empty if it does not."""
    try:
        found = _macaroon.verify(token, secret)
    except _macaroon.MacaroonError as error:
        return str(error)
    pairs: dict[str, tuple[object, object]] = {
        "location": (params["location"], found.location),
        "name": (params["name"], found.name),
        "activities": (tuple(params["activities"]), found.activities),
        "prefix": (params["prefix"], found.path),
    }
    if params["before"] is not None:
        pairs["before"] = (datetime.fromtimestamp(params["before"], timezone.utc), found.before)
    differing = [option for option, (asked, there) in pairs.items() if asked != there]
    return "the token there differs in " + ", ".join(differing) if differing else ""


def near_end(params: dict[str, Any], token: str) -> str:
    """Why the token there is too old; empty if it is not."""
    if params["before"] is not None:
        return ""
    left = _macaroon.parse(token).seconds_left(datetime.now(timezone.utc))
    if left is None or left > params["lifetime"]:
        return "the token there lasts longer than lifetime"
    return f"the token ends in {left:.0f} s" if left <= params["renew_before"] else ""


def reason(module: AnsibleModule, token: str | None, secret: bytes) -> str:
    """Why a token is to be made; fails where the user has to decide."""
    regenerate = module.params["regenerate"]
    if token is None:
        return "there was none"
    if regenerate == "always":
        return "regenerate is always"
    found = mismatch(module.params, token, secret)
    if not found:
        return near_end(module.params, token)
    if regenerate == "fail":
        module.fail_json(
            msg=f"Checking the token in {module.params['path']}: {found}. Remove the file, or set"
            " regenerate to when_invalid."
        )
    return found if regenerate == "when_invalid" else ""


def claims(token: str | None) -> dict[str, Any]:
    """What a token says, for people."""
    try:
        return vars(_macaroon.parse(token)) if token else {}
    except _macaroon.MacaroonError:
        return {"token": "unreadable"}


def mint(params: dict[str, Any], secret: bytes) -> str:
    """The token that is asked for."""
    if params["before"] is not None:
        before = datetime.fromtimestamp(params["before"], timezone.utc)
    else:
        before = datetime.now(timezone.utc) + timedelta(seconds=params["lifetime"])
    token: str = _macaroon.mint(
        secret=secret,
        location=params["location"],
        name=params["name"],
        activities=tuple(params["activities"]),
        path=params["prefix"],
        before=before,
    )
    return token


def main() -> None:
    """One flow: read secret and token, decide, write, set owner and mode."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "secret_path": {"type": "path", "required": True, "no_log": False},
            "location": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "activities": {"type": "list", "elements": "str", "required": True},
            "prefix": {"type": "str", "required": True},
            "lifetime": {"type": "int"},
            "before": {"type": "int"},
            "renew_before": {"type": "int", "default": 0},
            "regenerate": {
                "type": "str",
                "choices": ["never", "fail", "when_invalid", "always"],
                "default": "fail",
            },
            "mode": {"type": "raw", "default": "0600"},
        },
        add_file_common_args=True,
        mutually_exclusive=[("lifetime", "before")],
        required_one_of=[("lifetime", "before")],
        supports_check_mode=True,
    )
    params = module.params
    if params["lifetime"] is not None and params["renew_before"] >= params["lifetime"]:
        module.fail_json(msg="renew_before is not less than lifetime: every run would renew.")
    what = f"Minting a macaroon for {params['location']}"
    try:
        secret = _secret_file.read(params["secret_path"])
        if secret is None and module.check_mode:
            module.exit_json(changed=True, path=params["path"], reason="the secret is not there yet")
        if secret is None:
            module.fail_json(
                msg=f"{what}: there is no {params['secret_path']}. Set secret_path to the server's secret."
            )
        old = _secret_file.read(params["path"])
        token = None if old is None else old.decode("utf-8", "replace").strip()
        fresh = mint(params, secret)
        why = reason(module, token, secret)
        if why and not module.check_mode:
            _secret_file.write(params["path"], fresh.encode("ascii") + b"\n")
    except _macaroon.MacaroonError as error:
        module.fail_json(msg=f"{what}: {error}.")
    except OSError as error:
        module.fail_json(
            msg=f"{what} with secret_path {params['secret_path']} to path {params['path']}:"
            f" {error.filename}: {error.strerror}."
        )
    result: dict[str, Any] = {"path": params["path"], "changed": bool(why)}
    after = claims(fresh if why else token)
    result["diff"] = {
        side: json.dumps(said, indent=2, sort_keys=True, default=str) + "\n"
        for side, said in (("before", claims(token)), ("after", after))
    }
    if why:
        result["reason"] = why
    if after.get("before"):
        result["identifier"] = after["identifier"]
        result["expires_at"] = int(after["before"].timestamp())
    if os.path.exists(params["path"]):
        arguments = module.load_file_common_arguments(params)
        result["changed"] = module.set_fs_attributes_if_different(arguments, result["changed"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
