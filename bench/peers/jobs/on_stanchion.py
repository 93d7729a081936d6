# SPDX-License-Identifier: MIT
"""Stanchion: a GenServer."""

from __future__ import annotations

import asyncio
from time import perf_counter

import stanchion as st
from bench.peers._job import TIMEOUT, YIELD_EVERY, main_async


class Counter(st.GenServer):
    """Counts."""

    def init(self, expected: int) -> None:
        """Begin at zero; ``done`` is set when so many have come."""
        self.left = expected
        self.done = asyncio.Event()

    def handle_call(self, request: int, sender: st.Sender) -> int:
        """Answer."""
        return request

    def handle_cast(self, message: int) -> None:
        """Count."""
        self.left -= 1
        if not self.left:
            self.done.set()


async def one_way(count: int) -> float:
    """Return casts per second."""
    async with st.Node():
        finished = asyncio.Event()

        class Finisher(Counter):
            def init(self, expected: int) -> None:
                super().init(expected)
                self.done = finished

        counter = await st.start(Finisher, count)
        began = perf_counter()
        for number in range(count):
            st.cast(counter, number)
            if number % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
        await finished.wait()
        return count / (perf_counter() - began)


async def round_trips(count: int, callers: int) -> float:
    """Return calls per second."""
    async with st.Node():
        counter = await st.start(Counter, 0)

        async def caller() -> None:
            for _ in range(count // callers):
                await st.call(counter, 1, timeout=TIMEOUT)

        began = perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return count / (perf_counter() - began)


async def start_stop(count: int) -> float:
    """Return servers per second, each started and stopped, its init and its exit awaited."""
    async with st.Node():
        began = perf_counter()
        counters = [await st.start(Counter, 0) for _ in range(count)]
        for counter in counters:
            await st.stop(counter)
        return count / (perf_counter() - began)


if __name__ == "__main__":
    main_async(one_way, round_trips, start_stop)
