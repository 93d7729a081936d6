# SPDX-License-Identifier: MIT
"""What one subscriber was promised and has not got yet."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import stanchion as st
from examples.relay.event import Event

_log = logging.getLogger("relay.backlog")


class Backlog:
    """The accepted events of one subscriber that are neither delivered nor a dead letter.

    It is no process, so it cannot crash: outboxes come and go, and each new one goes on with what is in here. It is a
    service of the node, so it closes after all processes have ended, and makes dead letters of what is left.

    Args:
        subscriber: To whom the events go.
        limit: How many it keeps.
        letters: Where the rest goes.
    """

    def __init__(self, subscriber: str, limit: int, letters: st.DeadLetterQueue) -> None:
        self.subscriber: Final = subscriber
        self._limit = limit
        self._letters = letters
        self._events: dict[str, Event] = {}
        self._settled = asyncio.Event()

    def add(self, key: str, event: Event) -> bool:
        """Keep an event; return False when there is no room. A key that is there already changes nothing."""
        if key not in self._events and len(self._events) >= self._limit:
            return False
        self._events.setdefault(key, event)
        return True

    def settle(self, key: str) -> None:
        """Forget an event that is delivered, or is a dead letter."""
        self._events.pop(key, None)
        self._settled.set()

    def get(self, key: str) -> Event | None:
        """Return the event with a key, None when it is settled."""
        return self._events.get(key)

    def keys(self) -> list[str]:
        """Return the keys of all events, in the order in which they were accepted."""
        return list(self._events)

    def __len__(self) -> int:
        return len(self._events)

    async def wait_below(self, count: int) -> None:
        """Wait until fewer than ``count`` events are in it."""
        while len(self._events) >= count:
            self._settled.clear()
            await self._settled.wait()

    async def park(self, key: str, event: Event, reason: str) -> None:
        """Make a dead letter of an event; it is redelivered like others.

        Raises:
            DeadLetterError: it could not be stored.
        """
        await self._letters.add(recipient=self.subscriber, message=event, reason=reason, message_id=key)

    async def open(self, node: object) -> None:
        """Nothing: it is empty. The node calls this."""

    async def close(self) -> None:
        """Make dead letters of what is left. The node calls this, when no process is left and the queue still open."""
        left = list(self._events.items())
        results = await asyncio.gather(
            *(self.park(key, event, "shutdown") for key, event in left), return_exceptions=True
        )
        for (key, event), result in zip(left, results, strict=True):
            if isinstance(result, BaseException):
                _log.error("event %s to %s is LOST, for it cannot be stored: %s", event.id, self.subscriber, result)
            else:
                self.settle(key)
        if left:
            _log.info("%d events to %s are now dead letters", len(left), self.subscriber)
