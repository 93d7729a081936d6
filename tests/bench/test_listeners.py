# SPDX-License-Identifier: MIT
"""What the benchmarks of the router and of the scheduler measure with: a tally, a clock that stands, percentiles."""

from __future__ import annotations

import asyncio

import pytest

import stanchion as st
from bench._listeners import Tally, start_listeners
from bench._stepped_clock import SteppedClock
from bench.lateness import _percentile
from stanchion.kernel import TimerHandle
from stanchion.testing import VirtualClock


async def test_tally_waits_until_all_are_counted() -> None:
    tally = Tally()
    tally.expect(2)
    tally.count()
    waiting = asyncio.create_task(tally.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    tally.count()
    await waiting


async def test_tally_refuses_more_than_were_expected() -> None:
    tally = Tally()
    tally.expect(1)
    tally.count()
    tally.count()
    with pytest.raises(RuntimeError, match=r"^expected no more to come, got 1$"):
        await tally.wait()


async def test_listeners_count_in_one_tally() -> None:
    tally = Tally()
    async with st.Node("test", clock=VirtualClock(), block_threshold=None):
        pids = await start_listeners(3, tally)
        tally.expect(3)
        for pid in pids:
            st.cast(pid, "news")
        await tally.wait()


async def test_stepped_clock_calls_what_is_due_in_order_and_at_the_time_that_it_is_then() -> None:
    clock = SteppedClock()
    began, wall = clock.monotonic(), clock.time()
    called: list[tuple[str, float]] = []

    def set_timer(name: str, seconds: float) -> TimerHandle:
        return clock.call_at(began + seconds, lambda: called.append((name, clock.monotonic() - began)))

    set_timer("later", 3.0)
    set_timer("second", 2.0)
    set_timer("first", 1.0)
    set_timer("cancelled", 1.5).cancel()
    clock.advance(2.5)
    assert called == [("first", 2.5), ("second", 2.5)]
    assert clock.time() - wall == 2.5
    set_timer("past", 1.0)
    assert len(called) == 2
    await asyncio.sleep(0)
    assert called[2:] == [("past", 2.5)]


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 51.0), (99, 100.0), (100, 100.0)])
def test_percentile_is_what_so_many_percent_do_not_exceed(percent: int, expected: float) -> None:
    assert _percentile([float(number) for number in range(1, 101)], percent) == expected


def test_percentile_of_what_came_early_is_a_microsecond() -> None:
    assert _percentile([-0.5, -0.2], 50) == 0.001
