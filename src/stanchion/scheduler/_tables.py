# SPDX-License-Identifier: MIT
"""Persistent schedules as rows: the tables, and the plain statements on them.

Functions of a SQLAlchemy connection, for one transaction each. Whoever changes a schedule locks its row first, so that
a firing and a change by another node come one after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa

from stanchion.outbox import pending_ids
from stanchion.storage import insert_rows

metadata: Final = sa.MetaData()

schedules: Final = sa.Table(
    "stanchion_schedules",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("added", sa.Double, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("jitter", sa.Double, nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("message_type", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("misfire_grace", sa.Double),
    sa.Column("coalesce", sa.Text, nullable=False),
    sa.Column("max_running", sa.Integer),
    sa.Column("overrun", sa.Text, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("taken", sa.Double, nullable=False),
    sa.Column("counted_at", sa.Double, nullable=False),
    sa.Column("next_due", sa.Double),
    sa.Column("fire_at", sa.Double),
    sa.Column("waiting", sa.Double),
    sa.Column("runs", sa.BigInteger, nullable=False),
    sa.Column("missed", sa.BigInteger, nullable=False),
    sa.Column("last_run", sa.Double),
    sa.Column("last_outcome", sa.Text),
    sa.Column("last_error", sa.Text),
)
_s: Final = schedules.c
sa.Index("stanchion_schedules_fire_at", _s.fire_at)
sa.Index(
    "stanchion_schedules_waiting", _s.id,
    sqlite_where=_s.waiting.is_not(None), postgresql_where=_s.waiting.is_not(None),
)  # fmt: skip

# A run that was put into the outbox, and whose end is not noted.
runs: Final = sa.Table(
    "stanchion_schedule_runs",
    metadata,
    sa.Column("message", sa.Text, primary_key=True),
    sa.Column("schedule", sa.Text, nullable=False),
    sa.Column("due", sa.Double, nullable=False),
)
_r: Final = runs.c
sa.Index("stanchion_schedule_runs_schedule", _r.schedule)

_MANY: Final = 1000


class Row(NamedTuple):
    """A schedule as it is stored.

    Attributes:
        id: What it is called.
        added: When it was added.
        trigger: When it is due, as JSON.
        jitter: By how much a run may begin later than it is due.
        recipient: To whom its message is sent, as in the outbox, and so are the next four.
        message_type: The stored type name.
        version: The version of that type.
        payload: The message.
        options: How to send it.
        job: What it does, as text.
        misfire_grace: How late a run may be; None for no limit.
        coalesce: Which of several due times are run.
        max_running: How many runs may be under way; None for no limit.
        overrun: What becomes of a due time when so many are.
        paused: Whether it is paused.
        taken: Due times up to this one are done with.
        counted_at: What the wall clock showed when ``next_due`` was counted.
        next_due: The first due time after ``taken``; None when there is none: it is over.
        fire_at: When that is run; None while it is paused, and when there is none.
        waiting: A due time that is run when a run ends; None when none waits.
        runs: How many runs began.
        missed: How many due times were not run.
        last_run: When the latest run began.
        last_outcome: How the latest run did that ended.
        last_error: Why.
    """

    id: str
    added: float
    trigger: str
    jitter: float
    recipient: str
    message_type: str
    version: int
    payload: bytes
    options: str
    job: str
    misfire_grace: float | None
    coalesce: str
    max_running: int | None
    overrun: str
    paused: bool
    taken: float
    counted_at: float
    next_due: float | None
    fire_at: float | None
    waiting: float | None
    runs: int = 0
    missed: int = 0
    last_run: float | None = None
    last_outcome: str | None = None
    last_error: str | None = None


_FIELDS: Final = tuple(_s[name] for name in Row._fields)


class End(NamedTuple):
    """The end of a run.

    Attributes:
        message: The id of its message in the outbox.
        outcome: How it did.
        error: Why; None when it was confirmed.
    """

    message: str
    outcome: str
    error: str | None


# --- one schedule --------------------------------------------------------------------------------


def find(connection: sa.Connection, id: str) -> Row | None:
    """Return a schedule as it is now."""
    found = connection.execute(sa.select(*_FIELDS).where(_s.id == id)).first()
    return None if found is None else Row(*found)


def lock(connection: sa.Connection, id: str) -> Row | None:
    """Return a schedule, which nobody else changes before this transaction ends."""
    found = connection.execute(sa.select(*_FIELDS).where(_s.id == id).with_for_update()).first()
    return None if found is None else Row(*found)


def lock_all(connection: sa.Connection, ids: Iterable[str]) -> dict[str, Row]:
    """Return those of these schedules that are there, locked as ``lock`` does."""
    # In one order everywhere: two nodes must not wait for each other.
    return {id: row for id in sorted(ids) if (row := lock(connection, id)) is not None}


_INSERT: Final = sa.text(
    f"INSERT INTO {schedules.name} ({', '.join(Row._fields)}) "  # noqa: S608 - all names are ours
    f"VALUES ({', '.join(':' + name for name in Row._fields)}) ON CONFLICT DO NOTHING"
)


def insert(connection: sa.Connection, row: Row) -> bool:
    """Store a schedule; return False when another transaction has just stored one of this id."""
    return connection.execute(_INSERT, row._asdict()).rowcount == 1


def update(connection: sa.Connection, row: Row) -> None:
    """Store what became of a schedule that is locked."""
    connection.execute(schedules.update().where(_s.id == row.id).values(row._asdict()))


def delete(connection: sa.Connection, id: str) -> None:
    """Remove a schedule that is locked; its messages stay in the outbox."""
    connection.execute(runs.delete().where(_r.schedule == id))
    connection.execute(schedules.delete().where(_s.id == id))


# --- runs ----------------------------------------------------------------------------------------


def add_runs(connection: sa.Connection, added: Sequence[tuple[str, str, float]]) -> None:
    """Take note of runs that are put into the outbox: message, schedule and due time."""
    insert_rows(connection, runs.name, ("message", "schedule", "due"), added)


def running(connection: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return how many runs of these schedules are under way: their messages are in the outbox."""
    counts = dict.fromkeys(ids, 0)
    for start in range(0, len(ids), _MANY):
        query = sa.select(_r.message, _r.schedule).where(_r.schedule.in_(ids[start : start + _MANY]))
        found = {message: schedule for message, schedule in connection.execute(query)}  # noqa: C416 - a Row is no tuple
        for message in _pending(connection, list(found)):
            counts[found[message]] += 1
    return counts


def note_ends(connection: sa.Connection, ends: Iterable[End]) -> None:
    """Take note of runs that have ended; those whose end was noted before are left out."""
    latest: dict[str, End] = {}
    for end in ends:
        gone = connection.execute(runs.delete().where(_r.message == end.message).returning(_r.schedule)).scalar()
        if gone is not None:
            latest[gone] = end
    for id, (_, outcome, error) in sorted(latest.items()):  # in one order everywhere, as in firing
        connection.execute(schedules.update().where(_s.id == id).values(last_outcome=outcome, last_error=error))


def ended(connection: sa.Connection) -> frozenset[str]:
    """Return the messages of runs that are not in the outbox any more, and whose end is not noted."""
    ids = connection.execute(sa.select(_r.message)).scalars().all()
    return frozenset(ids) - _pending(connection, ids)


def _pending(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    parts = (pending_ids(connection, ids[start : start + _MANY]) for start in range(0, len(ids), _MANY))
    return frozenset[str]().union(*parts)


# --- all of them ---------------------------------------------------------------------------------


class Ready(NamedTuple):
    """What is to be done.

    Attributes:
        rows: Schedules of which something is to be run: those that wait, then the others, the most overdue first.
        next: When the next of the others is to be run; None when there is none.
    """

    rows: list[Row]
    next: float | None


def ready(connection: sa.Connection, now: float, limit: int, aside: Collection[str]) -> Ready:
    """Return up to ``limit`` schedules that are due or wait for a run that has ended, but for those set aside."""
    others = _s.id.not_in(aside) if aside else sa.true()
    query = sa.select(*_FIELDS).where(_s.fire_at <= now, others).order_by(_s.fire_at).limit(limit)
    due = [Row(*found) for found in connection.execute(query)]
    wait = sa.select(*_FIELDS).where(_s.waiting.is_not(None), others, sa.or_(_s.fire_at.is_(None), _s.fire_at > now))
    waiting = [Row(*found) for found in connection.execute(wait)]
    counts = running(connection, [row.id for row in waiting])
    rows = [*(row for row in waiting if has_room(row, counts[row.id])), *due]
    later = connection.execute(sa.select(sa.func.min(_s.fire_at)).where(_s.fire_at > now, others)).scalar()
    return Ready(rows, later)


def has_room(row: Row, count: int) -> bool:
    """Return whether one more run may begin."""
    return row.max_running is None or count < row.max_running


def counted_after(connection: sa.Connection, moment: float) -> Sequence[str]:
    """Return the ids of schedules whose due time was counted when the clock showed more than this."""
    return connection.execute(sa.select(_s.id).where(_s.counted_at > moment)).scalars().all()


def forget(connection: sa.Connection, before: float) -> None:
    """Remove the schedules that were over before a time."""
    over = _s.next_due.is_(None) & _s.waiting.is_(None) & (_s.counted_at < before)
    connection.execute(schedules.delete().where(over))


def all_rows(connection: sa.Connection) -> tuple[list[Row], dict[str, int]]:
    """Return every schedule, in the order of adding, and how many runs of each are under way."""
    rows = [Row(*found) for found in connection.execute(sa.select(*_FIELDS).order_by(_s.added, _s.id))]
    return rows, running(connection, [row.id for row in rows])


def one_row(connection: sa.Connection, id: str) -> tuple[Row, int] | None:
    """Return a schedule, and how many of its runs are under way; None when there is none."""
    row = find(connection, id)
    return None if row is None else (row, running(connection, [id])[id])
