# SPDX-License-Identifier: MIT
"""What became of a supervised send."""

from __future__ import annotations

from enum import StrEnum
from traceback import format_exception
from typing import NamedTuple

from stanchion._validate import cut
from stanchion.kernel import ExitReason, Ref


class Ack(StrEnum):
    """What a supervised send waits for. Each can be given as its text too."""

    STORED = "stored"
    """The message is committed in the outbox, with ``durable=True``."""
    ENQUEUED = "enqueued"
    """The message is in the mailbox of a live process."""
    PROCESSED = "processed"
    """The handler returned."""


class Outcome(StrEnum):
    """The three ends of a supervised send."""

    CONFIRMED = "confirmed"
    """The ack that was asked for came."""
    REJECTED = "rejected"
    """The message is known not to have been processed, in no attempt."""
    UNKNOWN = "unknown"
    """The message may have been processed, in one attempt or several."""


class Reason(StrEnum):
    """Why an attempt failed."""

    NOPROC = "noproc"
    """There was no such process."""
    OVERFLOW = "overflow"
    """Its mailbox was full."""
    TIMEOUT = "timeout"
    """No ack came in time. One that still waited in the mailbox, or was postponed, is taken back: known not processed."""
    DOWN = "down"
    """The process exited; a message that still waited in its mailbox is known not processed."""
    CIRCUIT_OPEN = "circuit_open"
    """The circuit breaker did not let the message through; this attempt sent nothing."""
    REFUSED = "refused"
    """The handler returned ``Reject``."""
    INVALID = "invalid"
    """The receiver has no clause for the message."""
    POISON = "poison"
    """The process crashed each time it handled the message, as often as ``poison_after`` allows."""
    ABORTED = "aborted"
    """Another recipient of an ``all_or_nothing`` broadcast could not take it, so nobody was given it."""


class Failure(NamedTuple):
    """Why one attempt failed.

    Attributes:
        reason: One of ``Reason``.
        handled: Whether the message may have been processed in this attempt.
        retry: Whether another attempt may do better.
        exit_reason: The receiver's exit reason, with ``Reason.DOWN`` and ``Reason.POISON``.
        detail: More, for people.
        crashed: Whether the receiver crashed by itself while it handled the message.
    """

    reason: Reason
    handled: bool
    retry: bool
    exit_reason: ExitReason | None = None
    detail: str | None = None
    crashed: bool = False

    @property
    def text(self) -> str:
        """The reason in full, for people."""
        if self.reason is Reason.DOWN:
            return f"down: {cut(self.exit_reason)}"
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)

    def __str__(self) -> str:
        return self.text

    @property
    def traceback(self) -> str | None:
        """The stack trace of the receiver's crash; None when it did not crash on the message."""
        if self.crashed and isinstance(self.exit_reason, BaseException):
            return "".join(format_exception(self.exit_reason))
        return None


class Delivery:
    """The outcome of one supervised send; true when it was confirmed.

    Attributes:
        outcome: ``CONFIRMED``, ``REJECTED`` or ``UNKNOWN``; equal to its text, ``"confirmed"`` say.
        recipient: The ref that the message was sent to.
        message_id: The id that all attempts of this message carry.
        attempts: How many attempts were made; in an ``all_or_nothing`` broadcast, those to have it accepted count too.
        elapsed: Seconds from the call to the outcome.
        failure: Why the last attempt failed; None when confirmed.
        duplicate: Whether the receiver had handled the message before, and did not handle it again.
        dead_letter_id: The id of the dead letter that keeps the message; None when there is none.
    """

    __slots__ = ("attempts", "dead_letter_id", "duplicate", "elapsed", "failure", "message_id", "outcome", "recipient")

    def __init__(
        self,
        outcome: Outcome,
        recipient: Ref,
        message_id: str,
        attempts: int,
        elapsed: float,
        failure: Failure | None = None,
        duplicate: bool = False,
    ) -> None:
        self.outcome = outcome
        self.recipient = recipient
        self.message_id = message_id
        self.attempts = attempts
        self.elapsed = elapsed
        self.failure = failure
        self.duplicate = duplicate
        self.dead_letter_id: str | None = None

    def __bool__(self) -> bool:
        return self.failure is None

    @property
    def reason(self) -> Reason | None:
        """Why the last attempt failed; None when confirmed."""
        return None if self.failure is None else self.failure.reason

    @property
    def exit_reason(self) -> ExitReason | None:
        """The receiver's exit reason, when the reason is ``Reason.DOWN`` or ``Reason.POISON``."""
        return None if self.failure is None else self.failure.exit_reason

    @property
    def reason_text(self) -> str:
        """The reason in full, for people; empty when confirmed."""
        return "" if self.failure is None else self.failure.text

    def __repr__(self) -> str:
        why = f" ({self.reason_text})" if self.failure is not None else ""
        letter = f", dead letter {self.dead_letter_id}" if self.dead_letter_id else ""
        return (
            f"<Delivery {self.message_id} to {self.recipient!r}: {self.outcome}{why} "
            f"after {self.attempts} attempts in {self.elapsed:.3f} s{letter}>"
        )
