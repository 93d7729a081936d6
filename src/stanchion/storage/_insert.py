# SPDX-License-Identifier: MIT
"""Many new rows, cheaply.

Through the driver, with text compiled once and rows in the driver's own form: a hundred rows through Core's parameter
handling cost more than SQLite takes to store them. And many rows a statement: sqlite3 takes the interpreter's lock anew
after each step, and while the loop's thread is busy it waits 5 ms for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlalchemy as sa

_STATEMENT_ROWS: Final = (100, 50, 20, 10, 5, 2, 1)


def insert_rows(
    connection: sa.Connection, table: str, names: tuple[str, ...], rows: Sequence[Sequence[object]]
) -> None:
    """Insert rows into a table.

    Args:
        connection: Where, in a transaction of the caller's.
        table: The table's name, which is ours and needs no quotes.
        names: The columns that are given.
        rows: A value for each of them, as the driver takes it.
    """
    start = 0
    for size in _STATEMENT_ROWS:
        while len(rows) - start >= size:
            values = tuple(chain.from_iterable(rows[start : start + size]))
            connection.exec_driver_sql(_text(table, names, size, connection.dialect.paramstyle), values)
            start += size


@cache
def _text(table: str, names: tuple[str, ...], rows: int, style: str) -> str:
    count = rows * len(names)
    marks = iter(["?"] * count if style == "qmark" else [f"${n + 1}" for n in range(count)])
    values = [f"({', '.join(islice(marks, len(names)))})" for _ in range(rows)]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join(values)}"  # noqa: S608 - all names are ours
