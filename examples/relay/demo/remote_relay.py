# SPDX-License-Identifier: MIT
"""The relay, an OS process that is started, asked, killed and stopped from here."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec

from examples.relay.demo.relay_process import Crash, Part
from examples.relay.demo.tally import Tally, Word

_MODULE: Final = "examples.relay.demo.relay_process"
_POLL: Final = 0.1
_GRACE: Final = 10.0


class Health(msgspec.Struct):
    """What ``GET /health`` tells.

    Attributes:
        waiting: How many accepted events wait for each subscriber.
        dead_letters: How many letters there are, by what they wait for.
    """

    waiting: Mapping[str, int]
    dead_letters: Mapping[str, int]

    @property
    def settled(self) -> bool:
        """Whether every accepted event is delivered, or is a dead letter that waits for a person."""
        return not any(self.waiting.values()) and not self.dead_letters["waiting"]


class RemoteRelay:
    """The relay, in one OS process after the other; the socket that they listen at is not their own.

    Args:
        part: What each of them is to be.
        url: Where they listen.

    Attributes:
        tally: What their telemetry told.
        problems: What happened to them and should not have, as text.
    """

    def __init__(self, part: Part, url: str) -> None:
        self._part = part
        self._url = url
        self._process: Process | None = None  # set while there is one that should be running
        self._hearing: asyncio.Task[None]  # set by start()
        self.tally = Tally()
        self.problems: list[str] = []

    async def start(self) -> None:
        """Start the first process, or the next one, and wait until it answers.

        Raises:
            RuntimeError: it ended instead; its standard error, which is ours, says why.
        """
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _MODULE), stdin=PIPE, stdout=PIPE, pass_fds=[self._part.listener]
        )
        self._hearing = asyncio.create_task(self._hear(process))
        self._order(self._part)
        while await self.look() is None:
            if process.returncode is not None:
                raise RuntimeError(f"the relay did not start: exit status {process.returncode}")
            await asyncio.sleep(_POLL)

    def crash(self, victim: str, *, kill: bool) -> None:
        """Have a process of the relay crash, or kill it."""
        self._order(Crash(victim, kill))

    async def kill(self) -> None:
        """Kill the OS process, by SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._ended(-signal.SIGKILL)

    async def stop(self) -> None:
        """Have the OS process end in order; by SIGKILL when that takes long."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        await self._ended(0)

    async def look(self) -> Health | None:
        """Ask the relay for its health; None when it does not answer just now."""
        limit = aiohttp.ClientTimeout(total=1.0)
        try:
            async with aiohttp.ClientSession(timeout=limit) as session, session.get(f"{self._url}/health") as answer:
                return msgspec.json.decode(await answer.read(), type=Health)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            return None

    async def wait_settled(self) -> int:
        """Wait until every accepted event is delivered, or is a dead letter that waits for a person; count those."""
        while (health := await self.look()) is None or not health.settled:  # noqa: ASYNC110 - it tells when it is asked
            await asyncio.sleep(_POLL)
        return health.dead_letters["exhausted"]

    async def _ended(self, expected: int) -> None:
        """Wait for the end of the process, and for what it still told."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            status = await asyncio.wait_for(process.wait(), _GRACE)
        except TimeoutError:
            process.kill()
            status = await process.wait()
        await self._hearing
        if status != expected:
            self.problems.append(f"the relay ended with exit status {status}, and should have with {expected}")

    def _order(self, order: Part | Crash) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def _hear(self, process: Process) -> None:
        """Count what a process tells, until it ends."""
        while process.stdout is not None and (line := await process.stdout.readline()):
            self.tally.count(msgspec.json.decode(line, type=Word))


@asynccontextmanager
async def running(part: Part, url: str) -> AsyncGenerator[RemoteRelay, None]:
    """Run a relay during the block; it never outlives it."""
    relay = RemoteRelay(part, url)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.stop()
