# SPDX-License-Identifier: MIT
"""``monitor`` and ``demonitor`` in pairs, by a process that holds none, or very many."""

from __future__ import annotations

from statistics import median
from time import perf_counter

from bench._measure import Figures, Plan, in_turns
from bench._servers import Idle
from stanchion import Node
from stanchion.kernel import MonitorRef, Pid, demonitor, monitor
from stanchion.server import GenServer, Sender, call, start


class _Owner(GenServer):
    """Holds monitors, for only a process can."""

    def init(self, target: Pid, held: int) -> None:
        self._target = target
        self._held: list[MonitorRef] = [monitor(target) for _ in range(held)]

    def handle_call(self, request: object, sender: Sender) -> object:
        """Return pairs per second."""
        pairs = int(str(request))
        target = self._target
        began = perf_counter()
        for _ in range(pairs):
            demonitor(monitor(target))
        return pairs / (perf_counter() - began)


async def measure(plan: Plan) -> Figures:
    """Measure pairs per second."""
    pairs = plan.count(20_000)
    async with Node(block_threshold=None):
        owner = await start(_Owner, await start(Idle), 0)
        return Figures(median([await _pairs(owner, pairs) for _ in range(plan.rounds)]))


async def measure_held(plan: Plan) -> Figures:
    """Measure the same while the owner holds very many monitors, all of one target; the floor holds none."""
    pairs = plan.count(20_000)
    async with Node(block_threshold=None):
        target = await start(Idle)
        few, many = await start(_Owner, target, 0), await start(_Owner, await start(Idle), plan.count(100_000))
        figures = await in_turns(lambda: _pairs(few, pairs), lambda: _pairs(many, pairs), plan.rounds)
        return figures._replace(ratio=None)


async def _pairs(owner: Pid, pairs: int) -> float:
    return float(str(await call(owner, pairs, timeout=None)))
