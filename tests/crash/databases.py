# SPDX-License-Identifier: MIT
"""The databases that are looked into after each kill, past the code that is tested."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

T = TypeVar("T")

_PATIENCE: Final = 20.0


class ExaminedDatabase(ABC):
    """One database, made for one history of processes. Each method belongs to a process that ends afterwards.

    Attributes:
        url: Where the processes find it.
    """

    url: str

    @abstractmethod
    async def create(self) -> None:
        """Make it, empty."""

    @abstractmethod
    async def discard(self) -> None:
        """Remove it."""

    @abstractmethod
    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Return what ``work`` returns, in a transaction that is committed."""

    @abstractmethod
    async def settle(self) -> None:
        """Return when no process that was killed has a part in it any more."""

    @abstractmethod
    async def problems(self) -> list[str]:
        """Return what the database itself finds wrong with its pages and indexes."""

    @abstractmethod
    async def dump(self) -> str:
        """Return all that is in it: its columns and indexes, and its rows."""


class ExaminedSqlite(ExaminedDatabase):
    """A file.

    Args:
        folder: Where it is made.
        number: Which one of this folder's it is.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._path = folder / f"{number}.db"
        self.url = f"sqlite:///{self._path}"

    async def create(self) -> None:
        """Nothing: who opens it makes it."""

    async def discard(self) -> None:
        """See ``ExaminedDatabase.discard``."""
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """See ``ExaminedDatabase.run``."""
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            return work(connection)

    async def settle(self) -> None:
        """Nothing: a process's locks end with it."""

    async def problems(self) -> list[str]:
        """See ``ExaminedDatabase.problems``."""
        found = await self.run(lambda connection: _rows(connection, "PRAGMA integrity_check"))
        return [] if found == [("ok",)] else [f"integrity_check: {text}" for (text,) in found]

    async def dump(self) -> str:
        """See ``ExaminedDatabase.dump``."""
        schema = "SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        return await self.run(lambda connection: _dump(connection, schema))


class ExaminedPostgres(ExaminedDatabase):
    """A database of a PostgreSQL server.

    Args:
        server: The URL of another database of the server, from which it can be made.
        number: Which one of this process's it is.
    """

    def __init__(self, server: str, number: int) -> None:
        self._server = sa.make_url(server).set(drivername="postgresql+asyncpg")
        self._name = f"stanchion_crash_{os.getpid()}_{number}"
        self.url = sa.make_url(server).set(database=self._name).render_as_string(hide_password=False)
        self._engine: AsyncEngine | None = None  # made in the process that asks for it

    async def create(self) -> None:
        """See ``ExaminedDatabase.create``."""
        await self._on_server(f"CREATE DATABASE {self._name}")
        await self.run(lambda connection: connection.exec_driver_sql("CREATE EXTENSION amcheck").close())

    async def discard(self) -> None:
        """See ``ExaminedDatabase.discard``."""
        await self._on_server(f"DROP DATABASE {self._name} WITH (FORCE)")

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """See ``ExaminedDatabase.run``."""
        if self._engine is None:
            self._engine = create_async_engine(self._server.set(database=self._name), pool_size=1)
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def settle(self) -> None:
        """Wait for the server to end what dead clients had asked for: a commit may be among it."""
        others = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        async with asyncio.timeout(_PATIENCE):
            while await self.run(lambda connection: _rows(connection, others)):
                await asyncio.sleep(0.005)

    async def problems(self) -> list[str]:
        """See ``ExaminedDatabase.problems``; the server compares each index with its table."""
        indexes = (
            "SELECT bt_index_check(pg_class.oid, true) FROM pg_class JOIN pg_am ON pg_am.oid = relam"
            " WHERE relkind = 'i' AND amname = 'btree' AND relnamespace = 'public'::regnamespace"
        )
        try:
            await self.run(lambda connection: _rows(connection, indexes))
        except DBAPIError as error:
            return [f"amcheck: {error.orig}"]
        return []

    async def dump(self) -> str:
        """See ``ExaminedDatabase.dump``."""
        schema = (
            "SELECT table_name, column_name || ' ' || data_type || ' ' || is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public'"
            " UNION ALL SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        )
        return await self.run(lambda connection: _dump(connection, schema))

    async def _on_server(self, statement: str) -> None:
        engine = create_async_engine(self._server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.exec_driver_sql(statement)


def _rows(connection: sa.Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(query)]


_COLUMNS: Final = {"stanchion_leases": "name, owner"}
"""What is looked at of a table whose other columns are another after each node: the how-manyeth held it, say."""


def _dump(connection: sa.Connection, schema: str) -> str:
    parts = sorted(_rows(connection, schema))
    lines = [repr(part) for part in parts]
    for table in sorted({table for table, _ in parts}):
        lines += [table, *sorted(map(repr, _rows(connection, f"SELECT {_COLUMNS.get(table, '*')} FROM {table}")))]
    return "\n".join(lines)
