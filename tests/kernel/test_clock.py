# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import time

from stanchion.kernel import SystemClock


async def test_system_clock_shows_the_machines_time() -> None:
    clock = SystemClock()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert time.time() <= clock.time() <= time.time()


async def test_system_clock_calls_when_it_is_time_and_not_before_but_for_uvloops_millisecond() -> None:
    clock = SystemClock()
    called: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    when = clock.monotonic() + 0.02
    clock.call_at(when, lambda: called.set_result(clock.monotonic()))
    assert await called >= when - 0.002


async def test_system_clock_calls_at_once_what_is_past() -> None:
    clock = SystemClock()
    called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    clock.call_at(clock.monotonic() - 100, lambda: called.set_result(None))
    await asyncio.wait_for(called, 1)


async def test_cancelled_call_is_not_made() -> None:
    clock = SystemClock()
    called: list[bool] = []
    clock.call_at(clock.monotonic(), lambda: called.append(True)).cancel()
    await asyncio.sleep(0.01)
    assert called == []
