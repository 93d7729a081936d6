# SPDX-License-Identifier: MIT
"""The due times of a cron line.

cronsim knows which times on the wall match a line. When clocks on the wall show them is found here: cronsim's own way
with zones loses due times where the clocks are set by half an hour, finds some in the past when it is asked in a hour
that is repeated, and knows Debian's rules for lines of five fields only. They are:

- a line whose minutes or hours begin with ``*`` follows the clock on the wall: what it never shows is left out, and what
  it shows twice is due twice;
- any other line is due once for each time that matches: for one in a gap, at the end of the gap; for one that is
  repeated, the first time.
"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from stanchion.errors import CronError
from stanchion.scheduler._cron_line import cron_line, expanded
from stanchion.scheduler._zones import named, shows, transition, unix_time, wall_time

_SECOND: Final = timedelta(seconds=1)
_FIRST: Final = datetime(2000, 1, 1)  # noqa: DTZ001  # a time on the wall


class Calendar:
    """The times on the wall that match a line.

    Attributes:
        fixed: Whether each is due once, whatever the clocks on the wall do.
    """

    __slots__ = ("_sim", "fixed")

    def __init__(self, line: str) -> None:
        fields = expanded(line)
        # By where it starts, cronsim finds what comes then; it is copied for each search, being changed by it.
        self._sim: Final = CronSim(" ".join(fields), _FIRST)
        self.fixed: Final = not any(field.startswith("*") for field in fields[:3])

    def after(self, wall: datetime) -> datetime | None:
        """Return the first match later than ``wall``; None when none comes within fifty years."""
        sim = copy.copy(self._sim)
        sim.dt = wall.replace(fold=0)
        try:
            return next(sim, None)
        except (OverflowError, ValueError):
            return None  # beyond the year 9999


def checked_line(subject: str, line: object) -> str:
    """Return a line in one form, checked; see ``cron_line``.

    Raises:
        CronError: it is malformed, or never due.
        InvalidOptionError: it is no text, or longer than any line can be.
    """
    checked = cron_line(subject, line)
    # Fifty years have each day of the month on each day of the week, the 29th of February included.
    if calendar(checked).after(_FIRST) is None:
        raise CronError(
            subject,
            checked,
            field=None,
            position=0,
            expected="a line that is due at some time",
            got="one that never is",
        )
    return checked


@lru_cache(maxsize=1024)
def calendar(line: str) -> Calendar:
    """Return the calendar of a line that was checked."""
    return Calendar(line)


def next_due(line: str, tz: str, moment: float) -> float | None:
    """Return the first due time later than ``moment``, in Unix seconds; None when none comes any more.

    Args:
        line: A cron line that was checked.
        tz: The name of its zone.
        moment: Unix seconds.
    """
    zone, times = named(tz), calendar(line)
    try:
        wall = wall_time(zone, moment // 1)
        return _once(times, zone, wall, moment) if times.fixed else _each(times, zone, wall, moment)
    except (OverflowError, ValueError, OSError):
        return None  # beyond the year 9999, there or in UTC


def _once(times: Calendar, zone: ZoneInfo, wall: datetime, moment: float) -> float | None:
    found = times.after(wall)
    while found is not None:
        due = unix_time(zone, found, fold=0)
        if not shows(zone, due, found):
            due = transition(zone, found)
        # In an hour that is repeated, asked the second time, the first ones found are past.
        if due > moment:
            return due
        found = times.after(found)
    return None


def _each(times: Calendar, zone: ZoneInfo, wall: datetime, moment: float) -> float | None:
    found = times.after(wall)
    if wall.fold == 0 and unix_time(zone, wall, fold=1) > unix_time(zone, wall, fold=0):
        # All that the clocks show until they are set back comes before what they show again.
        again = transition(zone, wall)
        if found is None or unix_time(zone, found, fold=0) >= again:
            found = times.after(wall_time(zone, again) - _SECOND)
    while found is not None:
        for fold in (0, 1):
            due = unix_time(zone, found, fold=fold)
            if due > moment and shows(zone, due, found):
                return due
        # In a gap: go on where it ends.
        found = times.after(wall_time(zone, transition(zone, found)) - _SECOND)
    return None
