# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import contextlib

from cmsaf_dask.pool import Batch


def test_one_call_for_all_that_is_asked_together() -> None:
    calls = []

    async def action(keys: list[int]) -> list[int]:
        calls.append(keys)
        return [key * 2 for key in keys]

    async def scenario() -> list[int]:
        batch = Batch(action)
        first = await asyncio.gather(*(batch(number) for number in range(500)))
        return [*first, await batch(7)]

    assert asyncio.run(scenario()) == [number * 2 for number in range(500)] + [14]
    assert [len(keys) for keys in calls] == [500, 1]


def test_a_failure_reaches_everybody_who_asked() -> None:
    async def action(keys: list[int]) -> list[int]:
        raise ConnectionError("refused")

    async def scenario() -> list[object]:
        batch = Batch(action)
        return await asyncio.gather(*(batch(number) for number in range(3)), return_exceptions=True)

    assert [str(error) for error in asyncio.run(scenario())] == ["refused"] * 3


def test_who_gave_up_is_not_asked_for() -> None:
    calls = []

    async def action(keys: list[int]) -> list[int]:
        calls.append(keys)
        return keys

    async def scenario() -> None:
        batch = Batch(action)
        gone = asyncio.create_task(batch(1))
        stays = asyncio.create_task(batch(2))
        await asyncio.sleep(0)
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        assert await stays == 2

    asyncio.run(scenario())
    assert calls == [[2]]
