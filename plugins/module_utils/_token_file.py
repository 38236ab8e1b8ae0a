# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One token in one file: when to keep it, when to make a new one, what to tell. The same for all kinds of tokens.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

__all__ = ["CLOCK_LEEWAY", "INFO", "KEY_FILE", "TOKEN_FILE", "Kind", "Refusal", "keep", "tell"]

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.cmsaf.facility.plugins.module_utils import _secret_file

# Clocks of hosts that keep time differ by less.
CLOCK_LEEWAY = 300

_REGENERATE = {"type": "str", "choices": ["never", "fail", "when_invalid", "always"], "default": "fail"}

# Each is described by the documentation fragment of the same name.
KEY_FILE: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    # Not a key, though Ansible guesses so by some of the modules' names.
    "regenerate": {**_REGENERATE, "no_log": False},
    "mode": {"type": "raw", "default": "0600"},
}
TOKEN_FILE: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "renew_before": {"type": "int", "default": 0},
    "regenerate": _REGENERATE,
    "mode": {"type": "raw", "default": "0600"},
}
INFO: dict[str, Any] = {"path": {"type": "path", "required": True}}


class Refusal(ValueError):
    """Something the user has to decide or to set right; the message says what."""


@dataclass(frozen=True)
class Kind:
    """What one kind of token does in its own way.

    ``parse`` reads a token, ``verify`` also checks the signature; both give an
    object with the attribute ``expires_at``, and ``issued_at`` where the kind
    has one, in seconds since the epoch. ``differing`` names the options that
    ask for something else than this object says.
    """

    what: str
    key_option: str
    errors: tuple[type[Exception], ...]
    parse: Callable[[str], Any]
    verify: Callable[[str, bytes], Any]
    mint: Callable[[bytes], str] = lambda _key: ""
    differing: Callable[[Any, bytes], list[str]] = lambda _found, _key: []
    facts: Callable[[Any], dict[str, Any]] = lambda _found: {}
    # Where verify asks for more than the signature, the part that does not.
    check_signature: Callable[[str, bytes], None] | None = None
    # The time of the token is part of what is asked, so that time alone is no reason for a new one.
    fixed: bool = False
    # Whether what the key option names is to be readable by its owner alone.
    secret_key: bool = True


def keep(module: Any, kind: Kind) -> None:
    """The one flow of a module that mints: read key and token, decide, write, set owner and mode, exit."""
    path = module.params["path"]
    try:
        result = _keep(module.params, kind, module.check_mode, time.time())
    except (Refusal, _secret_file.SecretFileError, *kind.errors) as error:
        module.fail_json(msg=f"{kind.what}: {error}.")
    except OSError as error:
        module.fail_json(
            msg=f"{kind.what} with {kind.key_option} {module.params[kind.key_option]} to path {path}:"
            f" {error.filename}: {error.strerror}."
        )
    if os.path.exists(path):
        arguments = module.load_file_common_arguments(module.params)
        result["changed"] = module.set_fs_attributes_if_different(arguments, result["changed"])
    module.exit_json(**result)


def tell(module: Any, kind: Kind) -> None:
    """The one flow of a module that only reads a token. Neither token nor key is in what it returns."""
    params = module.params
    try:
        result = _tell(params, kind, time.time())
    except (Refusal, _secret_file.SecretFileError, *kind.errors) as error:
        module.fail_json(msg=f"{kind.what}: {error}.")
    except OSError as error:
        module.fail_json(msg=f"{kind.what}: {error.filename}: {error.strerror}.")
    module.exit_json(changed=False, path=params["path"], **result)


def _keep(params: dict[str, Any], kind: Kind, check_mode: bool, now: float) -> dict[str, Any]:
    path, key_path = params["path"], params[kind.key_option]
    _check_times(params, kind, now)
    key = _secret_file.read_key(key_path, kind.key_option)
    if key is None:
        if check_mode:
            return {"changed": True, "path": path, "reason": "the key is not there yet"}
        raise Refusal(f"there is no {key_path}. Make the key first, or set {kind.key_option} to the right one")
    old = _secret_file.read(path)
    token = None if old is None else old.decode("utf-8", "replace").strip()
    fresh = kind.mint(key)
    why = _reason(params, kind, token, key, now)
    if why and not check_mode:
        _secret_file.write(path, fresh.encode("ascii") + b"\n")
    before, after = _claims(kind, token), _claims(kind, fresh if why else token)
    result: dict[str, Any] = {"path": path, "changed": bool(why)}
    result["diff"] = {
        side: json.dumps(said, indent=2, sort_keys=True, default=str) + "\n"
        for side, said in (("before", before), ("after", after))
    }
    if why:
        result["reason"] = why
    if "expires_at" in after:
        result["expires_at"] = after["expires_at"]
        result.update(kind.facts(kind.parse(fresh if why else token or "")))
    return result


def _check_times(params: dict[str, Any], kind: Kind, now: float) -> None:
    lifetime, renew_before = params.get("lifetime"), params["renew_before"]
    if lifetime is not None and lifetime <= 0:
        raise Refusal(f"lifetime {lifetime} is not a positive number of seconds")
    if renew_before < 0:
        raise Refusal(f"renew_before {renew_before} is negative: the token would have ended when it is renewed")
    if not kind.fixed and lifetime is not None and renew_before >= lifetime:
        raise Refusal(f"renew_before {renew_before} is not less than lifetime {lifetime}: every run would renew")
    issued_at = params.get("issued_at")
    if issued_at is not None and issued_at > now + CLOCK_LEEWAY:
        raise Refusal(
            f"issued_at {issued_at} is {issued_at - now:.0f} s in the future by this host's clock ({_iso(now)})."
            " Set the clock right, or issued_at to a time that has been"
        )


def _reason(params: dict[str, Any], kind: Kind, token: str | None, key: bytes, now: float) -> str:
    """Why a new token is to be made; empty if the one there is kept."""
    regenerate, path = params["regenerate"], params["path"]
    if token is None:
        return "there was none"
    if regenerate == "always":
        return "regenerate is always"
    try:
        found = kind.verify(token, key)
    except kind.errors as error:
        found, wrong = None, str(error)
    else:
        options = kind.differing(found, key)
        wrong = "the token there differs in " + ", ".join(options) if options else ""
    if found is not None and regenerate != "never":
        _check_clock(found, path, now)
    if wrong and regenerate == "fail":
        raise Refusal(f"checking the token in {path}: {wrong}. Remove the file, or set regenerate to when_invalid")
    if wrong:
        return wrong if regenerate == "when_invalid" else ""
    return "" if kind.fixed else _too_old(params, found, now)


def _check_clock(found: Any, path: str, now: float) -> None:
    """A token of ours from the future means that a clock is wrong, and minting with a wrong clock helps nobody."""
    issued_at = getattr(found, "issued_at", None)
    if issued_at is not None and issued_at > now + CLOCK_LEEWAY:
        raise Refusal(
            f"the token in {path} was issued {issued_at - now:.0f} s in the future by this host's clock ({_iso(now)})."
            f" Set the clock of this host right; if it is right, another one was wrong: remove {path}"
        )


def _too_old(params: dict[str, Any], found: Any, now: float) -> str:
    if found.expires_at is None:
        return "the token there never ends"
    issued_at = getattr(found, "issued_at", None)
    lasts = found.expires_at - (now + CLOCK_LEEWAY if issued_at is None else issued_at)
    if lasts > params["lifetime"]:
        return "the token there lasts longer than lifetime"
    left = found.expires_at - now
    return f"the token ends in {left:.0f} s" if left <= params["renew_before"] else ""


def _claims(kind: Kind, token: str | None) -> dict[str, Any]:
    """What a token says, for people."""
    if token is None:
        return {}
    try:
        found = kind.parse(token)
    except kind.errors:
        return {"token": "unreadable"}
    return {**vars(found), "expires_at": found.expires_at}


def _tell(params: dict[str, Any], kind: Kind, now: float) -> dict[str, Any]:
    content = _secret_file.read(params["path"])
    if content is None:
        return {"present": False}
    token = content.decode("utf-8", "replace").strip()
    found = kind.parse(token)
    result: dict[str, Any] = {"present": True, **kind.facts(found), "expires_at": found.expires_at}
    if found.expires_at is not None:
        result["seconds_left"] = int(found.expires_at - now)
    key_path = params[kind.key_option]
    if key_path is not None:
        key = _secret_file.read_key(key_path, kind.key_option) if kind.secret_key else _secret_file.read(key_path)
        if key is None:
            raise Refusal(f"there is no {key_path}. Set {kind.key_option} to the key, or leave it out")
        result.update(_judged(kind, token, key))
    return result


def _judged(kind: Kind, token: str, key: bytes) -> dict[str, Any]:
    """Whether the signature is good, and where the kind asks for more than that, whether all of it is."""
    result: dict[str, Any] = {}
    steps = [("signature_good", kind.check_signature or kind.verify)]
    steps += [("valid", kind.verify)] if kind.check_signature else []
    for name, check in steps:
        try:
            check(token, key)
            result[name] = True
        except kind.errors as error:
            result[name] = False
            result.setdefault("problem", str(error))
    return result


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
