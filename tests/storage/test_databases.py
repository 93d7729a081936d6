# SPDX-License-Identifier: MIT
"""What every database does; a new kind is added to ``KINDS`` and passes as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

from stanchion.dead_letters.migrations import SCHEMA
from stanchion.errors import StoreError, StoreSchemaError
from stanchion.storage import Database, PostgresDatabase, SqliteDatabase, notify

pytestmark = pytest.mark.allow_blocking("SQLAlchemy reads the source of its own files when it is first used")

KINDS: dict[str, Callable[[pytest.FixtureRequest], Database]] = {
    "sqlite": lambda request: SqliteDatabase(f"sqlite:///{request.getfixturevalue('tmp_path')}/app.db"),
    "postgres": lambda request: PostgresDatabase(request.getfixturevalue("postgres_url")),
}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Database:
    return KINDS[request.param](request)


notes = sa.Table("notes", sa.MetaData(), sa.Column("text", sa.Text, primary_key=True))


@asynccontextmanager
async def opened(database: Database) -> AsyncGenerator[Database]:
    await database.open()
    try:
        await database.write(lambda connection: notes.create(connection, checkfirst=True))
        yield database
    finally:
        await database.close()


def add(connection: sa.Connection, *texts: str) -> int:
    for text in texts:
        connection.execute(notes.insert().values(text=text))
    return len(texts)


def all_of(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(notes.c.text).order_by(notes.c.text)).scalars())


async def test_a_database_commits_what_is_written_and_answers_what_was_returned(database: Database) -> None:
    async with opened(database):
        assert await database.write(add, "a", "b") == 2
        assert await database.read(all_of) == ["a", "b"]
    async with opened(database):
        assert await database.read(all_of) == ["a", "b"]


async def test_a_database_commits_nothing_when_the_work_raises(database: Database) -> None:
    def half(connection: sa.Connection) -> None:
        add(connection, "a")
        raise ZeroDivisionError("in the middle")

    async with opened(database):
        with pytest.raises(ZeroDivisionError, match="in the middle"):
            await database.write(half)
        assert await database.read(all_of) == []
        await database.write(add, "b")
        assert await database.read(all_of) == ["b"]


async def test_a_database_refuses_to_write_where_it_reads(database: Database) -> None:
    async with opened(database):
        with pytest.raises(StoreError):
            await database.read(add, "a")
        assert await database.read(all_of) == []


async def test_a_database_shows_one_view_to_each_who_reads(database: Database) -> None:
    views: list[list[str]] = []
    seen, go_on = asyncio.Event(), asyncio.Event()

    async with opened(database):
        loop = asyncio.get_running_loop()

        def look_twice(connection: sa.Connection) -> None:
            views.append(all_of(connection))
            loop.call_soon_threadsafe(seen.set)
            while not go_on.is_set():
                connection.execute(sa.select(1))
            views.append(all_of(connection))

        looking = asyncio.create_task(database.read(look_twice))
        await seen.wait()
        await database.write(add, "a")
        go_on.set()
        await looking
        assert views == [[], []]
        assert await database.read(all_of) == ["a"]


async def test_a_database_carries_out_what_it_was_asked_for_when_the_caller_is_cancelled(database: Database) -> None:
    async with opened(database):
        writing = asyncio.create_task(database.write(add, "a"))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()
    async with opened(database):
        assert await database.read(all_of) == ["a"]


async def test_a_database_is_closed_by_the_last_of_those_who_opened_it(database: Database) -> None:
    async with opened(database):
        await asyncio.gather(database.open(SCHEMA), database.open())
        await database.close()
        await database.close()
        await database.write(add, "a")
    with pytest.raises(StoreError) as caught:
        await database.read(all_of)
    assert str(caught.value) == (
        f"store {database.name}: expected an open database, got a closed one\nFix: open() it first."
    )
    await database.close()
    async with opened(database):
        assert await database.read(all_of) == ["a"]


async def test_a_database_brings_a_schema_up_to_date_though_somebody_has_it_open(database: Database) -> None:
    def count(connection: sa.Connection) -> object:
        return connection.execute(sa.text("SELECT count(*) FROM stanchion_dead_letters")).scalar()

    async with opened(database):
        await database.open(SCHEMA)
        assert await database.read(count) == 0
        await database.close()


async def test_a_database_is_open_no_more_than_before_when_a_schema_is_of_the_future(database: Database) -> None:
    async with opened(database):
        await database.open(SCHEMA)
        await database.close()
        await database.write(lambda it: it.execute(sa.text(f"UPDATE {SCHEMA.version_table} SET version_num = '9999'")))
        with pytest.raises(StoreSchemaError) as caught:
            await database.open(SCHEMA)
        await database.write(add, "a")
    assert str(caught.value) == (
        f"store {database.name}: expected a schema up to revision {SCHEMA.head}, got revision 9999\n"
        "Fix: open it with the release of stanchion that wrote it, or a later one; nothing was changed."
    )
    with pytest.raises(StoreError):
        await database.read(all_of)


@pytest.fixture(params=KINDS)
def several(request: pytest.FixtureRequest) -> list[Database]:
    return [KINDS[request.param](request) for _ in range(3)]


async def test_those_who_open_a_new_database_at_once_make_its_schema_once(several: list[Database]) -> None:
    await asyncio.gather(*(database.open(SCHEMA) for database in several))
    await asyncio.gather(*(database.close() for database in several))


async def test_a_database_lets_listeners_be_told_and_ended(database: Database) -> None:
    heard: list[str] = []
    async with opened(database):
        end = database.listen("notes", lambda: heard.append("notes"))
        await database.write(notify, "notes")
        end()
        end()
        assert set(heard) <= {"notes"}
