#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: expiry_info
short_description: Find out when certificates and tokens in files end
version_added: 0.1.0
description:
  - Reads certificates, kubeconfigs, IDTOKENs and macaroons, and Secrets of a cluster that hold such.
  - What a file holds is seen by its content. Of each kind in a file the one that ends first counts.
  - Nothing of what is read is returned but kind, begin and end. Nothing is checked either; a certificate
    that ends in a year may be of no use today.
requirements:
  - openssl, where there are certificates
  - kubectl, for O(secrets)
extends_documentation_fragment:
  - cmsaf.facility.reads_only
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  idempotent:
    support: full
options:
  paths:
    description: Files, or patterns of files.
    type: list
    elements: path
    default: []
  secrets:
    description: Secrets of a cluster. None when not set.
    type: dict
    suboptions:
      kubeconfig:
        description: File that C(kubectl) reaches the cluster with.
        type: path
        required: true
      namespace:
        description: Where the Secrets are.
        type: str
        required: true
      label:
        description: Label that the Secrets have; its value is the name of each in the result.
        type: str
        required: true
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Find out what ends on an execute host
  cmsaf.facility.expiry_info:
    paths:
      - /etc/cmsaf/ca.crt
      - /etc/condor/tokens.d/cmsaf-*
  register: __ends
"""

RETURN = r"""
ends:
  description: What ends, in the order of O(paths), then of O(secrets).
  type: list
  elements: dict
  returned: success
  contains:
    wanted:
      description: The entry of O(paths) it was found by; the label for O(secrets).
      type: str
      sample: /etc/condor/tokens.d/cmsaf-*
    name:
      description: The file, or the value of the label.
      type: str
      sample: /etc/condor/tokens.d/cmsaf-execute
    kind:
      description: V(certificate), V(IDTOKEN) or V(macaroon); empty with RV(ends[].problem).
      type: str
      sample: IDTOKEN
    begins_at:
      description: Seconds since the epoch; null where nothing says it.
      type: int
      sample: 1764001791
    ends_at:
      description: Seconds since the epoch; null for a token without end.
      type: int
      sample: 1795537791
    problem:
      description: Why nothing could be read; empty if it could.
      type: str
      sample: ""
"""

import glob
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils import _expiry

Row = dict[str, Any]


def reader(module: AnsibleModule) -> Callable[[str], str]:
    """A function that has openssl read one certificate, by its standard input."""

    def openssl(pem: str) -> str:
        program = module.get_bin_path("openssl")
        if program is None:
            raise _expiry.ExpiryError("the program openssl, which reads certificates, is not installed")
        code, said, wrong = module.run_command([program, "x509", "-noout", "-dates"], data=pem)
        if code != 0:
            raise _expiry.ExpiryError(f"openssl: {(wrong.strip().splitlines() or ['no reason given'])[0]}")
        return str(said)

    return openssl


def row(wanted: str, name: str, found: _expiry.Expiry | None, problem: str = "") -> Row:
    """One entry of the result."""
    times = asdict(found) if found else {"kind": "", "begins_at": None, "ends_at": None}
    return {"wanted": wanted, "name": name, "problem": problem, **times}


def of_files(wanted: str, openssl: Callable[[str], str]) -> list[Row]:
    """What ends in the files of one pattern."""
    rows = []
    for path in sorted(glob.glob(wanted)) or [wanted]:
        try:
            with open(path, "rb") as stream:
                found = _expiry.earliest(_expiry.read(stream.read(), openssl))
            rows += [row(wanted, path, one) for one in found]
        except _expiry.ExpiryError as error:
            rows.append(row(wanted, path, None, str(error)))
        except OSError as error:
            rows.append(row(wanted, path, None, str(error.strerror)))
    return rows


def of_secrets(module: AnsibleModule, options: dict[str, str], openssl: Callable[[str], str]) -> list[Row]:
    """What ends in a cluster's Secrets; their content goes no further than this process."""
    label = options["label"]
    program = module.get_bin_path("kubectl", opt_dirs=["/usr/local/bin"])
    if program is None:
        return [row(label, label, None, "the program kubectl is not installed")]
    command = [program, "--kubeconfig", options["kubeconfig"], "--namespace", options["namespace"]]
    code, said, wrong = module.run_command(
        [*command, "get", "secrets", "--selector", label, "--output", "json", "--request-timeout", "20s"]
    )
    if code != 0:
        return [row(label, label, None, f"kubectl: {(wrong.strip().splitlines() or ['no reason given'])[-1]}")]
    try:
        return [row(label, name, found) for name, found in _expiry.read_secrets(said, openssl, label)]
    except _expiry.ExpiryError as error:
        return [row(label, label, None, str(error))]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "secrets": {
                "type": "dict",
                "no_log": False,
                "options": {
                    "kubeconfig": {"type": "path", "required": True},
                    "namespace": {"type": "str", "required": True},
                    "label": {"type": "str", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    openssl = reader(module)
    rows = [one for wanted in module.params["paths"] for one in of_files(wanted, openssl)]
    if module.params["secrets"]:
        rows += of_secrets(module, module.params["secrets"], openssl)
    module.exit_json(changed=False, ends=rows)


if __name__ == "__main__":
    main()
