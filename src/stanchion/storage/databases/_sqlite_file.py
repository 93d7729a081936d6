# SPDX-License-Identifier: MIT
"""What is SQLite's own: opening a file so that commits last, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import exc

from stanchion.errors import (
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    StoreRejectedError,
)
from stanchion.storage._schema import Schema, bring_up_to_date

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqliteFile:
    """A SQLite file with one connection that writes and one that reads, each used by one thread.

    Its methods block.

    Args:
        url: ``sqlite:///path``.
        synchronous: SQLite's ``PRAGMA synchronous``.
        busy_timeout: Seconds to wait for other processes that write.
        max_bytes: How large the file may grow.
    """

    def __init__(self, url: str, *, synchronous: str, busy_timeout: float, max_bytes: int | None) -> None:
        self._name = url
        self._path = sa.make_url(url).database or ""
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._max_bytes = max_bytes
        self._opened: list[sa.Connection] = []
        self._writer: sa.Connection  # these two are set by open()
        self._reader: sa.Connection

    def open(self, schemas: Iterable[Schema]) -> None:
        """Connect, unless it is connected, and bring the schemas up to date."""
        if self._opened:
            self.write(self._bring_up_to_date, schemas)
        else:
            self._connect(schemas)

    def _connect(self, schemas: Iterable[Schema]) -> None:
        # isolation_level None: sqlite3 shall begin no transactions of its own. It would begin them as
        # readers, and one that becomes a writer later fails at once when another process writes.
        engine = sa.create_engine(
            self._name,
            poolclass=sa.NullPool,
            connect_args={"isolation_level": None, "check_same_thread": False, "timeout": self._busy_timeout},
        )
        try:
            with self._translated():
                self._writer = self._connection(engine)
                self._prepare(schemas)
                self._reader = self._connection(engine)
                self._reader.exec_driver_sql("PRAGMA query_only = 1")
                self._reader.commit()
        except BaseException:
            self.close()
            raise

    def _connection(self, engine: sa.Engine) -> sa.Connection:
        connection = engine.connect()
        self._opened.append(connection)
        # Text that is no UTF-8, in a row that somebody edited, must not fail the rows that are read with it.
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        driver.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    def close(self) -> None:
        """Close the connections; the last one to close moves the log into the file."""
        while self._opened:
            self._opened.pop().close()

    def write(self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what ``work`` returns, in one transaction that is committed."""
        with self._translated(), self._writer.begin():
            self._writer.exec_driver_sql("BEGIN IMMEDIATE")
            result = work(self._writer, *args, **kwargs)
            # In here, so that a commit that fails is rolled back: SQLAlchemy would leave its transaction open.
            self._writer.exec_driver_sql("COMMIT")
            return result

    def read(self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what ``work`` returns, from one view of the file."""
        with self._translated(), self._reader.begin():
            self._reader.exec_driver_sql("BEGIN")
            return work(self._reader, *args, **kwargs)

    def _prepare(self, schemas: Iterable[Schema]) -> None:
        connection = self._writer
        connection.exec_driver_sql(f"PRAGMA synchronous = {self._synchronous}")
        if self._max_bytes is not None:
            page_size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {max(1, self._max_bytes // page_size)}")
        connection.commit()
        # Before the log, which changes the file: one that a later release wrote is left as it is.
        self.write(self._bring_up_to_date, schemas)
        mode = self._use_wal(connection)
        connection.commit()
        if mode != "wal":
            raise StoreError(
                self._name,
                expected="a file that can have a write-ahead log",
                got=f"one with journal_mode {mode}",
                fix="keep the file on a local disk.",
            )

    def _bring_up_to_date(self, connection: sa.Connection, schemas: Iterable[Schema]) -> None:
        for schema in schemas:
            bring_up_to_date(connection, schema, name=self._name)

    def _use_wal(self, connection: sa.Connection) -> str:
        """Switch the file to a write-ahead log, and return the mode that it is in."""
        return str(connection.exec_driver_sql("PRAGMA journal_mode = wal").scalar_one())

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Raise our errors in place of the driver's."""
        try:
            yield
        except (exc.StatementError, sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> StoreError:
        text = str(getattr(error, "orig", None) or error)
        match _code(error):
            case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR_SHMSIZE:
                return StoreFullError(
                    self._name,
                    expected="room for what is written",
                    got=text,
                    fix="make room on the disk or raise max_bytes=, then purge() what is settled.",
                )
            case code if code == sqlite3.SQLITE_READONLY or (code == sqlite3.SQLITE_CANTOPEN and self._is_read_only()):
                return StoreReadOnlyError(
                    self._name,
                    expected="a file that can be written",
                    got=text,
                    fix="give this user the right to write the file and its folder.",
                )
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return StoreCorruptError(
                    self._name,
                    expected="a SQLite database",
                    got=text,
                    fix="keep the file for rescue (sqlite3's .recover), and start with another one.",
                )
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreError(
                    self._name,
                    expected=f"its turn to write within {self._busy_timeout:g} s",
                    got=text,
                    fix="end the long transaction of the other process, or raise busy_timeout=.",
                )
            case sqlite3.SQLITE_CANTOPEN:
                return StoreError(self._name, expected="a file in an existing folder", got=text, fix=self._path_fix())
            case None | sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_MISMATCH:
                return StoreRejectedError(self._name, expected="values that SQLite can keep", got=text)
            case _:
                return StoreError(self._name, expected="the database to work", got=text)

    def _is_read_only(self) -> bool:
        # On a read-only file system SQLite cannot make its log, and says that it cannot open the file.
        path = Path(self._path)
        return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))

    def _path_fix(self) -> str | None:
        path = Path(self._path)
        if path.is_dir():
            return f"name a file in it: {path / 'app.db'}."
        return None if path.parent.is_dir() else f"create the folder {path.parent}."


def _code(error: Exception) -> int | None:
    """Return SQLite's result code, the primary one but where it says too little; None where the driver refused."""
    cause = getattr(error, "orig", None) or error
    code: int | None = getattr(cause, "sqlite_errorcode", None)
    return code if code is None or code == sqlite3.SQLITE_IOERR_SHMSIZE else code & 0xFF
