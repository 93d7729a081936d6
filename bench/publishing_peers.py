# SPDX-License-Identifier: MIT
"""Publishing to callbacks, beside libraries that do a part of it: from the first signal until the last one is handled.

Each does the job as its own documentation shows, and each leaves something out that is paid for on our side. None has a
limit to what waits for a subscriber, none tells what was lost or by whom, and none gives what it passes on an id, a time
or a source.

- blinker calls each function in the publisher's step: a slow one delays all, and one that raises keeps the rest from
  hearing. It knows no patterns.
- pyee makes a task for each call of a coroutine function, however many that are, and so keeps no order once one waits.
  It knows no patterns.
- aiopubsub has a queue without limit for each subscriber, and makes a task for each signal that comes out of it. Its
  patterns have ``*`` for a segment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from time import perf_counter
from typing import Any, Final

from blinker import Signal as BlinkerSignal
from pyee.asyncio import AsyncIOEventEmitter

from bench._listeners import Tally
from bench._measure import Figures, Plan, in_turns
from bench.publishing import DATA, TYPE, counting, is_time_to_yield, published
from stanchion import Node
from stanchion.router import SignalRouter

_SUBSCRIBERS: Final = 10

Peer = Callable[[int, Tally], Awaitable[float]]
"""Publishes so many signals to all subscribers, and returns how many were handled in a second."""


async def measure(plan: Plan, peer: Peer) -> Figures:
    """Measure signals handled per second by 10 callbacks; plain functions beside blinker, else coroutine functions."""
    signals = plan.count(2_000)
    router, tally = SignalRouter(), Tally()
    async with Node(services=[router], block_threshold=None):
        for _ in range(_SUBSCRIBERS):
            callback = _counting_at_once(tally) if peer is through_blinker else counting(tally)
            router.subscribe("order.*", callback, overflow="block")
        return await in_turns(
            lambda: peer(signals, tally), lambda: published(router, signals, _SUBSCRIBERS, tally), plan.rounds
        )


def _counting_at_once(tally: Tally) -> Callable[[object], None]:
    """Return a plain function of its own, which counts what it is called with."""

    def count(signal: object) -> None:
        tally.count()

    return count


async def through_blinker(signals: int, tally: Tally) -> float:
    """Call plain functions, which is what blinker is for."""
    placed = BlinkerSignal()

    def receiver() -> Callable[..., None]:
        def count(sender: object, data: object) -> None:
            tally.count()

        return count

    receivers = [receiver() for _ in range(_SUBSCRIBERS)]  # it holds them weakly
    for each in receivers:
        placed.connect(each)
    tally.expect(signals * _SUBSCRIBERS)
    began = perf_counter()
    for number in range(signals):
        placed.send("/bench", data=DATA)
        if is_time_to_yield(number, _SUBSCRIBERS):
            await asyncio.sleep(0)
    await tally.wait()
    return signals * _SUBSCRIBERS / (perf_counter() - began)


async def through_pyee(signals: int, tally: Tally) -> float:
    """Have coroutine functions called in tasks."""
    emitter = AsyncIOEventEmitter()
    for _ in range(_SUBSCRIBERS):
        emitter.on(TYPE, counting(tally))
    tally.expect(signals * _SUBSCRIBERS)
    began = perf_counter()
    for number in range(signals):
        emitter.emit(TYPE, DATA)
        if is_time_to_yield(number, _SUBSCRIBERS):
            await asyncio.sleep(0)
    await tally.wait()
    rate = signals * _SUBSCRIBERS / (perf_counter() - began)
    await emitter.wait_for_complete()
    return rate


async def through_aiopubsub(signals: int, tally: Tally) -> float:
    """Have coroutine functions called by readers of queues; the key of what is published begins with who publishes."""
    aiopubsub: Any = import_module("aiopubsub")  # it has no types
    hub = aiopubsub.Hub()
    publisher = aiopubsub.Publisher(hub, prefix="order")
    subscribers = [aiopubsub.Subscriber(hub, str(number)) for number in range(_SUBSCRIBERS)]

    async def count(key: object, data: object) -> None:
        tally.count()

    for subscriber in subscribers:
        subscriber.add_async_listener(aiopubsub.Key("order", "*"), count)
    await asyncio.sleep(0)  # their tasks begin
    tally.expect(signals * _SUBSCRIBERS)
    began = perf_counter()
    key = aiopubsub.Key("placed")
    for number in range(signals):
        publisher.publish(key, DATA)
        if is_time_to_yield(number, _SUBSCRIBERS):
            await asyncio.sleep(0)
    await tally.wait()
    rate = signals * _SUBSCRIBERS / (perf_counter() - began)
    await asyncio.gather(*(subscriber.remove_all_listeners() for subscriber in subscribers))
    return rate
