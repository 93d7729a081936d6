# SPDX-License-Identifier: MIT
"""Schedules that are kept in the database, in virtual time: what becomes of them when nodes come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore
from stanchion.delivery import OutboxDelivery, write_message
from stanchion.errors import (
    InvalidOptionError,
    MessageEncodeError,
    ScheduleNotFoundError,
    StoreError,
    StoreUncertainError,
)
from stanchion.kernel import current_node
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
from stanchion.storage import database_of
from stanchion.telemetry import LEASE_LOST
from stanchion.testing import VirtualTimeLoop
from tests.scheduler.kit import START, TICK, SetClock, Told, since, virtual_node

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


NOTES: list[tuple[float, Any, st.MessageInfo | None]] = []
"""When the recorder that was started last got which message: it cannot be asked while it handles one."""


class Recorder(st.GenServer):
    """Notes when it gets each message, and takes its time with it."""

    def init(self, seconds: float = 0.0) -> None:
        NOTES.clear()
        self.seconds = seconds

    async def handle_cast(self, message: Any) -> object:
        NOTES.append((since(current_node("test").clock.time()), message, st.message_info()))
        await asyncio.sleep(self.seconds)
        return st.Reject("no", retry=False) if message == "refuse" else None


def times() -> list[float]:
    return [when for when, _, _ in NOTES]


def scheduling(url: str, **options: Any) -> st.Node:
    """Return a node as ``Node(database=url)`` makes it, whose outbox looks seldom too."""
    database = database_of(url)
    outbox = Outbox(database, poll=10)
    services = [DeadLetterQueue(SqlStore(database)), outbox, OutboxDelivery(outbox), SchedulerManager()]
    return virtual_node(services=services, **options)


@asynccontextmanager
async def running(url: str, *, seconds: float = 0.0, **options: Any) -> AsyncGenerator[st.Node]:
    """Run a node with a scheduler, a database and a ledger."""
    async with scheduling(url, **options) as node:
        await st.start(Recorder, seconds, name="ledger")
        yield node


async def quiet(node: st.Node) -> None:
    """Wait until what is due is delivered, and its end noted."""
    await node.outbox.wait_empty()
    await asyncio.sleep(2)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


async def only(node: st.Node) -> ScheduleInfo:
    (info,) = await node.scheduler.list()
    return info


def inside(node: st.Node) -> Any:
    """Return what a scheduler has of persistent schedules."""
    session: Any = node.scheduler._session
    return session.persistent


async def run_sql(url: str, statement: str) -> list[Any]:
    def run() -> list[Any]:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            found = connection.exec_driver_sql(statement)
            return [tuple(row) for row in found] if found.returns_rows else []

    return await asyncio.to_thread(run)


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


async def test_schedule_of_another_process_is_seen_at_the_next_look(url):
    """On SQLite nobody tells of it."""
    async with running(url) as node, scheduling(url, name="other") as other:
        await asyncio.sleep(5)
        await other.scheduler.after(3, TICK, id="tick", persistent=True)
        await asyncio.sleep(8)
        assert (await only(node)).runs == 1


# --- nodes come and go ---------------------------------------------------------------------------


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


async def test_only_one_of_two_nodes_fires_and_the_other_goes_on_when_it_stops(url):
    async with running(url, name="second") as second:
        async with running(url, name="first") as first:
            # Whoever looked first has it.
            await first.scheduler.every(10, TICK, id="tick", persistent=True)
            told = [Told(first), Told(second)]
            await asyncio.sleep(35)
            begun = [sum(event.name[-1] == "started" for event, _, _ in one.all) for one in told]
            assert sorted(begun) == [0, 3]
        await asyncio.sleep(20)
        assert (await only(second)).runs == 5


async def test_any_node_pauses_triggers_and_cancels(url):
    async with running(url, name="holder") as holder, scheduling(url, name="other") as other:
        await holder.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(5)
        assert await other.scheduler.trigger("tick")
        assert await other.scheduler.pause("tick")
        await asyncio.sleep(20)
        assert (await only(holder)).runs == 1
        assert await other.scheduler.resume("tick")
        await asyncio.sleep(10)
        assert (await only(holder)).runs == 2
        assert await other.scheduler.cancel("tick")
        await asyncio.sleep(20)
        assert await holder.scheduler.list() == []
        assert await other.scheduler.cancel("tick") is False


async def test_lost_lease_is_an_event_and_nothing_is_fired_without_it(url, caplog):
    async with running(url) as node:
        lost: list[Any] = []
        node.telemetry.attach(LEASE_LOST, lambda *told: lost.append(told[2]))
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await asyncio.sleep(9.5)
        await run_sql(url, "UPDATE stanchion_leases SET owner = 'thief', host = NULL, beats = 0, token = token + 1")
        await asyncio.sleep(20)
        assert [about["lease"] for about in lost] == ["scheduler"]
        assert (await only(node)).runs == 0
        await asyncio.sleep(20)  # the thief is silent
        info = await only(node)
        assert (info.runs, info.missed) == (1, 3)
    assert "lease 'scheduler' was taken over by another node" in caplog.text


async def test_node_that_stood_still_until_another_had_the_lease_fires_nothing(url):
    """It has not noticed when it fires."""
    async with running(url) as node:
        await node.scheduler.every(100, TICK, id="tick", persistent=True)
        persistent = inside(node)
        await asyncio.sleep(9)
        await run_sql(url, "UPDATE stanchion_leases SET owner = 'thief', host = NULL, beats = 0, token = token + 1")
        await run_sql(url, f"UPDATE stanchion_schedules SET fire_at = {START}, next_due = {START}")
        assert persistent._lease.held
        persistent._wake.set()
        await asyncio.sleep(4)
        assert not persistent._lease.held
        assert (await only(node)).runs == 0


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


# --- ends ----------------------------------------------------------------------------------------


async def test_end_that_nobody_noted_is_unknown_in_the_end(url):
    async with running(url) as node:
        await node.scheduler.after(
            5, SendMessage("absent", "tick", retries=100_000, deadline=None), id="tick", persistent=True
        )
        await asyncio.sleep(7)
        assert (await only(node)).running == 1
    await run_sql(url, "DELETE FROM stanchion_outbox")
    async with running(url) as node:
        await asyncio.sleep(5)
        assert ((await only(node)).running, (await only(node)).last_outcome) == (0, None)
        await asyncio.sleep(10)
        info = await only(node)
        assert (info.last_outcome, info.last_error) == ("unknown", "the node that had it ended before it noted how")


async def test_end_is_noted_when_the_database_works_again(url, caplog):
    async with running(url, seconds=3) as node:
        await node.scheduler.after(5, TICK, id="tick", persistent=True)
        await asyncio.sleep(6)
        persistent = inside(node)
        failing = Failing(persistent._database)
        persistent._database = failing
        failing.error = StoreError("store", expected="an answer", got="none")
        await asyncio.sleep(20)
        failing.error = None
        await asyncio.sleep(5)
        assert (await only(node)).last_outcome == "confirmed"
        failing.error = StoreError("store", expected="an answer", got="none")
        assert await asyncio.create_task(_refused(node))
        await asyncio.sleep(3)
    assert caplog.text.count("the persistent schedules cannot be looked at, and are again in 5 s") == 2


async def _refused(node: st.Node) -> bool:
    with pytest.raises(StoreError):
        await node.scheduler.trigger("tick")
    return True


class Failing:
    """A database that fails while it has an error to raise."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, *arguments: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await self._database.write(*arguments, **options)

    async def read(self, *arguments: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await self._database.read(*arguments, **options)


async def test_end_that_cannot_be_noted_while_the_node_closes_is_told_of(url, caplog):
    async with running(url) as node:
        await node.scheduler.after(5, TICK, id="tick", persistent=True)
        await asyncio.sleep(4)
        persistent = inside(node)
        persistent._ends["x"] = persistent_end()
        persistent._database = failing = Failing(persistent._database)
        failing.error = StoreError("store", expected="an answer", got="none")
    assert "how 1 runs of schedules ended could not be noted: store store: expected an answer, got none" in caplog.text


async def test_lease_is_given_up_whatever_happens_to_the_ends(url):
    async with running(url) as node:
        await asyncio.sleep(4)
        persistent = inside(node)
        persistent._ends["x"] = persistent_end()
        persistent._database = failing = Failing(persistent._database)
        failing.error = ZeroDivisionError("what is this")
    assert await run_sql(url, "SELECT owner FROM stanchion_leases") == [(None,)]


def persistent_end() -> Any:
    from stanchion.scheduler._tables import End

    return End("x", "confirmed", None)


async def test_error_that_is_no_store_error_is_told_with_its_traceback_each_time(url, caplog):
    async with running(url) as node:
        persistent = inside(node)
        persistent._database = failing = Failing(persistent._database)
        failing.error = ZeroDivisionError("what is this")
        await asyncio.sleep(12)
        failing.error = None
    assert caplog.text.count("Traceback") >= 2


async def test_nothing_is_lost_while_the_database_fails(url):
    async with running(url) as node:
        told = Told(node)
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        persistent = inside(node)
        persistent._database = failing = Failing(persistent._database)
        failing.error = StoreUncertainError("store", got="none")
        await asyncio.sleep(35)
        failing.error = None
        await asyncio.sleep(3)
        info = await only(node)
        assert (info.runs, info.missed) == (1, 2)
        assert told.missed() == [("coalesced", 10, 1), ("coalesced", 20, 1)]


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


async def test_scheduler_works_on_a_node_that_does_not_deliver_itself(url):
    outbox = Outbox(url)
    async with virtual_node(services=[outbox, scheduler := SchedulerManager()]) as node:
        with pytest.raises(InvalidOptionError, match="a node with a database"):
            await scheduler.after(1, TICK, id="tick", persistent=True)
        assert node.service(Outbox) is outbox


# --- what this program does not know -------------------------------------------------------------


async def test_schedule_whose_message_is_unknown_is_kept_and_told_and_the_others_go_on(url, caplog):
    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="unknown", persistent=True)
        await node.scheduler.every(10, TICK, id="later", persistent=True)
        await node.scheduler.every(11, TICK, id="known", persistent=True)
        await run_sql(url, "UPDATE stanchion_schedules SET message_type = 'gone' WHERE id = 'unknown'")
        await run_sql(url, "UPDATE stanchion_schedules SET trigger = '{\"type\":\"lunar\"}' WHERE id = 'later'")
        await asyncio.sleep(45)
        infos = {info.id: info for info in await node.scheduler.list()}
        assert [infos[id].runs for id in ("unknown", "later", "known")] == [0, 0, 4]
        assert infos["later"].trigger == '{"type":"lunar"}'
        assert caplog.text.count("schedule 'unknown' is due, and this program cannot run it; it is kept: ") == 1
        assert caplog.text.count("schedule 'later' is due, and this program cannot run it; it is kept: ") == 1
        await run_sql(url, "UPDATE stanchion_schedules SET message_type = 'data' WHERE id = 'unknown'")
        await node.scheduler.every(10, TICK, id="later", persistent=True)
        await asyncio.sleep(12)
        infos = {info.id: info for info in await node.scheduler.list()}
        assert [infos[id].runs for id in ("unknown", "later", "known")] == [1, 1, 5]
        assert infos["unknown"].missed == 4


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


async def test_scheduler_that_cannot_open_leaves_the_database_to_the_others(url, monkeypatch):
    from stanchion.storage import Lease

    async def fail(lease: Lease) -> None:
        raise StoreError("store", expected="an answer", got="none")

    monkeypatch.setattr(Lease, "open", fail)
    with pytest.raises(StoreError, match="expected an answer, got none"):
        async with scheduling(url):
            pass
    monkeypatch.undo()
    database = database_of(url)
    await database.open()
    await database.close()


async def test_node_that_stops_fires_nothing_more(url):
    class Slow(st.GenServer):
        def init(self) -> None:
            st.trap_exit()

        async def terminate(self, reason: st.ExitReason) -> None:
            await asyncio.sleep(20)

    async with running(url) as node:
        await node.scheduler.every(10, TICK, id="tick", persistent=True)
        await st.start(Slow)
        await asyncio.sleep(5)
    rows = await run_sql(url, "SELECT runs FROM stanchion_schedules")
    assert rows == [(0,)]
