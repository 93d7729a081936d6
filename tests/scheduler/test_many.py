# SPDX-License-Identifier: MIT
"""Many schedules, and long times: nothing grows with what is over, and a year passes in seconds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stanchion.scheduler import SchedulerManager, SendMessage
from stanchion.scheduler._timetable import Timetable
from stanchion.telemetry import SCHEDULE_STARTED
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import TICK, ledger, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def length(table: Timetable[Any]) -> int:
    """Return how many places a timetable keeps, those of removed items included."""
    return len(table._heap)


async def test_year_of_the_calendar_passes_in_seconds_and_each_due_time_runs_once() -> None:
    async with virtual_node(SchedulerManager(clock_check=None), timeouts=1e9) as node:
        began: dict[str, list[float]] = {"shift": [], "monday": [], "month": []}
        node.telemetry.attach(SCHEDULE_STARTED, lambda *told: began[told[2]["schedule"]].append(told[2]["due"]))
        await ledger()
        job = SendMessage("ledger", "tick", ack="enqueued")
        await node.scheduler.cron("0 */6 * * *", job, id="shift")
        await node.scheduler.cron("0 3 * * mon", job, tz="Europe/Berlin", id="monday")
        await node.scheduler.cron("0 0 1 * *", job, id="month")
        await asyncio.sleep(365 * 86400 + 1)
        assert [len(due) for due in began.values()] == [365 * 4, 52, 12]
        berlin = [datetime.fromtimestamp(due, ZoneInfo("Europe/Berlin")) for due in began["monday"]]
        assert {(at.weekday(), at.hour, at.minute) for at in berlin} == {(0, 3, 0)}
        # 3 o'clock is 2 o'clock UTC in winter, and 1 o'clock in summer.
        assert {datetime.fromtimestamp(due, UTC).hour for due in began["monday"]} == {1, 2}
        months = [datetime.fromtimestamp(due, UTC) for due in began["month"]]
        assert [at.month for at in months] == [*range(2, 13), 1]
        assert len(times()) == 365 * 4 + 52 + 12
        assert months[0] - months[-1] < timedelta(0)


async def test_thousands_of_schedules_that_are_cancelled_leave_nothing() -> None:
    async with virtual_node() as node:
        memory = node.scheduler._session.memory  # type: ignore[union-attr]
        kept = [await node.scheduler.every(1000 + n, TICK) for n in range(100)]
        for n in range(10_000):
            schedule = await node.scheduler.after(10 + n, TICK)
            await schedule.cancel()
        assert length(memory._by_monotonic) < 300
        assert len(await node.scheduler.list()) == 100
        for schedule in kept:
            await schedule.cancel()
        assert len(memory._by_monotonic) == 0
        assert memory._entries == {}


async def test_thousands_of_due_times_leave_nothing() -> None:
    async with virtual_node(SchedulerManager(clock_check=None)) as node:
        memory = node.scheduler._session.memory  # type: ignore[union-attr]
        job = SendMessage("nobody", "tick", retries=0, on_error="ignore")
        for n in range(2_000):
            await node.scheduler.after(n % 100, job)
        assert len(await node.scheduler.list()) == 2_000
        await asyncio.sleep(200)
        assert (length(memory._by_monotonic), memory._entries, memory._runs._tasks) == (0, {}, {})


async def test_paused_and_resumed_and_rescheduled_often_it_has_one_place() -> None:
    async with virtual_node() as node:
        memory = node.scheduler._session.memory  # type: ignore[union-attr]
        schedule = await node.scheduler.cron("@daily", TICK)
        for _ in range(1000):
            await schedule.pause()
            await schedule.resume()
        assert len(memory._by_wall) == 1
        assert length(memory._by_wall) < 200


# --- the timetable -------------------------------------------------------------------------------


@pytest.fixture
def due() -> list[str]:
    return []


async def test_items_of_one_time_are_due_in_the_order_of_adding(due: list[str]) -> None:
    async with virtual_node() as node:
        table = Timetable(node, node.monotonic, due.append)
        now = node.monotonic()
        for name in ("b", "c"):
            table.add(now + 2, name)
        table.add(now + 1, "a")
        await asyncio.sleep(1.5)
        assert due == ["a"]
        await asyncio.sleep(1)
        assert due == ["a", "b", "c"]


async def test_removed_item_is_not_due_and_can_be_removed_again(due: list[str]) -> None:
    async with virtual_node() as node:
        table = Timetable(node, node.monotonic, due.append)
        now = node.monotonic()
        place = table.add(now + 1, "a")
        table.add(now + 2, "b")
        table.remove(place)
        table.remove(place)
        assert len(table) == 1
        await asyncio.sleep(3)
        assert (due, len(table)) == (["b"], 0)


async def test_item_that_fails_keeps_no_other_waiting(due: list[str], caplog: pytest.LogCaptureFixture) -> None:
    def fail(item: str) -> None:
        due.append(item)
        if item == "a":
            raise ValueError(item)

    async with virtual_node() as node:
        table = Timetable(node, node.monotonic, fail)
        table.add(node.monotonic() + 1, "a")
        table.add(node.monotonic() + 1, "b")
        await asyncio.sleep(2)
        assert due == ["a", "b"]
    assert "'a' is due, and that failed" in caplog.messages


async def test_closed_timetable_has_nothing_due(due: list[str]) -> None:
    async with virtual_node() as node:
        table = Timetable(node, node.monotonic, due.append)
        table.add(node.monotonic() + 1, "a")
        table.close()
        table.close()
        table.reset()
        await asyncio.sleep(2)
        assert (due, len(table)) == ([], 0)
