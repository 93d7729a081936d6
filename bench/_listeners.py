# SPDX-License-Identifier: MIT
"""Who is published to, and how it is known that all of them have heard."""

from __future__ import annotations

import asyncio

from stanchion.kernel import Pid
from stanchion.server import GenServer, start


class Tally:
    """Counts what is handled, whoever handles it."""

    def __init__(self) -> None:
        self._left = 0
        self._done = asyncio.Event()

    def expect(self, count: int) -> None:
        """Begin anew, with so many to come."""
        self._left = count
        self._done.clear()

    def count(self) -> None:
        """Count one."""
        self._left -= 1
        if not self._left:
            self._done.set()

    async def wait(self) -> None:
        """Wait until as many came as were expected; more are an error, and so are less after a minute."""
        async with asyncio.timeout(60):
            await self._done.wait()
        if self._left:
            raise RuntimeError(f"expected no more to come, got {-self._left}")


class Listener(GenServer):
    """Counts in a tally; plain ``async def``, as the other servers that are measured."""

    async def init(self, tally: Tally) -> None:
        """Begin."""
        self._tally = tally

    async def handle_cast(self, message: object) -> None:
        """Count."""
        self._tally.count()


async def start_listeners(count: int, tally: Tally) -> list[Pid]:
    """Start so many servers with one tally."""
    return [await start(Listener, tally) for _ in range(count)]
