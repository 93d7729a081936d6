# SPDX-License-Identifier: MIT
"""What can be wrong with a PostgreSQL server, and what is done about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from stanchion.dead_letters import DeadLetterQueue, SqlStore
from stanchion.dead_letters.migrations import SCHEMA
from stanchion.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreRejectedError,
    StoreUncertainError,
)
from stanchion.storage import PostgresDatabase, notify
from stanchion.storage.databases._postgres_errors import is_lost
from tests.postgres import PostgresServer, execute_async

notes = sa.Table("notes", sa.MetaData(), sa.Column("text", sa.Text, primary_key=True))


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncGenerator[PostgresDatabase]:
    database = PostgresDatabase(url, **options)
    await database.open()
    try:
        await database.write(lambda connection: notes.create(connection, checkfirst=True))
        yield database
    finally:
        await database.close()


def add(connection: sa.Connection, text: str) -> None:
    connection.execute(notes.insert().values(text=text))


def all_of(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(notes.c.text).order_by(notes.c.text)).scalars())


def sessions(connection: sa.Connection) -> list[int]:
    """Return the process ids of the server's sessions that look like the caller's."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
    return list(connection.execute(sa.text(query)).scalars())


def raising(code: str) -> sa.TextClause:
    """Return a statement that fails with an SQLSTATE."""
    return sa.text(f"DO $$ BEGIN RAISE EXCEPTION 'told to' USING ERRCODE = '{code}'; END $$")


def named(url: str) -> str:
    """Return the URL with an application name of the test's own."""
    return f"{url}&application_name={url[-16:]}"


async def cut(url: str, pids: list[int]) -> None:
    await execute_async(url, *(f"SELECT pg_terminate_backend({pid}, 5000)" for pid in pids))


# --- who cannot connect --------------------------------------------------------------------------


async def refused(url: str, **options: Any) -> StoreError:
    database = PostgresDatabase(url, **options)
    with pytest.raises(StoreError) as caught:
        await database.open()
    with pytest.raises(StoreError, match="expected an open database, got a closed one"):
        await database.read(all_of)
    return caught.value


async def test_server_that_is_not_there_is_told_at_once(unused_port: int) -> None:
    error = await refused(f"postgresql://ada:secret@127.0.0.1:{unused_port}/app", connect_timeout=60)
    assert str(error) == (
        f"store postgresql://ada:***@127.0.0.1:{unused_port}/app: expected a server that takes connections at "
        f"127.0.0.1:{unused_port}, got [Errno 111] Connect call failed ('127.0.0.1', {unused_port})\n"
        "Fix: start the server, or correct host and port in the URL."
    )


async def test_database_that_does_not_exist_is_told(own_postgres: PostgresServer) -> None:
    url = own_postgres.url.removesuffix("postgres") + "nowhere"
    assert str(await refused(url)) == (
        f'store {url}: expected an existing database, got database "nowhere" does not exist\nFix: createdb nowhere'
    )


async def test_user_that_does_not_exist_is_told(own_postgres: PostgresServer) -> None:
    url = own_postgres.url.replace("postgres@", "nobody@")
    assert str(await refused(url)) == (
        f'store {url}: expected a user who may connect, got role "nobody" does not exist\n'
        "Fix: correct user and password in the URL, or the server's pg_hba.conf."
    )


async def test_session_that_must_not_write_is_told_before_there_is_anything_to_write(postgres_url: str) -> None:
    url = f"{postgres_url}&default_transaction_read_only=on"
    async with opened(postgres_url):
        pass
    database = PostgresDatabase(url)
    await database.open()
    with pytest.raises(StoreReadOnlyError) as caught:
        await database.write(add, "a")
    await database.close()
    assert str(caught.value) == (
        f"store {database.name}: expected a server that can be written, got cannot execute INSERT in a read-only transaction\n"
        "Fix: name the primary, not a standby; or turn default_transaction_read_only off."
    )


async def test_wrong_option_in_the_url_is_told(postgres_url: str) -> None:
    error = await refused(f"{postgres_url}&no_such_setting=1")
    assert str(error).endswith(
        'expected the database to work, got unrecognized configuration parameter "no_such_setting"'
    )


# --- who may not make tables, and where tables are -----------------------------------------------


async def test_user_who_may_not_make_tables_is_told_what_to_grant_and_needs_no_such_right_later(
    own_postgres: PostgresServer,
) -> None:
    await execute_async(own_postgres.url, "CREATE ROLE clerk LOGIN", "CREATE DATABASE letters")
    url = f"{own_postgres.url.removesuffix('postgres')}letters"
    clerks = url.replace("postgres@", "clerk@")
    database, admins = PostgresDatabase(clerks), PostgresDatabase(url)
    with pytest.raises(StoreReadOnlyError) as caught:
        await database.open(SCHEMA)
    await admins.open(SCHEMA)
    await admins.close()
    await execute_async(url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk")
    async with DeadLetterQueue(SqlStore(database)) as letters:
        id = await letters.add(recipient="a", message="hi", reason="noproc")
        assert (await letters.discard(id)).state == "discarded"
        assert await letters.purge() == 1
    await execute_async(own_postgres.url, "DROP DATABASE letters", "DROP ROLE clerk")
    assert str(caught.value) == (
        f"store {clerks}: expected a user with the right to do this, got permission denied for schema public\n"
        "Fix: GRANT it to this user; to make tables: GRANT CREATE ON SCHEMA public TO ..., in letters."
    )


async def test_tables_are_found_in_any_schema_of_the_search_path_and_made_in_its_first(postgres_url: str) -> None:
    schema = postgres_url.rpartition("=")[2]
    version = f"SELECT version_num FROM {schema}.{SCHEMA.version_table}"
    for path in (schema, f"nowhere,{schema}", f"{schema},public"):
        database = PostgresDatabase(postgres_url.replace(f"search_path={schema}", f"search_path={path}"))
        await database.open(SCHEMA)
        await database.close()
        assert await execute_async(postgres_url, version) == [(SCHEMA.head,)]


# --- what the server says no to ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (
            "53100",
            StoreFullError,
            (
                "expected room for what is written, got told to\n"
                "Fix: make room on the server's disk, then purge() what is settled."
            ),
        ),
        (
            "53300",
            StoreError,
            (
                "expected a free connection, got told to\n"
                "Fix: raise the server's max_connections, or lower connections=."
            ),
        ),
        (
            "28P01",
            StoreError,
            (
                "expected a user who may connect, got told to\n"
                "Fix: correct user and password in the URL, or the server's pg_hba.conf."
            ),
        ),
        (
            "42501",
            StoreReadOnlyError,
            (
                "expected a user with the right to do this, got told to\n"
                "Fix: GRANT it to this user; to make tables: GRANT CREATE ON SCHEMA public TO ..., in test."
            ),
        ),
        (
            "XX001",
            StoreCorruptError,
            ("expected a sound database, got told to\nFix: restore it from a backup; the server's log says more."),
        ),
        ("22003", StoreRejectedError, "expected values that PostgreSQL can keep, got told to"),
        ("40001", StoreError, "expected the database to work, got told to"),
        ("57P01", StoreError, "expected a connection that lasts, got told to\nFix: see the server's log."),
        ("P0001", StoreError, "expected the database to work, got told to"),
    ],
)
async def test_error_of_the_server_says_what_to_do(
    postgres_url: str, code: str, kind: type[StoreError], text: str
) -> None:
    async with opened(postgres_url) as database:
        with pytest.raises(StoreError) as caught:
            await database.write(lambda connection: connection.execute(raising(code)))
        await database.write(add, "a")
    assert type(caught.value) is kind
    assert str(caught.value).replace("in postgres.", "in test.") == f"store {database.name}: {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("zero\0zero", 'invalid byte sequence for encoding "UTF8": 0x00'),
        ("\udce9", "invalid input for query argument $1: '\\udce9'"),
        (7, "invalid input for query argument $1: 7 (expected str, got int)"),
    ],
)
async def test_value_that_postgres_cannot_keep_is_rejected(postgres_url: str, value: Any, text: str) -> None:
    async with opened(postgres_url) as database:
        with pytest.raises(StoreRejectedError) as caught:
            await database.write(add, value)
    assert str(caught.value).startswith(f"store {database.name}: expected values that PostgreSQL can keep, got {text}")


async def test_value_that_is_there_already_is_rejected(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await database.write(add, "a")
        with pytest.raises(StoreRejectedError, match='violates unique constraint "notes_pkey"'):
            await database.write(add, "a")


async def test_parameters_that_fit_no_statement_are_rejected(postgres_url: str) -> None:
    statement = sa.text("SELECT :one")
    async with opened(postgres_url) as database:
        with pytest.raises(StoreRejectedError, match="A value is required for bind parameter 'one'"):
            await database.write(lambda connection: connection.execute(statement))


async def test_statement_that_takes_too_long_is_given_up(postgres_url: str) -> None:
    async with opened(postgres_url, timeout=0.2) as database:
        with pytest.raises(StoreError) as caught:
            await database.write(lambda connection: connection.execute(sa.text("SELECT pg_sleep(10)")))
        await database.write(add, "a")
    assert str(caught.value) == (
        f"store {database.name}: expected an answer within 0.2 s, got none\n"
        "Fix: look for locks in pg_stat_activity, or raise timeout=."
    )


async def test_write_waits_for_a_free_connection_until_its_time_is_up(postgres_url: str) -> None:
    async with opened(postgres_url, timeout=0.5, connections=1) as database:
        sleep = sa.text("SELECT pg_sleep(0.2)")
        waiting = [asyncio.create_task(database.write(lambda it: [it.execute(sleep) for _ in range(5)]))]
        await asyncio.sleep(0.05)
        with pytest.raises(StoreError) as caught:
            await database.write(add, "a")
        await asyncio.gather(*waiting)
        await database.write(add, "b")
    assert str(caught.value).startswith(
        f"store {database.name}: expected a free connection within 0.5 s, "
        "got QueuePool limit of size 1 overflow 0 reached"
    )
    assert str(caught.value).endswith("Fix: raise connections=, or look for locks in pg_stat_activity.")


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_transaction_that_the_server_undid_for_another_is_tried_again(postgres_url: str, code: str) -> None:
    tries: list[int] = []

    def work(connection: sa.Connection) -> None:
        add(connection, "a")
        tries.append(1)
        if len(tries) < 3:
            connection.execute(raising(code))

    async with opened(postgres_url) as database:
        await database.write(work)
        assert await database.read(all_of) == ["a"]
    assert len(tries) == 3


@pytest.mark.parametrize(("level", "set_to"), [(None, "on"), ("off", "off"), ("local", "local")])
async def test_session_waits_for_its_commits_as_it_is_told_to(
    postgres_url: str, level: str | None, set_to: str
) -> None:
    async with opened(postgres_url, synchronous_commit=level) as database:
        found = await database.read(lambda it: it.execute(sa.text("SHOW synchronous_commit")).scalar_one())
    assert found == set_to


# --- connections that break ----------------------------------------------------------------------


async def test_next_transaction_has_a_fresh_connection_when_all_were_cut(postgres_url: str) -> None:
    async with opened(named(postgres_url)) as database:
        await asyncio.gather(*(database.write(add, f"early {number}") for number in range(5)))
        await cut(postgres_url, await database.read(sessions))
        await asyncio.gather(*(database.write(add, f"late {number}") for number in range(5)))
        await cut(postgres_url, await database.read(sessions))
        assert len(await database.read(all_of)) == 10


async def test_transaction_that_was_cut_before_its_commit_is_tried_again(postgres_url: str) -> None:
    pids: list[int] = []
    other = PostgresDatabase(postgres_url)
    await other.open()
    cutting: list[asyncio.Task[Any]] = []

    def work(connection: sa.Connection) -> None:
        add(connection, "a")
        pids.append(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
        if len(pids) == 1:
            kill = sa.text(f"SELECT pg_terminate_backend({pids[0]}, 5000)")
            cutting.append(asyncio.ensure_future(other.write(lambda it: it.execute(kill))))
            connection.execute(sa.text("SELECT pg_sleep(10)"))

    async with opened(postgres_url) as database:
        await database.write(work)
        assert await database.read(all_of) == ["a"]
    assert len(set(pids)) == 2
    await asyncio.gather(*cutting)
    await other.close()


async def test_transaction_is_tried_again_when_the_driver_lost_its_way_before_the_commit(postgres_url: str) -> None:
    pids: list[int] = []

    def work(connection: sa.Connection) -> None:
        pids.append(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
        if len(pids) == 1:
            driver: Any = connection.connection.driver_connection
            assert driver is not None
            driver.terminate()
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        add(connection, "a")

    async with opened(postgres_url) as database:
        await database.write(work)
        assert await database.read(all_of) == ["a"]
    assert len(set(pids)) == 2


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (
            "pg_terminate_backend(pg_backend_pid())",
            "connection was closed in the middle of operation: terminating connection due to administrator command",
        ),
        ("pg_sleep(10)", "none within 0.5 s"),
    ],
)
async def test_nobody_knows_what_became_of_a_commit_during_which_the_connection_broke(
    postgres_url: str, ending: str, text: str
) -> None:
    async with opened(postgres_url, timeout=0.5) as database:
        await execute_async(
            postgres_url,
            f"CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM {ending}; RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION die()",
        )
        with pytest.raises(StoreUncertainError) as caught:
            await database.write(add, "a")
        await execute_async(postgres_url, "DROP FUNCTION die CASCADE")
        await database.write(add, "b")
    assert str(caught.value) == (
        f"store {database.name}: expected an answer to the commit, got {text}\n"
        "Fix: look whether it is stored; whoever wrote it does not know."
    )


async def test_commit_that_the_server_refuses_is_no_riddle(postgres_url: str) -> None:
    async with opened(postgres_url) as database:
        await execute_async(
            postgres_url,
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$",
            "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION no()",
        )
        with pytest.raises(StoreFullError, match="got no room"):
            await database.write(add, "a")
        assert await database.read(all_of) == []


async def test_write_waits_for_a_server_that_restarts(own_postgres: PostgresServer) -> None:
    async with opened(own_postgres.url) as database:
        await database.write(add, "a")
        await asyncio.to_thread(own_postgres.stop)
        writing = asyncio.create_task(database.write(add, "b"))
        done, _ = await asyncio.wait([writing], timeout=0.2)
        assert not done
        await asyncio.to_thread(own_postgres.start)
        await writing
        assert await database.read(all_of) == ["a", "b"]
        await database.write(notes.drop)


async def test_write_fails_when_the_server_is_away_for_too_long(own_postgres: PostgresServer) -> None:
    async with opened(own_postgres.url, connect_timeout=0.3) as database:
        await asyncio.to_thread(own_postgres.stop, "immediate")
        with pytest.raises(StoreError, match="expected a server that takes connections"):
            await database.write(add, "a")
        await asyncio.to_thread(own_postgres.start)
        await database.write(add, "b")
        assert await database.read(all_of) == ["b"]
        await database.write(notes.drop)


# --- listening -----------------------------------------------------------------------------------


async def test_listener_hears_what_another_database_tells(postgres_url: str) -> None:
    async with opened(postgres_url) as database, opened(postgres_url) as other:
        heard = asyncio.Event()
        silent: list[str] = []
        database.listen("notes", heard.set)
        await heard.wait()  # once, when it listens
        heard.clear()
        database.listen("else", lambda: silent.append("else"))
        await other.write(notify, "notes")
        await asyncio.wait_for(heard.wait(), 5)
        assert silent == []


async def test_listener_hears_nothing_of_a_transaction_that_was_undone(postgres_url: str) -> None:
    told, end = f"told {postgres_url}", f"end {postgres_url}"  # other tests use the same database

    def fail(connection: sa.Connection) -> None:
        notify(connection, told)
        raise ZeroDivisionError

    async with opened(postgres_url) as database:
        heard: asyncio.Queue[str] = asyncio.Queue()
        database.listen(told, lambda: heard.put_nowait("notes"))
        database.listen(end, lambda: heard.put_nowait("end"))
        assert [await heard.get(), await heard.get()] == ["notes", "end"]
        with pytest.raises(ZeroDivisionError):
            await database.write(fail)
        await database.write(notify, end)
        assert await heard.get() == "end"


async def test_listener_is_called_and_listens_again_when_its_connection_was_cut(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stanchion.storage.databases._postgres_listener._PAUSE", 0.01)
    async with opened(named(postgres_url)) as database, opened(postgres_url) as other:
        heard: asyncio.Queue[str] = asyncio.Queue()
        database.listen("notes", lambda: heard.put_nowait("notes"))
        await heard.get()
        await cut(postgres_url, await database.read(sessions))
        await heard.get()  # something may have been told meanwhile
        await other.write(notify, "notes")
        await heard.get()


async def test_listener_is_polled_and_told_of_while_the_server_is_away(
    own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("stanchion.storage.databases._postgres_listener._PAUSE", 0.01)
    database = PostgresDatabase(own_postgres.url, connect_timeout=0.1)
    await database.open()
    heard = asyncio.Event()
    database.listen("notes", heard.set)
    await heard.wait()
    heard.clear()
    await asyncio.to_thread(own_postgres.stop)
    while not (told := [record.getMessage() for record in caplog.records if record.name == "stanchion.storage"]):
        await asyncio.sleep(0.01)
    assert told[0].startswith(f"{database.name} cannot be listened to, and is polled meanwhile: store")
    await asyncio.to_thread(own_postgres.start)
    await asyncio.wait_for(heard.wait(), 5)
    await database.close()


def test_connection_that_broke_in_the_middle_of_something_is_lost() -> None:
    assert is_lost(asyncpg.InternalClientError("got result for unknown protocol state 3"))
