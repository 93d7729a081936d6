# SPDX-License-Identifier: MIT
"""Due times that pass while the loop is blocked: which are run, and that the others are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.scheduler import SchedulerManager, SendMessage
from stanchion.telemetry import SCHEDULE_MISSED, SCHEDULE_STARTED
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import TICK, Told, ledger, since, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


async def block(seconds: float) -> None:
    """Have time pass in one step of the loop, as a blocking call does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.jump(seconds)
    await asyncio.sleep(0.5)


async def test_after_a_blocked_loop_the_latest_due_time_runs_once() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        schedule = await node.scheduler.every(10, TICK)
        await block(35)
        assert times() == [35]
        assert told.missed() == [("coalesced", 10, 1), ("coalesced", 20, 1)]
        assert (await schedule.info()).missed == 2
        await asyncio.sleep(5)
        assert times() == [35, 40]


async def test_earliest_runs_when_that_is_chosen() -> None:
    async with virtual_node() as node:
        await ledger()
        began: list[Any] = []
        node.telemetry.attach(SCHEDULE_STARTED, lambda _, measured, about: began.append((measured, about["due"])))
        await node.scheduler.every(10, TICK, coalesce="earliest")
        await block(35)
        assert [(measured["lateness"], since(due)) for measured, due in began] == [(25, 10)]


async def test_all_run_in_order_when_that_is_chosen() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.every(10, TICK, coalesce="all", max_running=None)
        await block(35)
        assert times() == [35, 35, 35]
        assert told.missed() == []


async def test_what_is_later_than_its_grace_is_missed() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.every(10, TICK, coalesce="all", max_running=None, misfire_grace=7)
        await block(35)
        assert times() == [35]
        assert told.missed() == [("late", 10, 1), ("late", 20, 1)]


async def test_only_due_time_that_is_too_late_is_missed_and_the_schedule_over() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.after(10, TICK, misfire_grace=1)
        await block(35)
        assert times() == []
        assert told.missed() == [("late", 10, 1)]
        assert await node.scheduler.list() == []


async def test_long_row_is_told_one_by_one_up_to_a_hundred_and_then_as_one() -> None:
    async with virtual_node() as node:
        await ledger()
        last: list[float] = []
        node.telemetry.attach(SCHEDULE_MISSED, lambda *told: last.append(since(told[2]["last"])))
        told = Told(node)
        schedule = await node.scheduler.every(1, TICK)
        await block(100_000)
        missed = told.missed()
        assert len(missed) == 101
        assert missed[99] == ("coalesced", 100, 1)
        assert missed[100] == ("coalesced", 101, 99_999 - 100)
        assert last[-1] == 99_999
        assert (await schedule.info()).missed == 99_999


async def test_missed_due_time_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with virtual_node() as node:
        await ledger()
        await node.scheduler.every(10, TICK, id="backup")
        await block(25)
    assert "schedule 'backup' missed a due time, 15 s ago: coalesced" in caplog.messages


async def test_jitter_counts_for_no_lateness() -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.every(100, TICK, jitter=90, misfire_grace=1)
        await asyncio.sleep(2000)
        assert told.missed() == []
        assert len(times()) >= 19


async def test_thousand_that_are_due_at_once_all_run_and_others_have_their_turn() -> None:
    async with virtual_node(SchedulerManager(clock_check=None)) as node:
        await ledger()
        for _ in range(1000):
            await node.scheduler.after(10, SendMessage("ledger", "tick", ack="enqueued"))
        turns = 0
        await asyncio.sleep(9.9)
        asyncio.get_running_loop().jump(0.2)  # type: ignore[attr-defined]
        while (await node.scheduler.list()) and turns < 100:
            await asyncio.sleep(0)
            turns += 1
        assert turns > 4
        await asyncio.sleep(1)
        assert len(times()) == 1000


@pytest.mark.parametrize(("verb", "reason"), [("pause", "paused"), ("cancel", "cancelled")])
async def test_stopped_by_who_hears_of_the_first_of_several_runs_the_others_are_missed(verb: str, reason: str) -> None:
    async with virtual_node() as node:
        await ledger()
        told = Told(node)
        await node.scheduler.every(10, TICK, id="own", coalesce="all", max_running=None)

        def stop(*_: object) -> None:
            # What is in memory is changed in the first step.
            with pytest.raises(StopIteration):
                getattr(node.scheduler, verb)("own").send(None)

        node.telemetry.attach(SCHEDULE_STARTED, stop)
        await block(35)
        assert times() == [35]
        assert told.missed() == [(reason, 20, 1), (reason, 30, 1)]
