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

from stanchion.dead_letters.migrations import SCHEMA
from stanchion.errors import (
    InvalidOptionError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreRejectedError,
)
from stanchion.storage import SqliteDatabase
from stanchion.storage.databases._sqlite_file import SqliteFile

pytestmark = pytest.mark.allow_blocking("the tests themselves look into the file, as another process would")

VALID: dict[str, Any] = {"url": "sqlite:///x.db"}


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def run(path: Path, *statements: str) -> list[Any]:
    """Run statements in a connection of our own, and return the rows of the last one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


def read(path: Path) -> bytes:
    return path.read_bytes()


def tables(connection: sa.Connection) -> list[str]:
    return sa.inspect(connection).get_table_names()


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def refused(database: SqliteDatabase, kind: type[StoreError]) -> str:
    """Return why the database does not open; it must be closed, and open once the cause is gone."""
    with pytest.raises(kind) as caught:
        await database.open(SCHEMA)
    with pytest.raises(StoreError, match="expected an open database, got a closed one"):
        await database.read(tables)
    assert type(caught.value) is kind
    return str(caught.value)


# --- opening ----------------------------------------------------------------------------------------


async def test_a_file_has_a_write_ahead_log_and_commits_to_the_disk(url: str, path: Path) -> None:
    database = SqliteDatabase(url)
    await database.open()
    level = await database.write(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    assert level == 2  # FULL
    assert run(path, "PRAGMA journal_mode") == [("wal",)]
    await database.close()


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2), ("extra", 3)])
async def test_a_file_commits_as_safely_as_it_is_asked_to(url: str, synchronous: str, level: int) -> None:
    database = SqliteDatabase(url, synchronous=synchronous)
    await database.open()
    found = await database.write(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    assert found == level
    await database.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "postgresql://h/d"}, "SqliteDatabase: url: expected sqlite:///path/of/a/file, got 'postgresql://h/d'"),
        ({"url": "app.db"}, "SqliteDatabase: url: expected sqlite:///path/of/a/file, got 'app.db'"),
        (
            {"url": "sqlite+aiosqlite:///x.db"},
            "SqliteDatabase: url: expected sqlite:///path/of/a/file, got 'sqlite+aiosqlite:///x.db'",
        ),
        (
            {"url": "sqlite://"},
            (
                "SqliteDatabase: url: expected sqlite:///path/of/a/file, got 'sqlite://'\n"
                "Fix: name a file: what is durable cannot be in memory."
            ),
        ),
        (
            {"url": "sqlite:///:memory:"},
            (
                "SqliteDatabase: url: expected sqlite:///path/of/a/file, got 'sqlite:///:memory:'\n"
                "Fix: name a file: what is durable cannot be in memory."
            ),
        ),
        (
            {"synchronous": "off"},
            "SqliteDatabase: synchronous: expected one of 'normal', 'full', 'extra', got 'off'",
        ),
        ({"url": 7}, "SqliteDatabase: url: expected sqlite:///path/of/a/file, got 7"),
        ({"max_bytes": 0}, "SqliteDatabase: max_bytes: expected a whole number >= 1, got 0"),
        (
            {"busy_timeout": -1},
            "SqliteDatabase: busy_timeout: expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
    ],
)
def test_a_database_is_refused_when_an_option_is_wrong(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        SqliteDatabase(**(VALID | options))
    assert str(caught.value) == text


# --- what is wrong with the path --------------------------------------------------------------------


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/missing/app.db"
    assert await refused(SqliteDatabase(url), StoreError) == (
        f"store {url}: expected a file in an existing folder, got unable to open database file\n"
        f"Fix: create the folder {tmp_path}/missing."
    )


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert await refused(SqliteDatabase(f"sqlite:///{tmp_path}"), StoreError) == (
        f"store sqlite:///{tmp_path}: expected a file in an existing folder, got unable to open database file\n"
        f"Fix: name a file in it: {tmp_path}/app.db."
    )


async def test_a_file_that_cannot_be_opened_is_told_without_a_guess(tmp_path: Path) -> None:
    (tmp_path / "app.db").symlink_to("app.db")
    text = await refused(SqliteDatabase(f"sqlite:///{tmp_path}/app.db"), StoreError)
    assert text.endswith("got unable to open database file")


# --- what is wrong with the file --------------------------------------------------------------------


async def test_a_file_that_is_no_database_is_corrupt(url: str, path: Path) -> None:
    content = b"no database at all " * 100
    overwrite(path, content)
    assert await refused(SqliteDatabase(url), StoreCorruptError) == (
        f"store {url}: expected a SQLite database, got file is not a database\n"
        "Fix: keep the file for rescue (sqlite3's .recover), and start with another one."
    )
    assert read(path) == content


async def test_a_file_that_cannot_be_written_is_read_only(url: str, path: Path) -> None:
    database = SqliteDatabase(url)
    await database.open(SCHEMA)
    await database.close()
    read_only = f"sqlite:///file:{path}?mode=ro&uri=true"
    assert await refused(SqliteDatabase(read_only), StoreReadOnlyError) == (
        f"store {read_only}: expected a file that can be written, got attempt to write a readonly database\n"
        "Fix: give this user the right to write the file and its folder."
    )


async def test_a_file_without_a_log_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # SQLite falls back to another mode where the file system has no shared memory.
    monkeypatch.setattr(SqliteFile, "_use_wal", lambda *_: "delete")
    assert await refused(SqliteDatabase(url), StoreError) == (
        f"store {url}: expected a file that can have a write-ahead log, got one with journal_mode delete\n"
        "Fix: keep the file on a local disk."
    )


def file_at(path: Path) -> SqliteFile:
    return SqliteFile(f"sqlite:///{path}", synchronous="full", busy_timeout=5.0, max_bytes=None)


def sqlite_error(code: int, text: str) -> sqlite3.OperationalError:
    """Return what the driver raises on a disk that a test cannot have."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def test_full_disk_is_named_as_such_when_the_log_cannot_be_made(tmp_path):
    file = file_at(tmp_path / "x.db")
    error = file._error(sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE, "disk I/O error"))
    assert isinstance(error, StoreFullError)
    assert "expected room for what is written, got disk I/O error" in str(error)


def test_read_only_file_system_is_named_as_such_when_sqlite_says_it_cannot_open(tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    path.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    file = file_at(path)
    error = file._error(sqlite_error(sqlite3.SQLITE_CANTOPEN, "unable to open database file"))
    assert isinstance(error, StoreReadOnlyError)
    assert "expected a file that can be written, got unable to open database file" in str(error)


async def test_commit_that_is_refused_is_undone_and_holds_up_no_other(tmp_path: Path) -> None:
    def add_without_parent(connection: sa.Connection) -> None:
        for statement in (
            "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
            "CREATE TABLE children (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
            "COMMIT",
            "PRAGMA foreign_keys = on",
            "BEGIN IMMEDIATE",
            "INSERT INTO children VALUES (7)",
        ):
            connection.exec_driver_sql(statement)

    def count(connection: sa.Connection) -> object:
        return connection.exec_driver_sql("SELECT count(*) FROM children").scalar()

    database = SqliteDatabase(f"sqlite:///{tmp_path}/app.db")
    await database.open()
    with pytest.raises(StoreRejectedError, match="FOREIGN KEY constraint failed"):
        await database.write(add_without_parent)
    assert await database.write(count) == 0
    await database.close()


# --- others who use the file ------------------------------------------------------------------------


async def test_opening_waits_for_another_that_reads_the_file(url: str, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM theirs").fetchall()
        database = SqliteDatabase(url, busy_timeout=10)
        opening = asyncio.create_task(database.open(SCHEMA))
        done, _ = await asyncio.wait([opening], timeout=0.2)
        assert not done
        other.execute("COMMIT")
        await opening
    await database.close()
    assert run(path, "SELECT name FROM sqlite_master WHERE name = 'theirs'") == [("theirs",)]


async def test_opening_gives_up_when_the_file_is_busy_for_too_long(url: str, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM theirs").fetchall()
        text = await refused(SqliteDatabase(url, busy_timeout=0.05), StoreError)
    assert "expected its turn to write within 0.05 s, got database is locked" in text


@pytest.fixture
def reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """Return a connection that begins to read just before the file is switched to its log."""
    switch = SqliteFile._use_wal

    def read_first(file: SqliteFile, connection: Any) -> str:
        other.execute("BEGIN")
        other.execute("SELECT * FROM sqlite_master").fetchall()
        return switch(file, connection)

    monkeypatch.setattr(SqliteFile, "_use_wal", read_first)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        yield other


async def test_opening_waits_to_switch_the_file_to_its_log(url: str, reader: sqlite3.Connection) -> None:
    database = SqliteDatabase(url, busy_timeout=10)
    opening = asyncio.create_task(database.open(SCHEMA))
    done, _ = await asyncio.wait([opening], timeout=0.5)
    assert not done
    reader.execute("COMMIT")
    await opening
    await database.close()


async def test_opening_gives_up_to_switch_the_file_to_its_log(url: str, reader: sqlite3.Connection) -> None:
    text = await refused(SqliteDatabase(url, busy_timeout=0.05), StoreError)
    assert "expected its turn to write within 0.05 s, got database is locked" in text


async def test_a_database_is_closed_when_its_opening_is_cancelled(url: str) -> None:
    database = SqliteDatabase(url)
    opening = asyncio.create_task(database.open(SCHEMA))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    with pytest.raises(StoreError):
        await database.read(tables)
    await database.open()
    await database.close()
