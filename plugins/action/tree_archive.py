# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.cmsaf.facility.plugins.module_utils._tree import TreeError, pack


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible carries no types
    """Packs on the controller, then lets ansible.builtin.copy do the rest."""

    _VALID_ARGS = frozenset(("folders", "dest", "mode"))
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(
            argument_spec={
                "folders": {"type": "dict", "required": True},
                "dest": {"type": "path", "required": True},
                "mode": {"type": "str", "default": "0644"},
            }
        )
        handle, packed = tempfile.mkstemp(prefix="cmsaf-", suffix=".tar")
        try:
            with os.fdopen(handle, "wb") as stream:
                pack(args["folders"], stream)
            return self._copy(packed, args["dest"], args["mode"], task_vars)
        except TreeError as error:
            raise AnsibleActionFail(f"Packing {args['dest']} failed: {error}") from error
        finally:
            os.unlink(packed)

    def _copy(self, source: str, dest: str, mode: str, task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        task = self._task.copy()
        task.args = {"src": source, "dest": dest, "mode": mode}
        copy = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.copy",
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, t.Any] = copy.run(task_vars=task_vars)
        # Where it lay on the controller for a moment means nothing, and is another place each time.
        for name in ("src", "diff"):
            result.pop(name, None)
        return result
