# SPDX-License-Identifier: MIT
"""Hearing what other processes tell by NOTIFY."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import Final

import asyncpg

from stanchion.errors import StoreError
from stanchion.storage._database import CHANNEL
from stanchion.storage.databases._postgres_connections import Connections

_log = logging.getLogger("stanchion.storage")

_PAUSE: Final = 1.0


class Listener:
    """Listens on a connection of its own, which it makes again when it breaks.

    Whoever listens is called after each break, too: nobody knows what was told meanwhile.
    """

    __slots__ = ("_connections", "_heard", "_task")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._heard: list[tuple[str, Callable[[], None]]] = []
        self._task: asyncio.Task[None] | None = None  # runs from the first add() until close()

    def add(self, channel: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Call ``heard`` when the channel is told; return what ends it."""
        entry = (channel, heard)
        self._heard.append(entry)
        if self._task is None:
            # A context of its own: it works for all, not for the one who happened to start it.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name="database-listener", context=contextvars.Context()
            )

        def end() -> None:
            if entry in self._heard:
                self._heard.remove(entry)

        return end

    async def close(self) -> None:
        """Listen no more."""
        self._heard.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (StoreError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                _log.warning("%s cannot be listened to, and is polled meanwhile: %s", self._connections.name, error)
            await asyncio.sleep(_PAUSE)

    async def _listen(self) -> None:
        """Listen until the connection breaks."""
        connection = await self._connections.make()
        broken = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: broken.set())
            await connection.add_listener(CHANNEL, self._told)
            for _, heard in list(self._heard):
                heard()
            await broken.wait()
        finally:
            connection.terminate()

    def _told(self, _connection: object, _pid: int, _channel: str, told: object) -> None:
        for channel, heard in list(self._heard):
            if channel == told:
                heard()
