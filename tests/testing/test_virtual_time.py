# SPDX-License-Identifier: MIT
"""The loop whose clock jumps when everybody waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from stanchion.testing import VirtualClock, VirtualTimeLoop


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


async def test_waiting_takes_no_time_and_moves_the_clock():
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(86_400)
    assert loop.time() - before == 86_400


async def test_timers_go_off_after_years_too_where_floats_are_coarser_than_the_resolution_of_clocks():
    loop = asyncio.get_running_loop()
    for _ in range(20):
        await asyncio.sleep(365 * 86_400 / 7)
    before = loop.time()
    await asyncio.sleep(0.1)
    assert loop.time() - before == pytest.approx(0.1)


async def test_timers_go_off_in_the_order_of_their_times():
    order = []

    async def after(seconds):
        await asyncio.sleep(seconds)
        order.append(seconds)

    await asyncio.gather(after(30), after(10), after(20))
    assert order == [10, 20, 30]


async def test_clock_stands_while_a_job_runs_in_the_executor():
    loop = asyncio.get_running_loop()
    gate = threading.Event()
    job = loop.run_in_executor(None, gate.wait)
    loop.call_soon(gate.set)
    before = loop.time()
    async with asyncio.timeout(0.001):
        assert await job
    assert loop.time() == before


async def test_wall_clock_moves_with_the_loop():
    clock = VirtualClock()
    wall, monotonic = clock.time(), clock.monotonic()
    await asyncio.sleep(60)
    assert (clock.time() - wall, clock.monotonic() - monotonic) == (60, 60)


async def test_clock_calls_back_at_its_time():
    clock, called = VirtualClock(), asyncio.Event()
    clock.call_at(clock.monotonic() + 5, called.set)
    before = clock.monotonic()
    await called.wait()
    assert clock.monotonic() - before == 5


@pytest.mark.allow_blocking("starting a thread waits for it")
async def test_loop_without_timers_waits_for_threads():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=[done.set])
    thread.start()
    await done.wait()
    thread.join()
