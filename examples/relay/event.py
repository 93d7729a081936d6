# SPDX-License-Identifier: MIT
"""The message that travels through the relay."""

from __future__ import annotations

import stanchion as st


class Event(st.Message, type="relay.event"):
    """One webhook. It can be stored, in the router's journal and as a dead letter, under the name ``relay.event``.

    Attributes:
        id: The source's own id of it, else one of ours. The same in every attempt at every subscriber.
        type: ``event`` or ``event.action``.
        source: Where it came from.
        body: The payload, byte by byte as it came.
    """

    id: str
    type: str
    source: str
    body: bytes

    @classmethod
    def of(cls, message: object) -> Event | None:
        """Return the event that a message is or carries; None for any other message.

        By itself it comes from the outbox or the dead letters of a relay from before there was a router.
        """
        event = message.data if isinstance(message, st.Signal) else message
        return event if isinstance(event, Event) else None

    @property
    def signal(self) -> st.Signal:
        """A signal that carries it, with an id of its own: a source may send the same event again on purpose."""
        return st.Signal(self.type, self, source=f"/{self.source}")
