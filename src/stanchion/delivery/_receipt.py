# SPDX-License-Identifier: MIT
"""The sender's side of one attempt: what travels with the message and comes back as its outcome."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping
from typing import Final

from stanchion.delivery._delivery import Failure, Reason
from stanchion.kernel import CAST, Envelope, ExitReason, Process, current_process, undeliverable

TIMED_OUT: Final = Failure(Reason.TIMEOUT, handled=True, retry=True)


class MessageInfo:
    """What a receiver may know of the supervised send that it handles; see ``message_info``.

    Attributes:
        message_id: The same in every attempt, and in redeliveries out of the dead letters; a key for idempotency.
        attempt: Which attempt this is, from 1; each redelivery of a dead letter begins at 1 again.
        metadata: What the sender gave.
    """

    __slots__ = ("attempt", "message_id", "metadata")

    def __init__(self, message_id: str, attempt: int, metadata: Mapping[str, object] | None) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self.metadata: Mapping[str, object] = {} if metadata is None else metadata

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message_id!r}, attempt={self.attempt}, metadata={self.metadata!r})"


class Notice(MessageInfo):
    """The token of a message whose sender waits for nothing more than its place in the mailbox."""

    __slots__ = ("_message", "_process")

    def __init__(
        self,
        process: Process,
        message: object,
        message_id: str,
        attempt: int,
        metadata: Mapping[str, object] | None,
    ) -> None:
        super().__init__(message_id, attempt, metadata)
        self._process = process
        self._message = message

    def processed(self) -> None:
        """Nothing: nobody waits."""

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Tell it as an undeliverable message; one without a clause was told already."""
        if known:
            self._tell(f"rejected: {detail}")

    def abandoned(self, reason: ExitReason, *, handled: bool) -> None:
        """Tell it as an undeliverable message, unless its handler had begun."""
        if not handled:
            self._tell("noproc")

    def _tell(self, why: str) -> None:
        undeliverable(self._process.node, self._process.pid, self._message, why)


class Receipt(MessageInfo):
    """The token of a message whose sender waits until it is processed.

    The future resolves once: None for processed, else the failure.
    """

    __slots__ = ("future",)

    def __init__(
        self,
        future: Future[Failure | None],
        message_id: str,
        attempt: int,
        metadata: Mapping[str, object] | None,
    ) -> None:
        self.message_id = message_id
        self.attempt = attempt
        self.metadata = {} if metadata is None else metadata
        self.future = future

    def processed(self) -> None:
        """Confirm."""
        if not self.future.done():
            self.future.set_result(None)

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Fail: the receiver says so."""
        reason = Reason.REFUSED if known else Reason.INVALID
        why = detail if known else f"{detail}() has no clause for it"
        self._fail(Failure(reason, handled=handled, retry=retry, detail=why))

    def abandoned(self, reason: ExitReason, *, handled: bool) -> None:
        """Fail: the receiver exited."""
        self._fail(Failure(Reason.DOWN, handled=handled, retry=True, exit_reason=reason))

    def expire(self) -> None:
        """Fail: the time is up."""
        self._fail(TIMED_OUT)

    def _fail(self, failure: Failure) -> None:
        if not self.future.done():
            self.future.set_result(failure)


def message_info() -> MessageInfo | None:
    """Return what is known of the supervised send that the running process handles now.

    Returns:
        None while the process handles something else: a call, a plain cast, nothing.

    Raises:
        NotInProcessError: the code runs outside of all processes.
    """
    handling: Envelope | None = current_process("message_info()").handling
    if handling is not None and handling[0] == CAST and isinstance(handling[2], MessageInfo):
        return handling[2]
    return None
