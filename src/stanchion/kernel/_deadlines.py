# SPDX-License-Identifier: MIT
"""All deadlines of a node on one coarse timer.

A timer of the event loop for each call costs more than half of a call. Here a deadline is a place in the bucket
of its tick, and one timer of the loop is set for the earliest bucket. A deadline is never early and at most one
tick late.
"""

from __future__ import annotations

import heapq
import logging
import math
from typing import Final, Protocol

from stanchion.kernel._clock import Clock, TimerHandle

_log = logging.getLogger("stanchion.node")

_TICKS_PER_SECOND: Final = 128


class Expiring(Protocol):
    """What waits for a deadline."""

    def expire(self) -> None:
        """Take note that the deadline passed."""
        ...


Bucket = dict[Expiring, None]
"""Who waits for one tick, in the order of arrival, which a set would not keep."""


class Deadlines:
    """The deadlines of one node."""

    __slots__ = ("_buckets", "_clock", "_monotonic", "_ticks", "_timer", "_timer_tick")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic
        # Each tick of the heap has its bucket and each bucket its tick in the heap.
        self._buckets: dict[int, Bucket] = {}
        self._ticks: list[int] = []
        # Set for the earliest tick that had somebody in it when it was set; None when no bucket is left.
        self._timer: TimerHandle | None = None
        self._timer_tick = math.inf

    def add(self, seconds: float, item: Expiring) -> Bucket:
        """Have ``item.expire()`` called in ``seconds``; 0 means at the loop's next step.

        Returns:
            The bucket: ``bucket.pop(item, None)`` takes the deadline back.
        """
        # One tick more than the floor, so that it is never early.
        tick = int((self._monotonic() + seconds) * _TICKS_PER_SECOND) + (seconds > 0)
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._ticks, tick)
            if tick < self._timer_tick:
                self._set_timer(tick)
        bucket[item] = None
        return bucket

    def close(self) -> None:
        """Forget every deadline; nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_tick = math.inf
        self._buckets.clear()
        self._ticks.clear()

    def _set_timer(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = tick
        self._timer = self._clock.call_at(tick / _TICKS_PER_SECOND, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_tick = math.inf
        now = self._monotonic() * _TICKS_PER_SECOND
        ticks = self._ticks
        # Those that are due, and with them those that emptied themselves. What is set while they expire waits for the
        # next step, be it for no time at all: a process that is told to exit has that step to end in.
        due: list[Bucket] = []
        while ticks and (ticks[0] <= now or not self._buckets[ticks[0]]):
            due.append(self._buckets.pop(heapq.heappop(ticks)))
        for bucket in due:
            # A copy, since what expires may take other deadlines back.
            for item in tuple(bucket):
                try:
                    item.expire()
                except Exception:  # one that fails must not keep the others waiting for ever
                    _log.exception("deadline of %r", item)
        if ticks:
            self._set_timer(ticks[0])
