# SPDX-License-Identifier: MIT
"""The timeouts of one machine that run."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from stanchion.kernel import Notification, Process, TimerRef
from stanchion.state_machine._timeouts import UPDATE, AnyTimeout


@Notification.register
class Elapsed:
    """What a timer puts into the mailbox: that a timeout is due."""

    __slots__ = ("key", "timeout", "timer")

    def __init__(self, timeout: AnyTimeout) -> None:
        self.key = timeout.key
        # What becomes the event; an update replaces it.
        self.timeout = timeout
        # Set in the step that makes this.
        self.timer: TimerRef


class Timers:
    """The running timeouts, at most one of each key.

    One whose time has come but whose message still waits in the mailbox counts as running: it can be cancelled. Then
    its message means nothing when it comes up.
    """

    __slots__ = ("_process", "_running", "_zero")

    def __init__(self, process: Process) -> None:
        self._process = process
        self._running: dict[Hashable, Elapsed] = {}
        # Those that need no timer, in the order in which they were set. A key is in one of the two dicts at most.
        self._zero: dict[Hashable, AnyTimeout] = {}

    def set_all(self, timeouts: Iterable[AnyTimeout]) -> None:
        """Set, update or cancel timeouts, in this order."""
        for timeout in timeouts:
            if timeout.seconds is UPDATE:
                self._update(timeout)
            else:
                self.cancel(timeout.key)
                if timeout.seconds is not None:
                    self._set(timeout, timeout.seconds)

    def cancel(self, key: Hashable) -> None:
        """Cancel a timeout; harmless when none of the key runs."""
        self._zero.pop(key, None)
        elapsed = self._running.pop(key, None)
        if elapsed is not None:
            elapsed.timer.release()

    def due(self, elapsed: Elapsed) -> AnyTimeout | None:
        """Return the timeout whose time has come; None when it was cancelled or set anew meanwhile."""
        if self._running.get(elapsed.key) is not elapsed:
            return None
        del self._running[elapsed.key]
        return elapsed.timeout

    def due_at_once(self) -> AnyTimeout | None:
        """Return the first of those that need no timer, or None."""
        return self._zero.pop(next(iter(self._zero))) if self._zero else None

    def _set(self, timeout: AnyTimeout, seconds: float) -> None:
        if not seconds:
            self._zero[timeout.key] = timeout
            return
        process = self._process
        if process.finished:
            return  # declared dead, and its task goes on all the same
        elapsed = self._running[timeout.key] = Elapsed(timeout)
        elapsed.timer = process.node.timers.add(process, process.pid, elapsed, seconds)

    def _update(self, timeout: AnyTimeout) -> None:
        key = timeout.key
        elapsed = self._running.get(key)
        if elapsed is None:
            self._zero[key] = timeout.lasting(0.0)
        else:
            elapsed.timeout = timeout.lasting(elapsed.timeout.seconds)
