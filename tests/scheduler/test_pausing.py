# SPDX-License-Identifier: MIT
"""pause, resume and trigger; also from within a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import ScheduleNotFoundError
from stanchion.scheduler import After, Every, SendMessage, StartTask
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, Told, ledger, since, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


async def test_paused_schedule_has_no_due_times_and_goes_on_from_its_resume() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        schedule = await node.scheduler.every(10, TICK)
        await asyncio.sleep(15)
        assert await schedule.pause() is True
        info = await schedule.info()
        assert (info.paused, info.next_run) == (True, None)
        await asyncio.sleep(30)
        assert await schedule.resume() is True
        assert since((await schedule.info()).next_run) == 50
        await asyncio.sleep(10)
        assert times() == [10, 50]
        assert told.missed() == []


async def test_pause_and_resume_are_harmless_twice() -> None:
    async with virtual_node() as node:
        schedule = await node.scheduler.every(10, TICK)
        assert await schedule.resume() is False
        assert await schedule.pause() is True
        assert await schedule.pause() is False


async def test_only_due_time_that_passes_in_a_pause_is_missed_and_the_schedule_over() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        schedule = await node.scheduler.at(datetime.fromtimestamp(START + 10, UTC), TICK)
        await schedule.pause()
        await asyncio.sleep(20)
        assert told.missed() == []
        await schedule.resume()
        assert told.missed() == [("paused", 10, 1)]
        assert await node.scheduler.list() == []


async def test_only_due_time_that_is_still_to_come_after_a_pause_is_run() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.after(10, TICK)
        await schedule.pause()
        await asyncio.sleep(5)
        await schedule.resume()
        await asyncio.sleep(10)
        assert times() == [10]


async def test_pause_drops_what_waited_for_a_run_to_end_and_lets_the_run_go_on() -> None:
    async with virtual_node() as node:
        await ledger(seconds=25)
        told = Told(node)
        schedule = await node.scheduler.every(10, SendMessage("ledger", "tick", timeout=60), overrun="wait")
        await asyncio.sleep(21)
        await schedule.pause()
        await asyncio.sleep(50)
        assert times() == [10]
        assert told.missed() == [("paused", 20, 1)]
        assert told.ends() == [("confirmed", None)]


async def test_cancel_drops_what_waited_for_a_run_to_end_and_lets_the_run_go_on() -> None:
    async with virtual_node() as node:
        await ledger(seconds=25)
        told = Told(node)
        schedule = await node.scheduler.every(10, SendMessage("ledger", "tick", timeout=60), overrun="wait")
        await asyncio.sleep(21)
        await schedule.cancel()
        await asyncio.sleep(50)
        assert times() == [10]
        assert told.missed() == [("cancelled", 20, 1)]
        assert told.ends() == [("confirmed", None)]


async def test_rescheduled_while_it_is_paused_it_stays_paused() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK)
        await schedule.pause()
        await schedule.reschedule(Every(5))
        await asyncio.sleep(20)
        assert times() == []
        await schedule.resume()
        await asyncio.sleep(7)
        assert times() == [25]


async def test_trigger_runs_once_now_and_leaves_the_due_times() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK)
        await asyncio.sleep(4)
        assert await schedule.trigger() is True
        await asyncio.sleep(7)
        assert times() == [4, 10]


async def test_trigger_runs_a_paused_schedule_too() -> None:
    async with virtual_node() as node:
        await ledger()
        schedule = await node.scheduler.every(10, TICK)
        await schedule.pause()
        assert await schedule.trigger() is True
        await asyncio.sleep(50)
        assert times() == [0]
        assert (await schedule.info()).paused is True


@pytest.mark.parametrize(("overrun", "got"), [("skip", [0]), ("wait", [0, 25]), ("cancel", [0, 25])])
async def test_trigger_while_as_many_runs_are_under_way_as_may_be_is_an_overrun(overrun: Any, got: list[float]) -> None:
    async with virtual_node() as node:
        await ledger(seconds=25)
        schedule = await node.scheduler.every(3600, SendMessage("ledger", "tick", timeout=60), overrun=overrun)
        assert await schedule.trigger() is True
        await asyncio.sleep(5)
        assert await schedule.trigger() is False
        await asyncio.sleep(100)
        assert times() == got


def from_within(verb: Callable[[st.Node], Awaitable[object]], **options: Any) -> Callable[[], Awaitable[Any]]:
    """Return a test's body: a function that is scheduled every 10 s changes its own schedule in its third run."""

    async def body() -> Any:
        ran: list[float] = []

        async def work() -> None:
            ran.append(since(node.clock.time()))
            if len(ran) == 3:
                await verb(node)
            await asyncio.sleep(1)

        async with virtual_node() as node:
            await st.start(st.TaskSupervisor, name="tasks")
            told = Told(node)
            await node.scheduler.every(10, StartTask("tasks", work), id="own", **options)
            await asyncio.sleep(99)
            assert all(end == ("confirmed", None) for end in told.ends())
            return ran

    return body


async def test_run_that_cancels_its_own_schedule_goes_on_to_its_end() -> None:
    assert await from_within(lambda node: node.scheduler.cancel("own"))() == [10, 20, 30]


async def test_run_that_pauses_its_own_schedule_goes_on_to_its_end() -> None:
    assert await from_within(lambda node: node.scheduler.pause("own"))() == [10, 20, 30]


async def test_run_that_reschedules_its_own_schedule_goes_on_to_its_end() -> None:
    ran = await from_within(lambda node: node.scheduler.reschedule("own", Every(25)))()
    assert ran == [10, 20, 30, 55, 80]


async def test_run_that_triggers_its_own_schedule_runs_beside_itself_where_it_may() -> None:
    ran = await from_within(lambda node: node.scheduler.trigger("own"), max_running=2)()
    assert ran == [10, 20, 30, 30, 40, 50, 60, 70, 80, 90]


async def test_last_run_of_a_schedule_can_give_it_a_new_due_time() -> None:
    ran: list[float] = []

    async def work() -> None:
        ran.append(since(node.clock.time()))
        if len(ran) < 3:
            await node.scheduler.reschedule("own", After(len(ran)))

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        await node.scheduler.after(10, StartTask("tasks", work), id="own")
        await asyncio.sleep(20)
        assert ran == [10, 11, 13]
        with pytest.raises(ScheduleNotFoundError):
            await node.scheduler.info("own")


async def test_paused_in_its_last_run_it_is_over_with_that() -> None:
    async def work() -> None:
        await node.scheduler.pause("own")

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        await node.scheduler.after(10, StartTask("tasks", work), id="own")
        await asyncio.sleep(20)
        assert await node.scheduler.list() == []


async def test_resumed_in_its_last_run_it_is_over_with_that() -> None:
    async def work() -> None:
        await node.scheduler.pause("own")
        await node.scheduler.resume("own")

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        told = Told(node)
        await node.scheduler.after(10, StartTask("tasks", work), id="own")
        await asyncio.sleep(20)
        assert (await node.scheduler.list(), told.missed(), told.ends()) == ([], [], [("confirmed", None)])


async def test_cancelled_in_its_last_run_it_is_over_at_once() -> None:
    left: list[object] = []

    async def work() -> None:
        await node.scheduler.cancel("own")
        left.append(await node.scheduler.list())

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        told = Told(node)
        await node.scheduler.after(10, StartTask("tasks", work), id="own")
        await asyncio.sleep(20)
        assert (left, told.ends()) == ([[]], [("confirmed", None)])
