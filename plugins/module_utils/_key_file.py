# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One key in one file: when to keep it, when to make a new one. The same for all kinds of keys.

Private to this collection: its interface may change in any release.
"""

from __future__ import annotations

__all__ = ["keep", "wanted"]

import os
from collections.abc import Callable
from typing import Any

from ansible_collections.cmsaf.facility.plugins.module_utils import _secret_file


def wanted(regenerate: str, wrong: str | None) -> bool:
    """Whether a new key is to be made. `wrong` says what is the matter with the one there, None if there is none.

    What ``fail`` does about a key that is of no use is the caller's: it has the words.
    """
    if wrong is None or regenerate == "always":
        return True
    return bool(wrong) and regenerate == "when_invalid"


def keep(
    module: Any,
    *,
    what: str,
    errors: tuple[type[Exception], ...],
    check: Callable[[bytes], None],
    generate: Callable[[], bytes],
    facts: dict[str, Any],
) -> None:
    """The one flow of a module that makes a key: read, decide, write, set owner and mode, exit."""
    path, regenerate = module.params["path"], module.params["regenerate"]
    try:
        content = _secret_file.read(path)
        wrong = None if content is None else _wrong(content, check, errors)
        if wrong and regenerate == "fail":
            module.fail_json(
                msg=f"Checking the {what} in {path}: {wrong}. Put the right key there, or set regenerate to"
                " when_invalid, which ends all tokens of the old key."
            )
        changed = wanted(regenerate, wrong)
        if changed and not module.check_mode:
            _secret_file.write(path, generate())
    except OSError as error:
        module.fail_json(msg=f"Keeping the {what} in {path} (path): {error.strerror}.")
    diff = {"before": "", "after": f"a new {what}\n" if changed else ""}
    if os.path.exists(path):
        arguments = module.load_file_common_arguments(module.params)
        changed = module.set_fs_attributes_if_different(arguments, changed)
    module.exit_json(changed=changed, path=path, diff=diff, **facts)


def _wrong(content: bytes, check: Callable[[bytes], None], errors: tuple[type[Exception], ...]) -> str:
    try:
        check(content)
    except errors as error:
        return str(error)
    return ""
