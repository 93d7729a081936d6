# SPDX-License-Identifier: MIT
"""What becomes of persistent schedules, one transaction each: a run is put into the outbox, and its due time is taken.

Both are committed together or not at all, so nothing that kills a node loses a due time or runs it twice. What
happened is returned, to be told of when it is committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from stanchion.dead_letters import encode
from stanchion.outbox import OutboxMessage, insert_messages
from stanchion.scheduler import _tables
from stanchion.scheduler._misfire import Coalesce, Missed, take
from stanchion.scheduler._tables import Row
from stanchion.scheduler._triggers import After, At, Trigger, from_data, to_data
from stanchion.scheduler._wall_clock import CORRECTION
from stanchion.storage import notify

if TYPE_CHECKING:
    import sqlalchemy as sa

CHANNEL: Final = "stanchion_schedules"
"""What PostgreSQL tells when a schedule was changed."""

KEY: Final = "schedule"
_OPERATION: Final = "SchedulerManager"
# Seconds after which a transaction fires no more schedules: a long row of due times takes a while to be counted, and
# meanwhile nobody else writes to an SQLite file, or takes the lease over.
_LONG: Final = 0.25


class Now(NamedTuple):
    """By what a transaction goes.

    Attributes:
        time: What the wall clock shows.
        random: Where jitter comes from.
    """

    time: float
    random: Random


class Happened(NamedTuple):
    """What a transaction did.

    Attributes:
        started: Schedule and due time of each run that began.
        missed: Schedule and due times of those that were not run.
    """

    started: list[tuple[str, float]]
    missed: list[tuple[str, Missed]]


def trigger_of(row: Row) -> Trigger:
    """Return when a schedule is due.

    Raises:
        InvalidOptionError: this program does not know such a trigger.
    """
    return from_data(msgspec.json.decode(row.trigger))


def trigger_text(trigger: Trigger) -> str:
    """Return a trigger as it is stored."""
    return msgspec.json.encode(to_data(trigger)).decode()


def set_anew(row: Row, trigger: Trigger, now: Now) -> Row:
    """Return a schedule with a trigger that counts from now on."""
    taken = trigger.counts_from(now.time)
    row = row._replace(trigger=trigger_text(trigger))
    return _counted(row, taken, trigger.next_after(taken), now)


def _counted(row: Row, taken: float, next_due: float | None, now: Now) -> Row:
    fire_at = None if next_due is None or row.paused else next_due + now.random.uniform(0.0, row.jitter)
    return row._replace(taken=taken, counted_at=now.time, next_due=next_due, fire_at=fire_at)


# --- firing --------------------------------------------------------------------------------------


def fire(connection: sa.Connection, ids: Sequence[str], now: Now) -> Happened:
    """Run what is due of these schedules, and what waited for a run that has ended.

    The first one at least, and more of them, in this order, while it does not take long.
    """
    happened, begun = Happened([], []), _Begun()
    until = time.monotonic() + _LONG
    rows = _tables.lock_all(connection, ids)
    for row in (rows[id] for id in ids if id in rows):
        run = _Run(connection, row, now, happened, begun)
        run.begin_waiting()
        if row.fire_at is not None and row.fire_at <= now.time:
            run.take()
        _tables.update(connection, run.row)
        if time.monotonic() >= until:
            break
    begun.put(connection)
    return happened


def trigger(connection: sa.Connection, id: str, now: Now) -> tuple[bool, Happened] | None:
    """Run a schedule once; return whether the run began, and what happened; None when there is no such schedule."""
    row = _tables.lock(connection, id)
    if row is None:
        return None
    begun = _Begun()
    run = _Run(connection, row, now, Happened([], []), begun)
    began = run.begin(now.time)
    _tables.update(connection, run.row)
    begun.put(connection)
    return began, run.happened


class _Begun:
    """The runs that a transaction begins, of all its schedules: they are put into the outbox together."""

    def __init__(self) -> None:
        self._makes: list[Callable[[str, float], OutboxMessage]] = []
        self._runs: list[tuple[str, str, float]] = []

    def add(self, row: Row, due: float) -> None:
        """Begin a run."""
        metadata = encode({KEY: row.id, "due": due}).payload

        def make(id: str, now: float) -> OutboxMessage:
            self._runs.append((id, row.id, due))
            return OutboxMessage(
                id, message_id(row.id, due, id), row.recipient, row.message_type, row.version, row.payload,
                metadata, row.options, ordered=False, created_at=now,
            )  # fmt: skip

        self._makes.append(make)

    def put(self, connection: sa.Connection) -> None:
        """Put them into the outbox."""
        if self._makes:
            insert_messages(connection, _OPERATION, self._makes)
            _tables.add_runs(connection, self._runs)


class _Run:
    """The runs of one locked schedule.

    Attributes:
        row: The schedule, as it will be.
        happened: What happened, of all schedules of the transaction.
    """

    def __init__(self, connection: sa.Connection, row: Row, now: Now, happened: Happened, begun: _Begun) -> None:
        self._begun: Final = begun
        self._now: Final = now
        self.row = row
        self.happened: Final = happened
        # Not counted where there is no limit.
        self._running = 0 if row.max_running is None else _tables.running(connection, [row.id])[row.id]

    def begin_waiting(self) -> None:
        """Run what waits, if there is room."""
        due = self.row.waiting
        if due is not None and _tables.has_room(self.row, self._running):
            self.row = self.row._replace(waiting=None)
            self.begin(due)

    def take(self) -> None:
        """Take the due times that have come, and run those that are to be run."""
        row, now = self.row, self._now
        # It is as late as it is past its jitter.
        jitter = 0.0 if row.fire_at is None or row.next_due is None else row.fire_at - row.next_due
        grace = None if row.misfire_grace is None else row.misfire_grace + jitter
        taken = take(trigger_of(row), row.taken, now.time, grace=grace, coalesce=cast("Coalesce", row.coalesce))
        self.row = _counted(row, taken.last, taken.next, now)
        for missed in taken.missed:
            self._miss(missed)
        for due in taken.run:
            self.begin(due)

    def begin(self, due: float) -> bool:
        """Put a run into the outbox, unless too many are there."""
        row = self.row
        if _tables.has_room(row, self._running):
            self._put(due)
            return True
        if row.overrun == "skip":
            self._miss(Missed("overrun", due, due, 1))
            return False
        if row.waiting is not None:
            self._miss(Missed("overrun", row.waiting, row.waiting, 1))
        self.row = self.row._replace(waiting=due)
        return False

    def _put(self, due: float) -> None:
        row = self.row
        self._begun.add(row, due)
        self._running += 1
        self.row = row._replace(runs=row.runs + 1, last_run=self._now.time)
        self.happened.started.append((row.id, due))

    def _miss(self, missed: Missed) -> None:
        self.row = self.row._replace(missed=self.row.missed + missed.count)
        self.happened.missed.append((self.row.id, missed))


def message_id(schedule: str, due: float, id: str) -> str:
    """Return what the message of a run is called: by its schedule, its due time and its id in the outbox."""
    return f"{KEY}:{schedule}:{due!r}:{id}"


def run_of(message: OutboxMessage) -> tuple[str, float] | None:
    """Return of which schedule and due time a message is the run; None when it is none."""
    kind, _, rest = message.message_id.partition(":")
    rest, _, id = rest.rpartition(":")
    schedule, _, due = rest.rpartition(":")
    if kind != KEY or id != message.id:
        return None
    try:
        return schedule, float(due)
    except ValueError:
        return None  # it only looks like one


# --- changes -------------------------------------------------------------------------------------


def put(connection: sa.Connection, row: Row, trigger: Trigger, now: Now) -> bool:
    """Store a schedule, or change the one of this id to it; return False when that is so already.

    What became of it so far stays. Its due times do so too, unless the trigger is another one.
    """
    found = _tables.lock(connection, row.id)
    if found is None and _tables.insert(connection, set_anew(row, trigger, now)):
        notify(connection, CHANNEL)
        return True
    if found is None:
        return put(connection, row, trigger, now)  # another node has just stored one
    changed = _as_it_was(row, found)
    # A delay that is over is to begin again; a time that has passed is not.
    again = isinstance(trigger, After) and found.next_due is None and found.waiting is None
    if again or str(_known(found)) != str(trigger):
        changed = set_anew(changed, trigger, now)
    elif changed.jitter != found.jitter:
        changed = _counted(changed, found.taken, found.next_due, now)
    if changed == found:
        return False
    _tables.update(connection, changed)
    notify(connection, CHANNEL)
    return True


def _as_it_was(row: Row, found: Row) -> Row:
    """Return what is asked for, with what became of what is stored."""
    return row._replace(
        added=found.added, trigger=found.trigger, paused=found.paused, taken=found.taken, counted_at=found.counted_at,
        next_due=found.next_due, fire_at=found.fire_at, waiting=found.waiting, runs=found.runs, missed=found.missed,
        last_run=found.last_run, last_outcome=found.last_outcome, last_error=found.last_error,
    )  # fmt: skip


def _known(row: Row) -> Trigger | None:
    """Return when a schedule is due; None when a later release wrote that, or a person."""
    try:
        return trigger_of(row)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, this program does not know it
        return None


class Change(NamedTuple):
    """What became of a change.

    Attributes:
        made: Whether there was something to change.
        missed: What is missed by it.
    """

    made: bool
    missed: Missed | None


def change(connection: sa.Connection, id: str, how: Callable[[Row], tuple[Row | None, Missed | None]]) -> Change | None:
    """Change a schedule; return None when there is none.

    Args:
        connection: Where.
        id: Which one.
        how: Returns what it is to be, the same when nothing is to be done and None when it is to be removed; and what
            is missed by that.
    """
    row = _tables.lock(connection, id)
    if row is None:
        return None
    changed, missed = how(row)
    if changed is None:
        _tables.delete(connection, id)
    elif changed == row:
        return Change(made=False, missed=None)
    else:
        _tables.update(connection, changed._replace(missed=changed.missed + (0 if missed is None else missed.count)))
    notify(connection, CHANNEL)
    return Change(made=True, missed=missed)


def pause(row: Row) -> tuple[Row, Missed | None]:
    """Have a schedule do nothing; what waits is missed."""
    if row.paused:
        return row, None
    return row._replace(paused=True, fire_at=None, waiting=None), _waited(row, "paused")


def resume(row: Row, now: Now) -> tuple[Row, Missed | None]:
    """Have a paused schedule go on from now on."""
    if not row.paused:
        return row, None
    row = row._replace(paused=False)
    if row.next_due is None:
        return row, None
    # A clock that is a little behind what it showed before must not repeat a due time.
    taken = max(now.time, row.taken) if row.taken <= now.time + CORRECTION else now.time
    next_due = trigger_of(row).next_after(taken)
    over = next_due is None
    return _counted(row, taken, next_due, now), Missed("paused", row.next_due, row.next_due, 1) if over else None


def remove(row: Row) -> tuple[None, Missed | None]:
    """Remove a schedule; what waits is missed."""
    return None, _waited(row, "cancelled")


def _waited(row: Row, reason: str) -> Missed | None:
    return None if row.waiting is None else Missed(reason, row.waiting, row.waiting, 1)


def count_anew(connection: sa.Connection, ids: Sequence[str], now: Now) -> None:
    """Count the due times of schedules from now on: the clock by which they were counted was far ahead of this one."""
    for row in _tables.lock_all(connection, ids).values():
        if row.counted_at <= now.time + CORRECTION:
            continue
        trigger = _known(row)
        if trigger is None or isinstance(trigger, At | After):  # one time stays what it is
            _tables.update(connection, row._replace(counted_at=now.time))
        else:
            _tables.update(connection, set_anew(row, trigger, now))
