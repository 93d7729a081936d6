# SPDX-License-Identifier: MIT
"""The first step of an async function, which is taken before its time limit is set, and the steps after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

import stanchion as st
from stanchion.testing import advance, wait_quiet
from tests.router.support import numbers, routed, signal


async def test_function_runs_in_one_task_from_its_first_step_to_its_last() -> None:
    async with routed() as router:
        tasks: list[Any] = []

        async def hear(signal: st.Signal) -> None:
            tasks.append(asyncio.current_task())
            async with asyncio.timeout(5):
                await asyncio.sleep(1)
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())

        subscription = router.subscribe("**", hear)
        await router.publish(signal())
        await advance(2)
        assert tasks[0] is tasks[1]
        assert subscription.info().delivered == 1


async def test_function_may_catch_what_ends_its_wait() -> None:
    async with routed() as router:
        heard: list[str] = []
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def hear(signal: st.Signal) -> None:
            try:
                await future
            except ValueError as error:
                heard.append(str(error))
            await asyncio.sleep(1)

        subscription = router.subscribe("**", hear)
        await router.publish(signal())
        await wait_quiet()
        future.set_exception(ValueError("no"))
        await advance(2)
        assert heard == ["no"]
        assert subscription.info().delivered == 1


async def test_function_that_waits_for_what_is_cancelled_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    async with routed() as router:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def hear(signal: st.Signal) -> None:
            await future

        subscription = router.subscribe("**", hear)
        published = signal()
        await router.publish(published)
        await wait_quiet()
        future.cancel()
        await wait_quiet()
        assert subscription.info().dropped == {"failed": 1}
        assert caplog.messages == [f"{subscription!r} failed on signal {published.id}"]


async def test_plain_function_may_return_what_is_awaited_at_some_signals() -> None:
    async with routed() as router:
        heard: list[Any] = []

        def hear(signal: st.Signal) -> Awaitable[None] | None:
            heard.append(signal.data)
            return asyncio.get_running_loop().create_task(asyncio.sleep(1)) if signal.data in (0, 2) else None

        subscription = router.subscribe("**", hear)
        await numbers(router, 4)
        await advance(1.5)
        assert heard == [0, 1, 2]
        await advance(1)
        assert heard == [0, 1, 2, 3]
        assert subscription.info().delivered == 4


async def test_signal_that_comes_as_a_task_ends_is_not_left_lying() -> None:
    async with routed() as router:
        heard: list[Any] = []

        async def hear(signal: st.Signal) -> None:
            heard.append(signal.data)
            if len(heard) < 4:
                # It runs in the step between the end of the pump's work and the loop's notice of that.
                asyncio.get_running_loop().call_soon(lambda: router.publish_nowait(signal.replace(data=len(heard))))

        router.subscribe("**", hear)
        await router.publish(signal(0))
        await wait_quiet()
        assert heard == [0, 1, 2, 3]
