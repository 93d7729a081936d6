# SPDX-License-Identifier: MIT
"""What must hold of persistent schedules on SQLite and on PostgreSQL alike, in real time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import stanchion as st
from stanchion.outbox import _tables as outbox_tables
from stanchion.outbox.migrations import SCHEMA as OUTBOX
from stanchion.scheduler import SchedulerManager, SendMessage, _firing, _tables
from stanchion.scheduler._firing import Now
from stanchion.scheduler._tables import End, Row
from stanchion.scheduler._triggers import At, Every
from stanchion.scheduler.migrations import SCHEMA
from stanchion.storage import Database, database_of
from stanchion.telemetry import SCHEDULE_STARTED, SCHEDULE_STOPPED


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return asyncio.SelectorEventLoop


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/app.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


pytestmark = pytest.mark.timeout(60)  # a few seconds, of a machine that may be busy with other tests

NOW = Now(1000.0, Random(7))
AT = At(datetime.fromtimestamp(5000, UTC))

ROW = Row(
    id="tick", added=1000.0, trigger="", jitter=0.0, recipient="ledger", message_type="data", version=1,
    payload=b"\xa4tick", options="{}", job="SendMessage('ledger', 'tick')", misfire_grace=None, coalesce="latest",
    max_running=1, overrun="skip", paused=False, taken=0.0, counted_at=0.0, next_due=None, fire_at=None, waiting=None,
)  # fmt: skip


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Database]:
    database = database_of(url)
    await database.open(OUTBOX, SCHEMA)
    try:
        yield database
    finally:
        await database.close()


async def tick(database: Database) -> tuple[Row, int]:
    """Return the schedule of that name, and how many runs are under way."""
    found = await database.read(_tables.one_row, "tick")
    assert found is not None
    return found


def node(url: str, name: str = "node") -> st.Node:
    return st.Node(name, database=url, services=[SchedulerManager()], block_threshold=None)


async def test_due_time_and_message_are_stored_together_or_not_at_all(database_url):
    async with opened(database_url) as database:
        await database.write(_firing.put, ROW, Every(10.0, start=1000.0, wall=True), NOW)

        def broken(connection: sa.Connection) -> None:
            assert _firing.fire(connection, ["tick"], Now(1010.0, NOW.random)).started == [("tick", 1010.0)]
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await database.write(broken)
        assert await database.read(outbox_tables.count) == {}
        happened = await database.write(_firing.fire, ["tick"], Now(1010.0, NOW.random))
        assert happened == ([("tick", 1010.0)], [])
        assert await database.write(_firing.fire, ["tick", "gone"], Now(1010.0, NOW.random)) == ([], [])
        row, running = await tick(database)
        assert (row.taken, row.next_due, row.runs, row.last_run, running) == (1010.0, 1020.0, 1, 1010.0, 1)
        assert await database.read(outbox_tables.count) == {"ledger": 1}


async def test_schedule_comes_back_as_it_was_stored(database_url):
    stored = ROW._replace(
        misfire_grace=1.5, max_running=None, paused=True, waiting=3.0, missed=2**40, last_outcome="confirmed"
    )
    async with opened(database_url) as database:
        assert await database.write(_firing.put, stored, AT, NOW)
        row, running = await tick(database)
        trigger = '{"type":"at","when":"1970-01-01T01:23:20Z"}'
        assert row == stored._replace(trigger=trigger, taken=-math.inf, counted_at=1000.0, next_due=5000.0)
        assert running == 0
        assert not await database.write(_firing.put, stored, AT, NOW)


async def test_two_nodes_that_add_one_schedule_at_once_have_one(database_url):
    async with opened(database_url) as first, opened(database_url) as second:
        trigger = Every(10.0, start=1000.0, wall=True)
        made = await asyncio.gather(
            *(it.write(_firing.put, ROW, trigger, NOW) for it in (first, second, first, second))
        )
        assert sorted(made) == [False, False, False, True]


async def test_schedule_that_another_node_has_just_stored_is_compared(database_url, monkeypatch):
    lock = _tables.lock

    async with opened(database_url) as database:
        trigger = Every(10.0, start=1000.0, wall=True)
        await database.write(_firing.put, ROW, trigger, NOW)

        def unseen(connection: sa.Connection, id: str) -> Row | None:
            monkeypatch.setattr(_tables, "lock", lock)
            return None

        monkeypatch.setattr(_tables, "lock", unseen)
        assert not await database.write(_firing.put, ROW, trigger, NOW)


async def test_two_nodes_that_trigger_at_once_begin_one_run(database_url):
    async with opened(database_url) as first, opened(database_url) as second:
        await first.write(_firing.put, ROW, Every(10.0, start=1000.0, wall=True), NOW)
        found = await asyncio.gather(*(it.write(_firing.trigger, "tick", NOW) for it in (first, second, first, second)))
        assert sorted(one is not None and one[0] for one in found) == [False, False, False, True]
        row, _ = await tick(first)
        assert (row.runs, row.missed) == (1, 3)
        assert await first.write(_firing.trigger, "none", NOW) is None


async def test_end_is_noted_once(database_url):
    async with opened(database_url) as database:
        await database.write(_firing.put, ROW, Every(10.0, start=1000.0, wall=True), NOW)
        await database.write(_tables.add_runs, [("1", "tick", 1000.0)])
        assert await database.read(_tables.ended) == {"1"}
        await database.write(_tables.note_ends, [End("1", "confirmed", None), End("1", "unknown", "?")])
        row, _ = await tick(database)
        assert (row.last_outcome, row.last_error) == ("confirmed", None)
        assert await database.read(_tables.ended) == frozenset()


async def test_schedule_that_is_gone_is_not_counted_anew(database_url):
    async with opened(database_url) as database:
        await database.write(_firing.put, ROW, Every(10.0, start=1000.0, wall=True), NOW)
        await database.write(_firing.count_anew, ["gone", "tick"], NOW)
        assert (await tick(database))[0].next_due == 1010.0


async def test_each_due_time_is_run_by_one_of_two_nodes(database_url):
    begun: list[tuple[str, float]] = []
    done = asyncio.Event()

    def told(_event: object, _measured: object, about: Any) -> None:
        begun.append((about["schedule"], about["due"]))
        if len(begun) >= 40:
            done.set()

    class Quiet(st.GenServer):
        def handle_cast(self, message: object) -> None:
            pass

    async with node(database_url, "first") as first, node(database_url, "second") as second:
        for one in (first, second):
            one.telemetry.attach(SCHEDULE_STARTED, told)
        await st.start(Quiet, name="ledger")
        for number in range(4):
            adder = (first, second)[number % 2]
            await adder.scheduler.every(
                0.05,
                SendMessage("ledger", number),
                id=f"tick {number}",
                coalesce="all",
                max_running=None,
                persistent=True,
            )
        await done.wait()
        for number in range(4):
            await second.scheduler.pause(f"tick {number}")
        infos = await first.scheduler.list()
        assert sum(info.missed for info in infos) == 0
        assert len(begun) == len(set(begun))


async def test_reason_that_no_database_keeps_as_it_is_holds_nothing_up(database_url):
    ended = asyncio.Queue[str]()

    class Refusing(st.GenServer):
        def handle_cast(self, message: object) -> object:
            return st.Reject("no\0\udcff", retry=False)

    async with node(database_url) as only:
        only.telemetry.attach(SCHEDULE_STOPPED, lambda _event, _measured, about: ended.put_nowait(about["reason"]))
        await st.start(Refusing, name="ledger")
        for number in range(2):
            id = f"tick {number}"
            await only.scheduler.after(0, SendMessage("ledger", "tick"), id=id, persistent=True)
            assert await ended.get() == "refused: no\0\udcff"
            while (info := await only.scheduler.info(id)).last_outcome is None:
                await asyncio.sleep(0.01)
            assert info.last_error == "refused: no\\x00\\udcff"


async def test_what_takes_long_is_fired_in_several_transactions_the_most_overdue_first(database_url, monkeypatch):
    monkeypatch.setattr(_firing, "_LONG", 0.0)
    async with opened(database_url) as database:
        for id, interval in (("a", 9.0), ("b", 7.0), ("c", 8.0)):
            await database.write(_firing.put, ROW._replace(id=id), Every(interval, start=1000.0, wall=True), NOW)
        begun: list[str] = []
        now = Now(1010.0, NOW.random)
        while rows := (await database.read(_tables.ready, now.time, 100, [])).rows:
            happened = await database.write(_firing.fire, [row.id for row in rows], now)
            begun += [id for id, _ in happened.started]
        assert begun == ["b", "c", "a"]


async def test_node_hears_of_what_another_adds(postgres_url):
    begun = asyncio.Event()
    async with node(postgres_url, "first") as first, node(postgres_url, "second") as second:
        for one in (first, second):
            one.telemetry.attach(SCHEDULE_STARTED, lambda *_: begun.set())
        for one in (first, second):
            begun.clear()
            await one.scheduler.at(
                datetime.now(UTC), SendMessage("ledger", "hello", retries=0), id=one.name, persistent=True
            )
            await begun.wait()


async def test_the_revisions_make_the_tables_that_are_used(database_url):
    def differences(connection: sa.Connection) -> list[object]:
        ours = {*_tables.metadata.tables, SCHEMA.version_table}
        options = {
            "version_table": SCHEMA.version_table,
            "include_name": lambda name, kind, _: kind != "table" or name in ours,
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), _tables.metadata)

    async with opened(database_url) as database:
        assert await database.read(differences) == []


def test_the_newest_revision_is_the_one_that_is_written():
    assert ScriptDirectory(str(SCHEMA.folder)).get_current_head() == SCHEMA.head
