# SPDX-License-Identifier: MIT
"""What can be wrong with letters in a database file."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

import stanchion.dead_letters
from stanchion._backoff import Backoff
from stanchion.dead_letters import DeadLetterQueue, SqlStore, Write
from stanchion.dead_letters.migrations import SCHEMA
from stanchion.dead_letters.stores import _tables
from stanchion.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreRejectedError,
    StoreSchemaError,
)
from stanchion.storage import SqliteDatabase
from tests.dead_letters.support import letter

pytestmark = pytest.mark.allow_blocking("the tests themselves look into the file, as another process would")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letters.db"


def run(path: Path, *statements: str) -> list[Any]:
    """Run statements in a connection of our own, and return the rows of the last one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


def read(path: Path) -> bytes:
    return path.read_bytes()


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def refused(store: SqlStore, kind: type[StoreError]) -> str:
    """Return why the store does not open; it must be closed, and open once the cause is gone."""
    with pytest.raises(kind) as caught:
        await store.open()
    with pytest.raises(StoreError, match="expected an open database, got a closed one"):
        await store.get("x")
    assert type(caught.value) is kind
    return str(caught.value)


# --- opening -------------------------------------------------------------------------------------


async def test_nothing_is_left_beside_a_file_that_is_closed(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        await letters.add(recipient="a", message="hi", reason="noproc")
    assert [entry.name for entry in path.parent.iterdir()] == ["letters.db"]


def test_the_front_has_no_other_name() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = stanchion.dead_letters.PickleStore
    assert str(caught.value) == "module 'stanchion.dead_letters' has no attribute 'PickleStore'"


# --- what is wrong with the file -----------------------------------------------------------------


async def test_a_file_that_is_damaged_later_is_corrupt(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        await asyncio.gather(*(letters.add(recipient="a", message=n, reason="noproc") for n in range(500)))
    content = read(path)
    overwrite(path, content[: 4096 * 8] + b"\xaa" * (len(content) - 4096 * 8))
    async with DeadLetterQueue(url) as letters:
        with pytest.raises(StoreCorruptError) as caught:
            await letters.list(limit=1000)
    assert "got database disk image is malformed" in str(caught.value)


async def test_a_schema_of_the_future_is_left_alone(url: str, path: Path) -> None:
    async with DeadLetterQueue(url):
        pass
    run(path, "UPDATE stanchion_dead_letters_version SET version_num = '9999'")
    assert await refused(SqlStore(url), StoreSchemaError) == (
        f"store {url}: expected a schema up to revision 0002, got revision 9999\n"
        "Fix: open it with the release of stanchion that wrote it, or a later one; nothing was changed."
    )
    assert run(path, "SELECT version_num FROM stanchion_dead_letters_version") == [("9999",)]


async def test_a_damaged_field_keeps_no_letter_from_being_read(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        for number in range(2):
            await letters.add(recipient="a", message=number, reason="noproc", metadata={"x": 1})
        run(path, "UPDATE stanchion_dead_letters SET attempts = '[', metadata = 'x' WHERE preview = '0'")
        page = await letters.list()
    assert [(entry.preview, entry.metadata) for entry in page.entries] == [("0", {}), ("1", {"x": 1})]


# --- no room -------------------------------------------------------------------------------------


async def test_a_full_file_refuses_letters_until_there_is_room(url: str) -> None:
    async with DeadLetterQueue(SqlStore(SqliteDatabase(url, max_bytes=300_000))) as letters:
        big = "x" * 200_000
        await letters.add(recipient="a", message=big, reason="noproc")
        with pytest.raises(StoreFullError) as caught:
            await letters.add(recipient="a", message=big, reason="noproc")
        assert str(caught.value) == (
            f"store {url}: expected room for what is written, got database or disk is full\n"
            "Fix: make room on the disk or raise max_bytes=, then purge() what is settled."
        )
        assert (await letters.stats()).waiting == 1
        await letters.purge({"state": "waiting"})
        await letters.add(recipient="a", message=big, reason="noproc")


async def test_a_letter_beyond_the_limit_of_sqlite_fails_alone(url: str) -> None:
    database = SqliteDatabase(url)
    async with DeadLetterQueue(SqlStore(database)) as letters:

        def limit(connection: Any) -> None:
            connection.connection.driver_connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)

        await database.write(limit)
        results = await asyncio.gather(
            *(letters.add(recipient="a", message="x" * size, reason="noproc") for size in (10, 20_000, 20)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [str, StoreRejectedError, str]
        assert str(results[1]) == f"store {url}: expected values that SQLite can keep, got string or blob too big"


async def test_what_the_driver_cannot_bind_is_rejected(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    with pytest.raises(StoreRejectedError, match="surrogates not allowed"):
        await store.write([Write(letter(1, recipient="\udce9"))])
    with pytest.raises(StoreRejectedError, match="too large to convert to SQLite INTEGER"):
        await store.write([Write(letter(1, revision=2**70))])
    assert await store.count() == {}
    await store.close()


async def test_any_other_failure_of_the_database_is_told(url: str, path: Path) -> None:
    store = SqlStore(url)
    await store.open()
    run(path, "DROP TABLE stanchion_dead_letters")
    with pytest.raises(StoreError) as caught:
        await store.count()
    assert str(caught.value) == (
        f"store {url}: expected the database to work, got no such table: stanchion_dead_letters"
    )
    await store.close()


# --- others who use the file ---------------------------------------------------------------------


async def test_a_file_that_another_process_writes_too_long_is_busy(url: str, path: Path) -> None:
    async with DeadLetterQueue(SqlStore(SqliteDatabase(url, busy_timeout=0.01))) as letters:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError) as caught:
                await letters.add(recipient="a", message="hi", reason="noproc")
            assert str(caught.value) == (
                f"store {url}: expected its turn to write within 0.01 s, got database is locked\n"
                "Fix: end the long transaction of the other process, or raise busy_timeout=."
            )
        await letters.add(recipient="a", message="hi", reason="noproc")


async def test_a_listing_goes_on_while_another_process_writes(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        await letters.add(recipient="a", message="hi", reason="noproc")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert len((await letters.list()).entries) == 1


# --- rows that are no letters --------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        "payload = 'abcd'", "created_at = 'k'", "revision = 'z'", "due_at = 'abc'", "state = 'lost', due_at = 0",
        "preview = CAST(x'ff' AS TEXT)", "id = x'00'",
    ],
)  # fmt: skip
async def test_a_row_that_is_no_letter_keeps_no_other_from_being_seen_or_claimed(
    url: str, path: Path, edit: str
) -> None:
    async with DeadLetterQueue(url, backoff=Backoff(initial=0, jitter=0)) as letters:
        bad = await letters.add(recipient="a", message="bad", reason="noproc")
        good = [await letters.add(recipient="a", message="good", reason="noproc") for _ in range(2)]
        run(path, f"UPDATE stanchion_dead_letters SET {edit} WHERE id = '{bad}'")
        page = await letters.list(limit=2)
        later = () if page.next_cursor is None else (await letters.list(cursor=page.next_cursor)).entries
        assert [entry.id for entry in (*page.entries, *later) if entry.id != bad] == good
        claims = [letter.id for _ in range(3) for letter in await letters.claim_due(1)]
        assert [id for id in claims if id != bad] == good
        await letters.stats()


async def test_a_row_that_is_no_letter_is_told_once_and_due_no_more(
    url: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with DeadLetterQueue(url, backoff=Backoff(initial=0, jitter=0)) as letters:
        id = await letters.add(recipient="a", message="bad", reason="noproc")
        run(path, "UPDATE stanchion_dead_letters SET revision = 'z'")
        assert [await letters.claim_due(), await letters.claim_due()] == [[], []]
        assert caplog.messages == [
            f"dead letter {id} cannot be read: Expected `int`, got `str` - at `$.revision`; correct its row, and retry() it"
        ]
        assert await letters.next_due() is None
        with pytest.raises(StoreCorruptError) as caught:
            await letters.get(id)
        run(path, "UPDATE stanchion_dead_letters SET revision = 0")
        await letters.retry(id)
        assert [letter.id for letter in await letters.claim_due()] == [id]
    assert str(caught.value) == (
        f"store {url}: expected a row that is a letter, got Expected `int`, got `str` - at `$.revision`\n"
        "Fix: correct the row by hand, or delete it."
    )


async def test_a_time_that_is_no_number_is_never_the_next(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        await letters.add(recipient="a", message="hi", reason="noproc")
        run(path, "UPDATE stanchion_dead_letters SET due_at = 'abc'")
        assert await letters.next_due() is None


async def test_what_a_column_type_cannot_bind_is_rejected(url: str) -> None:
    store = SqliteDatabase(url)
    await store.open(SCHEMA)
    change = _tables.letters.update().values(payload="text")
    with pytest.raises(StoreRejectedError):
        await store.write(lambda connection: connection.execute(change))
    await store.close()


async def test_a_change_writes_no_payload_again(url: str) -> None:
    told: list[str] = []

    def watch(*args: Any) -> None:
        told.append(args[2])

    event.listen(sa.Engine, "before_cursor_execute", watch)
    try:
        async with DeadLetterQueue(url, backoff=Backoff(initial=0, jitter=0)) as letters:
            await letters.add(recipient="a", message="hi", reason="noproc")
            await letters.claim_due()
    finally:
        event.remove(sa.Engine, "before_cursor_execute", watch)
    (change,) = [text for text in told if text.startswith("UPDATE stanchion_dead_letters SET")]
    assert "state=?" in change
    assert "payload" not in change


# --- closing -------------------------------------------------------------------------------------


async def test_a_file_is_closed_even_when_closing_is_cancelled_while_it_is_busy(url: str, path: Path) -> None:
    letters = DeadLetterQueue(SqlStore(SqliteDatabase(url, busy_timeout=10)))
    await letters.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        adding = asyncio.create_task(letters.add(recipient="a", message="hi", reason="noproc"))
        await asyncio.sleep(0.05)
        task = asyncio.create_task(letters.close())
        for _ in range(2):
            await asyncio.sleep(0.01)
            task.cancel()
        await asyncio.wait([task])
        other.execute("COMMIT")
    await adding
    async with asyncio.timeout(5):
        while [entry.name for entry in path.parent.iterdir()] != ["letters.db"]:  # a log is left while it is open
            await asyncio.sleep(0.01)
