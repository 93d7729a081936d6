# SPDX-License-Identifier: MIT
"""What becomes of schedules when the wall clock is set, or the machine was asleep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.scheduler import SchedulerManager
from stanchion.telemetry import SCHEDULE_STARTED
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, SetClock, Told, ledger, since, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def new_node(clock: SetClock) -> Callable[..., st.Node]:
    return lambda **options: virtual_node(SchedulerManager(**options), clock=clock)


def elapsed() -> float:
    """Return the seconds of virtual time, which nobody sets."""
    return asyncio.get_running_loop().time() - 1000.0


async def test_set_forward_what_became_due_runs_at_the_next_look(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.at(datetime.fromtimestamp(START + 3600, UTC), TICK)
        await asyncio.sleep(15)
        clock.ahead += 3600
        await asyncio.sleep(4)
        assert times() == []
        await asyncio.sleep(1.1)
        assert times() == [3620]
        assert told.jumps() == [3600]


async def test_set_forward_over_many_due_times_the_latest_runs_and_the_others_are_missed(
    clock: SetClock, new_node
) -> None:
    async with new_node() as node:
        await ledger()
        told = Told(node)
        schedule = await node.scheduler.cron("0 * * * *", TICK)
        clock.ahead += 3 * 3600 + 60
        await asyncio.sleep(20)
        assert times() == [3 * 3600 + 70]
        assert told.missed() == [("coalesced", 3600, 1), ("coalesced", 7200, 1)]
        info = await schedule.info()
        assert (info.runs, info.missed, since(info.next_run)) == (1, 2, 4 * 3600)


async def test_set_back_by_less_than_three_hours_nothing_is_repeated(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.cron("*/30 * * * *", TICK)
        await asyncio.sleep(3700)
        clock.ahead -= 2 * 3600
        await asyncio.sleep(2 * 3600)
        assert times() == [1800, 3600]
        await asyncio.sleep(1800)
        assert times() == [1800, 3600, 5400]
        assert told.jumps() == [-7200]
        assert told.missed() == []


async def test_set_back_by_more_than_three_hours_due_times_count_from_what_it_shows(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.cron("*/30 * * * *", TICK)
        await node.scheduler.at(datetime.fromtimestamp(START + 3800, UTC), TICK)
        await asyncio.sleep(3700)
        clock.ahead -= 4 * 3600
        await asyncio.sleep(2000)
        assert times() == [1800, 3600, 1800 - 4 * 3600 + 3600]
        assert told.jumps() == [-4 * 3600]


async def test_set_back_twice_by_two_hours_counts_as_four(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        await node.scheduler.cron("*/30 * * * *", TICK)
        await asyncio.sleep(3700)
        clock.ahead -= 2 * 3600
        await asyncio.sleep(60)
        clock.ahead -= 2 * 3600
        await asyncio.sleep(2000)
        assert len(times()) == 3


async def test_paused_schedule_stays_paused_when_the_clock_is_set_back_far(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        paused = await node.scheduler.cron("*/30 * * * *", TICK)
        await node.scheduler.cron("0 0 1 1 *", TICK)
        await paused.pause()
        clock.ahead -= 4 * 3600
        await asyncio.sleep(7200)
        assert times() == []
        await paused.resume()
        await asyncio.sleep(1801)
        assert len(times()) == 1


async def test_resumed_after_a_set_back_of_less_than_three_hours_nothing_is_repeated(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        schedule = await node.scheduler.cron("*/30 * * * *", TICK)
        await asyncio.sleep(3700)
        await schedule.pause()
        clock.ahead -= 3600
        await schedule.resume()
        assert since((await schedule.info()).next_run) == 5400
        await asyncio.sleep(3600 + 1800)
        assert times() == [1800, 3600, 5400]


async def test_resumed_after_a_set_back_of_more_than_three_hours_it_counts_from_what_the_clock_shows(
    clock: SetClock, new_node
) -> None:
    async with new_node() as node:
        await ledger()
        schedule = await node.scheduler.cron("*/30 * * * *", TICK)
        await asyncio.sleep(3700)
        await schedule.pause()
        clock.ahead -= 4 * 3600
        await schedule.resume()
        assert since((await schedule.info()).next_run) == 5400 - 4 * 3600


async def test_interval_and_delay_do_not_care_for_the_wall_clock(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        began: list[float] = []
        node.telemetry.attach(SCHEDULE_STARTED, lambda *_: began.append(elapsed()))
        await node.scheduler.every(10, TICK)
        await node.scheduler.after(25, TICK)
        await asyncio.sleep(5)
        clock.ahead += 86400
        await asyncio.sleep(10)
        clock.ahead -= 3 * 86400
        await asyncio.sleep(20)
        assert [round(at, 6) for at in began] == [10, 20, 25, 30]


async def test_clock_that_is_corrected_bit_by_bit_is_followed_and_never_told(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.at(datetime.fromtimestamp(START + 3600, UTC), TICK)
        for _ in range(200):
            await asyncio.sleep(15)
            clock.ahead += 0.3
        await asyncio.sleep(3600 - 200 * 15.3 + 0.1)
        assert times() == [3600]
        assert told.jumps() == []


async def test_clock_that_runs_slow_has_nothing_run_early(clock: SetClock, new_node) -> None:
    async with new_node(clock_check=None) as node:
        await ledger()
        await node.scheduler.at(datetime.fromtimestamp(START + 60, UTC), TICK)
        clock.ahead -= 0.4
        await asyncio.sleep(70)
        assert times() == [60]


async def test_without_looks_it_is_looked_at_when_something_is_due(clock: SetClock, new_node) -> None:
    async with new_node(clock_check=None) as node:
        await ledger()
        told = Told(node)
        await node.scheduler.cron("* * * * *", TICK)
        await asyncio.sleep(10)
        clock.ahead += 90
        await asyncio.sleep(49)
        assert (told.jumps(), times()) == ([], [])
        await asyncio.sleep(2)
        assert (told.jumps(), times()) == ([90], [150])


async def test_looks_end_with_what_is_by_the_wall_clock_and_begin_with_it_again(clock: SetClock, new_node) -> None:
    async with new_node() as node:
        await ledger()
        told = Told(node)
        first = await node.scheduler.cron("0 0 1 1 *", TICK)
        await asyncio.sleep(5)
        await first.cancel()
        await asyncio.sleep(20)
        clock.ahead += 3600
        await asyncio.sleep(100)
        await node.scheduler.cron("0 0 1 1 *", TICK)
        await asyncio.sleep(100)
        assert told.jumps() == []
        clock.ahead += 60
        await asyncio.sleep(10)
        assert told.jumps() == [60]


async def test_cancelled_and_added_between_two_looks_the_clock_is_looked_at_once_in_a_while(
    clock: SetClock, new_node
) -> None:
    async with new_node() as node:
        told = Told(node)
        first = await node.scheduler.cron("0 0 1 1 *", TICK)
        await first.cancel()
        clock.ahead += 3600
        await node.scheduler.cron("0 0 1 1 *", TICK)
        await asyncio.sleep(20)
        assert told.jumps() == []


async def test_no_time_between_looks_is_refused() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        SchedulerManager(clock_check=0)
    assert str(caught.value) == (
        "SchedulerManager(clock_check): expected seconds > 0, got 0\nFix: pass None for no looks."
    )
