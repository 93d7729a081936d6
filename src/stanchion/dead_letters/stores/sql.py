# SPDX-License-Identifier: MIT
"""Letters in an SQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa

from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import DeadLetter, State
from stanchion.dead_letters._store import Key, Write
from stanchion.dead_letters.migrations import SCHEMA
from stanchion.dead_letters.stores import _tables
from stanchion.errors import StoreCorruptError
from stanchion.storage import Database, database_of

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqlStore:
    """Keeps letters in a database: an SQLite file, which several processes of one machine may share, or PostgreSQL.

    Its schema is created and upgraded when it is opened.

    Args:
        database: The database, or its URL; see ``stanchion.storage``'s ``SqliteDatabase`` and ``PostgresDatabase``
            for their options. One that is given may be shared with others, who open and close it for themselves.

    Raises:
        InvalidOptionError: the URL is wrong.
    """

    def __init__(self, database: str | Database) -> None:
        self._database = database_of(database)

    @property
    def name(self) -> str:
        """See ``Store.name``."""
        return self._database.name

    async def open(self) -> None:
        """See ``Store.open`` and ``Database.open``."""
        await self._database.open(SCHEMA)

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._database.close()

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        """See ``Store.write``."""
        return await self._database.write(_tables.write, writes)

    async def get(self, id: str) -> DeadLetter | None:
        """See ``Store.get``."""
        return await self._read(_tables.get, id)

    async def find(self, ids: Sequence[str]) -> list[DeadLetter]:
        """See ``Store.find``."""
        return await self._read(_tables.find, ids)

    async def page(
        self, filter: LetterFilter, *, cursor: str | None, limit: int, newest_first: bool
    ) -> list[DeadLetter]:
        """See ``Store.page``."""
        return await self._read(_tables.page, filter, cursor, limit, newest_first)

    async def keys(self, filter: LetterFilter, *, cursor: str | None, limit: int) -> list[Key]:
        """See ``Store.keys``."""
        return await self._read(_tables.keys, filter, cursor, limit)

    async def claim(
        self,
        now: float,
        limit: int,
        change: Callable[[DeadLetter], DeadLetter],
        *,
        per_recipient: int | None,
        room: Mapping[str, int],
    ) -> list[DeadLetter]:
        """See ``Store.claim``."""
        first = await self.next_due()
        if first is None or first > now:  # only a look: nobody who writes is to wait for those who find nothing
            return []
        return await self._database.write(_tables.claim, now, limit, change, per_recipient, room)

    async def end_claims(self, now: float, has_ended: Callable[[str], bool]) -> None:
        """See ``Store.end_claims``."""
        owners = await self._read(_tables.owners)
        gone = await asyncio.to_thread(lambda: [owner for owner in owners if has_ended(owner)])
        if gone:
            await self._database.write(_tables.end_claims, now, gone)

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """See ``Store.listen``."""
        return self._database.listen(_tables.CHANNEL, heard)

    async def next_due(self) -> float | None:
        """See ``Store.next_due``."""
        return await self._read(_tables.next_due)

    async def count(self) -> dict[State, int]:
        """See ``Store.count``."""
        return await self._read(_tables.count)

    async def delete(self, filter: LetterFilter, *, limit: int) -> int:
        """See ``Store.delete``."""
        return await self._database.write(_tables.delete, filter, limit)

    async def remove(self, keys: Sequence[Key]) -> list[bool]:
        """See ``Store.remove``."""
        return await self._database.write(_tables.remove, keys)

    async def _read(
        self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        with self._translated():
            return await self._database.read(work, *args, **kwargs)

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except msgspec.ValidationError as error:
            raise StoreCorruptError(
                self.name,
                expected="a row that is a letter",
                got=str(error),
                fix="correct the row by hand, or delete it.",
            ) from error
