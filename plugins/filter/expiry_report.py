# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter expiry_report."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.cmsaf.facility.plugins.plugin_utils import _expiry_report

DOCUMENTATION = r"""
name: expiry_report
short_description: Report what ends when over a whole facility
version_added: 0.1.0
author: The cmsaf.facility authors (@cmsaf)
description:
  - Takes what M(cmsaf.facility.expiry_info) said on each host, and says of each thing whether it is V(ok), V(soon) to be
    renewed, V(ended), or V(unknown) because it could not be read.
options:
  _input:
    description: Results of the module, by the host they were registered on.
    type: dict
    required: true
  sources:
    description:
      - What each entry of C(paths) is (C(what)) and what renews it (C(renewed_by)); C(soon_days) before its end or
        C(soon_share) of its life, if the next run renews it then; C(named) to tell several of one name apart.
    type: list
    elements: dict
    required: true
  facility:
    description: Name of the facility.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what ends when
  ansible.builtin.debug:
    msg: "{{ (results | cmsaf.facility.expiry_report(sources, 'box')).table }}"
"""

RETURN = r"""
_value:
  description: C(report) with all rows, the same as lines of a C(table) and as C(html), and C(commands) that renew what ended.
  type: dict
"""


def expiry_report(
    results: dict[str, dict[str, t.Any]], sources: list[dict[str, t.Any]], facility: str
) -> dict[str, t.Any]:
    """Return the report in its forms."""
    now = time.time()
    try:
        rows = _expiry_report.rows(results, sources, now)
    except KeyError as missing:
        raise AnsibleFilterError(f"expiry_report: no source says what {missing} is") from missing
    return {
        "report": _expiry_report.report(rows, facility, now),
        "table": _expiry_report.as_table(rows),
        "html": _expiry_report.as_html(rows, facility, now),
        "commands": _expiry_report.commands(rows),
    }


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"expiry_report": expiry_report}
