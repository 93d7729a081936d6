# SPDX-License-Identifier: MIT
"""triotp: a gen_server is a module and a trio task."""

from __future__ import annotations

from time import perf_counter
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing
from triotp import gen_server, mailbox

from bench.peers._job import TIMEOUT, main_async


class Server(SimpleNamespace):
    """What triotp takes for a module."""

    __name__ = "server"

    async def init(self, expected: int) -> int:
        """Begin with so many to come."""
        return expected

    async def handle_call(self, message: object, _caller: object, state: int) -> tuple[Any, int]:
        """Answer."""
        return gen_server.Reply(message), state

    async def handle_cast(self, message: object, state: int) -> tuple[Any, int]:
        """Count, and stop when all have come."""
        return (gen_server.NoReply(), state - 1) if state > 1 else (gen_server.Stop(), 0)


async def one_way(count: int) -> float:
    """Return casts per second, to the end of the server that counted them."""
    mailbox._init()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gen_server.start, Server(), count, "server")
        await trio.testing.wait_all_tasks_blocked()
        began = perf_counter()
        for number in range(count):
            await gen_server.cast("server", number)
    return count / (perf_counter() - began)


async def round_trips(count: int, callers: int) -> float:
    """Return calls per second."""
    mailbox._init()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gen_server.start, Server(), 1, "server")
        await trio.testing.wait_all_tasks_blocked()

        async def caller() -> None:
            for _ in range(count // callers):
                await gen_server.call("server", 1, timeout=TIMEOUT)

        began = perf_counter()
        async with trio.open_nursery() as group:
            for _ in range(callers):
                group.start_soon(caller)
        rate = count / (perf_counter() - began)
        nursery.cancel_scope.cancel()
    return rate


async def start_stop(count: int) -> float:
    """Return servers per second, each started and stopped by a cast; their ends are awaited together."""
    mailbox._init()
    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(gen_server.start, Server(), 1, f"server{number}")
        await trio.testing.wait_all_tasks_blocked()
        for number in range(count):
            await gen_server.cast(f"server{number}", None)
    return count / (perf_counter() - began)


if __name__ == "__main__":
    main_async(one_way, round_trips, start_stop, trio.run)
