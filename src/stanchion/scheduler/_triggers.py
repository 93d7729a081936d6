# SPDX-License-Identifier: MIT
"""When a schedule is due: a frozen value for each kind, which counts due times and knows no clock.

Times are seconds: Unix seconds where ``wall`` is true, those of the node's monotonic clock where it is not. A trigger
answers for any moment, so what was due while nobody looked is found later by asking again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

import msgspec
from msgspec.structs import force_setattr

from stanchion._validate import Seconds, cut, instance, seconds
from stanchion.errors import InvalidOptionError
from stanchion.scheduler._cron import checked_line, next_due
from stanchion.scheduler._zones import checked_zone

SHORTEST_INTERVAL: Final = 0.001
# The year 10000, where calendars end. What is later never comes, on either clock.
END: Final = 253_402_300_800.0
# No longer row is walked for its length: some tens of milliseconds.
_COUNTED: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ZONE_FIX: Final = (
    "say in which zone it is meant: when.replace(tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')), say, "
    "or when.replace(tzinfo=datetime.UTC)."
)


class DueTimes(msgspec.Struct, frozen=True):
    """What was due after one moment and not after another.

    Attributes:
        times: The earliest of them, as many as were asked for.
        count: How many there were. For cron a lower bound from 1000 on.
        latest: The last of them; None where there were none.
        next: The first due time after them; None where none comes any more.
    """

    times: tuple[float, ...]
    count: int
    latest: float | None
    next: float | None


class At(msgspec.Struct, frozen=True, tag="at"):
    """Once, at a time of the wall clock. One that has passed is due at once.

    Args:
        when: The time, with its zone. Where that sets its clock forward and leaves the time out, it is the one that the
            clock would show if it had not been set; where it comes twice, its ``fold`` says which one is meant.

    Raises:
        InvalidOptionError: ``when`` is no datetime, or has no zone.
    """

    when: datetime

    def __post_init__(self) -> None:
        checked_time("At(when)", self.when)

    @property
    def wall(self) -> bool:
        """True: it is by the wall clock."""
        return True

    def begun(self, monotonic: float, wall: float, *, persistent: bool = False) -> At:
        """Return it as it is when it is set now, given what both clocks show; by the wall clock if it is persistent."""
        return self

    def counts_from(self, now: float) -> float:
        """Return the moment after which due times count when it is set ``now``: its one time may be past."""
        return -math.inf

    def next_after(self, moment: float) -> float | None:
        """Return the first due time that is later than ``moment``; None when none comes any more."""
        due = (self.when - _EPOCH).total_seconds()
        return due if due > moment else None

    def due_between(self, last: float, now: float, limit: int) -> DueTimes:
        """Return what is due later than ``last`` and not later than ``now``, with ``limit`` times of it."""
        return _walk(self, last, now, limit)

    def __str__(self) -> str:
        return f"at {self.when.isoformat(' ')}"


class After(msgspec.Struct, frozen=True, tag="after"):
    """Once, in a while.

    Args:
        delay: How long after it was set, in seconds or as a timedelta; 0 is due at once.
        start: When it was set; the scheduler says so.
        wall: Whether ``start`` is by the wall clock; the scheduler says so.

    Raises:
        InvalidOptionError: ``delay`` is no duration.
    """

    delay: Seconds
    start: float = 0.0
    wall: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "delay", seconds("After(delay)", self.delay))

    def begun(self, monotonic: float, wall: float, *, persistent: bool = False) -> After:
        """See ``At``."""
        return After(self.delay, wall if persistent else monotonic, persistent)

    def counts_from(self, now: float) -> float:
        """See ``At``."""
        return -math.inf

    def next_after(self, moment: float) -> float | None:
        """See ``At``."""
        due = self.start + _float(self.delay)
        return due if moment < due < END else None

    def due_between(self, last: float, now: float, limit: int) -> DueTimes:
        """See ``At``."""
        return _walk(self, last, now, limit)

    def __str__(self) -> str:
        return f"after {_float(self.delay):.15g} s"


class Every(msgspec.Struct, frozen=True, tag="every"):
    """At intervals which do not drift: the n-th due time is ``start + n * interval``, however late a run was.

    Args:
        interval: The interval, in seconds or as a timedelta; at least a millisecond.
        align: Whether the start is the beginning of 1970, UTC, by the wall clock: with an hour, each full hour of UTC.
            Else it is the moment in which it is set, and the first due time is one interval later.
        start: From when the intervals count; the scheduler says so.
        wall: Whether ``start`` is by the wall clock; the scheduler says so.

    Raises:
        InvalidOptionError: ``interval`` is no duration, or shorter than a millisecond; ``align`` is no bool.
    """

    interval: Seconds
    align: bool = False
    start: float = 0.0
    wall: bool = False

    def __post_init__(self) -> None:
        force_setattr(self, "interval", checked_interval("Every(interval)", self.interval))
        if instance("Every(align)", self.align, bool):
            force_setattr(self, "start", 0.0)
            force_setattr(self, "wall", True)

    def begun(self, monotonic: float, wall: float, *, persistent: bool = False) -> Every:
        """See ``At``."""
        return Every(self.interval, self.align, wall if persistent else monotonic, persistent)

    def counts_from(self, now: float) -> float:
        """See ``At``."""
        return now

    def next_after(self, moment: float) -> float | None:
        """See ``At``."""
        return self._due(self._passed(moment) + 1) if moment < END else None

    def due_between(self, last: float, now: float, limit: int) -> DueTimes:
        """See ``At``; the cost does not grow with the row."""
        before, until = self._passed(last), self._passed(min(now, END))
        count = max(0, until - before)
        times = tuple(self._at(before + n) for n in range(1, min(count, limit) + 1))
        latest = self._at(until) if count else None
        return DueTimes(times, count, latest, self._due(max(before, until) + 1))

    def _passed(self, moment: float) -> int:
        # How many due times there are up to `moment`. The quotient of floats may be a whole one off.
        count = max(0, math.floor((moment - self.start) / _float(self.interval)))
        if count and self._at(count) > moment:
            return count - 1
        return count + 1 if self._at(count + 1) <= moment else count

    def _at(self, count: int) -> float:
        return self.start + count * _float(self.interval)

    def _due(self, count: int) -> float | None:
        due = self._at(count)
        return due if due < END else None

    def __str__(self) -> str:
        return f"every {_float(self.interval):.15g} s" + (", aligned" if self.align else "")


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """By the calendar, as the clock on the wall shows it in a zone.

    Args:
        line: Minute, hour, day of month, month and day of week, ``"0 3 * * mon"`` say; six fields begin with the second.
            ``"@hourly"``, ``"@daily"``, ``"@midnight"``, ``"@weekly"``, ``"@monthly"``, ``"@yearly"`` and
            ``"@annually"`` stand for lines.
        tz: The name of the zone, ``"Europe/Berlin"`` say.

    Raises:
        CronError: the line is malformed, or never due; the error says where, and what was expected.
        InvalidOptionError: the zone is unknown; the error names the nearest one.
    """

    line: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        force_setattr(self, "line", checked_line("Cron(line)", self.line))
        checked_zone("Cron(tz)", self.tz)

    @property
    def wall(self) -> bool:
        """True: it is by the wall clock."""
        return True

    def begun(self, monotonic: float, wall: float, *, persistent: bool = False) -> Cron:
        """See ``At``."""
        return self

    def counts_from(self, now: float) -> float:
        """See ``At``."""
        return now

    def next_after(self, moment: float) -> float | None:
        """See ``At``."""
        return next_due(self.line, self.tz, moment)

    def due_between(self, last: float, now: float, limit: int) -> DueTimes:
        """See ``At``."""
        return _walk(self, last, now, limit)

    def __str__(self) -> str:
        return f"cron {self.line!r} in {self.tz}"


Trigger = At | After | Every | Cron
"""When a schedule is due. Two of one text, ``str(trigger)``, are the same but for when they were set."""

# msgspec looks up the names of annotations once, in the module that a class says is its own: now, while that is this one.
msgspec.json.Decoder(Trigger)


def checked_time(subject: str, when: object) -> datetime:
    """Return ``when`` when it is a datetime that has a zone.

    Raises:
        InvalidOptionError: it is not.
    """
    expected = "a datetime with a zone"
    if not isinstance(when, datetime):
        fix = None
        if isinstance(when, int | float):
            fix = "write datetime.fromtimestamp(seconds, datetime.UTC), or use after(seconds)."
        raise InvalidOptionError(subject, expected=expected, got=cut(when), fix=fix)
    if when.utcoffset() is None:
        raise InvalidOptionError(subject, expected=expected, got=f"one without, {when.isoformat(' ')}", fix=_ZONE_FIX)
    return when


def checked_interval(subject: str, interval: Seconds) -> float:
    """Return an interval in seconds.

    Raises:
        InvalidOptionError: it is no duration, or shorter than a millisecond.
    """
    length = seconds(subject, interval)
    if length >= SHORTEST_INTERVAL:
        return length
    raise InvalidOptionError(
        subject,
        expected=f"seconds >= {SHORTEST_INTERVAL:g} as a finite number, or a timedelta",
        got=cut(interval),
        fix="let a process do in a loop of its own what is done without a pause.",
    )


def to_data(trigger: Trigger) -> dict[str, object]:
    """Return the trigger as plain data, to be stored."""
    data: dict[str, object] = msgspec.to_builtins(trigger)
    return data


def from_data(data: Mapping[str, object]) -> Trigger:
    """Return the trigger that ``to_data`` wrote.

    Raises:
        InvalidOptionError: there is no such trigger.
    """
    try:
        trigger: Trigger = msgspec.convert(data, Trigger)
    except msgspec.ValidationError as error:
        raise InvalidOptionError(
            "stored trigger", expected="one of this version", got=f"{cut(data)}: {error}"
        ) from error
    return trigger


def _walk(trigger: At | After | Cron, last: float, now: float, limit: int) -> DueTimes:
    times: list[float] = []
    count, latest = 0, None
    due = trigger.next_after(last)
    while due is not None and due <= now:
        if count < limit:
            times.append(due)
        count, latest = count + 1, due
        if count >= max(limit, _COUNTED):
            return DueTimes(tuple(times), count, _latest(trigger, due, now), trigger.next_after(now))
        due = trigger.next_after(due)
    return DueTimes(tuple(times), count, latest, due)


def _latest(trigger: At | After | Cron, due: float, now: float) -> float:
    # The last due time up to `now`, given one: after `low` there is always one more, after `high` none.
    low, high = due, now
    while (later := trigger.next_after(low)) is not None and later <= now:
        low = later
        middle = (low + high) / 2
        further = trigger.next_after(middle)
        if further is not None and further <= now:
            low = further
        else:
            high = middle
    return low


def _float(duration: Seconds) -> float:
    # A timedelta became a float when the trigger was made.
    return cast("float", duration)
