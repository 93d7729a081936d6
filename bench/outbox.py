# SPDX-License-Identifier: MIT
"""Durable sends by one producer or by many, from the first one until all are delivered and gone from the outbox.

Each producer waits until its message is committed, and no longer. The floor inserts the same rows into the same table,
and deletes them again: as many in a transaction as there are producers, through the plain driver.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from time import perf_counter
from typing import Any, Final

from bench import _letter_files, _postgres
from bench._measure import Figures, Plan, in_turns
from bench._servers import Counter
from stanchion import Node
from stanchion.delivery import send_supervised
from stanchion.server import start

_MESSAGE: Final = {"order": 1_000, "sku": "A-100", "quantity": 3}
_FIRST_ROW: Final = "SELECT * FROM stanchion_outbox"
_EMPTY: Final = "DELETE FROM stanchion_outbox"

Row = Sequence[Any]
"""What a table has a row of; its id comes first."""


async def measure_on_sqlite(plan: Plan, producers: int) -> Figures:
    """Measure messages per second in a SQLite file; the floor is ``sqlite3``."""
    path = plan.folder / f"outbox-{producers}-{plan.loop}.db"
    url, messages = _letter_files.url(path), _messages(plan, producers)
    await _leave_one(url)
    with closing(_letter_files.connect(path)) as connection:
        row = connection.execute(_FIRST_ROW).fetchone()
        connection.execute(_EMPTY)
        rows = _rows(row, messages)

        async def floor() -> float:
            return _through_sqlite3(connection, rows, producers)

        return await in_turns(floor, lambda: _sends(url, messages, producers), plan.rounds)


async def measure_on_postgres(plan: Plan, producers: int) -> Figures:
    """Measure messages per second in a PostgreSQL database; the floor is ``asyncpg``."""
    messages = _messages(plan, producers)
    async with _postgres.new_database() as url, _postgres.connected(url) as connection:
        await _leave_one(url)
        row = await connection.fetchrow(_FIRST_ROW)
        await connection.execute(_EMPTY)
        rows = _rows(tuple(row), messages)
        return await in_turns(
            lambda: _through_asyncpg(connection, rows, producers), lambda: _sends(url, messages, producers), plan.rounds
        )


def _messages(plan: Plan, producers: int) -> int:
    """Return how many messages to send, each producer as many; one alone takes longer."""
    return producers * max(1, plan.count(1_000 if producers == 1 else 10_000) // producers)


# --- ours ----------------------------------------------------------------------------------------


async def _sends(url: str, messages: int, producers: int) -> float:
    async with Node(database=url) as node:
        await start(Counter, name="counter")

        async def producer() -> None:
            for _ in range(messages // producers):
                await send_supervised("counter", _MESSAGE, durable=True)

        began = perf_counter()
        await asyncio.gather(*(producer() for _ in range(producers)))
        await node.outbox.wait_empty()
        return messages / (perf_counter() - began)


async def _leave_one(url: str) -> None:
    """Make the tables, and leave a message in the outbox: one whose recipient is not there."""
    async with Node(database=url):
        await send_supervised("nobody", _MESSAGE, durable=True)


# --- the floors ----------------------------------------------------------------------------------


def _rows(row: Row, count: int) -> list[Row]:
    return [(f"{number:036d}", *row[1:]) for number in range(count)]


def _through_sqlite3(connection: sqlite3.Connection, rows: list[Row], batch: int) -> float:
    insert = f"INSERT INTO stanchion_outbox VALUES ({', '.join('?' * len(rows[0]))})"
    began = perf_counter()
    for first in range(0, len(rows), batch):
        some = rows[first : first + batch]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, some)
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM stanchion_outbox WHERE id = ?", [row[:1] for row in some])
        connection.execute("COMMIT")
    return len(rows) / (perf_counter() - began)


async def _through_asyncpg(connection: Any, rows: list[Row], batch: int) -> float:
    insert = f"INSERT INTO stanchion_outbox VALUES ({', '.join(f'${number + 1}' for number in range(len(rows[0])))})"
    began = perf_counter()
    for first in range(0, len(rows), batch):
        some = rows[first : first + batch]
        async with connection.transaction():
            await connection.executemany(insert, some)
        async with connection.transaction():
            await connection.execute("DELETE FROM stanchion_outbox WHERE id = any($1)", [row[0] for row in some])
    return len(rows) / (perf_counter() - began)
