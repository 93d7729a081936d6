# SPDX-License-Identifier: MIT
"""Letters as rows: the table, and the statements on it.

Plain functions of a SQLAlchemy connection, one transaction each, so that any kind of engine can run them.
Only standard types: what works on SQLite works on PostgreSQL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from stanchion._ids import first_id
from stanchion.dead_letters._filter import LetterFilter
from stanchion.dead_letters._letter import STATES, Attempt, DeadLetter, State
from stanchion.dead_letters._places import Places
from stanchion.dead_letters._store import Key, Write
from stanchion.storage import insert_rows, notify

_log = logging.getLogger("stanchion.dead_letters")

_T = TypeVar("_T")

metadata: Final = sa.MetaData()

CHANNEL: Final = "dead_letters"
"""Where is told that letters wait which did not before."""

# A column for each field of DeadLetter, in its order, and due_at, which is computed from them.
letters: Final = sa.Table(
    "stanchion_dead_letters",
    metadata,
    # By bytes, as everywhere else: a PostgreSQL database may have the order of a language.
    sa.Column("id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
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


def _index(name: str, *columns: sa.Column[Any], where: sa.ColumnElement[bool] | None = None) -> None:
    sa.Index(f"{letters.name}_{name}", *columns, sqlite_where=where, postgresql_where=where)


# Only letters that will be due are in it: a pass costs what is due, however many are settled or wait.
_index("due", _c.due_at, where=_c.due_at.is_not(None))
# What takes long to be due no more is purged by its age. Letters that wait are in none of it, and cost it nothing.
_index("aged", _c.state, _c.updated_at, where=_c.due_at.is_(None))
# One for each field that listings are filtered by, in their order: a page costs what is on it. They cost each letter
# that is stored about a microsecond each; a third of them that held more columns would be read no faster.
_index("state", _c.state, _c.id)
_index("recipient", _c.recipient, _c.id)
_index("reason", _c.reason, _c.id)
_index("message_type", _c.message_type, _c.id)
_index("replay_of", _c.replay_of, where=_c.replay_of.is_not(None))

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

# What is passed with it, beyond the two that it names, is what it sets.
_CHANGE: Final = letters.update().where(_c.id == sa.bindparam("letter_id"), _c.revision == sa.bindparam("replaces"))


def write(connection: sa.Connection, writes: Sequence[Write]) -> list[bool]:
    """See ``Store.write``."""
    made: list[bool] = []
    new: list[list[Any]] = []
    changed: list[dict[str, Any]] = []
    revisions = _locked(connection, [write.letter.id for write in writes if write.replaces is not None])
    for letter, replaces, also in writes:
        done = replaces is None or revisions.get(letter.id) == replaces
        made.append(done)
        if replaces is None:
            new.append(_row(letter))
        elif done:
            changed.append(_change_values(letter, replaces))
            revisions[letter.id] = letter.revision
        if done and also is not None:
            new.append(_row(also))
    if changed:
        connection.execute(_CHANGE, changed)
    if new:
        insert_rows(connection, letters.name, _NAMES, new)
    if any(letter.state == "waiting" for write in writes for letter in (write.letter, write.also) if letter):
        notify(connection, CHANNEL)
    return made


def _locked(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return the revisions of letters, which nobody else changes until the end of the transaction.

    One look for all of them, in one order for all who look: two who change the same letters never wait for each other.
    """
    if not ids:
        return {}
    query = sa.select(_c.id, _c.revision).where(_c.id.in_(ids)).order_by(_c.id).with_for_update()
    return {id: revision for id, revision in connection.execute(query)}  # noqa: C416 - a Row is no tuple to mypy


def _change_values(letter: DeadLetter, replaces: int) -> dict[str, Any]:
    row = zip(_NAMES, _row(letter), strict=True)
    values = {name: value for name, value in row if name not in _FIXED}
    return {"letter_id": letter.id, "replaces": replaces, **values}


def delete(connection: sa.Connection, filter: LetterFilter, limit: int) -> int:
    """See ``Store.delete``."""
    deleted = 0
    for part in _one_state_each(filter):
        # What somebody else is changing now, where there are locks of rows, may fit no more once that is done.
        chosen = sa.select(_c.id).where(*_conditions(part)).limit(limit - deleted).with_for_update(skip_locked=True)
        ids = connection.execute(chosen).scalars().all()
        deleted += connection.execute(letters.delete().where(_c.id.in_(ids))).rowcount
    return deleted


def remove(connection: sa.Connection, keys: Sequence[Key]) -> list[bool]:
    """See ``Store.remove``."""
    stored = _locked(connection, [key.id for key in keys])
    removed = [stored.get(key.id) == key.revision for key in keys]
    gone = [key.id for key, is_gone in zip(keys, removed, strict=True) if is_gone]
    connection.execute(letters.delete().where(_c.id.in_(gone)))
    return removed


def claim(
    connection: sa.Connection,
    now: float,
    limit: int,
    change: Callable[[DeadLetter], DeadLetter],
    per_recipient: int | None,
    room: Mapping[str, int],
) -> list[DeadLetter]:
    """See ``Store.claim``."""
    claimed: list[DeadLetter] = []
    places = Places(per_recipient, room)
    # What somebody else is claiming now is locked, where there are locks of rows, and passed over.
    due = _ALL.where(_c.due_at <= now).order_by(_c.due_at).with_for_update(skip_locked=True)
    while (wanted := limit - len(claimed)) > 0:
        rows = connection.execute(due.where(_c.recipient.not_in(places.full)).limit(wanted)).all()
        found, unreadable = _sorted_out(rows)
        changed = [(old, change(old)) for old in found if places.take(old.recipient)]
        if changed:
            connection.execute(_CHANGE, [_change_values(new, old.revision) for old, new in changed])
        if unreadable:  # or they would be found due again and again
            connection.execute(letters.update().where(_c.id.in_(unreadable)).values(due_at=None))
        claimed += [new for _, new in changed]
        if len(rows) < wanted:
            break
    return claimed


def end_claims(connection: sa.Connection, now: float, owners: Sequence[str]) -> None:
    """End the claims of these owners; see ``Store.end_claims``."""
    theirs = letters.update().where(_c.state == "retrying", _c.claimed_by.in_(owners))
    connection.execute(theirs.values(claimed_until=now, due_at=now, updated_at=now, revision=_c.revision + 1))


# --- questions -----------------------------------------------------------------------------------

# The payload as the driver has it: SQLAlchemy would raise for a text in its place, and for the whole page.
_RAW: Final = {"payload": sa.type_coerce(_c.payload, sa.types.NullType)}
_ALL: Final = sa.select(*(_RAW.get(name, _c[name]) for name in _FIELDS))
_KEYS: Final = sa.select(*[_c.id, _c.revision, _c.state, _c.payload.is_not(None), _c.redeliverable])


def get(connection: sa.Connection, id: str) -> DeadLetter | None:
    """See ``Store.get``."""
    row = connection.execute(_ALL.where(_c.id == id)).one_or_none()
    return None if row is None else _letter(row)


def find(connection: sa.Connection, ids: Sequence[str]) -> list[DeadLetter]:
    """See ``Store.find``."""
    return _readable(connection, _ALL.where(_c.id.in_(ids)).order_by(_c.id), len(ids))


def page(
    connection: sa.Connection, filter: LetterFilter, cursor: str | None, limit: int, newest_first: bool
) -> list[DeadLetter]:
    """See ``Store.page``."""
    found: list[DeadLetter] = []
    for part in _one_state_each(filter):
        found += _readable(connection, _in_order(_ALL, part, cursor, newest_first), limit)
    return sorted(found, key=attrgetter("id"), reverse=newest_first)[:limit]


def keys(connection: sa.Connection, filter: LetterFilter, cursor: str | None, limit: int) -> list[Key]:
    """See ``Store.keys``."""
    found: list[Key] = []
    for part in _one_state_each(filter):
        rows = connection.execute(_in_order(_KEYS, part, cursor, newest_first=False).limit(limit))
        found += [Key(*row) for row in rows]
    return sorted(found)[:limit]


def _in_order(
    query: sa.Select[tuple[Any, ...]], filter: LetterFilter, cursor: str | None, newest_first: bool
) -> sa.Select[tuple[Any, ...]]:
    query = query.where(*_conditions(filter)).order_by(_c.id.desc() if newest_first else _c.id)
    if cursor is None:
        return query
    return query.where(_c.id < cursor if newest_first else _c.id > cursor)


def _one_state_each(filter: LetterFilter) -> list[LetterFilter]:
    """Return filters that together mean the same, each of at most one state.

    Letters of one state come out of its index in order. Of several they would have to be sorted, all of them.
    """
    return [msgspec.structs.replace(filter, state=state) for state in dict.fromkeys(filter.states)] or [filter]


def _readable(connection: sa.Connection, query: sa.Select[tuple[Any, ...]], limit: int) -> list[DeadLetter]:
    """Return up to ``limit`` letters; rows that are none are passed over."""
    found: list[DeadLetter] = []
    seen = 0
    while True:
        wanted = limit - len(found)
        rows = connection.execute(query.limit(wanted).offset(seen)).all()
        seen += len(rows)
        found += _sorted_out(rows)[0]
        if len(rows) < wanted or len(found) == limit:
            return found


def _sorted_out(rows: Sequence[sa.Row[Any]]) -> tuple[list[DeadLetter], list[Any]]:
    """Return the letters, and the ids of the rows that are none."""
    found: list[DeadLetter] = []
    unreadable: list[Any] = []
    for row in rows:
        try:
            found.append(_letter(row))
        except msgspec.ValidationError as error:
            unreadable.append(row[0])
            _log.error("dead letter %s cannot be read: %s; correct its row, and retry() it", row[0], error)
    return found, unreadable


def next_due(connection: sa.Connection) -> float | None:
    """See ``Store.next_due``."""
    query = sa.select(_c.due_at).where(_c.due_at.is_not(None)).order_by(_c.due_at).limit(1)
    first: object = connection.execute(query).scalar_one_or_none()
    return first if isinstance(first, float) else None  # text, which sorts behind all numbers, is never due


def owners(connection: sa.Connection) -> list[str]:
    """Return those who have claimed letters, each once."""
    query = sa.select(_c.claimed_by).where(_c.state == "retrying", _c.claimed_by.is_not(None)).distinct()
    return list(connection.execute(query).scalars())


def count(connection: sa.Connection) -> dict[State, int]:
    """See ``Store.count``."""
    query = sa.select(_c.state, sa.func.count()).where(_c.state.in_(STATES)).group_by(_c.state)
    return {state: number for state, number in connection.execute(query)}  # noqa: C416 - a Row is no tuple to mypy


def _conditions(filter: LetterFilter) -> list[sa.ColumnElement[bool]]:
    """Return what a filter of at most one state demands."""
    (since, until), change_limit = filter.window, filter.change_limit
    found = [_c[name] == value for name, value in filter.texts.items() if value is not None]
    found += [_c.state == state for state in filter.states]
    if since is not None:
        # The first is by which they are found, for ids are made of the time; the second says it exactly.
        found += [_c.id >= first_id(since), _c.created_at >= since]
    if until is not None:
        found.append(_c.created_at < until)
    if change_limit is not None:
        found.append(_c.updated_at < change_limit)
        if filter.states and _NEVER_DUE.issuperset(filter.states):
            found.append(_c.due_at.is_(None))  # what the index of ages holds; the planner must be told
    return found


_NEVER_DUE: Final = {"exhausted", "delivered", "discarded"}
