# SPDX-License-Identifier: MIT
"""Counting what the relay's telemetry tells: one process tells it in words, another one counts these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from stanchion.telemetry import (
    CHILD_RESTART,
    DELIVERY_STOP,
    LETTER_DELIVERED,
    LETTER_STORED,
    SCHEDULE_STOPPED,
    Event,
    Telemetry,
)

Word = tuple[str, str]
"""What happened, and to whom: ``("restarted", "chat")``."""

# How each event is called in the demo's table, and which of its metadata says whose it is.
_TOLD: Final = {
    DELIVERY_STOP.name: ("sent", "recipient"),
    CHILD_RESTART.name: ("restarted", "child_id"),
    LETTER_STORED.name: ("dead-lettered", "recipient"),
    LETTER_DELIVERED.name: ("redelivered", "recipient"),
    SCHEDULE_STOPPED.name: ("scheduled", "schedule"),
}


class Tally:
    """Counts by word and by owner: ``tally["restarted", "chat"]``. What nobody counted is 0."""

    def __init__(self) -> None:
        self._counts: Counter[Word] = Counter()

    def __getitem__(self, word: Word) -> int:
        return self._counts[word]

    def count(self, word: Word) -> None:
        """Count what happened."""
        self._counts[word] += 1


def tell(telemetry: Telemetry, heard: Callable[[Word], None]) -> None:
    """Have ``heard`` called with each word, from now on."""

    def put(event: Event, _: Mapping[str, float], metadata: Mapping[str, object]) -> None:
        word, owner = _TOLD[event.name]
        did_not_deliver = metadata.get("outcome") in ("rejected", "unknown")
        heard(("failed" if did_not_deliver else word, str(metadata[owner])))

    for event in (DELIVERY_STOP, CHILD_RESTART, LETTER_STORED, LETTER_DELIVERED, SCHEDULE_STOPPED):
        telemetry.attach(event, put)
