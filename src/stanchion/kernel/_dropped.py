# SPDX-License-Identifier: MIT
"""Messages that nobody takes: the DeadLetter event (no recipient) and the Dropped event (no room)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from stanchion._validate import cut
from stanchion.kernel._mailbox import Refusal
from stanchion.telemetry import DEAD_LETTER, DROPPED

if TYPE_CHECKING:
    from stanchion.kernel._names import Ref
    from stanchion.kernel._node import Node

_log = logging.getLogger("stanchion.messages")

_LINES_PER_WINDOW: Final = 10
_WINDOW_SECONDS: Final = 10.0


class StormGuard:
    """Lets so many log lines through in each window, and says how many it held back in the last one."""

    __slots__ = ("_held_back", "_lines", "_window_end")

    def __init__(self) -> None:
        self._lines = 0
        self._held_back = 0
        self._window_end = 0.0

    def admit(self, now: float) -> int | None:
        """Return None when this line is held back, else how many were since the last line that was let through."""
        if now >= self._window_end:
            self._lines, self._window_end = 0, now + _WINDOW_SECONDS
        if self._lines >= _LINES_PER_WINDOW:
            self._held_back += 1
            return None
        self._lines += 1
        held_back, self._held_back = self._held_back, 0
        return held_back


def undeliverable(node: Node, recipient: Ref, message: object, reason: Refusal | str) -> None:
    """Tell of a message that was not taken: a Dropped event for ``"overflow"``, else a DeadLetter event.

    Every one is an event; the log has at most ten lines in ten seconds, and counts what it held back.
    """
    telemetry = node.telemetry
    if telemetry.attached:
        telemetry.emit(
            DROPPED if reason == "overflow" else DEAD_LETTER,
            {"count": 1},
            {"node": node.name, "recipient": recipient, "message": message, "reason": reason},
        )
    log_lost(node, recipient, message, reason)


def log_lost(node: Node, recipient: Ref, message: object, reason: str) -> None:
    """Write a line about a message that nobody handled, unless there were too many."""
    held_back = node.storm_guard.admit(node.clock.monotonic())
    if held_back is not None:
        more = f" ({held_back} more before it were not logged)" if held_back else ""
        _log.warning("message to %r was not handled (%s): %s%s", recipient, reason, cut(message), more)
