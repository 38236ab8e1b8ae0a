#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: scitoken_issuer_key
short_description: Keep the key of an issuer of SciTokens and WLCG tokens, and the key set that publishes it
version_added: 0.1.0
description:
  - Makes a P-256 key once, for signatures of kind ES256, and writes the public half into a key set (JWKS) beside it. An RSA
    key that is there is kept and published for RS256.
  - The private key is never returned. Key set and configuration are public, and written with mode 0644.
  - To replace the key at once remove O(path), or set O(regenerate=always) for one run. The old public key stays in the key
    set for O(overlap) seconds, so that tokens of the old key are good until they end. When a key may have become known, set
    O(overlap) to 0 in that run.
  - Verifiers know a new key when they have read the key set again. To replace the key without a refusal, publish the new one
    ahead with O(next_path), and put that file in the place of O(path) when they have. Playbook C(rotate_secrets) does so.
requirements:
  - cryptography
  - PyJWT >= 2.4 (C(python3-jwt) of Debian and Enterprise Linux)
extends_documentation_fragment:
  - cmsaf.facility.key_file
  - cmsaf.facility.attributes
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
  diff_mode:
    support: partial
    details: The difference holds ids and ends of public keys, never the private key.
  idempotent:
    support: partial
    details: With O(regenerate=always) every run makes a new key, and a retired key goes when its time has ended.
  safe_file_operations:
    support: full
options:
  path:
    description: File of the private key, PEM.
  jwks_path:
    description:
      - File of the key set that verifiers read.
      - With O(regenerate=fail) and O(regenerate=never) a file that is there and is no key set makes the module fail, as it
        may hold keys that are still in use.
    type: path
    required: true
  overlap:
    description:
      - Seconds that the public half of a retired key stays in the key set. The default is four days.
      - Tokens last six hours at most. What is longer covers verifiers that were cut off.
    type: int
    default: 345600
  next_path:
    description:
      - File of a key that is to come, made if it is not there. Its public half is in the key set too, and nothing is signed
        with it yet.
      - Owner, group and mode are those of O(path).
    type: path
  configuration_path:
    description: File for the document C(.well-known/openid-configuration), by which verifiers find the key set.
    type: path
  issuer:
    description: The issuer's https URL, as in the tokens. Needed with O(configuration_path).
    type: str
  jwks_uri:
    description: Where verifiers get the key set. Below O(issuer), C(jwks), when not set.
    type: str
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Keep the key of the site's issuer and what a web server publishes of it
  cmsaf.facility.scitoken_issuer_key:
    path: /etc/cmsaf/issuer/key.pem
    jwks_path: /var/www/issuer/jwks
    configuration_path: /var/www/issuer/.well-known/openid-configuration
    issuer: https://tokens.example.org
"""

RETURN = r"""
path:
  description: File that holds the private key.
  type: str
  returned: success
  sample: /etc/cmsaf/issuer/key.pem
jwks_path:
  description: File that holds the key set.
  type: str
  returned: success
  sample: /var/www/issuer/jwks
key_id:
  description: Id of the key in tokens and in the key set, its thumbprint by RFC 7638. In check mode, of the key that is there.
  type: str
  returned: when a key is there
  sample: NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
next_key_id:
  description: Id of the key that is to come, likewise.
  type: str
  returned: with O(next_path), when a key is there
  sample: 2yWLsIeFplHdAgYDEmFRQG1oQHhKRbTVfd_oQDQyM3c
retired:
  description: Ids of retired keys in the key set, each with the second since the epoch at which it goes.
  type: dict
  returned: success
  sample: {"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": 1795537791}
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _key_file, _scitoken, _secret_file, _token_file


def private_key(params: dict[str, Any]) -> tuple[bytes, bool]:
    """The key to use, and whether it is a new one."""
    content = _secret_file.read(params["path"])
    wrong: str | None = None
    if content is not None:
        try:
            _scitoken.load_key(content)
            wrong = ""
        except _scitoken.ScitokenError as error:
            wrong = str(error)
    if wrong and params["regenerate"] in ("never", "fail"):
        raise _token_file.Refusal(
            f"{wrong}. Put the right key there, or set regenerate to when_invalid, which ends all tokens of the old key"
        )
    if content is None or _key_file.wanted(params["regenerate"], wrong):
        return _scitoken.generate_key(), True
    return content, False


def coming_key(path: str | None) -> tuple[bytes | None, bool]:
    """The key that is to come, if one is to, and whether it is a new one."""
    if path is None:
        return None, False
    content = _secret_file.read(path)
    if content is None:
        return _scitoken.generate_key(), True
    try:
        _scitoken.load_key(content)
    except _scitoken.ScitokenError as error:
        raise _token_file.Refusal(f"next_path {path}: {error}. Remove that file, and a new key is made") from None
    return content, False


def published_keys(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The public keys of the key set that is there."""
    content = _secret_file.read(params["jwks_path"])
    try:
        return [] if content is None else _scitoken.read_key_set(content)
    except _scitoken.ScitokenError as error:
        if params["regenerate"] in ("never", "fail"):
            raise _token_file.Refusal(
                f"{error}. Put the right key set to jwks_path {params['jwks_path']}, remove it, or set regenerate to"
                " when_invalid, which ends all tokens of retired keys"
            ) from None
        return []


def documents(params: dict[str, Any], keys: list[dict[str, Any]]) -> dict[str, bytes]:
    """The public files, by place."""
    found = {params["jwks_path"]: _scitoken.published(keys)}
    if params["configuration_path"] is not None:
        uri = params["jwks_uri"] or params["issuer"].rstrip("/") + "/jwks"
        found[params["configuration_path"]] = _scitoken.openid_configuration(params["issuer"], uri)
    return found


def ends(keys: list[dict[str, Any]]) -> dict[str, Any]:
    """Ids of keys, and when those that are retired go."""
    return {jwk["kid"]: jwk.get("exp") for jwk in keys}


def said(keys: dict[str, Any]) -> str:
    return "".join(f"key {kid}{f' until {end}' if end else ''}\n" for kid, end in keys.items())


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_token_file.KEY_FILE,
            "jwks_path": {"type": "path", "required": True, "no_log": False},
            "overlap": {"type": "int", "default": 345600},
            "next_path": {"type": "path"},
            "configuration_path": {"type": "path"},
            "issuer": {"type": "str"},
            "jwks_uri": {"type": "str"},
        },
        add_file_common_args=True,
        required_by={"configuration_path": ["issuer"]},
        supports_check_mode=True,
    )
    params = module.params
    what = f"Keeping the issuer's key in {params['path']}"
    if params["overlap"] < 0:
        module.fail_json(
            msg=f"{what}: overlap {params['overlap']} is negative. Set it to 0 to drop retired keys at once."
        )
    try:
        pem, new = private_key(params)
        next_pem, next_new = coming_key(params["next_path"])
        old = published_keys(params)
        current = _scitoken.public_jwk(_scitoken.load_key(pem))
        coming = None if next_pem is None else _scitoken.public_jwk(_scitoken.load_key(next_pem))
        if coming == current:
            raise _token_file.Refusal(f"next_path {params['next_path']} holds the same key. Remove that file")
        keys = _scitoken.key_set(current, old, overlap=params["overlap"], now=int(time.time()), coming=coming)
        files = {path: data for path, data in documents(params, keys).items() if _secret_file.read(path) != data}
        # The key set first: a token of a key that is not published is good nowhere.
        if not module.check_mode:
            for path, data in files.items():
                _secret_file.write(path, data, mode=0o644)
            if new:
                _secret_file.write(params["path"], pem)
            if next_new and next_pem is not None:
                _secret_file.write(params["next_path"], next_pem)
    except (_token_file.Refusal, _scitoken.ScitokenError) as error:
        module.fail_json(msg=f"{what}: {error}.")
    except OSError as error:
        module.fail_json(msg=f"{what}, with jwks_path {params['jwks_path']}: {error.filename}: {error.strerror}.")
    changed = new or next_new or bool(files)
    for path in documents(params, keys):
        if os.path.exists(path):
            changed = module.set_mode_if_different(path, "0644", changed)
    for path in (params["path"], params["next_path"]):
        if path is not None and os.path.exists(path):
            arguments = module.load_file_common_arguments(params, path=path)
            changed = module.set_fs_attributes_if_different(arguments, changed)
    # A key that check mode only would make has no id yet.
    made = {key["kid"] for key, is_new in ((current, new), (coming, next_new)) if is_new and key is not None}
    unnamed = made if module.check_mode else set()
    after = {"a new one" if kid in unnamed else kid: end for kid, end in ends(keys).items()}
    retired = ends(keys[1:] if coming is None else keys[2:])
    result: dict[str, Any] = {
        "changed": changed,
        "path": params["path"],
        "jwks_path": params["jwks_path"],
        "retired": retired,
        "diff": {"before": said(ends(old)), "after": said(after) + "".join(f"written {path}\n" for path in files)},
    }
    if current["kid"] not in unnamed:
        result["key_id"] = current["kid"]
    if coming is not None and coming["kid"] not in unnamed:
        result["next_key_id"] = coming["kid"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
