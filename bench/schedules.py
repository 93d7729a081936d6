# SPDX-License-Identifier: MIT
"""Adding, cancelling and firing schedules where very many are there; the floor is the same work where few are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from importlib import import_module
from random import Random
from time import perf_counter
from typing import Any, Final

from bench._listeners import Tally, start_listeners
from bench._measure import Figures, Plan, in_turns
from bench._stepped_clock import SteppedClock
from stanchion import Node
from stanchion.kernel import Pid
from stanchion.scheduler import SchedulerManager, SendMessage

_DAY: Final = 86_400.0
_FEW: Final = 1_000
_TURNS: Final = 20


class _Held:
    """A scheduler with so many schedules, each due some time within the next days, and a node on a clock that stands."""

    def __init__(self, count: int) -> None:
        self.clock = SteppedClock()
        self.scheduler = SchedulerManager()
        self.tally = Tally()
        self.random = Random(1)  # the same delays in each run
        self._count = count

    async def open(self, stack: AsyncExitStack, *, firing: int = 0) -> Pid:
        """Start the node, and add the schedules; some of them are to fire each second."""
        await stack.enter_async_context(
            Node(services=[self.scheduler], clock=self.clock, block_threshold=None, leak_check=None)
        )
        [pid] = await start_listeners(1, self.tally)
        for number in range(self._count):
            interval = 1.0 if number < firing else self.random.uniform(_DAY, 7 * _DAY)
            await self.scheduler.every(interval, SendMessage(pid, number))
        return pid


async def measure_adding(plan: Plan) -> Figures:
    """Measure the microseconds of adding a schedule and cancelling it, with 100,000 there; the floor has 1,000."""
    return await _few_and_many(plan, _adding)


async def measure_firing(plan: Plan) -> Figures:
    """Measure the microseconds of one firing, from its due time until it is handled, of 1,000 that are due together.

    They are of 100,000 that are there, in the floor of 1,000. Each has its next due time in the same second.
    """
    return await _few_and_many(plan, _firing, firing=plan.count(_FEW))


async def _few_and_many(plan: Plan, trial: Callable[[_Held, Pid, int], Awaitable[float]], firing: int = 0) -> Figures:
    few, many, count = _Held(plan.count(_FEW)), _Held(plan.count(100 * _FEW)), plan.count(_FEW)
    async with AsyncExitStack() as stack:
        pid = await few.open(stack, firing=firing)
        async with AsyncExitStack() as inner:
            ours = await many.open(inner, firing=firing)
            return await in_turns(lambda: trial(few, pid, count), lambda: trial(many, ours, count), plan.rounds)


async def _adding(held: _Held, pid: Pid, count: int) -> float:
    """Add them at random times among the others, and cancel them in another order than they are due."""
    delays = [held.random.uniform(0, 7 * _DAY) for _ in range(count)]
    scheduler = held.scheduler
    began = perf_counter()
    added = [await scheduler.after(delay, SendMessage(pid, 1)) for delay in delays]
    for schedule in added:
        await schedule.cancel()
    return (perf_counter() - began) / count * 1e6


async def _firing(held: _Held, _: Pid, count: int) -> float:
    seconds = 0.0
    for _turn in range(_TURNS):
        held.tally.expect(count)
        began = perf_counter()
        held.clock.advance(1.0)
        await held.tally.wait()
        seconds += perf_counter() - began
        for _step in range(_TURNS):  # the runs end
            await asyncio.sleep(0)
    return seconds / count / _TURNS * 1e6


# --- beside APScheduler --------------------------------------------------------------------------


async def measure_adding_beside_apscheduler(plan: Plan) -> Figures:
    """Measure schedules per second that are added and cancelled, with 10,000 there; the floor is APScheduler 3."""
    there, count = plan.count(10_000), plan.count(_FEW)
    held, theirs = _Held(there), _apscheduler()
    theirs.start()
    random = Random(1)

    async def job() -> None:
        raise RuntimeError("expected nothing to be due, and this was")

    async def add() -> str:
        when = datetime.now(UTC) + timedelta(seconds=random.uniform(_DAY, 7 * _DAY))
        return str(theirs.add_job(job, "date", run_date=when).id)

    async def floor() -> float:
        began = perf_counter()
        added = [await add() for _ in range(count)]
        for id_ in added:
            theirs.remove_job(id_)
        return count / (perf_counter() - began)

    async with AsyncExitStack() as stack:
        pid = await held.open(stack)
        stack.callback(theirs.shutdown)
        for _ in range(there):
            await add()

        async def ours() -> float:
            return 1e6 / await _adding(held, pid, count)

        return await in_turns(floor, ours, plan.rounds)


def _apscheduler() -> Any:
    """Return a scheduler of APScheduler 3, which has no types, as its documentation makes one."""
    return import_module("apscheduler.schedulers.asyncio").AsyncIOScheduler(timezone=UTC)
