# SPDX-License-Identifier: MIT
"""The restart window: how many restarts a supervisor does before it gives up."""

from __future__ import annotations

from collections import deque

from stanchion.kernel import Clock


class RestartWindow:
    """Counts the restarts of the last ``max_seconds``, by the clock that only grows.

    Attributes:
        max_restarts: How many restarts are allowed.
        max_seconds: Within how many seconds.

    Source: ``intensity`` and ``period`` of OTP's supervisor.
    """

    __slots__ = ("_clock", "_times", "max_restarts", "max_seconds")

    def __init__(self, clock: Clock, max_restarts: int, max_seconds: float) -> None:
        self._clock = clock
        # When the restarts were, the oldest first; never more than max_restarts + 1.
        self._times: deque[float] = deque(maxlen=max_restarts + 1)
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
