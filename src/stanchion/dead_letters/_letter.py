# SPDX-License-Identifier: MIT
"""What is kept of an undeliverable message."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from stanchion.dead_letters._codec import decode
from stanchion.errors import MessageDecodeError

State: TypeAlias = Literal["waiting", "retrying", "exhausted", "delivered", "discarded"]

STATES: Final[tuple[State, ...]] = ("waiting", "retrying", "exhausted", "delivered", "discarded")
"""Every state: waiting for its next redelivery; retrying, claimed by somebody; exhausted, which waits for a
person; delivered; discarded by a person."""

_FIRST_KEPT: Final = 5
_LAST_KEPT: Final = 15


class Attempt(msgspec.Struct, frozen=True):
    """One attempt that failed.

    Attributes:
        at: When it ended, in Unix seconds.
        reason: Why it failed, as one word: ``"noproc"``, ``"timeout"``, ``"down"``, ...
        error: The error's text, where there was one.
        traceback: The stack trace, where the recipient crashed while it handled the message.
    """

    at: float
    reason: str
    error: str | None = None
    traceback: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be delivered, with all that is known about it.

    Times are Unix seconds.

    Attributes:
        id: The letter; ids sort by the time at which letters were added.
        recipient: To whom the message was sent: a registered name, or a via address or a pid as text.
        message_type: The stored type of the message (see ``Message``), ``"data"`` for plain data; for a
            message that cannot become data, the name of its class.
        version: The stored version of that type; 0 for a message that cannot become data.
        payload: The message as data, None where it cannot become data.
        preview: The beginning of the message's repr.
        reason: Why the last attempt failed, as one word.
        error: The text of the last attempt's error, where there was one.
        state: waiting, retrying, exhausted, delivered or discarded.
        attempts: The failed attempts, oldest first. Of more than 20, the first 5 and the last 15 are kept.
        attempt_count: How many attempts failed, those not kept included.
        redeliveries: How many redeliveries failed since the letter was added or last retried by a person.
        next_attempt_at: When a waiting letter is due.
        created_at: When it was added.
        updated_at: When it last changed.
        metadata: What the sender said about it: JSON data by key.
        message_id: The id of the message at its sender.
        trace_id: The trace that the send belonged to.
        span_id: The span of the send in it.
        replay_of: The letter that this one replays.
        redeliverable: Whether the recipient can be found again. A name can, and a key of a registry when both can be said
            in text: ``Registry.via('sessions', 17)``. A pid cannot once it is gone.
        claimed_by: Who is redelivering it.
        claimed_until: When that claim ends by itself.
        note: Why it is not replayable, why it was discarded, or which letter replays it.
        revision: Counts the changes of this letter.
    """

    id: str
    recipient: str
    message_type: str
    version: int
    payload: bytes | None
    preview: str
    reason: str
    error: str | None = None
    state: State
    attempts: tuple[Attempt, ...] = ()
    attempt_count: int = 0
    redeliveries: int = 0
    next_attempt_at: float | None = None
    created_at: float
    updated_at: float
    metadata: dict[str, object] = {}
    message_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    replay_of: str | None = None
    redeliverable: bool = True
    claimed_by: str | None = None
    claimed_until: float | None = None
    note: str | None = None
    revision: int = 0

    @property
    def replayable(self) -> bool:
        """Whether the message itself is here, so that it can be sent again."""
        return self.payload is not None

    @property
    def due_at(self) -> float | None:
        """When it may be claimed: at its next attempt, or when the claim on it ends; None when never."""
        if self.state == "waiting":
            return self.next_attempt_at
        return self.claimed_until if self.state == "retrying" else None

    def message(self) -> object:
        """Return the message again.

        Raises:
            MessageDecodeError: it was never data, its class is not registered here, or the data does not fit.
        """
        if self.payload is None:
            raise MessageDecodeError(
                self.message_type,
                self.version,
                expected="a stored payload",
                got=f"only the preview {self.preview}",
                fix=f"it could not become data when it was stored: {self.note}",
            )
        return decode(self.message_type, self.version, self.payload)


def kept(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return the attempts that a letter keeps: all up to 20, else the first 5 and the last 15."""
    if len(attempts) <= _FIRST_KEPT + _LAST_KEPT:
        return attempts
    return attempts[:_FIRST_KEPT] + attempts[-_LAST_KEPT:]


def storable(text: str, limit: int) -> str:
    """Return text that every store can keep: no lone surrogates, no NUL, at most ``limit`` characters."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if len(text) <= limit else text[: limit - 1] + "…"
