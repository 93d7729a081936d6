# SPDX-License-Identifier: MIT
"""A message as the outbox keeps it."""

from __future__ import annotations

from typing import NamedTuple

from stanchion.dead_letters import EncodedMessage, decode


class OutboxMessage(NamedTuple):
    """One message that is to be delivered, as data.

    Attributes:
        id: A UUID of version 7: messages are kept, and where order counts delivered, in the order of their ids.
        message_id: What all its attempts carry: the sender's idempotency key, else the ``id``.
        recipient: The registered name, or the text of a registry's key.
        message_type: The stored type name.
        version: The version of that type.
        payload: The message.
        metadata: What the sender gave with it, encoded; None for nothing.
        options: How to send it, as JSON; the delivery writes and reads it.
        ordered: Whether it waits for the ordered messages to its recipient that were stored before it.
        created_at: When it was stored, in Unix seconds.
        interrupted: How many times the OS process that was sending it has ended meanwhile, as far as was noted: that is
            done only from the first time on that a node took it over from one that is gone. None before that.
    """

    id: str
    message_id: str
    recipient: str
    message_type: str
    version: int
    payload: bytes
    metadata: bytes | None
    options: str
    ordered: bool
    created_at: float
    interrupted: int | None = None

    @property
    def keyed(self) -> bool:
        """Whether its sender gave an idempotency key."""
        return self.message_id != self.id

    def content(self) -> object:
        """Return the message.

        Raises:
            MessageDecodeError: this program knows no such message.
        """
        return decode(self.message_type, self.version, self.payload)

    def encoded(self, preview: str) -> EncodedMessage:
        """Return the message as a dead letter takes it."""
        return EncodedMessage(self.message_type, self.version, self.payload, preview)
