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
  - cmsaf.facility.token_file
  - cmsaf.facility.attributes
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    details: A key that is not there is then no failure, for a task before may be the one to make it.
  diff_mode:
    support: partial
    details: The difference holds the caveats, never the signature.
  idempotent:
    support: partial
    details: With O(regenerate=always), and near the token's end, a run makes a new token.
  safe_file_operations:
    support: full
options:
  secret_path:
    description:
      - Secret as C(macaroons.secretkey) of the server names it, base64 in a file.
      - Refused if others than its owner have any right to it.
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
    description:
      - Path below which the token is good, in its shortest form. A path with C(//), C(/./), C(/../), percent signs or
        characters outside of ASCII is refused, since two programs may read it as two different paths.
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
  lifetime_max:
    description:
      - C(macaroons.maxduration) of the server, in seconds. It refuses a token that ends later than this from now, and so
        does this module. The default is the server's own where its configuration does not say.
    type: int
    default: 86400
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

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _macaroon, _token_file


def end(params: dict[str, Any]) -> datetime:
    """When the token that is asked for ends; refused where the server would refuse it."""
    now = datetime.now(timezone.utc)
    latest = now + timedelta(seconds=params["lifetime_max"])
    option = "lifetime" if params["before"] is None else "before"
    try:
        if params["before"] is None:
            before = now + timedelta(seconds=params["lifetime"])
        else:
            before = datetime.fromtimestamp(params["before"], timezone.utc)
    except (OverflowError, ValueError, OSError):
        raise _token_file.Refusal(f"{option} {params[option]} is no time that there is") from None
    if before > latest:
        raise _token_file.Refusal(
            f"{option} {params[option]} is later than lifetime_max {params['lifetime_max']} s from now, and the server"
            " refuses such a token. Ask for less, or set lifetime_max to the server's macaroons.maxduration"
        )
    return before


def kind(params: dict[str, Any]) -> _token_file.Kind:
    """How a macaroon is made, read and compared with what is asked."""

    def mint(secret: bytes) -> str:
        token: str = _macaroon.mint(
            secret=secret,
            location=params["location"],
            name=params["name"],
            activities=tuple(params["activities"]),
            path=params["prefix"],
            before=end(params),
        )
        return token

    def differing(found: Any, _secret: bytes) -> list[str]:
        pairs: dict[str, tuple[object, object]] = {
            "location": (params["location"], found.location),
            "name": (params["name"], found.name),
            "activities": (tuple(params["activities"]), found.activities),
            "prefix": (params["prefix"], found.path),
        }
        if params["before"] is not None:
            pairs["before"] = (params["before"], found.expires_at)
        return [option for option, (asked, there) in pairs.items() if asked != there]

    return _token_file.Kind(
        what=f"Minting a macaroon for {params['location']}",
        key_option="secret_path",
        errors=(_macaroon.MacaroonError,),
        parse=_macaroon.parse,
        verify=_macaroon.verify,
        mint=mint,
        differing=differing,
        facts=lambda found: {"identifier": found.identifier},
        fixed=params["before"] is not None,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_token_file.TOKEN_FILE,
            "secret_path": {"type": "path", "required": True, "no_log": False},
            "location": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "activities": {"type": "list", "elements": "str", "required": True},
            "prefix": {"type": "str", "required": True},
            "lifetime": {"type": "int"},
            "lifetime_max": {"type": "int", "default": _macaroon.DEFAULT_MAXIMUM_DURATION},
            "before": {"type": "int"},
        },
        add_file_common_args=True,
        mutually_exclusive=[("lifetime", "before")],
        required_one_of=[("lifetime", "before")],
        supports_check_mode=True,
    )
    _token_file.keep(module, kind(module.params))


if __name__ == "__main__":
    main()
