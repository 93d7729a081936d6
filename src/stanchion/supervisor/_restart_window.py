# SPDX-License-Identifier: MIT
"""The restart window: how many restarts are done before a supervisor, or a child with a budget, is given up."""

from __future__ import annotations

import sys
from collections import deque
from typing import Final

from stanchion._validate import Seconds, cut, seconds, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Clock


class RestartWindow:
    """Counts the restarts of the last ``max_seconds``, by the clock that only grows.

    Attributes:
        max_restarts: How many restarts are allowed.
        max_seconds: Within how many seconds.

    Source: ``intensity`` and ``period`` of OTP's supervisor, which counts in whole seconds.
    """

    __slots__ = ("_clock", "_times", "max_restarts", "max_seconds")

    def __init__(self, clock: Clock, max_restarts: int, max_seconds: float) -> None:
        self._clock = clock
        # When the restarts were, the oldest first; never more than max_restarts + 1. A deque takes no longer limit.
        self._times: deque[float] = deque(maxlen=min(max_restarts + 1, sys.maxsize))
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds

    def add(self) -> int:
        """Count one restart, and return how many there are in the window with it; more than allowed: give up."""
        now = self._clock.monotonic()
        times = self._times
        times.append(now)
        while now - times[0] > self.max_seconds:
            times.popleft()
        return len(times)


class RestartBudget:
    """How many restarts one child has of its own: ``child_spec(..., budget=RestartBudget(5, 60))``.

    Its restarts are counted here, and not among those of its supervisor. When it needs more, it is left stopped, with an
    error in the log and an event, and its siblings live on: for a child that the others can do without.
    ``restart_child`` starts it again, with a fresh budget.

    Args:
        max_restarts: How many restarts within ``max_seconds`` it has; 0 for none.
        max_seconds: See ``max_restarts``; more than 0, in seconds or as a timedelta.

    Raises:
        InvalidOptionError: an argument is wrong.

    Source: none in OTP, where whoever wants this puts a supervisor of its own between.
    """

    __slots__ = ("max_restarts", "max_seconds")

    def __init__(self, max_restarts: int, max_seconds: Seconds) -> None:
        self.max_restarts: Final = whole_number("RestartBudget(max_restarts)", max_restarts)
        self.max_seconds: Final = positive_seconds("RestartBudget(max_seconds)", max_seconds)

    def __repr__(self) -> str:
        return f"RestartBudget({self.max_restarts}, {self.max_seconds:g})"


def positive_seconds(subject: str, value: Seconds) -> float:
    """Return a duration as float seconds: more than 0, finite.

    Raises:
        InvalidOptionError: it is not.
    """
    period = seconds(subject, value)
    if not period:
        raise InvalidOptionError(subject, expected="more than 0 seconds", got=cut(value))
    return period
