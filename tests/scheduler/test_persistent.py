# SPDX-License-Identifier: MIT
"""Schedules that are kept in the database, in virtual time: what is stored of them, and the verbs that change it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, MessageEncodeError, ScheduleNotFoundError
from stanchion.outbox import Outbox
from stanchion.scheduler import (
    After,
    At,
    Cron,
    Every,
    ScheduleInfo,
    SchedulerManager,
    SendMessage,
    StartTask,
    _persistent,
)
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, SetClock, Told, since, virtual_node
from tests.scheduler.persistent_support import NOTES, Recorder, at, only, quiet, run_sql, running

pytestmark = pytest.mark.timeout(60)  # a few seconds, of a machine that may be busy with other tests


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db"


@pytest.fixture(autouse=True)
def _few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes a while that is real."""
    monkeypatch.setattr(_persistent, "POLL", 5.0)


async def test_info_says_what_became_of_the_runs(url):
    async with running(url, seconds=3) as node:
        schedule = await node.scheduler.every(
            10, SendMessage("ledger", "refuse", retries=0), id="hello", persistent=True
        )
        assert await schedule.info() == ScheduleInfo(
            id="hello", trigger="every 10 s", job="SendMessage('ledger', 'refuse')", next_run=START + 10, paused=False,
            persistent=True, owner=None, runs=0, missed=0, running=0, last_run=None, last_outcome=None, last_error=None,
        )  # fmt: skip
        await asyncio.sleep(12)
        info = await schedule.info()
        assert (info.runs, info.running, info.last_run, info.last_outcome) == (1, 1, START + 10, None)
        await asyncio.sleep(5)
        info = await schedule.info()
        assert (info.running, info.last_outcome, info.last_error) == (0, "unknown", "refused: no")
        assert [letter.metadata["schedule"] for letter in (await node.dead_letters.list()).entries] == ["hello"]
        assert await schedule.next_run_times(2) == [at(20), at(30)]


# --- adding again, changing ----------------------------------------------------------------------


async def test_adding_the_same_again_changes_nothing(url):
    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await node.scheduler.after(10, TICK, id="after", persistent=True)
        await asyncio.sleep(5)
    async with running(url) as node:
        before = await node.scheduler.list()
        await asyncio.sleep(3)
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await node.scheduler.after(10, TICK, id="after", persistent=True)
        assert await node.scheduler.list() == before


async def test_adding_another_definition_changes_the_schedule(url):
    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(15)
        await node.scheduler.every(10, SendMessage("ledger", "tock"), id="tick", max_running=2, persistent=True)
        info = await only(node)
        assert (info.job, info.runs, since(info.next_run)) == ("SendMessage('ledger', 'tock')", 1, 20)
        await node.scheduler.every(7, SendMessage("ledger", "tock"), id="tick", persistent=True)
        info = await only(node)
        assert (info.trigger, info.runs, since(info.next_run)) == ("every 7 s", 1, 22)
        await node.scheduler.pause("tick")
        await node.scheduler.every(8, SendMessage("ledger", "tock"), id="tick", persistent=True)
        info = await only(node)
        assert (info.trigger, info.paused, info.next_run) == ("every 8 s", True, None)


async def test_message_without_an_order_is_the_same_in_each_order(url):
    async with running(url) as node:
        await node.scheduler.every(10, SendMessage("ledger", {"a", "b"}), id="tick", persistent=True)
        (payload,) = (await run_sql(url, "SELECT payload FROM stanchion_schedules"))[0]
        other = payload.replace(b"a", b"?").replace(b"b", b"a").replace(b"?", b"b")
        await run_sql(url, f"UPDATE stanchion_schedules SET payload = x'{other.hex()}'")
        await node.scheduler.every(10, SendMessage("ledger", {"a", "b"}), id="tick", persistent=True)
        assert await run_sql(url, "SELECT payload FROM stanchion_schedules") == [(other,)]
        await node.scheduler.every(10, SendMessage("ledger", {"a", "c"}), id="tick", persistent=True)
        assert await run_sql(url, "SELECT payload FROM stanchion_schedules") != [(other,)]
        await run_sql(url, "UPDATE stanchion_schedules SET message_type = 'gone'")
        await node.scheduler.every(10, SendMessage("ledger", {"a", "c"}), id="tick", persistent=True)
        assert await run_sql(url, "SELECT message_type FROM stanchion_schedules") == [("data",)]


async def test_time_that_is_over_is_not_set_again_and_a_delay_is(url):
    async with running(url) as node:
        for _ in range(3):
            await node.scheduler.at(at(5), SendMessage("ledger", "at"), id="at", persistent=True)
            await node.scheduler.after(5, SendMessage("ledger", "after"), id="after", persistent=True)
            await asyncio.sleep(10)
        messages = [message for _, message, _ in NOTES]
        assert sorted(messages) == ["after", "after", "after", "at"]
        await node.scheduler.at(at(40), SendMessage("ledger", "at"), id="at", persistent=True)
        await asyncio.sleep(12)
        assert (await node.scheduler.info("at")).runs == 2


async def test_what_is_over_is_forgotten_after_thirty_days(url):
    clock = SetClock()
    async with running(url, clock=clock) as node:
        await node.scheduler.after(5, TICK, id="once", persistent=True)
        await node.scheduler.every(86_400, TICK, id="daily", persistent=True)
        await asyncio.sleep(12)
        clock.ahead = 29 * 86_400.0
        await asyncio.sleep(12)
        assert {info.id for info in await node.scheduler.list()} == {"once", "daily"}
        clock.ahead = 31 * 86_400.0
        await asyncio.sleep(12)
        assert {info.id for info in await node.scheduler.list()} == {"daily"}


async def test_rescheduled_schedule_keeps_its_counts_and_its_pause(url):
    async with running(url) as node:
        schedule = await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(15)
        await schedule.reschedule(At(at(100)))
        info = await schedule.info()
        assert (info.runs, info.trigger, since(info.next_run)) == (1, "at 2027-01-15 08:01:40+00:00", 100)
        assert await schedule.pause()
        await schedule.reschedule(Every(30))
        assert (await schedule.info()).paused
        assert await schedule.resume()
        assert await schedule.next_run_times(2) == [at(45), at(75)]
        await schedule.reschedule(Cron("0 12 * * *"))
        assert (await schedule.next_run_times())[0].hour == 12
        await schedule.reschedule(After(3))
        await asyncio.sleep(5)
        assert (await schedule.info()).runs == 2


async def test_pause_and_resume_say_whether_they_changed_something(url):
    async with running(url) as node:
        schedule = await node.scheduler.every(10, TICK, id="tick", persistent=True)
        assert [await schedule.pause(), await schedule.pause()] == [True, False]
        assert (await schedule.info()).next_run is None
        assert await schedule.next_run_times() == []
        await asyncio.sleep(25)
        assert [await schedule.resume(), await schedule.resume()] == [True, False]
        assert since((await schedule.info()).next_run) == 30


async def test_only_due_time_that_passes_in_a_pause_is_missed(url):
    async with running(url) as node:
        told = Told(node)
        schedule = await node.scheduler.after(10, TICK, id="tick", persistent=True)
        await schedule.pause()
        await asyncio.sleep(20)
        await schedule.resume()
        assert told.missed() == [("paused", 10, 1)]
        assert ((await schedule.info()).next_run, (await schedule.info()).missed) == (None, 1)
        assert await schedule.pause()
        assert await schedule.resume()
        assert told.missed() == [("paused", 10, 1)]


# --- wrong use -----------------------------------------------------------------------------------


async def test_verbs_of_a_schedule_that_is_not_there_say_so(url):
    async with running(url) as node:
        verbs = node.scheduler
        for verb in (verbs.pause, verbs.resume, verbs.trigger, verbs.info, verbs.next_run_times):
            with pytest.raises(
                ScheduleNotFoundError, match=r"of schedule 'none': expected one that is there, got none"
            ):
                await verb("none")
        with pytest.raises(ScheduleNotFoundError):
            await verbs.reschedule("none", Every(3))
        assert not await verbs.cancel("none")


async def test_what_cannot_be_stored_is_refused(url):
    async with running(url) as node:
        add = node.scheduler.every
        pid = await st.start(Recorder)
        with pytest.raises(
            InvalidOptionError, match=r"SendMessage\(ref\): expected an address that a later node knows"
        ):
            await add(3, SendMessage(pid, "x"), id="x", persistent=True)
        with pytest.raises(MessageEncodeError):
            await add(3, SendMessage("ledger", object()), id="x", persistent=True)
        with pytest.raises(InvalidOptionError) as caught:
            await add(3, TICK, id="x", overrun="cancel", persistent=True)
        assert str(caught.value) == (
            "SchedulerManager.every(overrun): expected 'skip' or 'wait', for a schedule that is persistent, got 'cancel'\n"
            "Fix: what is in the outbox is not taken back: let its receiver look whether it comes too late."
        )
        with pytest.raises(InvalidOptionError, match="a SendMessage for persistent=True"):
            await add(3, StartTask("tasks", quiet, node), id="x", persistent=True)
        assert await node.scheduler.list() == []


async def test_scheduler_works_on_a_node_that_does_not_deliver_itself(url):
    outbox = Outbox(url)
    async with virtual_node(services=[outbox, scheduler := SchedulerManager()]) as node:
        with pytest.raises(InvalidOptionError, match="a node with a database"):
            await scheduler.after(1, TICK, id="tick", persistent=True)
        assert node.service(Outbox) is outbox
