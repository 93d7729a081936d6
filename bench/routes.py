# SPDX-License-Identifier: MIT
"""Publishing where very many have subscribed and few match; the floor has those few alone.

What is timed is the publisher's step: finding who matches, and putting the signal where they will find it. Handling is
waited for between the steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Final

from bench._listeners import Tally, start_listeners
from bench._measure import Figures, Plan, in_turns
from stanchion import Node
from stanchion.router import Signal, SignalRouter

_MATCHING: Final = [*["order.*.placed"] * 7, "order.**", "**.placed", "*.*.placed"]
# They share a beginning, an end or nothing with what is published, and match none of it.
_OTHERS: Final = ("order.*.{}", "order.{}.**", "{}.*.placed", "**.{}", "*.{}.*", "order.eu.{}", "{}.eu.placed")
_STEP: Final = 100


async def measure(plan: Plan, *, new: bool) -> Figures:
    """Measure the microseconds of publishing one signal, with 10,000 subscriptions of which 10 match.

    Args:
        plan: How much is measured.
        new: Whether each signal is of a type that was not published before, so that nothing found earlier helps.
    """
    signals, others = plan.count(2_000), plan.count(10_000) - len(_MATCHING)
    numbers = itertools.count()

    def types() -> Iterator[str]:
        return (f"order.n{next(numbers)}.placed" if new else "order.eu.placed" for _ in range(signals))

    return await in_turns(
        lambda: _publishing(list(types()), 0), lambda: _publishing(list(types()), others), plan.rounds
    )


async def _publishing(types: Sequence[str], others: int) -> float:
    router, tally = SignalRouter(), Tally()
    async with Node(services=[router], block_threshold=None):
        for pattern, pid in zip(_MATCHING, await start_listeners(len(_MATCHING), tally), strict=True):
            router.subscribe(pattern, pid)
        [other] = await start_listeners(1, tally)
        for number in range(others):
            router.subscribe(_OTHERS[number % len(_OTHERS)].format(f"x{number}"), other)
        return await _timed(router, [Signal(type_) for type_ in types], tally)


async def _timed(router: SignalRouter, signals: Sequence[Signal], tally: Tally) -> float:
    seconds = 0.0
    for first in range(0, len(signals), _STEP):
        some = signals[first : first + _STEP]
        tally.expect(len(some) * len(_MATCHING))
        began = perf_counter()
        for signal in some:
            router.publish_nowait(signal)
        seconds += perf_counter() - began
        await tally.wait()
    return seconds / len(signals) * 1e6
