# SPDX-License-Identifier: MIT
"""The servers that are measured: with ``async def`` callbacks, as in the tutorial; plain ``def`` is faster."""

from __future__ import annotations

from stanchion.server import GenServer, Sender
from stanchion.timeouts import TimeoutPolicy


class Counter(GenServer):
    """Counts what it gets."""

    async def init(self) -> None:
        """Begin at 0."""
        self.count = 0

    async def handle_call(self, request: object, sender: Sender) -> int:
        """Reply with the count."""
        return self.count

    async def handle_cast(self, message: object) -> None:
        """Count."""
        self.count += 1


class Idle(GenServer):
    """Does nothing."""


def rules() -> TimeoutPolicy:
    """Return a policy with rules of each kind, one of which is for ``Counter``."""
    return TimeoutPolicy(
        5.0,
        services={Counter: 4.0, Idle: 3.0, "inventory": 2.0},
        operations={"inventory.reserve": 1.0, "bench.Reserve": 1.5},
        patterns={"cache_lookup.*": 0.5, "report.**": 60.0},
        factor=2.0,
        minimum=0.1,
        maximum=120.0,
    )
