# SPDX-License-Identifier: MIT
"""Letters as rows: the table, and the statements on it.

Plain functions of a SQLAlchemy connection, one transaction each, so that any kind of engine can run them.
Only standard types: what works on SQLite works on PostgreSQL.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import STATES, Attempt, DeadLetter, State
from stanchion.dead_letters._store import Write

_log = logging.getLogger("stanchion.dead_letters")

_T = TypeVar("_T")

metadata: Final = sa.MetaData()

# A column for each field of DeadLetter, in its order, and due_at, which is computed from them.
letters: Final = sa.Table(
    "stanchion_dead_letters",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("message_type", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("preview", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Text, nullable=False),
    sa.Column("attempt_count", sa.Integer, nullable=False),
    sa.Column("redeliveries", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.Double),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text),
    sa.Column("trace_id", sa.Text),
    sa.Column("span_id", sa.Text),
    sa.Column("replay_of", sa.Text),
    sa.Column("redeliverable", sa.Boolean, nullable=False),
    sa.Column("claimed_by", sa.Text),
    sa.Column("claimed_until", sa.Double),
    sa.Column("note", sa.Text),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Double),
)
_c: Final = letters.c

# Only letters that will be due are in it: a pass costs what is due, however many are settled or wait.
sa.Index(
    "stanchion_dead_letters_due",
    _c.due_at,
    sqlite_where=_c.due_at.is_not(None),
    postgresql_where=_c.due_at.is_not(None),
)

_FIELDS: Final = DeadLetter.__struct_fields__
_NAMES: Final = (*_FIELDS, "due_at")
_ATTEMPTS: Final = _FIELDS.index("attempts")
_METADATA: Final = _FIELDS.index("metadata")

# What a letter keeps from its beginning to its end; a change writes all the rest.
_FIXED: Final = frozenset({
    "id", "recipient", "message_type", "version", "payload", "preview", "created_at", "metadata",
    "message_id", "trace_id", "span_id", "replay_of", "redeliverable",
})  # fmt: skip


# --- rows ----------------------------------------------------------------------------------------


def _row(letter: DeadLetter) -> list[Any]:
    values = list(msgspec.structs.astuple(letter))
    values[_ATTEMPTS] = _json(letter.attempts)
    values[_METADATA] = _json(letter.metadata) if letter.metadata else "{}"
    values.append(letter.due_at)
    return values


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _letter(row: sa.Row[Any]) -> DeadLetter:
    values: dict[str, Any] = dict(zip(_FIELDS, row, strict=True))
    values["attempts"] = _parsed(values["attempts"], tuple[Attempt, ...], ())
    values["metadata"] = _parsed(values["metadata"], dict[str, object], {})
    # Checked, since SQLite keeps any type in any column. As bytes are native, text does not pass as base64.
    return msgspec.convert(values, DeadLetter, builtin_types=(bytes,))


def _parsed(text: str, kind: type[_T], otherwise: _T) -> _T:
    # A row that somebody edited by hand must not keep the others of its page from being read.
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError:
        return otherwise


# --- changes -------------------------------------------------------------------------------------

# Through the driver, with text compiled once and rows in the driver's own form: a hundred rows through
# Core's parameter handling cost more than SQLite takes to store them. And many rows a statement: sqlite3
# takes the interpreter's lock anew after each step, and while the loop's thread is busy it waits 5 ms for it.
_STATEMENT_ROWS: Final = (100, 50, 20, 10, 5, 2, 1)


def _insert(connection: sa.Connection, rows: Sequence[list[Any]]) -> None:
    start = 0
    for size in _STATEMENT_ROWS:
        while len(rows) - start >= size:
            values = tuple(chain.from_iterable(rows[start : start + size]))
            connection.exec_driver_sql(_insert_text(size), values)
            start += size


@cache
def _insert_text(rows: int) -> str:
    row = ", ".join("?" * len(_NAMES))
    return f"INSERT INTO {letters.name} ({', '.join(_NAMES)}) VALUES " + ", ".join([f"({row})"] * rows)  # noqa: S608


# What is passed with it, beyond the two that it names, is what it sets.
_CHANGE: Final = letters.update().where(_c.id == sa.bindparam("letter_id"), _c.revision == sa.bindparam("replaces"))


def write(connection: sa.Connection, writes: Sequence[Write]) -> list[bool]:
    """See ``Store.write``."""
    made: list[bool] = []
    new: list[list[Any]] = []
    for letter, replaces, also in writes:
        done = replaces is None or _change(connection, letter, replaces)
        made.append(done)
        if replaces is None:
            new.append(_row(letter))
        if done and also is not None:
            new.append(_row(also))
    if new:
        _insert(connection, new)
    return made


def _change(connection: sa.Connection, letter: DeadLetter, replaces: int) -> bool:
    row = zip(_NAMES, _row(letter), strict=True)
    values = {name: value for name, value in row if name not in _FIXED}
    return connection.execute(_CHANGE, {"letter_id": letter.id, "replaces": replaces, **values}).rowcount == 1


def delete(connection: sa.Connection, filter: LetterFilter, updated_before: float | None, limit: int) -> int:
    """See ``Store.delete``."""
    chosen = sa.select(_c.id).where(*_conditions(filter)).limit(limit)
    if updated_before is not None:
        chosen = chosen.where(_c.updated_at < updated_before)
    return connection.execute(letters.delete().where(_c.id.in_(chosen))).rowcount


def set_aside(connection: sa.Connection, ids: Sequence[Any]) -> None:
    """Make letters due no more, without a look at the rest of them."""
    connection.execute(letters.update().where(_c.id.in_(ids)).values(due_at=None))


# --- questions -----------------------------------------------------------------------------------

# The payload as the driver has it: SQLAlchemy would raise for a text in its place, and for the whole page.
_RAW: Final = {"payload": sa.type_coerce(_c.payload, sa.types.NullType)}
_ALL: Final = sa.select(*(_RAW.get(name, _c[name]) for name in _FIELDS))


def get(connection: sa.Connection, id: str) -> DeadLetter | None:
    """See ``Store.get``."""
    row = connection.execute(_ALL.where(_c.id == id)).one_or_none()
    return None if row is None else _letter(row)


def page(
    connection: sa.Connection, filter: LetterFilter, cursor: str | None, limit: int, newest_first: bool
) -> list[DeadLetter]:
    """See ``Store.page``."""
    query = _ALL.where(*_conditions(filter))
    if cursor is not None:
        query = query.where(_c.id < cursor if newest_first else _c.id > cursor)
    query = query.order_by(_c.id.desc() if newest_first else _c.id)
    return _readable(connection, query, limit)[0]


def due(connection: sa.Connection, now: float, limit: int) -> tuple[list[DeadLetter], list[Any]]:
    """See ``Store.due``; the second list has the ids of those that are due and cannot be read."""
    return _readable(connection, _ALL.where(_c.due_at <= now).order_by(_c.due_at), limit)


def _readable(
    connection: sa.Connection, query: sa.Select[tuple[Any, ...]], limit: int
) -> tuple[list[DeadLetter], list[Any]]:
    """Return up to ``limit`` letters, and the ids of rows that were passed over as they are none."""
    found: list[DeadLetter] = []
    unreadable: list[Any] = []
    while True:
        wanted = limit - len(found)
        rows = connection.execute(query.limit(wanted).offset(len(found) + len(unreadable))).all()
        for row in rows:
            try:
                found.append(_letter(row))
            except msgspec.ValidationError as error:
                unreadable.append(row[0])
                _log.error("dead letter %s cannot be read: %s; correct its row, and retry() it", row[0], error)
        if len(rows) < wanted or len(found) == limit:
            return found, unreadable


def next_due(connection: sa.Connection) -> float | None:
    """See ``Store.next_due``."""
    query = sa.select(_c.due_at).where(_c.due_at.is_not(None)).order_by(_c.due_at).limit(1)
    first: object = connection.execute(query).scalar_one_or_none()
    return first if isinstance(first, float) else None  # text, which sorts behind all numbers, is never due


def count(connection: sa.Connection) -> dict[State, int]:
    """See ``Store.count``."""
    query = sa.select(_c.state, sa.func.count()).where(_c.state.in_(STATES)).group_by(_c.state)
    return {state: number for state, number in connection.execute(query)}  # noqa: C416 - a Row is no tuple to mypy


def _conditions(filter: LetterFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filter.states:
        found.append(_c.state.in_(filter.states))
    for column, wanted in (
        (_c.recipient, filter.recipient),
        (_c.reason, filter.reason),
        (_c.message_type, filter.message_type),
    ):
        if wanted is not None:
            found.append(column == wanted)
    since, until = filter.window
    if since is not None:
        found.append(_c.created_at >= since)
    if until is not None:
        found.append(_c.created_at < until)
    return found
