# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-doc says of each module's options, and what the module takes, are the same."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic

ROOT = Path(__file__).resolve().parents[4]
PREFIX = "cmsaf.facility."
# tree_archive is an action: what takes its options is on the controller.
NAMES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "tree_archive")
CONSTANTS = {"token_file": "TOKEN_FILE", "key_file": "KEY_FILE", "info": "INFO"}


class Caught(Exception):
    """The module has said what it takes."""


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    done = subprocess.run(
        ["ansible-doc", "--json", *(PREFIX + name for name in NAMES)],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    documents: dict[str, Any] = json.loads(done.stdout)
    return documents


def spec_of(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = importlib.import_module(f"ansible_collections.cmsaf.facility.plugins.modules.{name}")

    class Catcher:
        def __init__(self, argument_spec: dict[str, Any], **settings: Any) -> None:
            common = basic.FILE_COMMON_ARGUMENTS if settings.get("add_file_common_args") else {}
            raise Caught({**common, **argument_spec})

    monkeypatch.setattr(module, "AnsibleModule", Catcher)
    with pytest.raises(Caught) as caught:
        module.main()
    spec: dict[str, Any] = caught.value.args[0]
    return spec


def facts(option: dict[str, Any]) -> dict[str, Any]:
    """What of an option both sides say, nested ones included; Ansible reads each text as the default's type."""
    return {
        "type": option.get("type", "str"),
        "elements": option.get("elements"),
        "required": option.get("required", False),
        "default": option.get("default"),
        "choices": sorted(option["choices"]) if option.get("choices") else None,
        "suboptions": {
            name: facts(inner) for name, inner in (option.get("suboptions") or option.get("options") or {}).items()
        },
    }


@pytest.mark.parametrize("name", NAMES)
def test_options_are_documented_as_they_are(
    name: str, documented: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = documented[PREFIX + name]["doc"]["options"]
    taken = spec_of(name, monkeypatch)
    assert set(said) == set(taken)
    for option in sorted(set(said) - set(basic.FILE_COMMON_ARGUMENTS) | ({"mode"} & set(taken))):
        assert facts(said[option]) == facts(taken[option]), option
        assert said[option]["description"], option


@pytest.mark.parametrize("name", NAMES)
def test_attributes_are_described_and_supported(name: str, documented: dict[str, Any]) -> None:
    attributes = documented[PREFIX + name]["doc"]["attributes"]
    for attribute in attributes.values():
        assert attribute["description"] and attribute["support"] in ("full", "partial", "none")


@pytest.mark.parametrize(("fragment", "constant"), CONSTANTS.items())
def test_each_shared_spec_has_its_fragment(fragment: str, constant: str) -> None:
    shared = importlib.import_module("ansible_collections.cmsaf.facility.plugins.module_utils._token_file")
    text = (ROOT / "plugins" / "doc_fragments" / f"{fragment}.py").read_text(encoding="utf-8")
    assert f"{constant} in module_utils/_token_file.py" in text
    assert set(getattr(shared, constant)) <= set(re.findall(r"^  (\w+):$", text, re.M))


@pytest.mark.parametrize("name", NAMES)
def test_messages_name_options_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "plugins" / "modules" / f"{name}.py").read_text(encoding="utf-8").partition("RETURN")[2]
    taken = spec_of(name, monkeypatch)
    for option in re.findall(r"\b[Ss]et(?: the option)? ([a-z]+_[a-z_]+)", text):
        assert option in taken, option
