# SPDX-License-Identifier: MIT
"""A clock that stands until it is told, so that firing is measured and not waiting."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from stanchion.kernel import TimerHandle


class SteppedClock:
    """A ``Clock`` whose time moves by ``advance`` alone."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self._wall = 1_800_000_000.0
        self._next = itertools.count().__next__
        self._timers: list[tuple[float, int, asyncio.Handle]] = []

    def monotonic(self) -> float:
        """Return the seconds."""
        return self._now

    def time(self) -> float:
        """Return the seconds as a date."""
        return self._wall + self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Have something called once the time is there."""
        loop = asyncio.get_running_loop()
        if when <= self._now:
            return loop.call_soon(callback)
        handle = asyncio.Handle(callback, (), loop)
        heapq.heappush(self._timers, (when, self._next(), handle))
        return handle

    def advance(self, seconds: float) -> None:
        """Let time pass, and call what is due by then, all at the time that it is then."""
        self._now += seconds
        while self._timers and self._timers[0][0] <= self._now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                handle._run()
