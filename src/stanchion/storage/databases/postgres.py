# SPDX-License-Identifier: MIT
"""A database on a PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stanchion._validate import Seconds, cut, one_of, seconds, whole_number
from stanchion.errors import InvalidOptionError, StoreError, StoreUncertainError
from stanchion.storage._schema import Schema, bring_up_to_date, is_up_to_date
from stanchion.storage.databases._postgres_connections import Connections
from stanchion.storage.databases._postgres_errors import DRIVER_ERRORS, cause_of, is_conflict, is_lost
from stanchion.storage.databases._postgres_listener import Listener

_P = ParamSpec("_P")
_T = TypeVar("_T")

_TRIES: Final = 3
_MIGRATION_LOCK: Final = 0x5354414E4348  # any number that nobody else locks


class PostgresDatabase:
    """A database on a PostgreSQL server, which nodes on several machines may share. It needs ``stanchion[postgres]``.

    A transaction whose connection broke before its commit is tried again, on a fresh one; so is one that the server
    undid for another's sake. When the connection breaks during the commit, nobody knows whether it was made:
    ``StoreUncertainError`` says so.

    Args:
        url: ``postgresql://user:password@host:port/database``, as ``psql`` takes it; what it leaves out comes from
            ``PGHOST``, ``PGPASSWORD``, ``~/.pgpass`` and so on.
        connections: How many connections there are at most, from 1 on; one more listens.
        connect_timeout: How long making a connection may take, in seconds or as a timedelta. So long a server that
            was there before may be away, to restart say, before that is an error.
        timeout: How long a statement may take, and how long one may wait for a free connection.
        synchronous_commit: The server's setting of this name: what a commit waits for. ``"on"``, until it is on the
            server's disk; ``"off"`` does not wait, and a crash of the server may take the last commits with it.
            ``"local"``, ``"remote_write"`` and ``"remote_apply"`` are about standbys. None for what the server says.

    Raises:
        InvalidOptionError: an argument is wrong.

    Example:
        >>> PostgresDatabase("postgresql://ada:secret@db.example/app", connections=10).name
        'postgresql://ada:***@db.example/app'
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 5,
        connect_timeout: Seconds = 10.0,
        timeout: Seconds = 30.0,
        synchronous_commit: str | None = None,
    ) -> None:
        checked = _checked(url)
        if synchronous_commit is not None:
            levels = ("on", "off", "local", "remote_write", "remote_apply")
            one_of("PostgresDatabase: synchronous_commit", synchronous_commit, levels)
        self._name: Final = _without_password(checked)
        self._size: Final = whole_number("PostgresDatabase: connections", connections, at_least=1)
        self._timeout: Final = seconds("PostgresDatabase: timeout", timeout)
        self._connections: Final = Connections(
            checked,
            name=self._name,
            connect_timeout=seconds("PostgresDatabase: connect_timeout", connect_timeout),
            timeout=self._timeout,
            settings={"application_name": "stanchion"}
            | ({} if synchronous_commit is None else {"synchronous_commit": synchronous_commit}),
        )
        self._users = 0  # open() less close(): only the first makes an engine, and only the last disposes of it
        self._open: _Open | None = None  # set while there are users

    @property
    def name(self) -> str:
        """See ``Database.name``."""
        return self._name

    async def open(self, *schemas: Schema) -> None:
        """See ``Database.open``.

        Raises:
            StoreSchemaError: a later release wrote it.
            StoreReadOnlyError: it cannot be written.
            StoreError: there is no such database, or none that this user may connect to.
        """
        self._users += 1
        if self._open is None:
            self._open = _Open(self._engine(), Listener(self._connections))
        try:
            if not await self.write(_are_up_to_date, schemas):
                # Alembic reads files, for which the loop is not to wait: it has a thread with a loop of its own.
                await asyncio.to_thread(asyncio.run, self._bring_up_to_date(schemas))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See ``Database.close``."""
        self._users = max(0, self._users - 1)
        if self._users == 0 and self._open is not None:
            opened, self._open = self._open, None
            await asyncio.shield(opened.close())

    async def write(
        self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """See ``Database.write``.

        Raises:
            StoreUncertainError: the connection broke during the commit.
            StoreError: it is not stored; the subclass says why.
        """
        opened = self._opened()
        return await opened.carry_out(self._again(opened.writing, _written, lambda it: work(it, *args, **kwargs)))

    async def read(self, work: Callable[Concatenate[sa.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See ``Database.read``."""
        opened = self._opened()
        return await opened.carry_out(self._again(opened.reading, _seen, lambda it: work(it, *args, **kwargs)))

    def listen(self, channel: str, heard: Callable[[], None]) -> Callable[[], None]:
        """See ``Database.listen``."""
        return self._opened().listener.add(channel, heard)

    # --- inside ----------------------------------------------------------------------------------

    def _opened(self) -> _Open:
        if self._open is None:
            raise StoreError(self._name, expected="an open database", got="a closed one", fix="open() it first.")
        return self._open

    def _engine(self, size: int | None = None) -> AsyncEngine:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connections.make,
            pool_size=self._size if size is None else size,
            max_overflow=0,
            pool_timeout=self._timeout,
            isolation_level="READ COMMITTED",
        )
        event.listen(engine.sync_engine, "handle_error", _mark_lost)
        return engine

    async def _again(
        self,
        engine: AsyncEngine,
        transaction: Callable[[AsyncEngine, Callable[[sa.Connection], _T]], Awaitable[_T]],
        work: Callable[[sa.Connection], _T],
    ) -> _T:
        """Run a transaction, again when the one before surely did nothing."""
        for left in reversed(range(_TRIES)):
            try:
                return await transaction(engine, work)
            except _CommitBroke as broke:
                got = str(cause_of(broke.error)) or f"none within {self._timeout:g} s"
                raise StoreUncertainError(self._name, got=got) from broke.error
            except DRIVER_ERRORS as error:
                if not left or not (is_lost(error) or is_conflict(error)):
                    raise self._connections.error(error) from error
        raise AssertionError("unreachable")  # pragma: no cover - the last try returns or raises

    async def _bring_up_to_date(self, schemas: tuple[Schema, ...]) -> None:
        def work(connection: sa.Connection) -> None:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            for schema in schemas:
                bring_up_to_date(connection, schema, name=self._name)

        engine = self._engine(size=1)
        try:
            await self._again(engine, _written, work)
        finally:
            await engine.dispose()


class _Open:
    """What an open database has: its connections, who listens, and the transactions that are under way."""

    __slots__ = ("_under_way", "listener", "reading", "writing")

    def __init__(self, engine: AsyncEngine, listener: Listener) -> None:
        self.writing: Final = engine
        # The same connections. One view, however many statements: SQL's name for that is repeatable read.
        self.reading: Final = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.listener: Final = listener
        self._under_way: set[asyncio.Task[object]] = set()

    async def carry_out(self, transaction: Coroutine[object, object, _T]) -> _T:
        """Return what a transaction returns; it goes on when its caller is cancelled."""
        task = asyncio.get_running_loop().create_task(transaction)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Disconnect, after what was asked for before."""
        await self.listener.close()
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self.writing.dispose()


class _CommitBroke(Exception):  # noqa: N818 - it never leaves this file
    """The connection broke, or the answer did not come, when all was done but for the commit."""

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _written(engine: AsyncEngine, work: Callable[[sa.Connection], _T]) -> _T:
    async with engine.connect() as connection:
        result = await connection.run_sync(work)
        try:
            await connection.commit()
        except DRIVER_ERRORS as error:
            if is_lost(error) or isinstance(cause_of(error), TimeoutError):
                raise _CommitBroke(error) from error
            raise
    return result


async def _seen(engine: AsyncEngine, work: Callable[[sa.Connection], _T]) -> _T:
    async with engine.connect() as connection:
        return await connection.run_sync(work)


def _mark_lost(context: ExceptionContext) -> None:
    """Have SQLAlchemy make all connections anew when one broke: most likely, the others did as well."""
    error = context.sqlalchemy_exception or context.original_exception
    if isinstance(error, Exception) and is_lost(error):
        context.is_disconnect = True


def _are_up_to_date(connection: sa.Connection, schemas: tuple[Schema, ...]) -> bool:
    return all(is_up_to_date(connection, schema) for schema in schemas)


def _checked(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in ("postgresql", "postgresql+asyncpg"):
        raise InvalidOptionError("PostgresDatabase: url", expected="postgresql://user@host/database", got=cut(url))
    return parsed


def _without_password(url: sa.URL) -> str:
    if "password" in url.query:
        url = url.update_query_dict({"password": "..."})
    return url.render_as_string(hide_password=True)
