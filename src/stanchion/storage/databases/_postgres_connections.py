# SPDX-License-Identifier: MIT
"""How connections to a PostgreSQL server are made."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
import sqlalchemy as sa

from stanchion.errors import StoreError
from stanchion.storage.databases._postgres_errors import is_lost, store_error

_PAUSE: Final = 0.1


class Connections:
    """Makes connections. Once one was made, it waits for a server that restarts.

    Args:
        url: ``postgresql://...``, as libpq has it.
        name: The URL without its password.
        connect_timeout: Seconds that making a connection may take, and a restart.
        timeout: Seconds that a statement may take.
        settings: The server's settings for the session, where the URL says nothing else.
    """

    __slots__ = ("_connect_timeout", "_dsn", "_settings", "_succeeded", "_timeout", "_url", "name")

    def __init__(
        self, url: sa.URL, *, name: str, connect_timeout: float, timeout: float, settings: dict[str, str]
    ) -> None:
        self.name: Final = name
        self._url = url
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._settings = {name: value for name, value in settings.items() if name not in url.query}
        self._succeeded = False  # from then on the URL is known to be right, and a refusal to be a restart

    async def make(self) -> asyncpg.Connection:
        """Return a new connection.

        Raises:
            StoreError: there is none to be had.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._connect_timeout if self._succeeded else 0)
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn,
                    timeout=self._connect_timeout,
                    command_timeout=self._timeout,
                    server_settings=self._settings,
                )
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
                if not (isinstance(error, OSError) or is_lost(error)):
                    raise self.error(error) from error
                if loop.time() >= until:
                    raise self._unreachable(error) from error
                await asyncio.sleep(_PAUSE)
            else:
                self._succeeded = True
                return connection

    def error(self, error: Exception) -> StoreError:
        """Return our error for what the driver raised."""
        return store_error(error, self.name, str(self._url.database), patience=self._timeout)

    def _unreachable(self, error: Exception) -> StoreError:
        where = f"{self._url.host or 'localhost'}:{self._url.port or 5432}"
        return StoreError(
            self.name,
            expected=f"a server that takes connections at {where}",
            got=str(error) or f"none within {self._connect_timeout:g} s",
            fix="start the server, or correct host and port in the URL.",
        )
