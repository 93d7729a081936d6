# SPDX-License-Identifier: MIT
"""Signals and durable subscriptions as rows: the tables, and the statements on them.

Plain functions of a SQLAlchemy connection, for one transaction each, in SQL that SQLite and PostgreSQL share. Positions
are counted in a row of their own: whoever appends changes it first, so that PostgreSQL has the next one wait until these
rows are committed. The order of positions is that of commits, without gaps, and whoever has read up to a position has
missed nothing before it. A position is never used again, whatever is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from stanchion.storage import insert_rows

metadata: Final = sa.MetaData()

signals: Final = sa.Table(
    "stanchion_signals",
    metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("stored_at", sa.Double, nullable=False),
)
_s: Final = signals.c
sa.Index("stanchion_signals_id", _s.id)
sa.Index("stanchion_signals_stored_at", _s.stored_at)

head: Final = sa.Table(
    "stanchion_signals_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # 1, in its only row
    sa.Column("position", sa.BigInteger, nullable=False),
)

subscriptions: Final = sa.Table(
    "stanchion_subscriptions",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("pattern", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),  # of the last signal that needs not be sent
    sa.Column("incarnation", sa.Text, nullable=False),  # another one after each replay
    sa.Column("in_hand", sa.BigInteger),  # NULL: nobody sends; 0: somebody does; else what is noted as being sent
    sa.Column("interrupted", sa.Integer, nullable=False),
)
_b: Final = subscriptions.c


class Signalled(NamedTuple):
    """A signal as the journal keeps it.

    Attributes:
        position: Its place.
        id: Its id, which its publisher may have chosen.
        type: Its type.
        version: The version of the stored form.
        payload: The signal.
        stored_at: When it was put into the journal, in Unix seconds by the clock of the node that did.
    """

    position: int
    id: str
    type: str
    version: int
    payload: bytes
    stored_at: float


class Subscribed(NamedTuple):
    """A durable subscription as the database keeps it.

    Attributes:
        name: Its name.
        pattern: Its pattern, as text.
        target: The address of its target, as text.
        position: The last position up to which everything was handled.
        incarnation: A word that is another one after each replay: what was begun before it counts no more.
        in_hand: None while no node sends; 0 while one does; else the position that was noted as being sent.
        interrupted: How many times a node has ended while it sent that one, as far as was noted.
    """

    name: str
    pattern: str
    target: str
    position: int
    incarnation: str
    in_hand: int | None
    interrupted: int


class Advance(NamedTuple):
    """That a subscription has handled everything up to a position.

    Attributes:
        name: The subscription.
        incarnation: In which one of its lives.
        pattern: Its pattern: who did not know the one that it has now has passed what that one matches.
        position: The position.
    """

    name: str
    incarnation: str
    pattern: str
    position: int


# --- signals -------------------------------------------------------------------------------------

_NAMES: Final = Signalled._fields


def write(
    connection: sa.Connection, new: Sequence[tuple[str, str, int, bytes, float]], advances: Sequence[Advance]
) -> tuple[int, frozenset[tuple[str, str, str]]]:
    """Append signals, and have subscriptions advance.

    Args:
        connection: Where.
        new: The fields of each signal but its position.
        advances: At most one of each incarnation and pattern of a subscription.

    Returns:
        The position of the first new signal; and the names, incarnations and patterns of those that there are no more:
        those have not advanced.
    """
    first = _append(connection, new) if new else 0
    # In one order everywhere: two nodes must not wait for each other.
    gone = [one for one in sorted(advances) if not _advance(connection, one)]
    return first, frozenset(one[:-1] for one in gone)


def _append(connection: sa.Connection, new: Sequence[tuple[str, str, int, bytes, float]]) -> int:
    connection.execute(head.update().values(position=head.c.position + len(new)))
    first = last_position(connection) - len(new) + 1
    insert_rows(connection, signals.name, _NAMES, [(first + index, *row) for index, row in enumerate(new)])
    return first


def _advance(connection: sa.Connection, advance: Advance) -> bool:
    same = _b.name == advance.name, _b.incarnation == advance.incarnation, _b.pattern == advance.pattern
    # What a node notes late, when another one is farther, takes nothing back.
    farther = sa.case((_b.position < advance.position, advance.position), else_=_b.position)
    return bool(connection.execute(subscriptions.update().where(*same).values(position=farther)).rowcount)


def last_position(connection: sa.Connection) -> int:
    """Return the position of the signal that was stored last, 0 before the first."""
    return int(connection.execute(sa.select(head.c.position)).scalar_one())


class Batch(NamedTuple):
    """What a look at the journal found.

    Attributes:
        found: Signals, in order.
        upto: The position up to which there are no others.
    """

    found: list[Signalled]
    upto: int


def read(
    connection: sa.Connection, after: int, wanted: Callable[[str], bool], *, rows: int, count: int, size: int
) -> Batch:
    """Return the next signals after a position, two statements for all of them.

    Args:
        connection: Where.
        after: The position.
        wanted: Says by its type whether a signal is wanted.
        rows: How many rows to look at, at most.
        count: How many signals to return at most.
        size: How many bytes all of them may have; the first one comes whatever it has.
    """
    length = sa.func.length(_s.payload)
    query = sa.select(_s.position, _s.type, length).where(_s.position > after).order_by(_s.position).limit(rows)
    chosen: list[int] = []
    upto = after
    for position, type, bytes_ in connection.execute(query):
        if wanted(type):
            if chosen and (len(chosen) == count or bytes_ > size):
                break
            chosen.append(position)
            size -= bytes_
        upto = position
    if not chosen:
        return Batch([], upto)
    columns = [_s[name] for name in _NAMES]
    found = connection.execute(sa.select(*columns).where(_s.position.in_(chosen)).order_by(_s.position))
    return Batch([Signalled(*row) for row in found], upto)


def waiting(connection: sa.Connection, after: int, wanted: Callable[[str], bool]) -> int:
    """Return how many signals after a position are wanted."""
    query = sa.select(_s.type, sa.func.count()).where(_s.position > after).group_by(_s.type)
    return sum(number for type, number in connection.execute(query) if wanted(type))


def trim(connection: sa.Connection, before: float, limit: int) -> int:
    """Delete the oldest signals that were stored before a time and that every subscription has passed.

    Returns:
        How many were deleted, at most ``limit``.
    """
    last = _hold_journal(connection)
    passed = connection.execute(sa.select(sa.func.min(_b.position))).scalar()
    bound = last if passed is None else passed
    # The oldest first, and none before an older one is gone: the clocks of two nodes may differ.
    oldest = sa.select(_s.position, _s.stored_at).where(_s.position <= bound).order_by(_s.position).limit(limit)
    upto = 0
    for position, stored_at in connection.execute(oldest):
        if stored_at >= before:
            break
        upto = position
    return connection.execute(signals.delete().where(_s.position <= upto)).rowcount if upto else 0


def _hold_journal(connection: sa.Connection) -> int:
    """Have nobody append, delete or begin a subscription until this transaction ends; return the last position."""
    return int(connection.execute(sa.select(head.c.position).with_for_update()).scalar_one())


def position_of(connection: sa.Connection, id: str) -> int | None:
    """Return the first position of a signal with this id, None when the journal has none."""
    return connection.execute(sa.select(sa.func.min(_s.position)).where(_s.id == id)).scalar()


def position_at(connection: sa.Connection, since: float) -> int | None:
    """Return the first position of a signal that was stored at a time or later, None when there is none yet."""
    return connection.execute(sa.select(sa.func.min(_s.position)).where(_s.stored_at >= since)).scalar()


# --- subscriptions -------------------------------------------------------------------------------

Start = Callable[[sa.Connection, int], int]
"""Returns the position to begin after, given the last one."""

_FIELDS: Final = tuple(_b[name] for name in Subscribed._fields)


def all_subscriptions(connection: sa.Connection) -> tuple[int, list[Subscribed]]:
    """Return the last position, and every durable subscription by its name."""
    rows = connection.execute(sa.select(*_FIELDS).order_by(_b.name))
    return last_position(connection), [Subscribed(*row) for row in rows]


def find(connection: sa.Connection, name: str) -> Subscribed | None:
    """Return a durable subscription."""
    row = connection.execute(sa.select(*_FIELDS).where(_b.name == name)).first()
    return None if row is None else Subscribed(*row)


def subscribe(connection: sa.Connection, name: str, pattern: str, target: str, word: str, start: Start) -> bool:
    """Store a durable subscription; one that is stored keeps its position.

    Args:
        connection: Where.
        name: Its name.
        pattern: Its pattern.
        target: The address of its target.
        word: What a new one has for its incarnation.
        start: Where a new one begins.

    Returns:
        Whether anything has changed by it.
    """
    last = _hold_journal(connection)
    found = find(connection, name)
    if found is not None and (found.pattern, found.target) == (pattern, target):
        return False
    if found is not None:
        connection.execute(subscriptions.update().where(_b.name == name).values(pattern=pattern, target=target))
    else:
        new = Subscribed(name, pattern, target, start(connection, last), word, None, 0)
        connection.execute(subscriptions.insert().values(**new._asdict()))
    return True


def rewind(connection: sa.Connection, name: str, word: str, start: Start) -> bool:
    """Have a subscription begin anew, no later than where it is; return False when there is none."""
    last = _hold_journal(connection)
    found = find(connection, name)
    if found is None:
        return False
    values = {"position": min(found.position, start(connection, last)), "incarnation": word, "interrupted": 0}
    connection.execute(subscriptions.update().where(_b.name == name).values(**values))
    return True


def forget(connection: sa.Connection, name: str) -> bool:
    """Delete a subscription; return False when there is none."""
    return bool(connection.execute(subscriptions.delete().where(_b.name == name)).rowcount)


def begin(connection: sa.Connection, name: str) -> Subscribed | None:
    """Note that a node sends the signals of a subscription from now on; return it as it was before."""
    found = find(connection, name)
    if found is not None and found.in_hand is None:
        connection.execute(subscriptions.update().where(_b.name == name).values(in_hand=0, interrupted=0))
    return found


def note_in_hand(connection: sa.Connection, passed: Advance, position: int) -> int | None:
    """Note which signal is sent next, before it is.

    Args:
        connection: Where.
        passed: The subscription, and how far it has come.
        position: Of the signal.

    Returns:
        How many times a node has ended while it sent that one; None when the subscription is not what it was.
    """
    found = find(connection, passed.name)
    if found is None or not _advance(connection, passed):
        return None
    again = found.interrupted + 1 if found.in_hand == position else 0
    values = {"in_hand": position, "interrupted": again}
    connection.execute(subscriptions.update().where(_b.name == passed.name).values(**values))
    return again


def end(connection: sa.Connection, name: str) -> None:
    """Note that a node stopped in order, and sends no signal of a subscription."""
    connection.execute(subscriptions.update().where(_b.name == name).values(in_hand=None, interrupted=0))
