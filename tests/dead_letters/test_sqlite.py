# SPDX-License-Identifier: MIT
"""What can be wrong with a database file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

import stanchion.dead_letters
from stanchion._backoff import Backoff
from stanchion.dead_letters import DeadLetterQueue, LetterFilter, SqlStore, Write
from stanchion.dead_letters.stores import _sqlite, _tables
from stanchion.errors import (
    InvalidOptionError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreRejectedError,
    StoreSchemaError,
)
from tests.dead_letters.support import letter

pytestmark = pytest.mark.allow_blocking("the tests themselves look into the file, as another process would")


VALID: dict[str, Any] = {"url": "sqlite:///x.db"}


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
    with pytest.raises(StoreError, match="expected an open store, got a closed one"):
        await store.get("x")
    assert type(caught.value) is kind
    return str(caught.value)


# --- opening -------------------------------------------------------------------------------------


async def test_a_file_has_a_write_ahead_log_and_commits_to_the_disk(url: str, path: Path) -> None:
    store = SqlStore(url)
    await store.open()
    assert store._open is not None
    file = store._open.file
    level = await store._open.writing.run(
        file.write, lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    )
    assert level == 2  # FULL
    assert run(path, "PRAGMA journal_mode") == [("wal",)]
    await store.close()


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2), ("extra", 3)])
async def test_a_file_commits_as_safely_as_it_is_asked_to(url: str, synchronous: str, level: int) -> None:
    store = SqlStore(url, synchronous=synchronous)
    await store.open()
    assert store._open is not None
    found = await store._open.writing.run(
        store._open.file.write, lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    )
    assert found == level
    await store.close()


async def test_nothing_is_left_beside_a_file_that_is_closed(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        await letters.add(recipient="a", message="hi", reason="noproc")
    assert [entry.name for entry in path.parent.iterdir()] == ["letters.db"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "postgresql://h/d"}, "SqlStore: url: expected sqlite:///path/of/a/file, got 'postgresql://h/d'"),
        ({"url": "letters.db"}, "SqlStore: url: expected sqlite:///path/of/a/file, got 'letters.db'"),
        (
            {"url": "sqlite+aiosqlite:///x.db"},
            "SqlStore: url: expected sqlite:///path/of/a/file, got 'sqlite+aiosqlite:///x.db'",
        ),
        (
            {"url": "sqlite://"},
            (
                "SqlStore: url: expected sqlite:///path/of/a/file, got 'sqlite://'\n"
                'Fix: name a file, or use "memory:" for letters in memory.'
            ),
        ),
        (
            {"url": "sqlite:///:memory:"},
            (
                "SqlStore: url: expected sqlite:///path/of/a/file, got 'sqlite:///:memory:'\n"
                'Fix: name a file, or use "memory:" for letters in memory.'
            ),
        ),
        (
            {"synchronous": "off"},
            "SqlStore: synchronous: expected one of 'normal', 'full', 'extra', got 'off'",
        ),
        ({"url": 7}, "SqlStore: url: expected sqlite:///path/of/a/file, got 7"),
        ({"max_bytes": 0}, "SqlStore: max_bytes: expected a whole number >= 1, got 0"),
        (
            {"busy_timeout": -1},
            "SqlStore: busy_timeout: expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
    ],
)
def test_a_store_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        SqlStore(**(VALID | options))
    assert str(caught.value) == text


def test_the_front_has_no_other_name() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = stanchion.dead_letters.PickleStore
    assert str(caught.value) == "module 'stanchion.dead_letters' has no attribute 'PickleStore'"


# --- what is wrong with the path -----------------------------------------------------------------


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/missing/letters.db"
    assert await refused(SqlStore(url), StoreError) == (
        f"store {url}: expected a file in an existing folder, got unable to open database file\n"
        f"Fix: create the folder {tmp_path}/missing."
    )


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert await refused(SqlStore(f"sqlite:///{tmp_path}"), StoreError) == (
        f"store sqlite:///{tmp_path}: expected a file in an existing folder, got unable to open database file\n"
        f"Fix: name a file in it: {tmp_path}/letters.db."
    )


async def test_a_file_that_cannot_be_opened_is_told_without_a_guess(tmp_path: Path) -> None:
    (tmp_path / "letters.db").symlink_to("letters.db")
    text = await refused(SqlStore(f"sqlite:///{tmp_path}/letters.db"), StoreError)
    assert text.endswith("got unable to open database file")


# --- what is wrong with the file -----------------------------------------------------------------


async def test_a_file_that_is_no_database_is_corrupt(url: str, path: Path) -> None:
    content = b"no database at all " * 100
    overwrite(path, content)
    assert await refused(SqlStore(url), StoreCorruptError) == (
        f"store {url}: expected a SQLite database, got file is not a database\n"
        "Fix: keep the file for rescue (sqlite3's .recover), and start with another one."
    )
    assert read(path) == content


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
        f"store {url}: expected a schema up to revision 0001, got revision 9999\n"
        "Fix: open it with the release of stanchion that wrote it, or a later one; nothing was changed."
    )
    assert run(path, "SELECT version_num FROM stanchion_dead_letters_version") == [("9999",)]


async def test_a_file_that_cannot_be_written_is_read_only(url: str, path: Path) -> None:
    async with DeadLetterQueue(url):
        pass
    read_only = f"sqlite:///file:{path}?mode=ro&uri=true"
    assert await refused(SqlStore(read_only), StoreReadOnlyError) == (
        f"store {read_only}: expected a file that can be written, got attempt to write a readonly database\n"
        "Fix: give this user the right to write the file and its folder."
    )


async def test_a_file_without_a_log_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite falls back to another mode where the file system has no shared memory.
    monkeypatch.setattr(_sqlite.SqliteFile, "_use_wal", lambda *_: "delete")
    assert await refused(SqlStore(url), StoreError) == (
        f"store {url}: expected a file that can have a write-ahead log, got one with journal_mode delete\n"
        "Fix: keep the file on a local disk."
    )


async def test_a_damaged_field_keeps_no_letter_from_being_read(url: str, path: Path) -> None:
    async with DeadLetterQueue(url) as letters:
        for number in range(2):
            await letters.add(recipient="a", message=number, reason="noproc", metadata={"x": 1})
        run(path, "UPDATE stanchion_dead_letters SET attempts = '[', metadata = 'x' WHERE preview = '0'")
        page = await letters.list()
    assert [(entry.preview, entry.metadata) for entry in page.entries] == [("0", {}), ("1", {"x": 1})]


# --- no room -------------------------------------------------------------------------------------


async def test_a_full_file_refuses_letters_until_there_is_room(url: str) -> None:
    async with DeadLetterQueue(SqlStore(url, max_bytes=300_000)) as letters:
        big = "x" * 200_000
        await letters.add(recipient="a", message=big, reason="noproc")
        with pytest.raises(StoreFullError) as caught:
            await letters.add(recipient="a", message=big, reason="noproc")
        assert str(caught.value) == (
            f"store {url}: expected room for the letter, got database or disk is full\n"
            "Fix: make room on the disk or raise max_bytes=, then purge() what is settled."
        )
        assert (await letters.stats()).waiting == 1
        await letters.purge({"state": "waiting"})
        await letters.add(recipient="a", message=big, reason="noproc")


async def test_a_letter_beyond_the_limit_of_sqlite_fails_alone(url: str) -> None:
    store = SqlStore(url)
    async with DeadLetterQueue(store) as letters:
        assert store._open is not None
        file = store._open.file

        def limit(connection: Any) -> None:
            connection.connection.driver_connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)

        await store._open.writing.run(file.write, limit)
        results = await asyncio.gather(
            *(letters.add(recipient="a", message="x" * size, reason="noproc") for size in (10, 20_000, 20)),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [str, StoreRejectedError, str]
        assert str(results[1]) == f"store {url}: expected a letter that SQLite can keep, got string or blob too big"


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
    async with DeadLetterQueue(SqlStore(url, busy_timeout=0.01)) as letters:
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


async def test_opening_waits_for_another_that_reads_the_file(url: str, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM theirs").fetchall()
        store = SqlStore(url, busy_timeout=10)
        opening = asyncio.create_task(store.open())
        done, _ = await asyncio.wait([opening], timeout=0.2)
        assert not done
        other.execute("COMMIT")
        await opening
    await store.close()
    assert run(path, "SELECT name FROM sqlite_master WHERE name = 'theirs'") == [("theirs",)]


async def test_opening_gives_up_when_the_file_is_busy_for_too_long(url: str, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM theirs").fetchall()
        text = await refused(SqlStore(url, busy_timeout=0.05), StoreError)
    assert "expected its turn to write within 0.05 s, got database is locked" in text


@pytest.fixture
def reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Return a connection that begins to read just before the file is switched to its log."""
    switch = _sqlite.SqliteFile._use_wal

    def read_first(file: _sqlite.SqliteFile, connection: Any) -> str:
        other.execute("BEGIN")
        other.execute("SELECT * FROM sqlite_master").fetchall()
        return switch(file, connection)

    monkeypatch.setattr(_sqlite.SqliteFile, "_use_wal", read_first)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        yield other


async def test_opening_waits_to_switch_the_file_to_its_log(url: str, reader: sqlite3.Connection) -> None:
    store = SqlStore(url, busy_timeout=10)
    opening = asyncio.create_task(store.open())
    done, _ = await asyncio.wait([opening], timeout=0.5)
    assert not done
    reader.execute("COMMIT")
    await opening
    await store.close()


async def test_opening_gives_up_to_switch_the_file_to_its_log(url: str, reader: sqlite3.Connection) -> None:
    text = await refused(SqlStore(url, busy_timeout=0.05), StoreError)
    assert "expected its turn to write within 0.05 s, got database is locked" in text


async def test_a_store_is_closed_when_its_opening_is_cancelled(url: str) -> None:
    store = SqlStore(url)
    opening = asyncio.create_task(store.open())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    with pytest.raises(StoreError):
        await store.page(LetterFilter(), cursor=None, limit=1, newest_first=False)
    await store.open()
    await store.close()


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
    store = SqlStore(url)
    await store.open()
    assert store._open is not None
    change = _tables.letters.update().values(payload="text")
    with pytest.raises(StoreRejectedError):
        await store._open.writing.run(store._open.file.write, lambda connection: connection.execute(change))
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
    letters = DeadLetterQueue(SqlStore(url, busy_timeout=10))
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


def file_at(path: Path) -> _sqlite.SqliteFile:
    return _sqlite.SqliteFile(f"sqlite:///{path}", synchronous="full", busy_timeout=5.0, max_bytes=None)


def sqlite_error(code: int, text: str) -> sqlite3.OperationalError:
    """Return what the driver raises on a disk that a test cannot have."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def test_full_disk_is_named_as_such_when_the_log_cannot_be_made(tmp_path):
    file = file_at(tmp_path / "x.db")
    error = file._error(sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE, "disk I/O error"))
    assert isinstance(error, StoreFullError)
    assert "expected room for the letter, got disk I/O error" in str(error)


def test_read_only_file_system_is_named_as_such_when_sqlite_says_it_cannot_open(tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    path.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    file = file_at(path)
    error = file._error(sqlite_error(sqlite3.SQLITE_CANTOPEN, "unable to open database file"))
    assert isinstance(error, StoreReadOnlyError)
    assert "expected a file that can be written, got unable to open database file" in str(error)
