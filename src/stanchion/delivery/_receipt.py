# SPDX-License-Identifier: MIT
"""The sender's side of one attempt: what travels with the message and comes back as its outcome."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping
from typing import Final

from stanchion.delivery._delivery import Failure, Reason
from stanchion.delivery._options import Options
from stanchion.kernel import (
    CAST,
    Deadline,
    Envelope,
    ExitReason,
    Once,
    Process,
    current_process,
    log_lost,
    remember,
    undeliverable,
)

TIMED_OUT: Final = Failure(Reason.TIMEOUT, handled=True, retry=True)
DROPPED: Final = Failure(Reason.OVERFLOW, handled=False, retry=False, detail="dropped")
OVERDUE_TEXT: Final = "its deadline has passed"
"""How the log tells a message whose sender waits for nothing, as the kernel does of a plain cast."""


class MessageInfo:
    """What a receiver may know of the supervised send that it handles; see ``message_info``.

    Attributes:
        message_id: The same in every attempt, and in redeliveries out of the dead letters; the ``idempotency_key`` where
            the sender gave one.
        attempt: Which attempt this is, from 1; each redelivery of a dead letter begins at 1 again.
        metadata: What the sender gave.
        deadline: When the sender gives up, by the monotonic time of the node's clock: as its ``deadline`` says, or that of
            the ``stanchion.deadline`` scope that it sends in, whichever comes first. None when it has neither. It is the
            same in every attempt. A redelivery of a dead letter has none.
    """

    __slots__ = ("attempt", "deadline", "message_id", "metadata")

    def __init__(self, message_id: str, attempt: int, metadata: Mapping[str, object], deadline: float | None) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self.metadata = metadata
        self.deadline = deadline

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, 0 when it has passed; None when there is none.

        Pass it on as the ``timeout`` of what the handler calls, or as the ``deadline`` of what it sends. What is left of
        a scope is passed on by itself, see ``stanchion.remaining``: the ``deadline`` of a send is not, since what its
        handler begins may be meant to go on for longer.

        Raises:
            NotInProcessError: the code runs outside of all processes.
        """
        clock = current_process("MessageInfo.remaining()").node.clock
        return None if self.deadline is None else max(0.0, self.deadline - clock.monotonic())

    def __repr__(self) -> str:
        return f"MessageInfo({self.message_id!r}, attempt={self.attempt}, metadata={self.metadata!r})"


class Sent(Once):
    """The token of one attempt of a supervised send.

    Attributes:
        message_id: What all attempts carry.
        number: Which one this is.
        options: How it is sent.
        until: When the sender gives up, by the monotonic time of the node's clock; None for never.
        deadline: What was in force where it was sent.
    """

    __slots__ = ("deadline", "message_id", "number", "options", "until")

    def __init__(
        self, message_id: str, number: int, options: Options, until: float | None, deadline: Deadline | None
    ) -> None:
        self.message_id = message_id
        self.number = number
        self.options = options
        self.until = until
        self.deadline = deadline

    def info(self) -> MessageInfo:
        """Return what the receiver may know."""
        metadata = self.options.metadata
        return MessageInfo(self.message_id, self.number, {} if metadata is None else metadata, self.until)


class Notice(Sent):
    """The token of a message whose sender waits for nothing more than its place in the mailbox.

    Attributes:
        future: Resolves when the message has its place, with None, or with why it will have none. None for a message
            that had it at once.
    """

    __slots__ = ("_message", "_process", "future")

    def __init__(
        self,
        process: Process,
        message: object,
        message_id: str,
        number: int,
        options: Options,
        until: float | None,
        deadline: Deadline | None,
    ) -> None:
        super().__init__(message_id, number, options, until, deadline)
        self._process = process
        self._message = message
        self.future: Future[Failure | None] | None = None

    def placed(self) -> None:
        """Confirm: it stood in line, and is in the mailbox now."""
        self._resolve(None)

    def processed(self) -> None:
        """Nothing, for nobody waits; but if it came in as its time in line was up, the next attempt is told of it."""
        if self.future is not None and not self.future.cancelled() and self.future.result() is TIMED_OUT:
            remember(self.message_id)

    def repeated(self) -> None:
        """Nothing: nobody waits."""

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Tell it as an undeliverable message; one without a clause was told already."""
        if known:
            self._tell(f"rejected: {detail}")

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Tell it as an undeliverable message, unless its handler had begun; fail if it stands in line."""
        if not self._resolve(Failure(Reason.DOWN, handled=False, retry=True, exit_reason=reason)) and not handled:
            self._tell("noproc")

    def displaced(self) -> None:
        """Tell it as a dropped message."""
        self._tell("drop_oldest")

    def overdue(self) -> None:
        """Log it; the event was told already."""
        log_lost(self._process.node, self._process.pid, self._message, OVERDUE_TEXT)

    def expire(self) -> None:
        """Fail: it stood in line for too long."""
        self._resolve(TIMED_OUT)

    def _resolve(self, outcome: Failure | None) -> bool:
        """End the sender's wait in line; return False when it does not wait."""
        if self.future is None or self.future.done():
            return False
        self.future.set_result(outcome)
        return True

    def _tell(self, why: str) -> None:
        undeliverable(self._process.node, self._process.pid, self._message, why)


class OnceNotice(Notice):
    """The token of such a message that may have come before."""

    __slots__ = ()

    def processed(self) -> None:
        """Have the receiver remember it."""
        remember(self.message_id)


class Receipt(Sent):
    """The token of a message whose sender waits until it is processed.

    The future resolves once: None for processed, else the failure.
    """

    __slots__ = ("future",)

    def __init__(
        self,
        future: Future[Failure | None],
        message_id: str,
        number: int,
        options: Options,
        until: float | None,
        deadline: Deadline | None,
    ) -> None:
        self.future = future
        self.message_id = message_id
        self.number = number
        self.options = options
        self.until = until
        self.deadline = deadline

    def placed(self) -> None:
        """Nothing: the sender waits for more than that."""

    def processed(self) -> None:
        """Confirm."""
        if not self.future.done():
            self.future.set_result(None)
        else:  # this ack is lost: the next attempt is told that the message was handled
            remember(self.message_id)

    def repeated(self) -> None:
        """Nothing: it is a later attempt that was handled, which was made when nobody waited for this one."""

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Fail: the receiver says so."""
        reason = Reason.REFUSED if known else Reason.INVALID
        why = detail if known else f"{detail}() has no clause for it"
        self._fail(Failure(reason, handled=handled, retry=retry, detail=why))

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Fail: the receiver exited."""
        self._fail(Failure(Reason.DOWN, handled=handled, retry=True, exit_reason=reason, crashed=crashed))

    def displaced(self) -> None:
        """Fail: a newer message took its place."""
        self._fail(DROPPED)

    def overdue(self) -> None:
        """Fail: the receiver took it in hand too late, and put it down."""
        detail = f"{self.deadline!r} had passed when its turn came, and it was not begun"
        self._fail(Failure(Reason.TIMEOUT, handled=False, retry=False, detail=detail))

    def expire(self) -> None:
        """Fail: the time is up."""
        self._fail(TIMED_OUT)

    def _fail(self, failure: Failure) -> None:
        if not self.future.done():
            self.future.set_result(failure)


class OnceReceipt(Receipt):
    """The token of such a message that may have come before.

    Attributes:
        duplicate: Whether it had.
    """

    __slots__ = ("duplicate",)

    def __init__(
        self,
        future: Future[Failure | None],
        message_id: str,
        number: int,
        options: Options,
        until: float | None,
        deadline: Deadline | None,
    ) -> None:
        super().__init__(future, message_id, number, options, until, deadline)
        self.duplicate = False

    def processed(self) -> None:
        """Have the receiver remember it, and confirm."""
        remember(self.message_id)
        if not self.future.done():
            self.future.set_result(None)

    def repeated(self) -> None:
        """Confirm: it was handled before."""
        self.duplicate = True
        if not self.future.done():
            self.future.set_result(None)


def message_info() -> MessageInfo | None:
    """Return what is known of the supervised send that the running process handles now.

    Returns:
        None while the process handles something else: a call, a plain cast, nothing.

    Raises:
        NotInProcessError: the code runs outside of all processes.
    """
    handling: Envelope | None = current_process("message_info()").handling
    if handling is not None and handling[0] == CAST and isinstance(handling[2], Sent):
        return handling[2].info()
    return None
