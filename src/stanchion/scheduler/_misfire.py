# SPDX-License-Identifier: MIT
"""What of the due times that have come is run, and what is missed.

A look that is in time finds one due time. One that comes late, because the loop was blocked, the machine asleep or the
node down, may find many.
"""

from __future__ import annotations

import math
from typing import Final, Literal, NamedTuple

import msgspec

from stanchion.scheduler._triggers import DueTimes, Trigger

Coalesce = Literal["latest", "earliest", "all"]
"""Which of several due times that have come are run."""

ALL_AT_MOST: Final = 1000
"""How many of one look ``coalesce="all"`` runs: the earliest."""

ONE_BY_ONE: Final = 100
"""How many of a row are told one by one; the rest of it is told as one."""


class Missed(msgspec.Struct, frozen=True):
    """A due time that is not run, or the rest of a long row of them.

    Attributes:
        reason: ``"late"`` or ``"coalesced"``.
        due: The due time, the first of the row.
        last: The last of the row.
        count: How many.
    """

    reason: str
    due: float
    last: float
    count: int


class Taken(NamedTuple):
    """What one look decides.

    Attributes:
        run: The due times that are run, the earliest first.
        missed: The others.
        last: The latest due time that has come, after which the next look begins.
        next: The next due time; None where none comes any more.
    """

    run: tuple[float, ...]
    missed: tuple[Missed, ...]
    last: float
    next: float | None


def take(trigger: Trigger, last: float, now: float, *, grace: float | None, coalesce: Coalesce) -> Taken:
    """Return what is to be done about all that was due later than ``last`` and not later than ``now``.

    Args:
        trigger: The trigger.
        last: The latest due time that was taken before, or from when it counts.
        now: The time, on the trigger's clock.
        grace: How late a due time may be to be run; None for any time.
        coalesce: Which of those that are in their grace are run.
    """
    limit = (ALL_AT_MOST if coalesce == "all" else 1) + ONE_BY_ONE + 1
    due = trigger.due_between(last, now, limit)
    late: tuple[Missed, ...] = ()
    if grace is not None and due.times and due.times[0] < now - grace:
        in_grace = math.nextafter(now - grace, -math.inf)
        late = _rows("late", trigger.due_between(last, in_grace, ONE_BY_ONE + 1))
        last = late[-1].last
        due = trigger.due_between(last, now, limit)
    if due.latest is None:
        return Taken((), late, last, due.next)
    run, others = _chosen(trigger, last, due, due.latest, coalesce)
    return Taken(run, late + _rows("coalesced", others), due.latest, due.next)


def _chosen(
    trigger: Trigger, last: float, due: DueTimes, latest: float, coalesce: Coalesce
) -> tuple[tuple[float, ...], DueTimes]:
    if coalesce == "latest" and due.count > 1:
        return (latest,), trigger.due_between(last, math.nextafter(latest, -math.inf), ONE_BY_ONE + 1)
    first = ALL_AT_MOST if coalesce == "all" else 1
    run, others = due.times[:first], due.times[first:]
    return run, DueTimes(others, due.count - len(run), latest, due.next)


def _rows(reason: str, due: DueTimes) -> tuple[Missed, ...]:
    rows = [Missed(reason, when, when, 1) for when in due.times[:ONE_BY_ONE]]
    if due.count > ONE_BY_ONE and due.latest is not None:
        rows.append(Missed(reason, due.times[ONE_BY_ONE], due.latest, due.count - ONE_BY_ONE))
    return tuple(rows)
