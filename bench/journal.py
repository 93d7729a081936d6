# SPDX-License-Identifier: MIT
"""Signals that are kept: published by many, each waiting for its commit; and handled by a durable subscription.

The first floor inserts the same rows into the same table, as many in a transaction as there are publishers, through the
plain driver. The second one sends as many messages to the same server by ``send_supervised``, one after another, which
keeps nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from time import perf_counter
from typing import Any, Final

from bench import _letter_files, _postgres
from bench._listeners import Listener, Tally
from bench._measure import Figures, Plan, in_turns
from bench.publishing import DATA, TYPE
from stanchion import Node
from stanchion.delivery import send_supervised
from stanchion.router import Signal, SignalRouter
from stanchion.server import start

_FIRST_ROW: Final = "SELECT * FROM stanchion_signals"
_EMPTY: Final = "DELETE FROM stanchion_signals"
_COUNT: Final = "UPDATE stanchion_signals_head SET position = position + {}"

Row = Sequence[Any]
"""What a table has a row of; its position comes first."""


async def measure_on_sqlite(plan: Plan, publishers: int) -> Figures:
    """Measure signals stored per second in a SQLite file; the floor is ``sqlite3``."""
    path = plan.folder / f"journal-{publishers}-{plan.loop}.db"
    url, signals = _letter_files.url(path), _signals(plan, publishers)
    await _publish(url, 1, 1)
    with closing(_letter_files.connect(path)) as connection:
        row = connection.execute(_FIRST_ROW).fetchone()

        async def floor() -> float:
            connection.execute(_EMPTY)
            return _through_sqlite3(connection, _rows(row, signals), publishers)

        async def ours() -> float:
            connection.execute(_EMPTY)
            return await _publish(url, signals, publishers)

        return await in_turns(floor, ours, plan.rounds)


async def measure_on_postgres(plan: Plan, publishers: int) -> Figures:
    """Measure signals stored per second in a PostgreSQL database; the floor is ``asyncpg``."""
    signals = _signals(plan, publishers)
    async with _postgres.new_database() as url, _postgres.connected(url) as connection:
        await _publish(url, 1, 1)
        row = await connection.fetchrow(_FIRST_ROW)

        async def floor() -> float:
            await connection.execute(_EMPTY)
            return await _through_asyncpg(connection, _rows(tuple(row), signals), publishers)

        async def ours() -> float:
            await connection.execute(_EMPTY)
            return await _publish(url, signals, publishers)

        return await in_turns(floor, ours, plan.rounds)


async def measure_subscription_on_sqlite(plan: Plan) -> Figures:
    """Measure signals handled per second out of a SQLite file; the floor is as many supervised sends."""
    return await _subscription(plan, _letter_files.url(plan.folder / f"subscription-{plan.loop}.db"))


async def measure_subscription_on_postgres(plan: Plan) -> Figures:
    """Measure signals handled per second out of a PostgreSQL database; the floor is as many supervised sends."""
    async with _postgres.new_database() as url:
        return await _subscription(plan, url)


def _signals(plan: Plan, publishers: int) -> int:
    """Return how many signals to publish, each publisher as many; one alone takes longer."""
    return publishers * max(1, plan.count(1_000 if publishers == 1 else 10_000) // publishers)


# --- ours ----------------------------------------------------------------------------------------


async def _publish(url: str, signals: int, publishers: int) -> float:
    """Return signals per second that are stored; nobody has subscribed."""
    router = SignalRouter(journal=["**"])
    async with Node(database=url, services=[router]):

        async def publisher() -> None:
            for _ in range(signals // publishers):
                await router.publish(Signal(TYPE, DATA))

        began = perf_counter()
        await asyncio.gather(*(publisher() for _ in range(publishers)))
        return signals / (perf_counter() - began)


async def _subscription(plan: Plan, url: str) -> Figures:
    """Measure how fast a subscription catches up with what was stored before it."""
    signals, tally, numbers = plan.count(2_000), Tally(), itertools.count()
    await _publish(url, signals, 100)
    router = SignalRouter()
    async with Node(database=url, services=[router]):
        listener = await start(Listener, tally, name="listener")

        async def ours() -> float:
            tally.expect(signals)
            name = f"bench{next(numbers)}"
            began = perf_counter()
            await router.subscribe_durable(name, "order.*", "listener", start="beginning")
            await tally.wait()
            rate = signals / (perf_counter() - began)
            await router.forget(name)
            return rate

        async def floor() -> float:
            signal = Signal(TYPE, DATA)
            tally.expect(signals)
            began = perf_counter()
            for _ in range(signals):
                await send_supervised(listener, signal)
            await tally.wait()
            return signals / (perf_counter() - began)

        return await in_turns(floor, ours, plan.rounds)


# --- the floors ----------------------------------------------------------------------------------


def _rows(row: Row, count: int) -> list[Row]:
    return [(number, f"{number:036d}", *row[2:]) for number in range(1, count + 1)]


def _through_sqlite3(connection: sqlite3.Connection, rows: list[Row], batch: int) -> float:
    insert = f"INSERT INTO stanchion_signals VALUES ({', '.join('?' * len(rows[0]))})"
    began = perf_counter()
    for first in range(0, len(rows), batch):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows[first : first + batch])
        connection.execute(_COUNT.format(batch))
        connection.execute("COMMIT")
    return len(rows) / (perf_counter() - began)


async def _through_asyncpg(connection: Any, rows: list[Row], batch: int) -> float:
    insert = f"INSERT INTO stanchion_signals VALUES ({', '.join(f'${number + 1}' for number in range(len(rows[0])))})"
    began = perf_counter()
    for first in range(0, len(rows), batch):
        async with connection.transaction():
            await connection.execute(_COUNT.format(batch))
            await connection.executemany(insert, rows[first : first + batch])
    return len(rows) / (perf_counter() - began)
