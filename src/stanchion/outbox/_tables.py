# SPDX-License-Identifier: MIT
"""The outbox as rows: the tables, and the statements on them.

Plain functions of a SQLAlchemy connection, for one transaction each. Only standard SQL, so that SQLite and PostgreSQL
run the same, but for one lock: what takes messages for an owner must not run twice at once, or of two ordered messages
the second could be taken by one node while the other is about to take the first. SQLite has one writer anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from stanchion.outbox._message import OutboxMessage
from stanchion.storage import Owner, insert_rows

metadata: Final = sa.MetaData()

# A column for each field of OutboxMessage, in its order; whether it is noted as being sent, and who delivers it.
messages: Final = sa.Table(
    "stanchion_outbox",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("message_type", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("metadata", sa.LargeBinary),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("ordered", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("interrupted", sa.Integer),
    sa.Column("under_way", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("owner", sa.Text),  # NULL: whoever has room may take it
)
_m: Final = messages.c
_FIELDS: Final = tuple(_m[name] for name in OutboxMessage._fields)
_NAMES: Final = (*OutboxMessage._fields, "owner")

# A message that its node delivers at once is never in it: storing costs no more for it.
sa.Index("stanchion_outbox_unclaimed", _m.id, sqlite_where=_m.owner.is_(None), postgresql_where=_m.owner.is_(None))

owners: Final = sa.Table(
    "stanchion_outbox_owners",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Text, nullable=False),
    sa.Column("lease", sa.Double, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False),
)
_o: Final = owners.c

handled: Final = sa.Table(
    "stanchion_outbox_handled",
    metadata,
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("handled_at", sa.Double, nullable=False),
)
_h: Final = handled.c
sa.Index("stanchion_outbox_handled_at", _h.handled_at)


class Handled(NamedTuple):
    """A message with an idempotency key that was handled."""

    recipient: str
    message_id: str
    at: float


class Change(NamedTuple):
    """What one commit does.

    Attributes:
        new: Messages to store, each with its owner or None.
        keyed: Those of them to leave out when they are remembered as handled.
        begun: The ids of messages to note as under way.
        done: The ids of messages to remove.
        handled: What to remember.
    """

    new: Sequence[tuple[OutboxMessage, str | None]]
    keyed: Sequence[OutboxMessage]
    begun: Sequence[str]
    done: Sequence[str]
    handled: Sequence[Handled]


# --- messages ------------------------------------------------------------------------------------


def commit(connection: sa.Connection, change: Change) -> frozenset[str]:
    """Store what is new, remove what is done, note and remember the rest; return the ids of what was left out."""
    known = frozenset(one.id for one in change.keyed if was_handled(connection, one.recipient, one.message_id))
    new = [row for row in change.new if row[0].id not in known] if known else change.new
    if new:
        insert(connection, new)
    if change.begun:
        connection.execute(messages.update().where(_m.id.in_(change.begun)).values(under_way=True))
    if change.done:
        connection.execute(messages.delete().where(_m.id.in_(change.done)))
    if change.handled:
        _remember(connection, change.handled)
    return known


def insert(connection: sa.Connection, rows: Sequence[tuple[OutboxMessage, str | None]]) -> None:
    """Store messages, each for its owner."""
    insert_rows(connection, messages.name, _NAMES, [(*message, owner) for message, owner in rows])


def claim(
    connection: sa.Connection, owner: str, limit: int, full: Collection[str]
) -> tuple[list[OutboxMessage], dict[str, str]]:
    """Take up to ``limit`` messages that have no owner, the oldest first; none for an owner that has ended.

    Args:
        connection: Where.
        owner: For whom.
        limit: How many.
        full: The recipients whose messages are not wanted now.

    Returns:
        What was taken; and, by its recipient, the oldest ordered message that is not this owner's. It may be one that this
        owner's node has stored, and whoever has it, no later one may overtake it.
    """
    one_at_a_time(connection)
    other = messages.alias()
    elsewhere = sa.exists().where(
        other.c.recipient == _m.recipient,
        other.c.ordered,
        other.c.id < _m.id,
        other.c.owner.is_not(None),
        other.c.owner != owner,
    )
    free = sa.select(_m.id).where(_m.owner.is_(None), sa.not_(sa.and_(_m.ordered, elsewhere)))
    if full:
        free = free.where(_m.recipient.not_in(full))
    alive = sa.exists().where(_o.id == owner)
    taken = messages.update().where(_m.id.in_(free.order_by(_m.id).limit(limit)), alive).values(owner=owner)
    rows = connection.execute(taken.returning(*_FIELDS)).all()
    others = sa.or_(_m.owner.is_(None), _m.owner != owner)
    query = sa.select(_m.recipient, sa.func.min(_m.id)).where(_m.ordered, others).group_by(_m.recipient)
    oldest = {recipient: id for recipient, id in connection.execute(query)}  # noqa: C416 - a Row is no tuple to mypy
    return sorted(OutboxMessage(*row) for row in rows), oldest


def give_back(connection: sa.Connection, owner: str, ids: Collection[str]) -> None:
    """Let anybody take these messages of an owner."""
    connection.execute(messages.update().where(_m.id.in_(ids), _m.owner == owner).values(owner=None, under_way=False))


def ids_of(connection: sa.Connection, owner: str) -> Sequence[str]:
    """Return the ids of an owner's messages."""
    return connection.execute(sa.select(_m.id).where(_m.owner == owner)).scalars().all()


def count(connection: sa.Connection) -> dict[str, int]:
    """Return how many messages there are for each recipient."""
    query = sa.select(_m.recipient, sa.func.count()).group_by(_m.recipient)
    return {recipient: number for recipient, number in connection.execute(query)}  # noqa: C416 - a Row is no tuple to mypy


def has(connection: sa.Connection, id: str) -> bool:
    """Return whether there is a message with this id."""
    return connection.execute(sa.select(_m.id).where(_m.id == id)).first() is not None


def pending(connection: sa.Connection, ids: Collection[str]) -> frozenset[str]:
    """Return which of these messages are there."""
    return frozenset(connection.execute(sa.select(_m.id).where(_m.id.in_(ids))).scalars())


def any_left(connection: sa.Connection) -> bool:
    """Return whether there is a message."""
    return connection.execute(sa.select(_m.id).limit(1)).first() is not None


# --- owners --------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """An owner as the database knows it.

    Attributes:
        process: Its OS process.
        lease: How many seconds after its last heartbeat it is taken for dead.
        beats: How many heartbeats it has made.
    """

    process: Owner
    lease: float
    beats: int


def register(connection: sa.Connection, owner: str, process: Owner, lease: float) -> None:
    """Make an owner known."""
    host, pid, started = process
    connection.execute(owners.insert().values(id=owner, host=host, pid=pid, started=started, lease=lease, beats=0))


def beat(connection: sa.Connection, owner: str) -> dict[str, Seen] | None:
    """Say that an owner lives, and return the others; None when it was taken for dead, and its messages from it."""
    alive = connection.execute(owners.update().where(_o.id == owner).values(beats=_o.beats + 1)).rowcount
    if not alive:
        return None
    others = connection.execute(sa.select(_o.id, _o.host, _o.pid, _o.started, _o.lease, _o.beats).where(_o.id != owner))
    return {id: Seen(Owner(host, pid, started), lease, beats) for id, host, pid, started, lease, beats in others}


def take_over(connection: sa.Connection, gone: Iterable[tuple[str, int]]) -> int:
    """End owners that are gone, each with the beats that were seen last, and free the messages of all who have ended.

    An owner that has lived on since is left alone. What was noted as under way was interrupted once more.

    Returns:
        How many messages were freed.
    """
    one_at_a_time(connection)
    for owner, beats in gone:
        connection.execute(owners.delete().where(_o.id == owner, _o.beats == beats))
    # Not by the names of the ended: one of them may have stored a message just when it was taken for dead.
    ended = _m.owner.is_not(None) & _m.owner.not_in(sa.select(_o.id))
    interrupted = sa.func.coalesce(_m.interrupted, 0) + sa.case((_m.under_way, 1), else_=0)
    freed = messages.update().where(ended).values(owner=None, under_way=False, interrupted=interrupted)
    return connection.execute(freed).rowcount


def leave(connection: sa.Connection, owner: str) -> None:
    """End an owner, and let anybody take its messages."""
    one_at_a_time(connection)  # a claim of its that was cancelled may be under way still
    connection.execute(owners.delete().where(_o.id == owner))
    connection.execute(messages.update().where(_m.owner == owner).values(owner=None, under_way=False))


_LOCK: Final = 0x5374616E6F757462
"""The number of our lock among those of a PostgreSQL database; any that nobody else chooses."""


def one_at_a_time(connection: sa.Connection) -> None:
    """Wait until no other transaction that called this is under way."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.cast(_LOCK, sa.BigInteger))))


# --- what was handled ----------------------------------------------------------------------------


def was_handled(connection: sa.Connection, recipient: str, message_id: str) -> bool:
    """Return whether a message is remembered as handled."""
    query = sa.select(_h.handled_at).where(_h.recipient == recipient, _h.message_id == message_id)
    return connection.execute(query).first() is not None


def drop_handled(connection: sa.Connection) -> int:
    """Remove messages without an owner that are remembered as handled; return how many."""
    known = sa.exists().where(_h.recipient == _m.recipient, _h.message_id == _m.message_id)
    return connection.execute(messages.delete().where(_m.owner.is_(None), known)).rowcount


def forget(connection: sa.Connection, before: float, limit: int) -> int:
    """Forget what was handled before that time, the oldest first; return how much was."""
    old = sa.select(_h.recipient, _h.message_id).where(_h.handled_at < before).order_by(_h.handled_at).limit(limit)
    return connection.execute(handled.delete().where(sa.tuple_(_h.recipient, _h.message_id).in_(old))).rowcount


_REMEMBER: Final = sa.text(
    f"INSERT INTO {handled.name} (recipient, message_id, handled_at) VALUES (:recipient, :message_id, :at) "  # noqa: S608
    "ON CONFLICT DO NOTHING"  # a retry may have it handled again: the first time counts
)


def _remember(connection: sa.Connection, all: Sequence[Handled]) -> None:
    connection.execute(_REMEMBER, [one._asdict() for one in all])
