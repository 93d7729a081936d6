# SPDX-License-Identifier: MIT
"""otpylib: a gen_server is a class with a metaclass, run as a process of its asyncio backend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from otpylib import gen_server, process
from otpylib.module import GEN_SERVER, OTPModule
from otpylib.runtime.backends.asyncio_backend.backend import AsyncIOBackend

from bench.peers._job import TIMEOUT, main_async

_done = asyncio.Event()  # a process does one job


class Server(metaclass=OTPModule, behavior=GEN_SERVER, version="1.0.0"):  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
    """Counts."""

    async def init(self, expected: int) -> int:
        """Begin with so many to come."""
        return expected

    async def handle_call(self, request: object, sender: object, state: int) -> tuple[Any, int]:
        """Answer."""
        return gen_server.Reply(request), state

    async def handle_cast(self, message: object, state: int) -> tuple[Any, int]:
        """Count, or stop."""
        if message == "stop":
            return gen_server.Stop(), state
        if state == 1:
            _done.set()
        return gen_server.NoReply(), state - 1

    async def handle_info(self, message: object, state: int) -> tuple[Any, int]:
        """Ignore the rest."""
        return gen_server.NoReply(), state

    async def terminate(self, reason: object, state: int) -> None:
        """Do nothing."""


def in_process(work: Callable[..., Awaitable[float]], *args: int) -> float:
    """Run a job inside a process, for only processes may start servers."""

    async def run() -> float:
        backend = AsyncIOBackend()
        await backend.initialize()
        process.use_runtime(backend)
        result: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        async def job() -> None:
            result.set_result(await work(*args))

        await process.spawn(job, mailbox=True)
        return await result

    return asyncio.run(run())


async def one_way(count: int) -> float:
    """Return casts per second."""
    server = await gen_server.start(Server, count)
    began = perf_counter()
    for number in range(count):
        await gen_server.cast(server, number)
    await _done.wait()
    return count / (perf_counter() - began)


async def round_trips(count: int, callers: int) -> float:
    """Return calls per second; each caller is a process."""
    server = await gen_server.start(Server, 0, name="server")
    left = callers

    async def caller() -> None:
        nonlocal left
        for _ in range(count // callers):
            await gen_server.call("server", 1, timeout=TIMEOUT)
        left -= 1
        if not left:
            _done.set()

    assert server
    began = perf_counter()
    for _ in range(callers):
        await process.spawn(caller, mailbox=True)
    await _done.wait()
    return count / (perf_counter() - began)


async def start_stop(count: int) -> float:
    """Return servers per second, each started, and stopped by a cast; their ends are looked for together."""
    began = perf_counter()
    servers = [await gen_server.start(Server, 0) for _ in range(count)]
    for server in servers:
        await gen_server.cast(server, "stop")
    while any(process.is_alive(server) for server in servers):  # noqa: ASYNC110  # there is nothing to wait on
        await asyncio.sleep(0)
    return count / (perf_counter() - began)


if __name__ == "__main__":
    main_async(one_way, round_trips, start_stop, in_process)
