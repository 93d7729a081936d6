# SPDX-License-Identifier: MIT
"""How late schedules run while 10,000 of them come due within some seconds, beside APScheduler's.

Each is due at its own time of the wall clock, and notes how late it is when it runs: a server by a message that was sent
supervised, with its acknowledgement awaited; or a coroutine function, which is all that APScheduler runs. APScheduler
keeps its jobs in memory here, as we do; it is given all of them before it starts.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final, Literal, NamedTuple

from bench._measure import Figures, Plan
from stanchion import Node
from stanchion.scheduler import Job, SchedulerManager, SendMessage, StartTask
from stanchion.server import GenServer, start
from stanchion.supervisor import TaskSupervisor

Kind = Literal["messages", "tasks"]

_TIMERS: Final = 10_000
_SECONDS: Final = 4.0
_ROUNDS: Final = 5


class _Late:
    """Notes how late each of so many is."""

    def __init__(self, count: int) -> None:
        self.milliseconds: list[float] = []
        self._count = count
        self._done = asyncio.Event()

    def note(self, due: float) -> None:
        """Note one that runs now."""
        self.milliseconds.append((time.time() - due) * 1000)
        if len(self.milliseconds) == self._count:
            self._done.set()

    async def wait(self) -> list[float]:
        """Wait until all have run, and return how late, in milliseconds, the least first."""
        async with asyncio.timeout(60):
            await self._done.wait()
        return sorted(self.milliseconds)


class _Listener(GenServer):
    """Notes how late each message is."""

    async def init(self, late: _Late) -> None:
        self._late = late

    async def handle_cast(self, message: object) -> None:
        assert isinstance(message, float)
        self._late.note(message)


async def measure(plan: Plan, kind: Kind, percent: int) -> Figures:
    """Measure a percentile of the milliseconds by which 10,000 schedules are late; the floor is APScheduler 3.

    All percentiles are of one measurement, which the first of them leaves in the folder.
    """
    kept = _Kept(plan.folder / f"late-{kind}-{plan.loop}.json")
    if not kept.there():
        kept.write(await _measure(plan, kind))
    rounds = [(_percentile(floor, percent), _percentile(ours, percent)) for floor, ours in kept.read()]
    return Figures(
        value=median(ours for _, ours in rounds),
        floor=median(floor for floor, _ in rounds),
        ratio=median(ours / floor for floor, ours in rounds),
    )


def _percentile(sorted_: Sequence[float], percent: int) -> float:
    """Return what so many percent do not exceed; not less than a microsecond, for uvloop may be early."""
    return max(0.001, sorted_[min(len(sorted_) - 1, len(sorted_) * percent // 100)])


class _Kept(NamedTuple):
    """What was measured: of each round what APScheduler came to, and what we did."""

    path: Path

    def there(self) -> bool:
        """Return whether it was measured."""
        return self.path.exists()

    def write(self, rounds: Sequence[Sequence[Sequence[float]]]) -> None:
        """Keep it."""
        self.path.write_text(json.dumps(rounds), encoding="utf-8")

    def read(self) -> Sequence[Sequence[Sequence[float]]]:
        """Return it."""
        rounds: list[list[list[float]]] = json.loads(self.path.read_text(encoding="utf-8"))
        return rounds


async def _measure(plan: Plan, kind: Kind) -> list[list[list[float]]]:
    count = plan.count(_TIMERS)
    trials: tuple[Callable[[int], Awaitable[list[float]]], ...]
    trials = (_apscheduler, _messages if kind == "messages" else _tasks)
    for trial in trials:
        await trial(min(count, 100))
    return [[await trial(count) for trial in trials] for _ in range(min(plan.rounds, _ROUNDS))]


def _due_times(count: int) -> list[float]:
    """Return when they are due, in Unix seconds, in the order of adding; the first are when all have been added."""
    seconds = _SECONDS * count / _TIMERS
    random, begin = Random(1), time.time() + 0.5 + seconds
    return [begin + random.uniform(0, seconds) for _ in range(count)]


def _check_added(due: Sequence[float]) -> None:
    if time.time() > min(due):
        raise RuntimeError("expected all to be added before the first is due, and they were not")


# --- ours ----------------------------------------------------------------------------------------


async def _messages(count: int) -> list[float]:
    late = _Late(count)
    async with Node(services=[scheduler := SchedulerManager()], block_threshold=None):
        listener = await start(_Listener, late)
        return await _run(scheduler, lambda due: SendMessage(listener, due), late, count)


async def _tasks(count: int) -> list[float]:
    late = _Late(count)

    async def note(due: float) -> None:
        late.note(due)

    async with Node(services=[scheduler := SchedulerManager()], block_threshold=None):
        tasks = await start(TaskSupervisor)
        return await _run(scheduler, lambda due: StartTask(tasks, note, due), late, count)


async def _run(scheduler: SchedulerManager, job: Callable[[float], Job], late: _Late, count: int) -> list[float]:
    times = _due_times(count)
    for due in times:
        await scheduler.at(datetime.fromtimestamp(due, UTC), job(due))
    await asyncio.sleep(0)
    _check_added(times)
    return await late.wait()


# --- APScheduler's -------------------------------------------------------------------------------


async def _apscheduler(count: int) -> list[float]:
    late = _Late(count)

    async def note(due: float) -> None:
        late.note(due)

    # It has no types.
    scheduler: Any = import_module("apscheduler.schedulers.asyncio").AsyncIOScheduler(timezone=UTC)
    times = _due_times(count)
    for due in times:
        when = datetime.fromtimestamp(due, UTC)
        scheduler.add_job(note, "date", run_date=when, args=[due], misfire_grace_time=None)
    scheduler.start()
    await asyncio.sleep(0)
    _check_added(times)
    try:
        return await late.wait()
    finally:
        scheduler.shutdown()
        await asyncio.sleep(0)  # it ends in a step of its own
