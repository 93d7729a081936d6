# SPDX-License-Identifier: MIT
"""Bytes that a monitor leaves behind when it has ended: how much a fresh Python grows over very many of them.

``python -m bench.flat_memory KIND CYCLES LOOP`` is that fresh Python: it prints its figure and ends.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Awaitable, Callable

from bench._loops import LOOPS
from bench._measure import Figures, Plan
from bench._servers import Idle
from bench.memory import resident
from stanchion import Node
from stanchion.kernel import Pid, demonitor, exit, monitor, receive, spawn, wait_exit
from stanchion.server import start

_BATCH = 1_000


async def measure(plan: Plan, kind: str) -> Figures:
    """Measure the bytes that each of a million cycles leaves behind."""
    command = [sys.executable, "-m", "bench.flat_memory", kind, str(plan.count(1_000_000)), plan.loop]
    done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True, text=True)
    return Figures(float(done.stdout))


async def _pairs(target: Pid, count: int) -> None:
    """Monitor and demonitor, in one process."""

    async def owner() -> None:
        for _ in range(count):
            demonitor(monitor(target))

    await wait_exit(spawn(owner), timeout=None)


async def _owner_deaths(target: Pid, count: int) -> None:
    """End owners that hold a monitor each."""

    async def owner() -> None:
        monitor(target, until="exit")

    for pid in [spawn(owner) for _ in range(count)]:
        await wait_exit(pid, timeout=None)


async def _target_deaths(_: Pid, count: int) -> None:
    """End targets, of each of which one owner hears."""

    async def target() -> None:
        await receive(timeout=None)

    async def owner() -> None:
        for pid in [spawn(target) for _ in range(count)]:
            monitor(pid, until="exit")
            exit(pid, "kill")
        for _ in range(count):
            await receive(timeout=None)

    await wait_exit(spawn(owner), timeout=None)


_CYCLES: dict[str, Callable[[Pid, int], Awaitable[None]]] = {
    "pairs": _pairs,
    "owner deaths": _owner_deaths,
    "target deaths": _target_deaths,
}


async def _grow(kind: str, cycles: int) -> float:
    run = _CYCLES[kind]
    async with Node(block_threshold=None):
        target = await start(Idle)
        # What is made once is there before the count begins, and so are the pages that a batch needs.
        for _ in range(10):
            await run(target, _BATCH)
        gc.collect()
        before = resident()
        for _ in range(max(1, cycles // _BATCH)):
            await run(target, _BATCH)
        gc.collect()
        return (resident() - before) / cycles


def _main(kind: str, cycles: str, loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        print(runner.run(_grow(kind, int(cycles))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
