# SPDX-License-Identifier: MIT
"""What telemetry costs with nobody attached: how often a message asks if anybody is, times what one question costs.

There is no Stanchion without telemetry to compare with, and the difference would drown in noise. But what is left of
telemetry when nobody listens is only the question ``if telemetry.attached``. So it is counted, in the real code, and
one question is timed in a loop; the figure is its share of the time of a cast, a call or a supervised send, whichever
is highest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter

from bench import calls, casts, sends
from bench._measure import Figures, Plan
from bench._servers import Counter
from stanchion import Node
from stanchion.kernel import Pid
from stanchion.server import start
from stanchion.telemetry import Event, Handler

_PATHS: dict[str, Callable[[Pid, int], Awaitable[float]]] = {
    "cast": casts.casts,
    "call": lambda counter, trips: calls.calls(counter, trips, 100),
    "send_supervised": lambda counter, trips: sends.sends(counter, trips, 100),
}


class _Counting(dict[Event | tuple[str, ...], tuple[Handler, ...]]):
    """Nobody attached, and a count of those who asked, however they did."""

    asked = 0

    def __len__(self) -> int:
        self.asked += 1
        return 0

    def __contains__(self, key: object) -> bool:
        self.asked += 1
        return False

    def get(self, key: object, default: object = None) -> object:  # type: ignore[override]  # any kind of asking
        self.asked += 1
        return default


async def measure(plan: Plan) -> Figures:
    """Measure the highest share, in percent."""
    trips = plan.count(10_000)
    shares: list[float] = []
    for path in _PATHS.values():
        questions = await _questions(path)
        async with Node() as node:
            counter = await start(Counter)
            rounds = [_cost(node, trips) * questions * await path(counter, trips) for _ in range(plan.rounds)]
        shares.append(100 * median(rounds))
    return Figures(max(shares))


async def _questions(path: Callable[[Pid, int], Awaitable[float]]) -> float:
    """Return how often one message of a path asks; starting and stopping are not counted."""
    messages = 1000
    async with Node() as node:
        counter = await start(Counter)
        plain, counting = node.telemetry.attached, _Counting()
        object.__setattr__(node.telemetry, "attached", counting)
        await path(counter, messages)
        object.__setattr__(node.telemetry, "attached", plain)
    return counting.asked / messages


def _cost(node: Node, times: int) -> float:
    """Return the seconds of one question, as the library writes it."""
    began = perf_counter()
    for _ in range(times):
        if node.telemetry.attached:
            raise RuntimeError("expected nobody attached, got somebody")
    between = perf_counter()
    for _ in range(times):
        pass
    return ((between - began) - (perf_counter() - between)) / times
