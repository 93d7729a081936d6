# SPDX-License-Identifier: MIT
"""Letters in an SQL database: SQLite, so far."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from stanchion._validate import Seconds, cut, one_of, seconds, whole_number
from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import DeadLetter, State
from stanchion.dead_letters._store import Write
from stanchion.dead_letters.stores import _tables
from stanchion.dead_letters.stores._lane import Lane
from stanchion.dead_letters.stores._sqlite import SqliteFile
from stanchion.errors import InvalidOptionError, StoreError


class SqlStore:
    """Keeps letters in an SQLite file; several processes of one machine may share it.

    The file has a write-ahead log (``-wal`` and ``-shm`` files beside it while it is open). Its schema is
    created and upgraded when it is opened.

    Args:
        url: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``. The folder must exist.
        synchronous: What a commit survives. ``"full"`` and ``"extra"``: a crash of the process, and loss of
            power. ``"normal"``: a crash of the process; loss of power may take the last commits with it,
            and leaves the file sound.
        busy_timeout: How long to wait while another process writes, in seconds or as a timedelta.
        max_bytes: How large the file may grow, its log not counted; beyond that, adding raises
            ``StoreFullError``. None for no limit but the disk.

    Raises:
        InvalidOptionError: an argument is wrong.
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
        self._synchronous = one_of("SqlStore: synchronous", synchronous, ("normal", "full", "extra"))
        self._busy_timeout = seconds("SqlStore: busy_timeout", busy_timeout)
        if max_bytes is not None:
            whole_number("SqlStore: max_bytes", max_bytes, at_least=1)
        self._max_bytes = max_bytes
        self._open: _Open | None = None

    @property
    def name(self) -> str:
        """See ``Store.name``."""
        return self._name

    async def open(self) -> None:
        """See ``Store.open``.

        Raises:
            StoreCorruptError: the file is no SQLite database, or is damaged.
            StoreSchemaError: a later release wrote it.
            StoreReadOnlyError: it cannot be written.
            StoreError: it cannot be opened, the folder is missing for instance.
        """
        file = SqliteFile(
            self._name,
            synchronous=self._synchronous,
            busy_timeout=self._busy_timeout,
            max_bytes=self._max_bytes,
        )
        writing, reading = Lane("stanchion-store-write"), Lane("stanchion-store-read")
        self._open = _Open(file, writing, reading)
        try:
            await writing.run(file.open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See ``Store.close``."""
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.close()

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        """See ``Store.write``."""
        opened = self._opened()
        return await opened.writing.run(opened.file.write, _tables.write, writes)

    async def get(self, id: str) -> DeadLetter | None:
        """See ``Store.get``."""
        opened = self._opened()
        return await opened.reading.run(opened.file.read, _tables.get, id)

    async def page(
        self, filter: LetterFilter, *, cursor: str | None, limit: int, newest_first: bool
    ) -> list[DeadLetter]:
        """See ``Store.page``."""
        opened = self._opened()
        return await opened.reading.run(opened.file.read, _tables.page, filter, cursor, limit, newest_first)

    async def due(self, now: float, limit: int) -> list[DeadLetter]:
        """See ``Store.due``."""
        opened = self._opened()
        letters, unreadable = await opened.reading.run(opened.file.read, _tables.due, now, limit)
        if unreadable:  # or they would be found due again and again
            await opened.writing.run(opened.file.write, _tables.set_aside, unreadable)
        return letters

    async def next_due(self) -> float | None:
        """See ``Store.next_due``."""
        opened = self._opened()
        return await opened.reading.run(opened.file.read, _tables.next_due)

    async def count(self) -> dict[State, int]:
        """See ``Store.count``."""
        opened = self._opened()
        return await opened.reading.run(opened.file.read, _tables.count)

    async def delete(self, filter: LetterFilter, *, updated_before: float | None, limit: int) -> int:
        """See ``Store.delete``."""
        opened = self._opened()
        return await opened.writing.run(opened.file.write, _tables.delete, filter, updated_before, limit)

    def _opened(self) -> _Open:
        if self._open is None:
            raise StoreError(self._name, expected="an open store", got="a closed one", fix="open() it first.")
        return self._open


class _Open:
    """What an open store has: its file, a thread that writes and one that reads.

    Two threads, so that a long listing does not hold up commits.
    """

    __slots__ = ("file", "reading", "writing")

    def __init__(self, file: SqliteFile, writing: Lane, reading: Lane) -> None:
        self.file = file
        self.writing = writing
        self.reading = reading

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
        raise InvalidOptionError("SqlStore: url", expected="sqlite:///path/of/a/file", got=cut(url))
    if parsed.database in (None, "", ":memory:"):
        raise InvalidOptionError(
            "SqlStore: url",
            expected="sqlite:///path/of/a/file",
            got=cut(url),
            fix='name a file, or use "memory:" for letters in memory.',
        )
    return url
