# SPDX-License-Identifier: MIT
"""Messages that nobody takes: the DeadLetter event (no recipient) and the Dropped event (no room)."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stanchion._validate import cut
from stanchion.kernel._mailbox import Refusal
from stanchion.telemetry import DEAD_LETTER, DROPPED

if TYPE_CHECKING:
    from stanchion.kernel._clock import Clock, TimerHandle
    from stanchion.kernel._names import Ref
    from stanchion.kernel._node import Node

_log = logging.getLogger("stanchion.messages")

_OVERFLOWS: Final = ("overflow", "drop_newest", "drop_oldest", "no_credit")

_LINES_PER_WINDOW: Final = 10
_WINDOW_SECONDS: Final = 10.0


class StormGuard:
    """Lets ten log lines of a topic through in ten seconds; at their end, one line counts those it held back.

    Args:
        clock: Whose seconds these are.
    """

    __slots__ = ("_clock", "_closed", "_windows")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._closed = False
        # The latest window of each topic; there are a handful of topics.
        self._windows: dict[str, _Window] = {}

    def admit(self, topic: str, log: logging.Logger) -> bool:
        """Return whether a line may be written.

        Args:
            topic: What the line is about, in the plural: the summary counts them under this name.
            log: Where the summary goes.
        """
        now = self._clock.monotonic()
        window = self._windows.get(topic)
        if window is None or now >= window.end:
            if window is not None:
                window.sum_up()
            window = self._windows[topic] = _Window(topic, log, now + _WINDOW_SECONDS)
        if window.lines < _LINES_PER_WINDOW:
            window.lines += 1
            return True
        window.held_back += 1
        if window.timer is None and not self._closed:
            with suppress(RuntimeError):  # outside of a running loop, the next line or the end sums up
                window.timer = self._clock.call_at(window.end, window.sum_up)
        return False

    def close(self) -> None:
        """Sum up now what is held back, and leave no timer behind."""
        self._closed = True
        for window in self._windows.values():
            window.sum_up()


class _Window:
    """Ten seconds of one topic."""

    __slots__ = ("_log", "_topic", "end", "held_back", "lines", "timer")

    def __init__(self, topic: str, log: logging.Logger, end: float) -> None:
        self._topic = topic
        self._log = log
        self.end = end
        self.lines = 0  # that were let through
        self.held_back = 0  # since it was summed up
        # Set from the first line that is held back until it is summed up.
        self.timer: TimerHandle | None = None

    def sum_up(self) -> None:
        """Write how many lines were held back, if any were."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.held_back:
            self._log.warning("%d more %s within %g s", self.held_back, self._topic, _WINDOW_SECONDS)
            self.held_back = 0


def undeliverable(node: Node, recipient: Ref, message: object, reason: Refusal | str) -> None:
    """Tell of a message that nobody handles: a Dropped event when there was no room for it, else a DeadLetter event.

    Every one is an event; the log has at most ten lines in ten seconds, and one more that counts the others.
    """
    telemetry = node.telemetry
    if telemetry.attached:
        telemetry.emit(
            DROPPED if reason in _OVERFLOWS else DEAD_LETTER,
            {"count": 1},
            {"node": node.name, "recipient": recipient, "message": message, "reason": reason},
        )
    log_lost(node, recipient, message, reason)


def log_lost(node: Node, recipient: Ref, message: object, reason: str) -> None:
    """Write a line about a message that nobody handled, unless there were too many."""
    if node.storm_guard.admit("messages were not handled", _log):
        _log.warning("message to %r was not handled (%s): %s", recipient, reason, cut(message))
