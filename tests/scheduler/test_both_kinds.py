# SPDX-License-Identifier: MIT
"""Schedules in memory and in the database beside each other: one set of ids, one list, one way to each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, ScheduleIdTakenError, ScheduleNotFoundError
from stanchion.scheduler import Every, SendMessage, StartTask
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, ledger, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


async def test_id_is_free_or_taken_for_both_kinds(url: str) -> None:
    async with virtual_node(database=url) as node:
        scheduler = node.scheduler
        await scheduler.every(60, TICK, id="kept", persistent=True)
        await scheduler.every(60, TICK, id="own")
        with pytest.raises(
            ScheduleIdTakenError, match=r"schedule 'kept': .* held by the persistent schedule every 60 s"
        ):
            await scheduler.every(60, TICK, id="kept")
        with pytest.raises(ScheduleIdTakenError, match=r"schedule 'own': .* held by <schedule 'own': every 60 s>"):
            await scheduler.every(60, TICK, id="own", persistent=True)
        assert [(info.id, info.persistent) for info in await scheduler.list()] == [("own", False), ("kept", True)]


async def test_each_verb_finds_both_kinds(url: str) -> None:
    async with virtual_node(database=url) as node:
        await ledger()
        for persistent in (False, True):
            schedule = await node.scheduler.every(60, TICK, id=f"kept: {persistent}", persistent=persistent)
            assert (await schedule.info()).persistent is persistent
            assert await schedule.pause() is True
            assert await schedule.resume() is True
            await schedule.reschedule(Every(100))
            assert [at.timestamp() - START for at in await schedule.next_run_times()] == pytest.approx([100], abs=1)
            assert await schedule.trigger() is True
            assert await schedule.cancel() is True
            assert await schedule.cancel() is False
            with pytest.raises(ScheduleNotFoundError):
                await schedule.info()
        await asyncio.sleep(10)
        assert len(times()) == 2


async def test_persistent_without_a_database_is_refused() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.at(datetime(2027, 2, 1, tzinfo=UTC), TICK, id="kept", persistent=True)
        assert str(caught.value) == (
            f"SchedulerManager.at(persistent): expected a node with a database for persistent=True, got {node!r}, "
            "which has none\nFix: make the node with Node(database='sqlite:///app.db')."
        )
        with pytest.raises(ScheduleNotFoundError):
            await node.scheduler.reschedule("kept", Every(1))
        assert await node.scheduler.cancel("kept") is False


async def test_persistent_without_an_id_is_refused(url: str) -> None:
    async with virtual_node(database=url) as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.every(60, TICK, persistent=True)
        assert str(caught.value) == (
            "SchedulerManager.every(id): expected an id for persistent=True, got None\n"
            "Fix: name it, id='nightly report' say: adding it again at the next start is to change nothing."
        )


async def test_function_cannot_be_persistent(url: str) -> None:
    async with virtual_node(database=url) as node:
        with pytest.raises(InvalidOptionError) as caught:
            await node.scheduler.every(60, StartTask("tasks", asyncio.sleep, 1), id="kept", persistent=True)
        assert str(caught.value) == (
            "SchedulerManager.every(job): expected a SendMessage for persistent=True, got StartTask('tasks', sleep)\n"
            "Fix: send a message to a process that starts the task; functions cannot be stored."
        )


async def test_pid_cannot_be_the_receiver_of_a_persistent_schedule(url: str) -> None:
    async with virtual_node(database=url) as node:
        pid = await ledger()
        with pytest.raises(InvalidOptionError):
            await node.scheduler.every(60, SendMessage(pid, "tick"), id="kept", persistent=True)
        assert await node.scheduler.list() == []


async def test_scheduler_that_could_not_be_opened_is_closed_and_can_be_opened_again(tmp_path: Path) -> None:
    scheduler = st.SchedulerManager()

    class Broken(st.Node):
        def check_running(self, code: object) -> None:
            if code == "SchedulerManager":
                raise RuntimeError("no")
            super().check_running(code)

    node = Broken(block_threshold=None, services=[scheduler])
    with pytest.raises(RuntimeError, match="no"):
        await node.__aenter__()
    async with virtual_node(scheduler):
        assert await scheduler.list() == []
