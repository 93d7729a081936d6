# SPDX-License-Identifier: MIT
"""Bytes per process: how much a fresh Python grows when it starts many, as the operating system sees it.

``python -m bench.memory KIND COUNT LOOP`` is that fresh Python: it prints its figure and ends.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import _floors, processes
from bench._loops import LOOPS
from bench._measure import Figures, Plan, in_turns
from stanchion import Node

_STARTERS: dict[str, Callable[[int], Awaitable[object]]] = {
    "task": _floors.start_tasks,
    "plain": processes.spawn_plain,
    "server": processes.start_servers,
}


async def measure(plan: Plan, kind: str, full: int = 10_000) -> Figures:
    """Measure the bytes that one process takes when ``full`` are there, beside those of one task with a Queue."""
    count = plan.count(full)

    async def grown(kind: str) -> float:
        command = [sys.executable, "-m", "bench.memory", kind, str(count), plan.loop]
        done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True, text=True)
        return float(done.stdout)

    figures = await in_turns(lambda: grown("task"), lambda: grown(kind), min(plan.rounds, 5))
    return figures._replace(ratio=None)


async def _grow(kind: str, count: int) -> float:
    starter = _STARTERS[kind]
    async with Node(block_threshold=None):
        # What is made once is there before the count begins, and the pages that it freed are not in the way.
        warm_up = await starter(100)
        gc.collect()
        before = resident()
        started = await starter(count)
        grown = resident() - before
        del warm_up, started
    return grown / count


def resident() -> int:
    """Return the bytes of memory that this Python has, as the operating system sees it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _main(kind: str, count: str, loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        print(runner.run(_grow(kind, int(count))))
        sys.stdout.flush()
        os._exit(0)  # thousands of waiting tasks are no concern any more


if __name__ == "__main__":
    _main(*sys.argv[1:])
