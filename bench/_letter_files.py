# SPDX-License-Identifier: MIT
"""SQLite files with dead letters, and what plain ``sqlite3`` needs to write the same rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from stanchion.dead_letters import Attempt, DeadLetterQueue

TABLE: Final = "stanchion_dead_letters"

Value = str | bytes | int | float | None
"""What a column holds."""


class Shape(NamedTuple):
    """How a stored letter looks.

    Attributes:
        schema: The statement that makes the table, without its indexes.
        columns: The names of its columns.
        row: One letter.
    """

    schema: str
    columns: list[str]
    row: list[Value]

    @property
    def insert(self) -> str:
        """The statement that inserts a row."""
        return f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(self.columns))})"

    def changed(self, values: Mapping[str, Value]) -> list[Value]:
        """Return the row with other values in some columns."""
        return [values.get(name, value) for name, value in zip(self.columns, self.row, strict=True)]

    def rows(self, count: int, **values: Value) -> Iterable[list[Value]]:
        """Return rows with ids in growing order, and with the values given for other columns."""
        row = self.changed(values)
        place = self.columns.index("id")
        for number in range(count):
            yield [*row[:place], f"{number:036d}", *row[place + 1 :]]


async def add(letters: DeadLetterQueue, number: int) -> str:
    """Store one letter, such as a supervised send leaves behind."""
    return await letters.add(
        recipient="inventory",
        message={"order": number, "sku": "A-100", "quantity": 3},
        reason="noproc",
        error="noproc",
        attempts=[Attempt(1_700_000_000.25, "noproc", "noproc")],
        message_id="node-0123456789abcdef",
    )


async def shape(folder: Path) -> Shape:
    """Return how letters are stored by this release: by storing one."""
    path = folder / "shape.db"
    async with DeadLetterQueue(url(path)) as letters:
        await add(letters, 1_000)
    with closing(connect(path)) as connection:
        schema = str(connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (TABLE,)).fetchone()[0])
        cursor = connection.execute(f"SELECT * FROM {TABLE}")
        return Shape(schema, [column[0] for column in cursor.description], list(cursor.fetchone()))


def connect(path: Path) -> sqlite3.Connection:
    """Open a file as our store does: a write-ahead log, each commit synced, transactions begun by hand."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = full")
    return connection


def url(path: Path) -> str:
    """Return the URL of a file for the queue."""
    return f"sqlite:///{path}"
