# SPDX-License-Identifier: MIT
"""The floors: the same work in plain asyncio, with nothing that could be left out."""

from __future__ import annotations

import asyncio
from time import perf_counter

YIELD_EVERY = 1000
"""Messages, or processes, after which whoever makes them lets the loop go on; the same for the floor and for ours."""


async def one_way(messages: int) -> float:
    """Return messages per second through an ``asyncio.Queue`` whose reader counts them."""
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def reader() -> None:
        count = 0
        while count < messages:
            await queue.get()
            count += 1

    task = asyncio.create_task(reader())
    await asyncio.sleep(0)
    began = perf_counter()
    for number in range(messages):
        queue.put_nowait(number)
        if number % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    await task
    return messages / (perf_counter() - began)


async def round_trips(trips: int, callers: int) -> float:
    """Return round trips per second: a future goes through a Queue, and its maker awaits it."""
    queue: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def server() -> None:
        while True:
            (await queue.get()).set_result(1)

    async def caller() -> None:
        for _ in range(trips // callers):
            future: asyncio.Future[int] = loop.create_future()
            queue.put_nowait(future)
            await future

    task = asyncio.create_task(server())
    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    rate = trips / (perf_counter() - began)
    task.cancel()
    return rate


async def tasks(count: int) -> float:
    """Return tasks per second, each started with a Queue of its own and stopped by a message in it."""
    began = perf_counter()
    started = await start_tasks(count)
    for number, (queue, _) in enumerate(started):
        queue.put_nowait(None)
        if number % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    for _, task in started:
        await task
    return count / (perf_counter() - began)


async def start_tasks(count: int) -> list[tuple[asyncio.Queue[None], asyncio.Task[None]]]:
    """Start tasks that wait, each with a Queue of its own."""
    started: list[tuple[asyncio.Queue[None], asyncio.Task[None]]] = []
    for number in range(count):
        queue: asyncio.Queue[None] = asyncio.Queue()
        started.append((queue, asyncio.create_task(_wait(queue))))
        if number % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    return started


async def _wait(queue: asyncio.Queue[None]) -> None:
    await queue.get()
