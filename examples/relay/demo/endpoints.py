# SPDX-License-Identifier: MIT
"""The three subscriber endpoints: OS processes that are started, asked and stopped from here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import aiohttp

from examples.relay.demo.endpoint import SECRET_VARIABLE

_MODULE: Final = "examples.relay.demo.endpoint"


class Arrival(NamedTuple):
    """One webhook that an endpoint took.

    Attributes:
        id: The event's id.
        digest: The SHA-256 of the body.
    """

    id: str
    digest: str


class RemoteEndpoint:
    """An endpoint in another OS process. It refuses connections until ``listen``."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._base = f"http://127.0.0.1:{port}"
        self.url = f"{self._base}/webhook"

    async def listen(self, *, after: float = 0.0) -> None:
        """Have it listen, after so many seconds."""
        await asyncio.sleep(after)
        if self._process.stdin is not None:
            self._process.stdin.write(b"listen\n")
            await self._process.stdin.drain()

    async def arrivals(self) -> list[Arrival]:
        """Return what it took, in that order."""
        limit = aiohttp.ClientTimeout(total=5.0)
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(f"{self._base}/received") as answer:
            return [Arrival(id_, digest) for id_, digest in await answer.json()]


@asynccontextmanager
async def endpoint(secret: str, *options: str) -> AsyncGenerator[RemoteEndpoint, None]:
    """Run an endpoint during the block; it never outlives it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _MODULE, *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, SECRET_VARIABLE: secret},
    )
    try:
        yield RemoteEndpoint(process, await _port(process))
    finally:
        await _end(process)


@asynccontextmanager
async def endpoints(secret: str, options: dict[str, list[str]]) -> AsyncGenerator[dict[str, RemoteEndpoint], None]:
    """Run endpoints during the block, all started at the same time.

    Args:
        secret: What the relay signs with.
        options: The options of each, by name.
    """
    async with AsyncExitStack() as stack:
        started = [stack.enter_async_context(endpoint(secret, *given)) for given in options.values()]
        yield dict(zip(options, await asyncio.gather(*started), strict=True))


async def _port(process: asyncio.subprocess.Process) -> int:
    if process.stdout is None:
        raise RuntimeError("the endpoint has no standard output")
    line = await asyncio.wait_for(process.stdout.readline(), timeout=15.0)
    if not line:
        raise RuntimeError(f"an endpoint did not start: exit status {await process.wait()}")
    port = json.loads(line)["port"]
    return int(port)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), timeout=2.0)
    except TimeoutError:
        process.kill()
        await process.wait()
