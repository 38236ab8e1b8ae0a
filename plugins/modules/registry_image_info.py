#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_image_info
short_description: Resolve an image tag to its digest
version_added: 0.1.0
description:
  - Asks a container registry which digest a tag stands for, so that what is deployed is named by digest.
  - Reads the labels of this image as well, without fetching it.
  - A tag that the registry does not have is an error.
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
  name:
    description: The image as C(host/repository:tag), with host and tag.
    type: str
    required: true
  ca_path:
    description: File of trust anchors to check the registry's certificate with. The system's own when not set.
    type: path
  scheme:
    description: V(http) is for a registry on the loopback interface only.
    type: str
    choices: [https, http]
    default: https
author:
  - The cmsaf.facility authors (@cmsaf)
"""

EXAMPLES = r"""
- name: Find out what the hub's tag stands for
  cmsaf.facility.registry_image_info:
    name: mirror.example.org/cmsaf/hub:0.1.0
    ca_path: /etc/cmsaf/ca.crt
  register: __hub_image
"""

RETURN = r"""
digest:
  description: The digest of the image.
  type: str
  returned: success
  sample: sha256:f548e0e8e3dc1896ca956272154dde3314e8cc4fde0a57577ee9fa1c63f5baf4
reference:
  description: The image named by digest, C(host/repository@digest).
  type: str
  returned: success
  sample: mirror.example.org/cmsaf/hub@sha256:f548e0e8e3dc1896ca956272154dde3314e8cc4fde0a57577ee9fa1c63f5baf4
labels:
  description: Labels of the image. Where the tag stands for images of several platforms, of the one for linux/amd64.
  type: dict
  returned: success
  sample: {facility.cmsaf.versions: jupyterhub==6.1.1 python==3.13}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cmsaf.facility.plugins.module_utils._registry import (
    Registry,
    RegistryError,
    parse_name,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "ca_path": {"type": "path"},
            "scheme": {"type": "str", "choices": ["https", "http"], "default": "https"},
        },
        supports_check_mode=True,
    )
    try:
        name = parse_name(module.params["name"])
        registry = Registry(f"{module.params['scheme']}://{name.host}", ca_path=module.params["ca_path"] or "")
        digest = registry.digest(name.repository, name.tag)
        labels = registry.labels(name.repository, digest) if digest else {}
    except RegistryError as error:
        module.fail_json(msg=f"Resolving {module.params['name']} failed: {error}")
    except OSError as error:
        module.fail_json(
            msg=f"Reading the trust anchors {module.params['ca_path']} failed: {error}. Set the option ca_path."
        )
    if not digest:
        module.fail_json(
            msg=f"Resolving {module.params['name']} failed: the registry {name.host} answers, but has no tag {name.tag} "
            f"of {name.repository}. Push it there first, or set the option name."
        )
    module.exit_json(changed=False, digest=digest, reference=f"{name.host}/{name.repository}@{digest}", labels=labels)


if __name__ == "__main__":
    main()
