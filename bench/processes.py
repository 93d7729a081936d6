# SPDX-License-Identifier: MIT
"""Starting and stopping many processes that do nothing."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench import _floors
from bench._measure import Figures, Plan, in_turns
from bench._servers import Idle
from stanchion import Node
from stanchion.kernel import Pid, receive, spawn, wait_exit
from stanchion.server import send, start, stop


async def measure_plain(plan: Plan) -> Figures:
    """Measure plain processes: each waits in ``receive`` and returns at its first message, as the floor's tasks do."""
    count = plan.count(10_000)
    async with Node():
        return await in_turns(lambda: _floors.tasks(count), lambda: _plain(count), plan.rounds)


async def measure_servers(plan: Plan) -> Figures:
    """Measure servers: started one by one, each with its init awaited, and stopped one by one, each exit awaited."""
    count = plan.count(10_000)
    async with Node():
        return await in_turns(lambda: _floors.tasks(count), lambda: _servers(count), plan.rounds)


async def spawn_plain(count: int) -> list[Pid]:
    """Start plain processes that wait for a message."""
    pids: list[Pid] = []
    for number in range(count):
        pids.append(spawn(_wait))
        if number % _floors.YIELD_EVERY == _floors.YIELD_EVERY - 1:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return pids


async def start_servers(count: int) -> list[Pid]:
    """Start servers one after the other."""
    return [await start(Idle) for _ in range(count)]


async def _wait() -> None:
    await receive(timeout=None)


async def _plain(count: int) -> float:
    began = perf_counter()
    pids = await spawn_plain(count)
    for number, pid in enumerate(pids):
        send(pid, None)
        if number % _floors.YIELD_EVERY == _floors.YIELD_EVERY - 1:
            await asyncio.sleep(0)
    for pid in pids:
        await wait_exit(pid, timeout=None)
    return count / (perf_counter() - began)


async def _servers(count: int) -> float:
    began = perf_counter()
    for pid in await start_servers(count):
        await stop(pid)
    return count / (perf_counter() - began)
