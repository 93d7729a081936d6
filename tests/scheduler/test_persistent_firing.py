# SPDX-License-Identifier: MIT
"""Which due times of persistent schedules are run, and which are missed, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from stanchion.delivery import write_message
from stanchion.scheduler import SendMessage, _persistent
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, SetClock, Told, since
from tests.scheduler.persistent_support import NOTES, at, only, quiet, run_sql, running, times

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


# --- firing --------------------------------------------------------------------------------------


async def test_each_kind_of_schedule_sends_its_message_at_its_time(url):
    async with running(url) as node:
        keep = {"persistent": True}
        await node.scheduler.at(at(30), SendMessage("ledger", "at"), id="at", **keep)
        await node.scheduler.after(20, SendMessage("ledger", "after"), id="after", **keep)
        await node.scheduler.every(25, SendMessage("ledger", "every"), id="every", **keep)
        await node.scheduler.cron("*/1 * * * *", SendMessage("ledger", "cron"), id="cron", **keep)
        await asyncio.sleep(62)
        assert [(round(when), message) for when, message, _ in NOTES] == [
            (20, "after"),
            (25, "every"),
            (30, "at"),
            (50, "every"),
            (60, "cron"),
        ]
        infos = {info.id: (info.next_run and since(info.next_run), info.runs) for info in await node.scheduler.list()}
        assert infos == {"at": (None, 1), "after": (None, 1), "every": (75, 2), "cron": (120, 1)}


async def test_run_tells_its_schedule_and_due_time(url):
    async with running(url) as node:
        told = Told(node)
        await node.scheduler.after(5, TICK, id="a:b", persistent=True)
        await asyncio.sleep(10)
        ((_, _, info),) = NOTES
        assert info is not None
        assert info.metadata == {"schedule": "a:b", "due": START + 5}
        assert info.message_id.startswith(f"schedule:a:b:{START + 5}:")
        assert told.ends() == [("confirmed", None)]
        assert [dict(about) for _, _, about in told.all[:1]] == [{"node": "node", "schedule": "a:b", "due": START + 5}]


async def test_jitter_delays_runs_and_not_their_due_times(url):
    async with running(url) as node:
        schedule = await node.scheduler.every(10, TICK, jitter=8, id="tick", misfire_grace=2, persistent=True)
        await asyncio.sleep(59.5)
        came = [when - 10 * n for n, when in enumerate(times(), 1)]
        assert len(came) == 5
        assert all(0 <= late <= 9.1 for late in came)
        assert max(came) - min(came) > 3
        assert (await schedule.info()).missed == 0
        assert await schedule.next_run_times() == [at(60)]
        await node.scheduler.every(10, TICK, jitter=0, id="tick", misfire_grace=2, persistent=True)
        await asyncio.sleep(2)
        assert (times())[-1] - 60 < 1.1


async def test_messages_of_others_are_no_runs(url):
    async with running(url) as node:
        told = Told(node)

        def write() -> None:
            with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
                write_message(connection, "ledger", "plain")
                write_message(connection, "ledger", "keyed", idempotency_key="schedule:x:1.0:y")
            with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
                id = write_message(connection, "ledger", "keyed")
                connection.execute(
                    sa.text("UPDATE stanchion_outbox SET message_id = :key WHERE id = :id"),
                    {"key": f"schedule:x:when:{id}", "id": id},
                )

        await asyncio.to_thread(write)
        await quiet(node)
        assert len(times()) == 3
        assert told.all == []


# --- misfires ------------------------------------------------------------------------------------


async def test_schedule_outlives_its_node_and_the_latest_missed_run_is_made_up_for(url):
    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(25)
    await asyncio.sleep(100)
    async with running(url) as node:
        told = Told(node)
        await asyncio.sleep(2)
        assert told.missed() == [("coalesced", due, 1) for due in (30, 40, 50, 60, 70, 80, 90, 100, 110)]
        info = await only(node)
        assert (info.runs, info.missed, since(info.next_run)) == (3, 9, 130)
        await quiet(node)
        assert len(times()) == 1


async def test_missed_runs_later_than_the_grace_are_told_of(url):
    async with running(url) as node:
        await node.scheduler.every(
            10, TICK, id="tick", misfire_grace=15, coalesce="all", max_running=None, persistent=True
        )
    await asyncio.sleep(45)
    async with running(url) as node:
        told = Told(node)
        await asyncio.sleep(1)
        assert told.missed() == [("late", 10, 1), ("late", 20, 1)]
        await quiet(node)
        assert len(times()) == 2


# --- overrun -------------------------------------------------------------------------------------


async def test_due_time_is_missed_while_the_run_before_it_is_under_way(url):
    async with running(url, seconds=25) as node:
        told = Told(node)
        schedule = await node.scheduler.every(
            10, SendMessage("ledger", "tick", timeout=100), id="tick", persistent=True
        )
        await asyncio.sleep(32)
        assert told.missed() == [("overrun", 20, 1), ("overrun", 30, 1)]
        assert not await schedule.trigger()
        assert ((await schedule.info()).runs, (await schedule.info()).missed) == (1, 3)
        await asyncio.sleep(10)
        assert (await schedule.info()).runs == 2


async def test_latest_due_time_waits_for_the_run_before_it(url):
    async with running(url, seconds=25) as node:
        told = Told(node)
        schedule = await node.scheduler.every(
            10, SendMessage("ledger", "tick", timeout=100), id="tick", overrun="wait", persistent=True
        )
        await asyncio.sleep(38)  # the first one ended at about 35
        assert told.missed() == [("overrun", 20, 1)]
        assert [round(when) for when in times()][:2] == [10, 35]
        await asyncio.sleep(4)
        assert await schedule.pause()  # 40 waits
        assert told.missed()[-1] == ("paused", 40, 1)
        assert await schedule.resume()
        await asyncio.sleep(10)
        assert await schedule.cancel()  # 50 waits
        assert told.missed()[-1] == ("cancelled", 50, 1)


async def test_runs_that_may_overlap_do(url):
    async with running(url, seconds=25) as node:
        await node.scheduler.every(
            10, SendMessage("ledger", "tick", timeout=100), id="tick", max_running=None, persistent=True
        )
        await asyncio.sleep(32)
        assert ((await only(node)).runs, (await only(node)).running) == (3, 3)


# --- the wall clock ------------------------------------------------------------------------------


async def test_clock_that_is_a_little_behind_that_of_the_holder_before_repeats_nothing(url):
    ahead, behind = SetClock(), SetClock()
    ahead.ahead, behind.ahead = 3590.0, 3570.0
    async with running(url, clock=ahead) as node:
        await node.scheduler.cron("0 * * * *", TICK, id="hourly", persistent=True)
        await asyncio.sleep(15)  # its clock shows nine o'clock
        assert (await only(node)).runs == 1
    async with running(url, clock=behind) as node:
        await asyncio.sleep(30)  # so does this one now
        assert ((await only(node)).runs, since((await only(node)).next_run)) == (1, 7200)
    behind.ahead = 3500.0
    async with running(url, clock=behind) as node:
        await node.scheduler.pause("hourly")
        await node.scheduler.resume("hourly")
        assert since((await only(node)).next_run) == 7200


async def test_clock_that_was_far_ahead_is_forgotten(url):
    clock = SetClock()
    clock.ahead = 365 * 86_400.0
    async with running(url, clock=clock) as node:
        told = Told(node)
        await node.scheduler.cron("0 * * * *", TICK, id="hourly", persistent=True)
        await node.scheduler.at(at(100), SendMessage("ledger", "at"), id="at", persistent=True)
        await node.scheduler.at(at(366 * 86_400), SendMessage("ledger", "at"), id="later", persistent=True)
        await node.scheduler.every(60, TICK, id="unknown", persistent=True)
        await run_sql(url, "UPDATE stanchion_schedules SET trigger = '{\"type\":\"lunar\"}' WHERE id = 'unknown'")
        await node.scheduler.cron("30 * * * *", TICK, id="paused", persistent=True)
        await node.scheduler.pause("paused")
        await asyncio.sleep(50)
        clock.ahead = 0.0
        await asyncio.sleep(12)
        assert told.jumps() == [-365 * 86_400.0]
        infos = {info.id: info for info in await node.scheduler.list()}
        assert since(infos["hourly"].next_run) == 3600
        assert since(infos["later"].next_run) == 366 * 86_400
        await node.scheduler.resume("paused")
        assert since((await node.scheduler.info("paused")).next_run) == 1800


async def test_clock_that_is_set_ahead_makes_due_what_it_passes(url):
    clock = SetClock()
    async with running(url, clock=clock) as node:
        told = Told(node)
        await node.scheduler.cron("0 * * * *", TICK, id="hourly", persistent=True)
        await asyncio.sleep(5)
        clock.ahead = 7300.0
        await asyncio.sleep(12)
        assert told.jumps() == [7300.0]
        assert ((await only(node)).runs, (await only(node)).missed) == (1, 1)
