# SPDX-License-Identifier: GPL-3.0-or-later
"""What role images builds: stages of the images' folders, sets of packages, and what an image has of them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "images"
SETS = ("minimal", "analysis", "science")
SOURCES: dict[str, str] = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["_images_sources"]


def load(*parts: str) -> Any:
    return yaml.safe_load(ROLE.joinpath(*parts).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def build_image() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("build_image", str(ROLE / "files" / "build-image"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SOURCES)
def test_each_image_is_a_stage_of_its_folder(name: str) -> None:
    text = (ROOT / "images" / SOURCES[name] / "Containerfile").read_text(encoding="utf-8")
    assert re.search(rf"^FROM \S+ AS {re.escape(name)}$", text, re.M)


def test_all_are_built_and_all_can_be_named() -> None:
    option = load("meta", "argument_specs.yml")["argument_specs"]["main"]["options"]["images_list"]
    assert sorted(load("defaults", "main.yml")["images_list"]) == sorted(option["choices"]) == sorted(SOURCES)
    # What stands on what is built already costs little.
    order = [name for name in option["default"] if SOURCES[name] == "analysis"]
    assert order == ["analysis-minimal", "analysis", "analysis-science"]


def test_no_package_is_in_two_layers() -> None:
    folder = ROOT / "images" / "analysis" / "requirements"
    assert {path.stem for path in folder.glob("*.txt")} == {path.stem for path in folder.glob("*.in")} == set(SETS)
    pins = [
        name
        for one in SETS
        for name in re.findall(r"^([a-z0-9._-]+)==", (folder / f"{one}.txt").read_text(encoding="utf-8"), re.M)
    ]
    assert len(pins) > 150 and len(pins) == len(set(pins))


def test_what_comes_as_source_is_of_the_version_that_is_installed() -> None:
    folder = ROOT / "images" / "analysis"
    locked = "".join(path.read_text(encoding="utf-8") for path in (folder / "requirements").glob("*.txt"))
    sources = re.findall(r"^[a-z]+==\S+", (folder / "sources.txt").read_text(encoding="utf-8"), re.M)
    assert len(sources) == 2 and all(f"{one} " in locked for one in sources)


def test_what_an_image_has(build_image: ModuleType, tmp_path: Path) -> None:
    packages = tmp_path / "opt" / "cmsaf" / "lib" / "python3.13" / "site-packages"
    for name, version in (("dask", "2026.8.0"), ("jupyterhub", "6.1.1"), ("dask-jobqueue", "0.9.0")):
        folder = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    assert build_image.versions(str(tmp_path)) == "dask==2026.8.0 jupyterhub==6.1.1 python==3.13"
    assert build_image.versions(str(tmp_path / "opt")) == ""
