# SPDX-License-Identifier: MIT
"""The servers that are measured: with ``async def`` callbacks, as in the tutorial; plain ``def`` is faster."""

from __future__ import annotations

from stanchion.server import GenServer, Sender


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
