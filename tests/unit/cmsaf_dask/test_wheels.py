# SPDX-License-Identifier: GPL-3.0-or-later
"""A wheel on its way to the scheduler and to workers that are there and that come later."""

from __future__ import annotations

import asyncio
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cmsaf_dask.wheels import Wheel, upload_wheel
from distributed import Client, LocalCluster

NAME = "sent_by_wheel-1.0-py3-none-any.whl"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Modules at its top, and one where data of a wheel are."""
    path = tmp_path / NAME
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sent_by_wheel/__init__.py", "from sent_by_wheel.inner import double\n")
        archive.writestr("sent_by_wheel/inner.py", "def double(number):\n    return 2 * number\n")
        archive.writestr("sent_by_wheel/table.txt", "a table\n")
        archive.writestr("sent_by_wheel-1.0.data/platlib/sent_beside.py", "ANSWER = 42\n")
        archive.writestr("../escaped.py", "")
    return path


@pytest.fixture
def paths() -> Iterator[None]:
    before = list(sys.path)
    yield
    sys.path[:] = before
    for name in ("sent_by_wheel", "sent_by_wheel.inner", "sent_beside"):
        sys.modules.pop(name, None)


def use(number: int) -> Any:
    from importlib.resources import files

    import sent_beside  # type: ignore[import-not-found] # comes with the wheel
    import sent_by_wheel  # type: ignore[import-not-found] # the wheel's own

    return sent_by_wheel.double(number), sent_beside.ANSWER, files(sent_by_wheel).joinpath("table.txt").read_text()


def test_workers_and_scheduler_import_what_is_in_it(wheel: Path, paths: None) -> None:
    expected = (42, 42, "a table\n")
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "protocol": "tcp://"}
    with LocalCluster(n_workers=1, **options) as cluster, Client(cluster) as client:
        upload_wheel(client, wheel)
        wheel.unlink()
        assert client.submit(use, 21, pure=False).result(timeout=60) == expected
        # The scheduler lives in this process.
        assert use(21) == expected
        first = set(client.scheduler_info()["workers"])
        cluster.scale(2)
        client.wait_for_workers(2, timeout=60)
        (later,) = set(client.scheduler_info()["workers"]) - first
        assert client.submit(use, 21, workers=[later], pure=False).result(timeout=60) == expected


def test_again_with_new_content(wheel: Path, tmp_path: Path, paths: None) -> None:
    for answer in (1, 2):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("sent_by_wheel/__init__.py", f"ANSWER = {answer}\n")
        Wheel.read(wheel).unpack(tmp_path / "place")
        assert (
            f"= {answer}" in (tmp_path / "place" / NAME.removesuffix(".whl") / "sent_by_wheel/__init__.py").read_text()
        )
    assert sys.path.count(str(tmp_path / "place" / NAME.removesuffix(".whl"))) == 1


def test_nothing_is_written_beside_its_place(wheel: Path, tmp_path: Path, paths: None) -> None:
    place = tmp_path / "deep" / "place"
    Wheel.read(wheel).unpack(place)
    assert list(tmp_path.rglob("escaped.py")) == [place / NAME.removesuffix(".whl") / "escaped.py"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mine.zip", b"", "its name is none of a wheel"),
        (
            "mine-1.0-cp27-cp27m-win32.whl",
            b"",
            r"it is for cp27-cp27m-win32, and Python here and on the workers is cp3",
        ),
        (NAME, b"no archive", f"Unpacking {NAME}: File is not a zip file"),
    ],
)
def test_what_is_of_no_use_is_refused_at_once(
    name: str, content: bytes, says: str, tmp_path: Path, paths: None
) -> None:
    (tmp_path / name).write_bytes(content)

    async def attempt() -> None:
        options = {"n_workers": 0, "dashboard_address": ":0", "asynchronous": True, "processes": False}
        async with LocalCluster(**options) as cluster, Client(cluster, asynchronous=True) as client:
            await upload_wheel(client, tmp_path / name)

    with pytest.raises(ValueError, match=says):
        asyncio.run(attempt())


def test_it_does_not_show_what_it_holds(wheel: Path) -> None:
    assert repr(Wheel.read(wheel)) == f"Wheel(name='{NAME}')"
