# SPDX-License-Identifier: MIT
"""Schedules against a plain model: each due time is run once or told as missed, at its time, and nothing is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import booleans, data, integers, sampled_from

import stanchion as st
from stanchion.errors import ScheduleNotFoundError
from stanchion.scheduler import Every, Schedule, SchedulerManager, SendMessage
from stanchion.telemetry import SCHEDULE_MISSED, SCHEDULE_STARTED, SCHEDULE_STOPPED, Event
from stanchion.testing import VirtualClock, VirtualTimeLoop

WALL = 1_800_000_000.0
START = 1_000.0
SETTLE = 0.25
# No due time comes in the very moment in which something else is done.
ODD = 1 / 977


class Owner:
    """A process that adds schedules."""

    def __init__(self) -> None:
        self._jobs: asyncio.Queue[Any] = asyncio.Queue()
        self.pid = st.spawn(self._live)

    async def _live(self) -> None:
        while True:
            function, done = await self._jobs.get()
            done.set_result(await function())

    async def do(self, function: Callable[[], Awaitable[Schedule]]) -> Schedule:
        done: asyncio.Future[Schedule] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((function, done))
        return await done


class Model:
    """One schedule as it must be; seconds since virtual time began."""

    def __init__(self, handle: Schedule, owner: Owner | None, coalesce: str) -> None:
        self.handle = handle
        self.owner = owner
        self.coalesce = coalesce
        self.paused = False
        self.due: float | None = None

    def begin(self, now: float, interval: float, *, once: bool) -> None:
        self.start, self.interval, self.once, self.count = now, interval, once, 1
        self.due = now + interval

    def advance(self) -> None:
        self.count += 1
        self.due = None if self.once else self.start + self.count * self.interval

    def take(self, until: float) -> list[float]:
        """Return the due times up to a moment, and go on after them."""
        passed: list[float] = []
        while self.due is not None and self.due <= until:
            passed.append(self.due)
            self.advance()
        return passed


class Sink(st.GenServer):
    def handle_cast(self, message: object) -> None: ...


class SchedulerMachine(RuleBasedStateMachine):
    """Schedules that are added, changed and cancelled while time passes, and the loop is blocked now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.scheduler = SchedulerManager()
        self.node = st.Node(clock=VirtualClock(), block_threshold=None, shutdown_timeout=0, services=[self.scheduler])
        self.models: dict[str, Model] = {}
        self.owners: list[Owner] = []
        self.expected: Counter[tuple[str, str, float]] = Counter()
        self.told: Counter[tuple[str, str, float]] = Counter()
        self.began = self.ended = 0

    @property
    def now(self) -> float:
        return self.runner.get_loop().time() - START

    def run(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """Take a step, and then some time."""

        async def settled() -> Any:
            result = await step()
            await asyncio.sleep(SETTLE)
            return result

        result = self.runner.run(settled())
        self.expect_passed()
        return result

    @initialize()
    def enter(self) -> None:
        async def step() -> None:
            await self.node.__aenter__()
            await st.start(Sink, name="sink")
            self.owners = [Owner() for _ in range(2)]
            for event in (SCHEDULE_STARTED, SCHEDULE_MISSED, SCHEDULE_STOPPED):
                self.node.telemetry.attach(event, self.hear)

        self.run(step)

    def hear(self, event: Event, measured: Any, about: Any) -> None:
        if event is SCHEDULE_STOPPED:
            self.ended += 1
            assert about["outcome"] == "confirmed"
            return
        self.began += event is SCHEDULE_STARTED
        assert measured.get("count", 1) == 1
        what = "run" if event is SCHEDULE_STARTED else about["reason"]
        self.told[what, about["schedule"], round(about["due"] - WALL, 3)] += 1

    def expect(self, what: str, id: str, due: float) -> None:
        self.expected[what, id, round(due, 3)] += 1

    def teardown(self) -> None:
        try:
            if self.owners:
                self.agrees()
                self.runner.run(self.node.__aexit__(None, None, None))
        finally:
            self.runner.close()

    def expect_passed(self, *, at_once: bool = False) -> None:
        """Take what is due up to now: one by one, or as after a blocked loop."""
        for id, model in list(self.models.items()):
            if model.paused:
                continue
            passed = model.take(self.now)
            run = passed
            if at_once and model.coalesce != "all":
                run = passed[-1:] if model.coalesce == "latest" else passed[:1]
            for due in passed:
                self.expect("run" if due in run else "coalesced", id, due)
            if model.due is None:
                del self.models[id]

    @rule(
        data=data(),
        seconds=integers(0, 7),
        once=booleans(),
        coalesce=sampled_from(["latest", "earliest", "all"]),
    )
    def add(self, data: Any, seconds: int, once: bool, coalesce: Any) -> None:
        owner = data.draw(sampled_from([None, *self.owners]))
        job, interval, now = SendMessage("sink", "tick"), seconds + ODD, self.now

        def add() -> Awaitable[Schedule]:
            verb = self.scheduler.after if once else self.scheduler.every
            return verb(interval, job, coalesce=coalesce, max_running=None)

        async def step() -> Schedule:
            handle = await add() if owner is None else await owner.do(add)
            model = self.models[handle.id] = Model(handle, owner, coalesce)
            model.begin(now, interval, once=once)
            return handle

        if not once and seconds == 0:
            return  # a hundred due times in each step
        self.run(step)

    @rule(seconds=integers(1, 30))
    def pass_time(self, seconds: int) -> None:
        self.run(lambda: asyncio.sleep(seconds))

    @rule(seconds=integers(1, 30))
    def block(self, seconds: int) -> None:
        async def step() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.jump(seconds)
            self.expect_passed(at_once=True)

        self.run(step)

    def some(self, data: Any) -> tuple[str, Model]:
        id = data.draw(sampled_from(sorted(self.models)))
        return id, self.models[id]

    @precondition(lambda self: self.models)
    @rule(data=data())
    def pause(self, data: Any) -> None:
        _, model = self.some(data)
        assert self.runner.run(model.handle.pause()) is not model.paused
        model.paused = True

    @precondition(lambda self: self.models)
    @rule(data=data())
    def resume(self, data: Any) -> None:
        id, model = self.some(data)
        assert self.runner.run(model.handle.resume()) is model.paused
        if model.paused and model.take(self.now) and model.due is None:
            self.expect("paused", id, model.start + model.interval)
            del self.models[id]
        model.paused = False

    @precondition(lambda self: self.models)
    @rule(data=data())
    def trigger(self, data: Any) -> None:
        id, model = self.some(data)
        self.expect("run", id, self.now)
        assert self.run(model.handle.trigger) is True

    @precondition(lambda self: self.models)
    @rule(data=data(), seconds=integers(1, 7))
    def reschedule(self, data: Any, seconds: int) -> None:
        _, model = self.some(data)
        self.runner.run(model.handle.reschedule(Every(seconds + ODD)))
        model.begin(self.now, seconds + ODD, once=False)

    @precondition(lambda self: self.models)
    @rule(data=data())
    def cancel(self, data: Any) -> None:
        id, model = self.some(data)
        del self.models[id]
        assert self.run(model.handle.cancel) is True
        with pytest.raises(ScheduleNotFoundError):
            self.runner.run(model.handle.info())

    @rule(number=integers(0, 1))
    def exit_owner(self, number: int) -> None:
        owner = self.owners[number]
        self.models = {id: model for id, model in self.models.items() if model.owner is not owner}

        async def step() -> None:
            st.exit(owner.pid, "kill")
            self.owners[number] = Owner()

        self.run(step)

    @invariant()
    def agrees(self) -> None:
        if not self.owners:
            return
        assert self.told == self.expected
        assert self.began == self.ended
        infos = self.runner.run(self.scheduler.list())
        assert [info.id for info in infos] == list(self.models)
        for info, model in zip(infos, self.models.values(), strict=True):
            due = None if model.paused or model.due is None else round(model.due + WALL, 3)
            assert (None if info.next_run is None else round(info.next_run, 3)) == due
            assert info.paused is model.paused
            assert info.owner is (None if model.owner is None else model.owner.pid)
            assert info.runs == sum(n for (what, id, _), n in self.told.items() if (what, id) == ("run", info.id))
            assert info.missed == sum(n for (what, id, _), n in self.told.items() if what != "run" and id == info.id)


SchedulerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestSchedulerModel = SchedulerMachine.TestCase
