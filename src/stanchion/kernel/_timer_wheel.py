# SPDX-License-Identifier: MIT
"""Every wait of a node that has an end, on one coarse timer.

A timer of the event loop for each call costs more than half of a call. Here the end of a wait is a place in the bucket
of its tick, and one timer of the loop is set for the earliest bucket. It is never early and at most one tick late;
unless a debugger is attached when something expires, which is the only time that anybody looks for one.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Final, Protocol

from stanchion.kernel._clock import Clock, SystemClock, TimerHandle
from stanchion.timeouts import debugger_attached

if TYPE_CHECKING:
    from stanchion.timeouts import TimeoutPolicy

_log = logging.getLogger("stanchion.node")

_TICKS_PER_SECOND: Final = 128
# The tick of what is for no time at all, before all others. It is no wait, and a debugger does not put it off.
_AT_ONCE: Final = 0
# Seconds from one look to the next, while waits are put off. Whoever goes on from a breakpoint has so long for what
# was to be done meanwhile, before the limits that have passed are remembered.
_LOOK: Final = 5.0
# By so many seconds no look is late but when the loop stood still.
_LATE: Final = 1.0


class Expiring(Protocol):
    """What waits, and not for ever.

    A class whose wait is meant to last to its end, and is no limit, has ``is_limit = False``: it is never put off.
    """

    def expire(self) -> None:
        """Take note that the time is up."""
        ...


Bucket = dict[Expiring, None]
"""Who waits for one tick, in the order of arrival, which a set would not keep."""


class TimerWheel:
    """The ends of the waits of one node."""

    __slots__ = (
        "_buckets",
        "_clock",
        "_context",
        "_look_at",
        "_look_timer",
        "_monotonic",
        "_put_off",
        "_ticks",
        "_timeouts",
        "_timer",
        "_timer_tick",
        "was_held",
    )

    def __init__(self, clock: Clock, timeouts: TimeoutPolicy | None = None, context: Context | None = None) -> None:
        """Make an empty wheel.

        Args:
            clock: Where to read the time.
            timeouts: Whose ``debugger`` says how long an end is put off; None puts off none.
            context: Where it calls what expires; the clock would take that of whoever sets a timer, and its deadline.
        """
        self._clock = clock
        self._context = Context() if context is None else context
        self._monotonic = clock.monotonic
        # Each tick of the heap has its bucket and each bucket its tick in the heap.
        self._buckets: dict[int, Bucket] = {}
        self._ticks: list[int] = []
        # Set for the earliest tick that had somebody in it when it was set; None when no bucket is left.
        self._timer: TimerHandle | None = None
        self._timer_tick = math.inf
        # Virtual time stands at a breakpoint.
        self._timeouts = timeouts if isinstance(clock, SystemClock) else None
        # The buckets whose ends were put off, each with when it is over in any case; no longer in the heap, and still
        # those that the waiters hold.
        self._put_off: list[tuple[float, Bucket]] = []
        # Set while there is one; and when it is to come.
        self._look_timer: TimerHandle | None = None
        self._look_at = 0.0
        # Whether the loop stood at a breakpoint since the last look. The watchdog says so from its thread, while it
        # stands: pdb is gone when the loop goes on.
        self.was_held = False

    def add(self, seconds: float, item: Expiring) -> Bucket:
        """Have ``item.expire()`` called in ``seconds``; 0 means at the loop's next step.

        Returns:
            The bucket: ``bucket.pop(item, None)`` takes it back.
        """
        # One tick more than the floor, so that it is never early.
        tick = int((self._monotonic() + seconds) * _TICKS_PER_SECOND) + 1 if seconds > 0 else _AT_ONCE
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._ticks, tick)
            if tick < self._timer_tick:
                self._set_timer(tick)
        bucket[item] = None
        return bucket

    def close(self) -> None:
        """Forget them all; nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_tick = math.inf
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        self._buckets.clear()
        self._ticks.clear()
        self._put_off.clear()

    def _set_timer(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_tick = tick
        self._timer = self._context.run(self._clock.call_at, tick / _TICKS_PER_SECOND, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_tick = math.inf
        now = self._monotonic() * _TICKS_PER_SECOND
        ticks = self._ticks
        # Those that are due, and with them those that emptied themselves. What is set while they expire waits for the
        # next step, be it for no time at all: a process that is told to exit has that step to end in.
        at_once = self._buckets.get(_AT_ONCE)
        due: list[Bucket] = []
        while ticks and (ticks[0] <= now or not self._buckets[ticks[0]]):
            due.append(self._buckets.pop(heapq.heappop(ticks)))
        stretch = self.stretch() if any(due) else 0.0
        for bucket in due:
            if stretch and bucket is not at_once:
                self._put_off_limits(bucket, stretch)
            else:
                _expire(bucket)
        if ticks:
            self._set_timer(ticks[0])

    # --- while a debugger is attached ------------------------------------------------------------

    def look_later(self) -> None:
        """Look in a while whether the debugger is there still."""
        if self._look_timer is None:
            self._look_at = self._monotonic() + _LOOK
            self._look_timer = self._context.run(self._clock.call_at, self._look_at, self._look)

    def stretch(self) -> float:
        """Return for how many seconds what has passed is to be put off now; 0.0 where no debugger is attached."""
        if self._timeouts is None or not (self.was_held or debugger_attached()):
            return 0.0
        return self._timeouts.debugger

    def _put_off_limits(self, bucket: Bucket, stretch: float) -> None:
        """Keep the limits of a bucket for later; what is no limit ends now."""
        on_time = [item for item in bucket if not getattr(item, "is_limit", True)]
        for item in on_time:
            del bucket[item]
        if bucket:
            if not self._put_off:
                _log.warning("a debugger is attached: waits whose time is up go on for up to %g s", stretch)
            self._put_off.append((self._monotonic() + stretch, bucket))
            self.look_later()
        _expire(on_time)

    def _look(self) -> None:
        """End the waits that were put off, once the debugger has gone or they have lasted long enough."""
        self._look_timer = None
        if self.was_held and self._monotonic() > self._look_at + _LATE:  # it stood at the next breakpoint meanwhile
            self.look_later()
            return
        self.was_held = False
        now = self._monotonic() if debugger_attached() else math.inf
        due = [bucket for until, bucket in self._put_off if until <= now]
        self._put_off = [(until, bucket) for until, bucket in self._put_off if until > now and bucket]
        if self._put_off:
            self.look_later()
        for bucket in due:
            _expire(bucket)


def _expire(items: Iterable[Expiring]) -> None:
    # A copy, since what expires may take others back.
    for item in tuple(items):
        try:
            item.expire()
        except Exception:  # one that fails must not keep the others waiting for ever
            _log.exception("the end of the wait of %r", item)
