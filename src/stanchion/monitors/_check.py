# SPDX-License-Identifier: MIT
"""Looking for leaked monitors now and then, off the hot path."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextvars import Context
from typing import Final

from stanchion.kernel import NODE, MonitorRef, Node
from stanchion.monitors._leaks import leaks_by_site
from stanchion.monitors._look import SLICE, Limits, Look
from stanchion.monitors._records import LeakKind, MonitorLeak
from stanchion.telemetry import MONITOR_LEAK, MONITORS_CHECKED

_log = logging.getLogger("stanchion.monitors")

UNREAD_AFTER: Final = 60.0
REPEATED: Final = 100


class LeakChecker:
    """Looks for leaked monitors of one node every so many seconds, and tells of them.

    It waits on the node's wheel while there are monitors, and looks in slices of a millisecond or two, one in each turn of
    the loop. There is no process in the way of the monitors, and none that could die.

    Args:
        node: The node.
        every: Seconds from the end of one look to the next. What is younger than that is no leak yet.
    """

    def __init__(self, node: Node, every: float) -> None:
        self._node = node
        self._every: Final = every
        self._limits: Final = Limits(every, UNREAD_AFTER, REPEATED)
        # Where it runs: the node's own place, in no process.
        self._context: Final = Context()
        self._context.run(NODE.set, node)
        # True from the first monitor until a look that finds no process with monitors.
        self._at_it = False
        # The look that has begun, and what is left of it; None while it waits.
        self._look: Look | None = None
        self._steps: Iterator[int] = iter(())
        # Of each leak that the last look found, the highest count that was told.
        self._told: dict[tuple[LeakKind, str | None, str], int] = {}
        # Whose purpose was over at the last look. Who is there again is a leak: a purpose may end in the very step before
        # a look, and the code that ends the monitor runs in the next one.
        self._suspects: set[MonitorRef] = set()

    def begin(self) -> None:
        """Take note of a first monitor; harmless when it is at it already."""
        if not self._at_it:
            self._at_it = True
            self._node.wheel.add(self._every, self)

    def expire(self) -> None:
        """Begin a look; the node's wheel calls this."""
        self._start()
        self._context.run(self._go_on)

    def start_over(self) -> None:
        """Begin again with the look that has begun, if there is one, and let go of the monitors that it has in hand."""
        if self._look is not None:
            self._start()

    def _start(self) -> None:
        self._look = Look(self._node, self._limits, self._suspects)
        self._steps = self._look.steps()

    def _go_on(self) -> None:
        look, room = self._look, SLICE
        if look is None or not self._node.running:
            return
        for cost in self._steps:
            room -= cost
            if room <= 0:
                self._node.loop.call_soon(self._go_on, context=self._context)
                return
        self._look = None
        self._done(look)

    def _done(self, look: Look) -> None:
        self._suspects = look.outlived
        leaks = leaks_by_site(look, self._node, self._limits.repeated)
        # What is no leak any more is told anew when it comes again.
        self._told = {key: count for key, count in self._told.items() if key in leaks}
        for key, leak in leaks.items():
            if leak.count > self._told.get(key, 0):
                self._told[key] = leak.count
                self._tell(leak)
        if self._node.telemetry.attached:
            found = sum(leak.count for leak in leaks.values())
            measurements = {"monitors": look.monitors, "leaks": found}
            self._node.telemetry.emit(MONITORS_CHECKED, measurements, {"node": self._node.name})
        self._at_it = False
        if self._node.monitor_owners:
            self.begin()

    def _tell(self, leak: MonitorLeak) -> None:
        _log.warning("%s. Fix: %s", leak.why, leak.fix)
        if self._node.telemetry.attached:
            details = {
                "node": self._node.name,
                "kind": leak.kind,
                "tag": leak.tag,
                "site": leak.site,
                "owner": leak.owner,
                "target": leak.target,
                "why": leak.why,
            }
            self._node.telemetry.emit(MONITOR_LEAK, {"count": leak.count, "age": leak.age}, details)
