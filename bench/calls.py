# SPDX-License-Identifier: MIT
"""``call`` with the policy's timeout, by one caller or by many at once."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench import _floors
from bench._measure import Figures, Plan, in_turns
from bench._servers import Counter, rules
from stanchion import Node
from stanchion.kernel import Pid, deadline
from stanchion.server import call, start


async def measure(plan: Plan, callers: int) -> Figures:
    """Measure calls per second, with the policy that a node has when it is given none."""
    trips = plan.count(20_000)
    async with Node():
        counter = await start(Counter)
        return await in_turns(
            lambda: _floors.round_trips(trips, callers), lambda: calls(counter, trips, callers), plan.rounds
        )


async def measure_bounded(plan: Plan, callers: int) -> Figures:
    """Measure calls per second under a policy with rules of each kind, and inside a deadline that each call carries on."""
    trips = plan.count(20_000)

    async def bounded() -> float:
        async with deadline(600):
            return await calls(counter, trips, callers)

    async with Node(timeouts=rules()):
        counter = await start(Counter)
        return await in_turns(lambda: _floors.round_trips(trips, callers), bounded, plan.rounds)


async def calls(counter: Pid, trips: int, callers: int) -> float:
    """Return calls per second."""

    async def caller() -> None:
        for _ in range(trips // callers):
            await call(counter, 1)

    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return trips / (perf_counter() - began)
