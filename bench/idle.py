# SPDX-License-Identifier: MIT
"""Ending a node with very many servers that wait."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench import _floors, processes
from bench._measure import Figures, Plan, in_turns
from stanchion import Node


async def measure(plan: Plan) -> Figures:
    """Measure servers per second that end with their node: each is told, runs its terminate, and its exit is awaited."""
    count = plan.count(100_000)
    return await in_turns(lambda: _cancel(count), lambda: _leave(count), min(plan.rounds, 3))


async def _cancel(count: int) -> float:
    """Return tasks per second that end by cancellation: the floor."""
    tasks = [task for _, task in await _floors.start_tasks(count)]
    began = perf_counter()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return count / (perf_counter() - began)


async def _leave(count: int) -> float:
    async with Node(block_threshold=None):
        await processes.start_servers(count)
        began = perf_counter()
    return count / (perf_counter() - began)
