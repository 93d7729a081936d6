# SPDX-License-Identifier: MIT
"""The connections to the subscribers."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp


class HttpClient:
    """A service of the node that POSTs. It outlives the processes that use it, and so do its open connections."""

    async def open(self, node: object) -> None:
        """Get ready; the node calls this."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        """Close the connections; the node calls this."""
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> int:
        """POST a body and return the status.

        Raises:
            aiohttp.ClientError: there was no answer.
            TimeoutError: there was none in time; the body may have arrived.
        """
        limit = aiohttp.ClientTimeout(total=timeout)
        async with self._session.post(
            url, data=body, headers=headers, timeout=limit, allow_redirects=False
        ) as response:
            await response.read()
            return response.status
