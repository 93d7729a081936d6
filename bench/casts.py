# SPDX-License-Identifier: MIT
"""``cast`` one way: the handler counts, the sender yields as often as the floor's."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench import _floors
from bench._measure import Figures, Plan, in_turns
from bench._servers import Counter
from stanchion import Node
from stanchion.kernel import Pid
from stanchion.server import call, cast, start


async def measure(plan: Plan) -> Figures:
    """Measure messages per second from the first cast until the last one is handled."""
    messages = plan.count(100_000)
    async with Node():
        counter = await start(Counter)
        return await in_turns(lambda: _floors.one_way(messages), lambda: casts(counter, messages), plan.rounds)


async def casts(counter: Pid, messages: int) -> float:
    """Return casts per second."""
    began = perf_counter()
    for number in range(messages):
        cast(counter, number)
        if number % _floors.YIELD_EVERY == _floors.YIELD_EVERY - 1:
            await asyncio.sleep(0)
    await call(counter, "all of them are handled when this is")
    return messages / (perf_counter() - began)
