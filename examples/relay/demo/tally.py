# SPDX-License-Identifier: MIT
"""Counting what the relay's telemetry tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from stanchion.telemetry import (
    CHILD_RESTART,
    DELIVERY_RETRY,
    DELIVERY_STOP,
    LETTER_DELIVERED,
    LETTER_STORED,
    Event,
    Telemetry,
)

# How each event is called in the demo's table, and which of its metadata says whose it is.
_COUNTED: Final = {
    DELIVERY_STOP.name: ("sent", "recipient"),
    DELIVERY_RETRY.name: ("retried", "recipient"),
    CHILD_RESTART.name: ("restarted", "child_id"),
    LETTER_STORED.name: ("dead-lettered", "recipient"),
    LETTER_DELIVERED.name: ("redelivered", "recipient"),
}


class Tally:
    """Counts by word and by owner: ``tally["retried", "chat"]``. What nobody counted is 0."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        for event in (DELIVERY_STOP, DELIVERY_RETRY, CHILD_RESTART, LETTER_STORED, LETTER_DELIVERED):
            telemetry.attach(event, self._count)

    def __getitem__(self, key: tuple[str, str]) -> int:
        return self._counts[key]

    def total(self, word: str) -> int:
        """Return the count of a word over all owners."""
        return sum(count for (counted, _), count in self._counts.items() if counted == word)

    def _count(self, event: Event, _: Mapping[str, float], metadata: Mapping[str, object]) -> None:
        word, owner = _COUNTED[event.name]
        if metadata.get("outcome") in ("rejected", "unknown"):
            return  # the end of a send that did not deliver
        name = str(metadata[owner])
        if word in ("sent", "retried") and name.endswith(".outbox"):
            return  # an event on its way into the relay, not out of it
        # The processes of a lane count as their subscriber's: tickets.outbox is tickets.
        self._counts[word, name.partition(".")[0]] += 1
