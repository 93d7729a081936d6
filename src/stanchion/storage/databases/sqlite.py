# SPDX-License-Identifier: MIT
"""A database in an SQLite file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from stanchion._validate import Seconds, cut, one_of, seconds, whole_number
from stanchion.errors import InvalidOptionError, StoreError
from stanchion.storage._schema import Schema
from stanchion.storage.databases._lane import Lane
from stanchion.storage.databases._sqlite_file import SqliteFile

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqliteDatabase:
    """An SQLite file; several processes of one machine may share it.

    The file has a write-ahead log (``-wal`` and ``-shm`` files beside it while it is open).

    Args:
        url: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``. The folder must exist.
        synchronous: What a commit survives. ``"full"`` and ``"extra"``: a crash of the process, and loss of
            power. ``"normal"``: a crash of the process; loss of power may take the last commits with it,
            and leaves the file sound.
        busy_timeout: How long to wait while another process writes, in seconds or as a timedelta.
        max_bytes: How large the file may grow, its log not counted; beyond that, writing raises
            ``StoreFullError``. None for no limit but the disk.

    Raises:
        InvalidOptionError: an argument is wrong.

    Example:
        >>> SqliteDatabase("sqlite:///app.db", synchronous="normal").name
        'sqlite:///app.db'
    """

    def __init__(
        self,
        url: str,
        *,
        synchronous: str = "full",
        busy_timeout: Seconds = 5.0,
        max_bytes: int | None = None,
    ) -> None:
        self._name = _checked(url)
        self._synchronous = one_of("SqliteDatabase: synchronous", synchronous, ("normal", "full", "extra"))
        self._busy_timeout = seconds("SqliteDatabase: busy_timeout", busy_timeout)
        if max_bytes is not None:
            whole_number("SqliteDatabase: max_bytes", max_bytes, at_least=1)
        self._max_bytes = max_bytes
        self._users = 0  # open() less close(): only the first connects, and only the last disconnects
        self._open: _Open | None = None  # set while there are users

    @property
    def name(self) -> str:
        """See ``Database.name``."""
        return self._name

    async def open(self, *schemas: Schema) -> None:
        """See ``Database.open``.

        Raises:
            StoreCorruptError: the file is no SQLite database, or is damaged.
            StoreSchemaError: a later release wrote it.
            StoreReadOnlyError: it cannot be written.
            StoreError: it cannot be opened, the folder is missing for instance.
        """
        self._users += 1
        opened = self._open
        if opened is None:
            file = SqliteFile(
                self._name,
                synchronous=self._synchronous,
                busy_timeout=self._busy_timeout,
                max_bytes=self._max_bytes,
            )
            opened = self._open = _Open(file)
        try:
            await opened.writing.run(opened.file.open, schemas)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See ``Database.close``."""
        self._users = max(0, self._users - 1)
        if self._users == 0 and self._open is not None:
            opened, self._open = self._open, None
            await opened.close()

    async def write(
        self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """See ``Database.write``."""
        opened = self._opened()
        return await opened.writing.run(lambda: opened.file.write(work, *args, **kwargs))

    async def read(self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See ``Database.read``."""
        opened = self._opened()
        return await opened.reading.run(lambda: opened.file.read(work, *args, **kwargs))

    def listen(self, channel: str, heard: Callable[[], None]) -> Callable[[], None]:
        """See ``Database.listen``: here it is never heard."""
        return _nothing

    def _opened(self) -> _Open:
        if self._open is None:
            raise StoreError(self._name, expected="an open database", got="a closed one", fix="open() it first.")
        return self._open


def _nothing() -> None:
    """End what never began."""


class _Open:
    """What an open database has: its file, a thread that writes and one that reads.

    Two threads, so that a long listing does not hold up commits.
    """

    __slots__ = ("file", "reading", "writing")

    def __init__(self, file: SqliteFile) -> None:
        self.file = file
        self.writing = Lane("stanchion-database-write")
        self.reading = Lane("stanchion-database-read")

    async def close(self) -> None:
        """Close the connections after what was asked for before, and let the threads go."""
        try:
            await self.writing.run(self._close)
        finally:
            self.writing.end()

    def _close(self) -> None:
        self.reading.end(wait=True)  # what reads now has finished when this returns
        self.file.close()


def _checked(url: str) -> str:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "sqlite" or parsed.get_driver_name() != "pysqlite":
        raise InvalidOptionError("SqliteDatabase: url", expected="sqlite:///path/of/a/file", got=cut(url))
    if parsed.database in (None, "", ":memory:"):
        raise InvalidOptionError(
            "SqliteDatabase: url",
            expected="sqlite:///path/of/a/file",
            got=cut(url),
            fix="name a file: what is durable cannot be in memory.",
        )
    return url
