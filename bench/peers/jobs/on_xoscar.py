# SPDX-License-Identifier: MIT
"""Xoscar: an actor is an object in a pool; the pool has one process here."""

from __future__ import annotations

import asyncio
from time import perf_counter

import xoscar

from bench.peers._job import main_async


class Counter(xoscar.Actor):
    """Counts."""

    def __init__(self, expected: int = 0) -> None:
        self.left = expected

    async def add(self, number: int) -> int:
        """Count."""
        self.left -= 1
        return number

    async def missing(self) -> int:
        """Return how many have yet to come."""
        return self.left


async def _pool() -> xoscar.backends.pool.MainActorPoolType:
    return await xoscar.create_actor_pool("127.0.0.1:0", n_process=0)


async def one_way(count: int) -> float:
    """Return sends per second; ``tell`` is awaited, as that is how it is sent."""
    pool = await _pool()
    counter = await xoscar.create_actor(Counter, count, address=pool.external_address)
    began = perf_counter()
    for number in range(count):
        await counter.add.tell(number)
    while await counter.missing():
        pass  # not once: what was sent before has been handled
    return count / (perf_counter() - began)


async def round_trips(count: int, callers: int) -> float:
    """Return calls per second; they take no timeout."""
    pool = await _pool()
    counter = await xoscar.create_actor(Counter, address=pool.external_address)

    async def caller() -> None:
        for _ in range(count // callers):
            await counter.add(1)

    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (perf_counter() - began)


async def start_stop(count: int) -> float:
    """Return actors per second, each created and destroyed."""
    pool = await _pool()
    began = perf_counter()
    actors = [await xoscar.create_actor(Counter, address=pool.external_address) for _ in range(count)]
    for actor in actors:
        await xoscar.destroy_actor(actor)
    return count / (perf_counter() - began)


if __name__ == "__main__":
    main_async(one_way, round_trips, start_stop)
