# SPDX-License-Identifier: MIT
"""How much comes and goes: the counts of a queue, and the alarm when too much comes at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from stanchion._validate import Seconds, cut, seconds, whole_number
from stanchion.errors import InvalidOptionError


class QueueStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue has done since it opened; what others did on the same store is not in it.

    Attributes:
        stored: Letters that were added, replayed or imported.
        redelivered: Letters that were delivered.
        failed: Redeliveries that failed.
        exhausted: Letters that were exhausted, from the start or after their last redelivery.
        discarded: Letters that were given up, those included that were replayed while they were open.
        purged: Letters that were deleted, by hand or by ``retention``.
    """

    stored: int = 0
    redelivered: int = 0
    failed: int = 0
    exhausted: int = 0
    discarded: int = 0
    purged: int = 0


class GrowthAlarm:
    """When it is told that a queue grows: ``letters`` letters were added within ``window`` seconds.

    It is told at most once per window: in the log, as an event, and to the queue's ``on_growth``.

    Args:
        letters: How many letters, at least 1.
        window: In how many seconds, or a timedelta; more than 0.

    Raises:
        InvalidOptionError: an argument is out of its range.
    """

    __slots__ = ("letters", "window")

    def __init__(self, letters: int = 1000, window: Seconds = 60.0) -> None:
        self.letters: Final = whole_number("GrowthAlarm: letters", letters, at_least=1)
        self.window: Final = seconds("GrowthAlarm: window", window)
        if self.window == 0:
            raise InvalidOptionError("GrowthAlarm: window", expected="more than 0 seconds", got=cut(window))

    def __repr__(self) -> str:
        return f"GrowthAlarm(letters={self.letters}, window={self.window:g})"


DEFAULT_GROWTH: Final = GrowthAlarm()


class Growth(msgspec.Struct, frozen=True):
    """How fast a queue grew when the alarm was raised.

    Attributes:
        letters: How many letters were added.
        seconds: In how many seconds.
    """

    letters: int
    seconds: float


GrowthHook: TypeAlias = Callable[[Growth], Awaitable[None] | None]
"""Called when a queue grows faster than its ``growth`` allows."""


class GrowthMeter:
    """Tells when letters come faster than the alarm allows."""

    __slots__ = ("_alarm", "_quiet_until", "_times")

    def __init__(self, alarm: GrowthAlarm) -> None:
        self._alarm = alarm
        self._times: deque[float] = deque(maxlen=alarm.letters)  # when the latest letters were added
        self._quiet_until = 0.0

    def added(self, now: float) -> Growth | None:
        """Count a letter that was added at ``now``; return the growth when it raises the alarm."""
        self._times.append(now)
        if len(self._times) < self._alarm.letters or now < self._quiet_until:
            return None
        elapsed = now - self._times[0]
        if elapsed > self._alarm.window:
            return None
        self._times.clear()
        self._quiet_until = now + self._alarm.window
        return Growth(self._alarm.letters, elapsed)
