# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape that all roles share: specifications, budgets, names."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
MOST_DEFAULTS, MOST_TASK_LINES, MOST_MAIN_LINES, MOST_PLAYBOOK_LINES = 20, 80, 40, 40
# Of role facility: what roles have in common, read once for all of them.
MOST_COMMON_DEFAULTS = 24
MOST_WHEN_PER_TASK = 0.35
MOST_MODULE_LINES = 500
HANDLERS = ("Restart ", "Reload ", "Reconfigure ", "Note ")
# What is the project's own; molecule's scenarios and images have rules of their own.
OWN = ("plugins", "roles", "playbooks", "inventories", "scripts", "tests")
# What makes hosts for tests comes before there is any facility.
OUTSIDE = {"facility", "test_hosts"}
# What a caller gives with each use of the role has no default in an inventory.
PASSED_BY_CALLERS = {"pki": {"pki_name", "pki_revoked_serial", "pki_subject_names"}}


@functools.cache
def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def defaults(role: str) -> dict[str, Any]:
    return load(ROOT / "roles" / role / "defaults" / "main.yml") or {}


def entries(role: str) -> dict[str, dict[str, Any]]:
    specs: dict[str, dict[str, Any]] = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return specs


def own_options(role: str) -> dict[str, dict[str, Any]]:
    return {
        name: option
        for entry in entries(role).values()
        for name, option in entry.get("options", {}).items()
        if role == "facility" or not name.startswith("facility_")
    }


def task_files(role: str) -> list[Path]:
    return sorted(path for place in ("tasks", "handlers") for path in (ROOT / "roles" / role / place).rglob("*.yml"))


def tasks_in(items: Any) -> list[dict[str, Any]]:
    found = []
    for task in items or []:
        found.append(task)
        for part in ("block", "rescue", "always"):
            found += tasks_in(task.get(part))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_specification_and_defaults_agree(role: str) -> None:
    specified = {name: option["default"] for name, option in own_options(role).items() if "default" in option}
    assert specified == defaults(role)


@pytest.mark.parametrize("role", ROLES)
def test_entry_points_agree_with_each_other(role: str) -> None:
    for entry, spec in entries(role).items():
        for name, option in spec.get("options", {}).items():
            if name in own_options(role):
                same = {key: value for key, value in option.items() if key != "description"}
                assert same.items() <= own_options(role)[name].items(), f"{name} of entry point {entry} differs"


@pytest.mark.parametrize("role", ROLES)
def test_what_has_no_default_is_required(role: str) -> None:
    for entry, spec in entries(role).items():
        for name, option in spec.get("options", {}).items():
            if "default" not in option:
                assert option.get("required") is True, f"{entry}: {name} is neither required nor has it a default"
            assert option.get("description"), f"{entry}: {name} is not described"


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_is_specified(role: str) -> None:
    for entry in entries(role):
        assert role == "facility" or (ROOT / "roles" / role / "tasks" / f"{entry}.yml").exists()


@pytest.mark.parametrize("role", [role for role in ROLES if role not in OUTSIDE])
def test_facility_wide_variables_exist_and_come_by_dependency(role: str) -> None:
    read = {
        name
        for entry in entries(role).values()
        for name, option in entry.get("options", {}).items()
        if name.startswith("facility_")
    }
    assert read <= set(own_options("facility"))
    dependencies = [item["role"] for item in (load(ROOT / "roles" / role / "meta" / "main.yml") or {})["dependencies"]]
    assert not read or "cmsaf.facility.facility" in dependencies
    for entry in entries(role).values():
        for name in read & set(entry.get("options", {})):
            assert "default" not in entry["options"][name], f"{name} has its default in role facility"


@pytest.mark.parametrize("role", ROLES)
def test_few_defaults(role: str) -> None:
    # What one has to read at once: that of an entry point.
    most = MOST_COMMON_DEFAULTS if role == "facility" else MOST_DEFAULTS
    for entry in entries(role).values():
        assert len([name for name in entry.get("options", {}) if name in defaults(role)]) <= most
    prefix = f"{role}_"
    assert all(name.startswith(prefix) for name in defaults(role))


@pytest.mark.parametrize("role", ROLES)
def test_required_variables_of_its_own_are_few(role: str) -> None:
    required = {name for name, option in own_options(role).items() if option.get("required")}
    assert role == "facility" or required <= PASSED_BY_CALLERS.get(role, set())


@pytest.mark.parametrize("role", ROLES)
def test_internal_variables_begin_with_an_underscore(role: str) -> None:
    for path in (ROOT / "roles" / role / "vars").rglob("*.yml"):
        assert all(name.startswith(f"_{role}_") for name in load(path) or {}), path


@pytest.mark.parametrize("role", ROLES)
def test_registered_variables_begin_with_two_underscores(role: str) -> None:
    for path in task_files(role):
        for task in tasks_in(load(path)):
            assert task.get("register", f"__{role}_").startswith(f"__{role}_"), f"{path}: {task.get('name')}"


@pytest.mark.parametrize("role", ROLES)
def test_task_files_are_short(role: str) -> None:
    for path in task_files(role):
        most = MOST_MAIN_LINES if path.name == "main.yml" else MOST_TASK_LINES
        assert len(path.read_text(encoding="utf-8").splitlines()) <= most, path


@pytest.mark.parametrize("role", ROLES)
def test_a_role_finds_its_own_files_wherever_it_is_run_from(role: str) -> None:
    # Ansible looks for an import within an imported file beside the working directory first, and takes a stranger's.
    for path in task_files(role):
        if path.stem not in entries(role):
            assert "import_tasks" not in path.read_text(encoding="utf-8"), (
                f"{path}: include_tasks, below an entry point"
            )


@pytest.mark.parametrize("role", ROLES)
def test_no_default_hides_in_tasks_or_templates(role: str) -> None:
    templates = [path for path in (ROOT / "roles" / role / "templates").rglob("*") if path.is_file()]
    for path in [*task_files(role), *templates, *(ROOT / "playbooks").glob("*.yml")]:
        found = re.search(r"\|\s*(ansible\.builtin\.)?(default|d)\b(?!\w)", path.read_text(encoding="utf-8"))
        assert found is None, path


@pytest.mark.parametrize("role", ROLES)
def test_handlers_say_what_they_do_to_which_service(role: str) -> None:
    for task in tasks_in(load(ROOT / "roles" / role / "handlers" / "main.yml")):
        assert task["name"].startswith(HANDLERS), task["name"]


@pytest.mark.parametrize("role", ROLES)
def test_hiding_secrets_depends_on_nothing(role: str) -> None:
    for path in task_files(role):
        for task in tasks_in(load(path)):
            assert task.get("no_log", True) is True, f"{path}: {task.get('name')}"
            assert "ignore_errors" not in task, f"{path}: {task.get('name')}"


def test_every_entry_point_in_use_is_specified() -> None:
    files = [*(ROOT / "playbooks").glob("*.yml"), *(path for role in ROLES for path in task_files(role))]
    for path in files:
        plays = load(path)
        tasks = [task for item in plays for task in tasks_in(item.get("tasks", [item]))]
        for task in tasks:
            for action in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                used = task.get(action, {})
                if used.get("name", "").startswith("cmsaf.facility."):
                    role = used["name"].rpartition(".")[2]
                    assert used.get("tasks_from", "main") in entries(role), f"{path}: {task['name']}"


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_is_given_by_another_it_knows(role: str) -> None:
    """A name that has been changed there would be given in vain, and without a word."""
    for path in task_files(role):
        for task in tasks_in(load(path)):
            used = next((task[name] for name in task if name.endswith(("include_role", "import_role"))), {})
            other = str(used.get("name", "")).rpartition(".")[2]
            if other not in ROLES:
                continue
            files = (file for file in (ROOT / "roles" / other).rglob("*") if file.suffix in (".yml", ".j2"))
            words = set(re.findall(r"\w+", " ".join(file.read_text(encoding="utf-8") for file in files)))
            assert set(task.get("vars", {})) <= words, f"{path}: {set(task['vars']) - words}"


def own_files(*suffixes: str) -> list[Path]:
    found = (path for place in OWN for path in (ROOT / place).rglob("*") if path.suffix in suffixes and path.is_file())
    return sorted(path for path in found if "output" not in path.relative_to(ROOT).parts)


def test_nothing_is_taken_from_what_moves() -> None:
    for path in own_files(".yml", ".j2"):
        if "roles" in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not re.search(r":latest\b|githubusercontent\.com/[^/\s]+/[^/\s]+/(main|master)/", text), path


def test_no_rule_is_set_aside_without_a_reason() -> None:
    waiver = re.compile(
        r"(# noqa|# type: ignore|pylint: disable|yamllint disable|shellcheck disable)(=|: *|\[| )\S+(.*)"
    )
    for path in own_files(".py", ".yml", ".sh", ""):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = waiver.search(line)
            assert match is None or re.search(r"# \w", match[3]) or "re.compile" in line, f"{path}: {line.strip()}"


def test_every_file_names_its_licence() -> None:
    for path in own_files(".py", ".yml"):
        head = path.read_text(encoding="utf-8")[:300]
        assert "SPDX-License-Identifier: GPL-3.0-or-later" in head, path


@pytest.mark.parametrize("path", sorted((ROOT / "plugins" / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_modules_are_thin_and_say_how_they_behave(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_MODULE_LINES
    documentation = re.search(r'^DOCUMENTATION = r"""\n(.*?)^"""', text, re.S | re.M)
    assert documentation is not None
    attributes = yaml.safe_load(documentation[1])["attributes"]
    declared = {"check_mode", "diff_mode", "idempotent"} | (set() if "_info" in path.stem else {"safe_file_operations"})
    assert declared <= set(attributes)
    for name, attribute in attributes.items():
        assert attribute["support"] == "full" or attribute.get("details"), f"{name} is not full, and nothing says why"


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "plugins" / "module_utils").glob("*.py")) + sorted((ROOT / "plugins" / "plugin_utils").glob("*.py")),
    ids=lambda path: path.stem,
)
def test_shared_code_is_private_and_knows_no_module(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.name.startswith("_")
    assert "__all__" in text and "from __future__ import annotations" in text
    assert "AnsibleModule" not in text


def test_few_conditions() -> None:
    tasks = [task for role in ROLES for path in task_files(role) for task in tasks_in(load(path))]
    conditions = sum("when" in task for task in tasks)
    assert conditions / len(tasks) <= MOST_WHEN_PER_TASK


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.name)
def test_playbooks_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_PLAYBOOK_LINES


def test_version_is_the_same_everywhere() -> None:
    assert defaults("facility")["facility_version"] == load(ROOT / "galaxy.yml")["version"]


def test_readmes_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("role_readmes", ROOT / "scripts" / "role_readmes.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.readmes():
        assert path.exists() and path.read_text(encoding="utf-8") == text, f"{path}: run scripts/role_readmes.py"
