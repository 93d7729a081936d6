# SPDX-License-Identifier: MIT
"""``send_supervised`` with its defaults, each awaited until it is processed, by one sender or by many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from time import perf_counter

from bench import _floors
from bench._measure import Figures, Plan, in_turns
from bench._servers import Counter, rules
from stanchion import Node
from stanchion.delivery import send_supervised
from stanchion.kernel import Pid, deadline
from stanchion.server import start
from stanchion.telemetry import Event


async def measure(plan: Plan, senders: int, attached: Collection[Event] = ()) -> Figures:
    """Measure confirmed sends per second, with a handler that does nothing attached to some events, or to none."""
    trips = plan.count(20_000)
    async with Node() as node:
        for event in attached:
            node.telemetry.attach(event, _heard)
        counter = await start(Counter)
        return await in_turns(
            lambda: _floors.round_trips(trips, senders), lambda: sends(counter, trips, senders), plan.rounds
        )


async def measure_bounded(plan: Plan, senders: int) -> Figures:
    """Measure the same under a policy with rules of each kind, and inside a deadline that each message carries on."""
    trips = plan.count(20_000)

    async def bounded() -> float:
        async with deadline(600):
            return await sends(counter, trips, senders)

    async with Node(timeouts=rules()):
        counter = await start(Counter)
        return await in_turns(lambda: _floors.round_trips(trips, senders), bounded, plan.rounds)


async def sends(counter: Pid, trips: int, senders: int) -> float:
    """Return confirmed sends per second."""

    async def sender() -> None:
        for _ in range(trips // senders):
            if not await send_supervised(counter, 1):
                raise RuntimeError("expected a confirmed send, got one that was not")

    began = perf_counter()
    await asyncio.gather(*(sender() for _ in range(senders)))
    return trips / (perf_counter() - began)


def _heard(event: Event, measurements: Mapping[str, float], metadata: Mapping[str, object]) -> None:
    pass
