# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter inventory_problems."""

from __future__ import annotations

import functools
import json
import os
import typing as t
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.cmsaf.facility.plugins.plugin_utils._site_check import Problem, Site, claimed, problems
from jinja2.exceptions import TemplateError

try:
    from cryptography import x509
except ImportError:
    # Of a controller without it only a site that brings a certificate hears.
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

DOCUMENTATION = r"""
name: inventory_problems
short_description: Find all mistakes of a facility's inventory
version_added: 0.1.0
author: The cmsaf.facility authors (@cmsaf)
description:
  - Looks at groups and variables of all hosts, and touches none of them.
  - What variables there are, which of them are required and what type they have is read from the
    argument specifications of the collection's roles.
options:
  _input:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  groups:
    description: Ansible's C(groups).
    type: dict
    required: true
  answers:
    description:
      - Results of M(ansible.builtin.uri) for the addresses that were tried. Any status below 500 is an answer.
    type: list
    elements: dict
    default: []
  minimum_execute:
    description: Fewest execute hosts that are enough.
    type: int
    default: 1
  foreign:
    description: Patterns of variables that begin like the collection's and are read by others.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Find all mistakes of the inventory
  ansible.builtin.set_fact:
    mistakes: "{{ hostvars | cmsaf.facility.inventory_problems(groups) }}"
"""

RETURN = r"""
_value:
  description: One sentence or two for each mistake, with variable, what was found and what to set.
  type: list
  elements: str
"""

_ROLES = Path(__file__).resolve().parents[2] / "roles"


def _declared() -> dict[str, dict[str, dict[str, t.Any]]]:
    """Return the options of each role by name, of all its entry points together."""
    roles: dict[str, dict[str, dict[str, t.Any]]] = {}
    for path in sorted(_ROLES.glob("*/meta/argument_specs.yml")):
        with path.open(encoding="utf-8") as file:
            specs = yaml.safe_load(file)["argument_specs"]
        options = roles.setdefault(path.parents[1].name, {})
        for entry in specs.values():
            options.update(entry.get("options", {}))
    return roles


def _wrong_types(site: Site, options: dict[str, dict[str, t.Any]]) -> list[Problem]:
    """Return the values that a role's own specification refuses."""
    found = []
    for values in site.values.values():
        for name, value in values.items():
            if name in options:
                spec = {**options[name], "required": False, "default": None}
                for message in ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages:
                    found.append(Problem(name, f"a value of another type ({message})", "Correct it."))
    return list(dict.fromkeys(found))


def _read(hostvars: t.Any, groups: dict[str, list[str]], prefixes: list[str], known: frozenset[str]) -> Site:
    """Return the collection's variables of all hosts, and the errors of those that have no value."""
    site = Site(groups=groups, values={}, errors={}, prefixes=prefixes, known=known)
    ours = functools.cache(lambda name: name == "ansible_host" or claimed(name, prefixes, known))
    for host in groups["all"]:
        variables = hostvars[host]
        values, errors = {}, {}
        for name in filter(ours, variables):
            try:
                # Ansible evaluates late, down to the items of a list: a look at all of it brings errors out.
                values[str(name)] = json.loads(json.dumps(variables[name], default=str))
            except (AnsibleError, TemplateError) as error:
                errors[str(name)] = str(error).splitlines()[0]
        site.values[host], site.errors[host] = values, errors
    return site


def _client_secret(hostvars: t.Any, groups: dict[str, list[str]]) -> dict[str, str]:
    """Return what is wrong with the file of the login's client secret, if anything is."""
    for host in groups["all"]:
        variables = hostvars[host]
        try:
            # The role's own default is none of the inventory's variables.
            place = variables.get("facility_secrets_dir") or f"{variables['inventory_dir']}/.secrets"
        except (AnsibleError, TemplateError, KeyError):
            continue
        path = Path(str(place)) / "hub-login-client-secret"
        try:
            found = path.stat()
        except OSError as error:
            return {path.name: f"no {path} ({error.strerror})"}
        if found.st_mode & 0o077:
            return {path.name: f"{path} of mode {found.st_mode & 0o777:04o}, which others can read"}
        return {} if found.st_size else {path.name: f"{path} that is empty"}
    return {}


def _certificate_names(path: str) -> list[str] | None:
    """Return the DNS names that the site's certificate of the hub is for; None where there is none to read."""
    if not HAS_CRYPTOGRAPHY:
        raise AnsibleError(
            f"Checking the inventory: gateway_certificate, {path}, cannot be read without the Python package cryptography on the"
            " controller. Install it: pip install cryptography."
        )
    try:
        extensions = x509.load_pem_x509_certificate(Path(path).read_bytes()).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except OSError:
        # The gateway says so when it takes the file.
        return None
    except (ValueError, x509.ExtensionNotFound):
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _silence(answer: dict[str, t.Any]) -> str:
    """Return why an address did not answer, '' if it did. A server that is broken has not."""
    # Addresses that are none come back without a status.
    return "" if 0 < answer.get("status", -1) < 500 else " ".join(str(answer["msg"]).split())


def inventory_problems(
    hostvars: t.Any,
    groups: dict[str, list[str]],
    answers: list[dict[str, t.Any]] | None = None,
    minimum_execute: int = 1,
    foreign: list[str] | None = None,
) -> list[str]:
    """Return all mistakes of an inventory."""
    roles = _declared()
    options = {name: spec for declared in roles.values() for name, spec in declared.items()}
    site = _read(hostvars, groups, sorted(roles), frozenset(options))
    site.foreign = foreign or []
    site.required = [name for name, spec in roles["facility"].items() if spec.get("required")]
    # A role that reads a variable of another has no default of it.
    declared = [item for specs in roles.values() for item in specs.items()]
    site.defaults = {name: spec["default"] for name, spec in declared if "default" in spec}
    site.probes = {answer["item"]: _silence(answer) for answer in answers or []}
    site.minimum_execute = minimum_execute
    bundle = site.facility("facility_ca_bundle")
    if bundle and not os.access(bundle, os.R_OK):
        site.missing_files = {"facility_ca_bundle": f"{bundle!r}, which cannot be read here"}
    site.missing_files = {**site.missing_files, **_client_secret(hostvars, groups)}
    certificate = site.facility("gateway_certificate")
    site.certificate_names = _certificate_names(str(certificate)) if certificate else None
    found = problems(site)
    said = {problem.variable for problem in found}
    found += [problem for problem in _wrong_types(site, options) if problem.variable not in said]
    return [str(problem) for problem in found]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters by name."""
        return {"inventory_problems": inventory_problems}
