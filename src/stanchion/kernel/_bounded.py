# SPDX-License-Identifier: MIT
"""Messages with a deadline: what a cast inside of a scope carries, and what becomes of a message whose time is up."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from stanchion.kernel._deadline import Deadline
from stanchion.kernel._dropped import log_lost, undeliverable
from stanchion.telemetry import MESSAGE_EXPIRED

if TYPE_CHECKING:
    from stanchion.kernel._exit_reasons import ExitReason
    from stanchion.kernel._mailbox import Envelope, Token
    from stanchion.kernel._process import Process


class Bounded:
    """The token of a message that has a deadline, and whose sender waits for nothing.

    What becomes of the message is told as of any other that has no token.
    """

    __slots__ = ("_message", "_process", "deadline")

    def __init__(self, process: Process, message: object, deadline: Deadline) -> None:
        self._process = process
        self._message = message
        self.deadline: Deadline | None = deadline

    def processed(self) -> None:
        """Nothing: nobody waits."""

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Tell it as an undeliverable message, unless its handler had begun."""
        if not handled:
            self._tell("noproc")

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Tell it as an undeliverable message; one without a clause was told already."""
        if known:
            self._tell(f"rejected: {detail}")

    def displaced(self) -> None:
        """Tell it as a dropped message."""
        self._tell("drop_oldest")

    def overdue(self) -> None:
        """Log it; the event was told already."""
        log_lost(self._process.node, self._process.pid, self._message, "its deadline has passed")

    def _tell(self, why: str) -> None:
        undeliverable(self._process.node, self._process.pid, self._message, why)


def is_overdue(process: Process, envelope: Envelope) -> bool:
    """Return whether a message that was taken in hand is too late to be begun; whoever waits for it is told if so."""
    deadline = _passed(envelope)
    if deadline is None:
        return False
    _tell(process, envelope, deadline)
    return True


def skip_overdue(process: Process) -> bool:
    """Take the first message off the mailbox if it is too late to be begun; return whether it was."""
    queue = process.mailbox.queue
    deadline = _passed(queue[0]) if queue else None
    if deadline is None:
        return False
    # Before it is told: whoever hears of it may send, and then something else may be at the head.
    _tell(process, queue.popleft(), deadline)
    return True


def _passed(envelope: Envelope) -> Deadline | None:
    """Return the deadline of a message, if it has one that has passed."""
    token = envelope[2]
    deadline = None if token is None else token.deadline
    return deadline if deadline is not None and deadline.passed else None


def _tell(process: Process, envelope: Envelope, deadline: Deadline) -> None:
    node, (kind, message, token) = process.node, envelope
    node.expired += 1
    if node.telemetry.attached:
        about = {"node": node.name, "pid": process.pid, "name": process.pid.name, "kind": kind, "message": message}
        late = deadline.clock.monotonic() - deadline.at
        node.telemetry.emit(MESSAGE_EXPIRED, {"count": 1, "lateness": late}, about)
    cast("Token", token).overdue()
