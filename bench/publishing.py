# SPDX-License-Identifier: MIT
"""Publishing to one subscriber, to some and to very many, from the first signal until the last one is handled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Final

from bench._floors import YIELD_EVERY
from bench._listeners import Tally, start_listeners
from bench._measure import Figures, Plan, in_turns
from stanchion import Node
from stanchion.kernel import Pid
from stanchion.router import Signal, SignalRouter
from stanchion.server import cast

TYPE: Final = "order.placed"
DATA: Final = {"order": 1_000, "sku": "A-100", "quantity": 3}


async def measure_processes(plan: Plan, subscribers: int) -> Figures:
    """Measure signals handled per second by server processes; the floor casts the same signals to each by hand."""
    signals = plan.count(20_000) // subscribers or 1
    router, tally = SignalRouter(), Tally()
    async with Node(services=[router], block_threshold=None):
        pids = await start_listeners(subscribers, tally)
        for pid in pids:
            router.subscribe("order.*", pid, overflow="block")
        return await in_turns(
            lambda: _casts(pids, signals, tally), lambda: published(router, signals, subscribers, tally), plan.rounds
        )


async def measure_callbacks(plan: Plan, subscribers: int) -> Figures:
    """Measure signals handled per second by callbacks; the floor is an ``asyncio.Queue`` and a task for each."""
    signals = plan.count(20_000) // subscribers or 1
    router, tally = SignalRouter(), Tally()
    async with Node(services=[router], block_threshold=None), AsyncExitStack() as stack:
        for _ in range(subscribers):
            router.subscribe("order.*", counting(tally), overflow="block")
        queues = [_start_reader(stack, tally) for _ in range(subscribers)]
        return await in_turns(
            lambda: _puts(queues, signals, tally), lambda: published(router, signals, subscribers, tally), plan.rounds
        )


async def published(router: SignalRouter, signals: int, subscribers: int, tally: Tally) -> float:
    """Return signals per second that are handled, each by so many; each publication waits for room, if it must."""
    tally.expect(signals * subscribers)
    began = perf_counter()
    for number in range(signals):
        await router.publish(Signal(TYPE, DATA))
        if is_time_to_yield(number, subscribers):
            await asyncio.sleep(0)
    await tally.wait()
    return signals * subscribers / (perf_counter() - began)


def is_time_to_yield(number: int, subscribers: int) -> bool:
    """Return whether the publisher lets the loop go on after this publication; the same for all who publish."""
    every = max(1, YIELD_EVERY // subscribers)
    return number % every == every - 1


def counting(tally: Tally) -> Callable[[object], Coroutine[object, object, None]]:
    """Return a coroutine function of its own, which counts what it is called with."""

    async def count(signal: object) -> None:
        tally.count()

    return count


# --- the floors ----------------------------------------------------------------------------------


async def _casts(pids: Sequence[Pid], signals: int, tally: Tally) -> float:
    tally.expect(signals * len(pids))
    began = perf_counter()
    for number in range(signals):
        signal = Signal(TYPE, DATA)
        for pid in pids:
            cast(pid, signal)
        if is_time_to_yield(number, len(pids)):
            await asyncio.sleep(0)
    await tally.wait()
    return signals * len(pids) / (perf_counter() - began)


async def _puts(queues: Sequence[asyncio.Queue[Signal]], signals: int, tally: Tally) -> float:
    tally.expect(signals * len(queues))
    began = perf_counter()
    for number in range(signals):
        signal = Signal(TYPE, DATA)
        for queue in queues:
            queue.put_nowait(signal)
        if is_time_to_yield(number, len(queues)):
            await asyncio.sleep(0)
    await tally.wait()
    return signals * len(queues) / (perf_counter() - began)


def _start_reader(stack: AsyncExitStack, tally: Tally) -> asyncio.Queue[Signal]:
    """Start a task that calls a function with what comes into its queue, and stop it with the stack."""
    queue: asyncio.Queue[Signal] = asyncio.Queue()
    callback = counting(tally)

    async def read() -> None:
        while True:
            await callback(await queue.get())

    stack.callback(asyncio.create_task(read()).cancel)
    return queue
