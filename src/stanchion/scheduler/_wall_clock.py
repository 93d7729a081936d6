# SPDX-License-Identifier: MIT
"""The wall clock: what is due by it, and what becomes of that when somebody sets it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from stanchion.kernel import Node, TimerHandle
from stanchion.scheduler._timetable import Place, Timetable
from stanchion.telemetry import CLOCK_JUMPED

T = TypeVar("T")

_log = logging.getLogger("stanchion.scheduler")

# Seconds. Less is a clock that is corrected, or a look that was itself interrupted.
_JUMP: Final = 0.5
# Set back by more, it was wrong before, and what was due by it says nothing. Less may be a time zone's hour, by mistake.
CORRECTION: Final = 3 * 3600.0


class WallClock:
    """The wall clock of a node, compared with its monotonic one at each look.

    Args:
        node: The node.
        every: Seconds from one look to the next; None for looks only when something is due.
    """

    def __init__(self, node: Node, every: float | None) -> None:
        self._node: Final = node
        self._every: Final = every
        self._tables: Final[list[WallTimetable[Any]]] = []
        # Set while a table has something in it, unless there are no such looks.
        self._handle: TimerHandle | None = None
        # By how much it was ahead of the monotonic clock at the last look.
        self._ahead = 0.0
        # The latest time that it showed since what is due by it was counted anew.
        self._highest = 0.0

    def time(self) -> float:
        """Return what it shows."""
        return self._node.clock.time()

    def timetable(self, due: Callable[[T], object], anew: Callable[[], object]) -> WallTimetable[T]:
        """Return a timetable by this clock.

        Args:
            due: Called with each item whose time has come.
            anew: Called when the clock was set back so far that all due times must be counted from what it shows.
        """
        table = WallTimetable(self._node, self, due, anew)
        self._tables.append(table)
        return table

    def begin(self) -> None:
        """Take note that a table gets an item; from its first one on, the clock is looked at."""
        if any(len(table) for table in self._tables):
            return
        self._highest = self.time()
        self._ahead = self._highest - self._node.monotonic()
        if self._handle is None:
            self._set()

    def look(self) -> None:
        """See whether it was set since the last look, and have the tables follow it."""
        now, monotonic = self.time(), self._node.monotonic()
        expected = monotonic + self._ahead
        self._ahead = now - monotonic
        jump = now - expected
        if abs(jump) <= _JUMP:
            self._highest = max(self._highest, now)
            return
        self._tell(jump)
        self._highest = max(self._highest, expected, now)
        anew = self._highest - now > CORRECTION
        if anew:
            self._highest = now
        for table in self._tables:
            table.jumped(anew=anew)

    def close(self) -> None:
        """Forget what is due by it, and look no more."""
        for table in self._tables:
            table.close()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tell(self, jump: float) -> None:
        _log.warning("the wall clock of node %s was set %+.3g s, or the machine was asleep", self._node.name, jump)
        telemetry = self._node.telemetry
        if telemetry.attached:
            telemetry.emit(CLOCK_JUMPED, {"seconds": jump}, {"node": self._node.name})

    def _set(self) -> None:
        if self._every is not None:
            clock = self._node.clock
            self._handle = self._node.context.run(clock.call_at, clock.monotonic() + self._every, self._tick)

    def _tick(self) -> None:
        self._handle = None
        self.look()
        for table in self._tables:
            table.reset()  # a clock that is corrected bit by bit never jumps
        if any(len(table) for table in self._tables):
            self._set()


class WallTimetable(Timetable[T]):
    """A timetable whose times are by the wall clock."""

    __slots__ = ("_anew", "_wall")

    def __init__(self, node: Node, wall: WallClock, due: Callable[[T], object], anew: Callable[[], object]) -> None:
        super().__init__(node, wall.time, due)
        self._wall: Final = wall
        self._anew: Final = anew

    def add(self, when: float, item: T) -> Place[T]:
        """See ``Timetable.add``."""
        self._wall.begin()
        return super().add(when, item)

    def jumped(self, *, anew: bool) -> None:
        """Take note that the clock was set."""
        if anew:
            self._anew()
        self.reset()

    def _fire(self) -> None:
        self._wall.look()
        super()._fire()
