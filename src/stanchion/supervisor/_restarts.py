# SPDX-License-Identifier: MIT
"""Whether a child is restarted, and when: the supervisor's window, the child's own budget, and its backoff."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum

from stanchion._validate import cut
from stanchion.kernel import Process
from stanchion.supervisor._child import Child
from stanchion.supervisor._restart_window import RestartWindow
from stanchion.telemetry import CHILD_RESTART, GAVE_UP, Event

_log = logging.getLogger("stanchion.supervisor")


class Refused(Enum):
    """What becomes of a child that needs one restart too many."""

    LEAVE = "child"
    """Its own budget is used up: it stays stopped."""
    GIVE_UP = "supervisor"
    """The supervisor's window is: the supervisor exits."""


class Restarts:
    """Counts the restarts of a supervisor's children, and tells each; only the supervisor's own task uses this."""

    __slots__ = ("_process", "_window")

    def __init__(self, process: Process, max_restarts: int, max_seconds: float) -> None:
        self._process = process
        self._window = RestartWindow(process.node.clock, max_restarts, max_seconds)

    def count(self, child: Child, reason: object) -> float | Refused:
        """Count one restart of a child, and tell it to the log and as an event.

        Args:
            child: One that does not run.
            reason: Why it exited, or why its last start failed.

        Returns:
            The seconds to wait before the restart, or what becomes of the child instead.
        """
        spec = child.spec
        window = self._window_of(child)
        count = window.add()
        self._count_in_a_row(child)
        if count > window.max_restarts:
            refused = Refused.GIVE_UP if spec.budget is None else Refused.LEAVE
            self._tell_refused(child, reason, count, window, refused)
            return refused
        delay = 0.0 if spec.backoff is None else spec.backoff.delay(child.restarts, self._process.node.random)
        self._tell(child, reason, count, window, delay)
        return delay

    def _window_of(self, child: Child) -> RestartWindow:
        budget = child.spec.budget
        if budget is None:
            return self._window
        if child.window is None:
            child.window = RestartWindow(self._process.node.clock, budget.max_restarts, budget.max_seconds)
        return child.window

    def _count_in_a_row(self, child: Child) -> None:
        """Count a restart among those in a row, which a time of quiet ends; see ``child_spec(backoff)``."""
        backoff = child.spec.backoff
        quiet = self._window_of(child).max_seconds if backoff is None else backoff.maximum
        if child.started is not None and self._process.node.clock.monotonic() - child.started >= quiet:
            child.restarts = 0
        child.restarts += 1

    def _tell(self, child: Child, reason: object, count: int, window: RestartWindow, delay: float) -> None:
        spec = child.spec
        when = "" if spec.backoff is None else f" in {delay:.3g} s (attempt {child.restarts})"
        whose = "" if spec.budget is None else " of its own budget"
        text = "%r restarts child %r%s: restart %d of %d within %g s%s; reason: %s"
        limits = (window.max_restarts, window.max_seconds, whose)
        _log.warning(text, self._process, spec.id, when, count, *limits, cut(reason))
        measurements = {"restarts": count, "attempt": child.restarts, "delay": delay}
        self._emit(CHILD_RESTART, child, measurements, {"reason": reason})

    def _tell_refused(self, child: Child, reason: object, count: int, window: RestartWindow, refused: Refused) -> None:
        limits = (count, window.max_restarts, window.max_seconds, cut(reason))
        if refused is Refused.GIVE_UP:
            text = "%r gives up: child %r needs restart %d, and allowed are %d within %g s; last reason: %s"
        else:
            text = "%r leaves child %r stopped: it needs restart %d, and has %d within %g s; last reason: %s"
        _log.error(text, self._process, child.spec.id, *limits)
        measurements = {"restarts": count, "attempt": child.restarts}
        self._emit(GAVE_UP, child, measurements, {"reason": reason, "stops": refused.value})

    def _emit(
        self, event: Event, child: Child, measurements: Mapping[str, float], details: Mapping[str, object]
    ) -> None:
        node, pid = self._process.node, self._process.pid
        if node.telemetry.attached:
            common = {"node": node.name, "pid": pid, "name": pid.name, "child_id": child.spec.id}
            node.telemetry.emit(event, measurements, {**common, **details})
