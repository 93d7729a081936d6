# SPDX-License-Identifier: MIT
"""Monitors against a plain model: whatever happens, one Down for each that ended by an exit, and no record left."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from hypothesis.strategies import sampled_from

import stanchion as st
from stanchion.monitors import MonitorGroup
from stanchion.testing import VirtualTimeLoop
from tests.monitors.helpers import virtual_node

OWNERS = 3


class Desk:
    """A process that monitors, and the model of what it must have and hear."""

    def __init__(self) -> None:
        self.heard: Counter[st.MonitorRef] = Counter()
        self.expected: Counter[st.MonitorRef] = Counter()
        self.held: dict[st.MonitorRef, st.Pid] = {}
        self.of_group: dict[st.Pid, st.MonitorRef] = {}
        self.group: MonitorGroup
        self._jobs: asyncio.Queue[Any] = asyncio.Queue()
        self.pid = st.spawn(self._live)

    async def _live(self) -> None:
        self.group = st.monitor_group()
        reader = asyncio.create_task(self._read())
        try:
            while True:
                function, done = await self._jobs.get()
                done.set_result(function())
        finally:
            reader.cancel()

    async def _read(self) -> None:
        while True:
            down = await st.receive(timeout=None)
            assert isinstance(down, st.Down)
            assert (down in self.group) == (down.ref.tag is None)
            self.heard[down.ref] += 1

    async def do(self, function: Any) -> Any:
        done = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((function, done))
        return await done


class MonitorMachine(RuleBasedStateMachine):
    """Owners and targets that come and go."""

    targets = Bundle("targets")
    monitors = Bundle("monitors")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.node = virtual_node()
        self.living: set[st.Pid] = set()
        self.desks: list[Desk] = []

    def run(self, step: Any) -> Any:
        async def settled() -> Any:
            result = await step()
            await asyncio.sleep(1)
            return result

        return self.runner.run(settled())

    @initialize()
    def enter(self) -> None:
        async def step() -> None:
            await self.node.__aenter__()
            self.desks = [Desk() for _ in range(OWNERS)]

        self.run(step)

    def teardown(self) -> None:
        left = list(self.living)

        async def step() -> None:
            for target in left:
                st.exit(target, "kill")

        try:
            if self.desks:
                self.expect_exits(left)
                self.run(step)
                self.agrees()
                self.runner.run(self.node.__aexit__(None, None, None))
        finally:
            self.runner.close()

    def expect_exits(self, targets: list[st.Pid]) -> None:
        for target in targets:
            self.living.discard(target)
            for desk in self.desks:
                for ref in [ref for ref, of in desk.held.items() if of is target]:
                    del desk.held[ref]
                    desk.expected[ref] += 1
                desk.of_group.pop(target, None)

    def expect_made(self, desk: Desk, ref: st.MonitorRef, pid: st.Pid) -> None:
        if pid in self.living:
            desk.held[ref] = pid
        else:
            desk.expected[ref] += 1

    @rule(target=targets)
    def start_target(self) -> st.Pid:
        async def step() -> st.Pid:
            return st.spawn(asyncio.Event().wait)

        pid = self.run(step)
        self.living.add(pid)
        return pid

    @rule(pid=consumes(targets))
    def end_target(self, pid: st.Pid) -> None:
        async def step() -> None:
            st.exit(pid, "kill")

        self.expect_exits([pid])
        self.run(step)

    @rule(target=monitors, number=sampled_from(range(OWNERS)), pid=targets, until=sampled_from([None, 0.5, "exit"]))
    def monitor(self, number: int, pid: st.Pid, until: Any) -> tuple[Desk, st.MonitorRef]:
        desk = self.desks[number]
        ref = self.run(lambda: desk.do(lambda: st.monitor(pid, tag="own", until=until)))
        self.expect_made(desk, ref, pid)
        return desk, ref

    @rule(number=sampled_from(range(OWNERS)))
    def monitor_nobody(self, number: int) -> None:
        desk = self.desks[number]
        desk.expected[self.run(lambda: desk.do(lambda: st.monitor("nobody", tag="own")))] += 1

    @rule(made=consumes(monitors))
    def demonitor(self, made: tuple[Desk, st.MonitorRef]) -> None:
        desk, ref = made
        if desk in self.desks:
            self.run(lambda: desk.do(lambda: st.demonitor(ref)))
            desk.held.pop(ref, None)

    @rule(made=consumes(monitors))
    def exit_and_demonitor_in_one_step(self, made: tuple[Desk, st.MonitorRef]) -> None:
        """The Down is put into the mailbox, and taken back before anybody reads it."""
        desk, ref = made
        if desk not in self.desks or ref not in desk.held:
            return
        target = desk.held.pop(ref)
        self.expect_exits([target])

        async def end() -> None:
            st.exit(target, "kill")

        def forget() -> None:
            st.demonitor(ref)

        async def step() -> None:
            await asyncio.gather(desk.do(forget), end())

        self.run(step)

    @rule(number=sampled_from(range(OWNERS)), pid=targets)
    def add_to_group(self, number: int, pid: st.Pid) -> None:
        desk = self.desks[number]
        ref = self.run(lambda: desk.do(lambda: desk.group.add(pid)))
        if pid in self.living:
            assert desk.of_group.setdefault(pid, ref) is ref
        self.expect_made(desk, ref, pid)

    @rule(number=sampled_from(range(OWNERS)), pid=targets)
    def discard_from_group(self, number: int, pid: st.Pid) -> None:
        desk = self.desks[number]
        self.run(lambda: desk.do(lambda: desk.group.discard(pid)))
        ref = desk.of_group.pop(pid, None)
        if ref is not None:
            del desk.held[ref]

    @rule(number=sampled_from(range(OWNERS)))
    def clear_group(self, number: int) -> None:
        desk = self.desks[number]
        self.run(lambda: desk.do(desk.group.clear))
        for ref in desk.of_group.values():
            del desk.held[ref]
        desk.of_group.clear()

    @rule(number=sampled_from(range(OWNERS)))
    def replace_owner(self, number: int) -> None:
        async def step() -> None:
            st.exit(self.desks[number].pid, "kill")
            await st.wait_exit(self.desks[number].pid, timeout=1)
            self.desks[number] = Desk()

        self.run(step)

    @invariant()
    def agrees(self) -> None:
        for desk in self.desks:
            process = desk.pid._process
            assert process is not None
            assert set(process.held_monitors or ()) == set(desk.held)
            assert desk.heard == desk.expected
            assert set(desk.group.left) == set(desk.of_group)
        watchers = {ref for pid in self.living for ref in (pid._process.watchers or ())}  # type: ignore[union-attr]
        assert watchers == {ref for desk in self.desks for ref in desk.held}
        if self.desks:
            found = self.run(self._look)
            assert not [leak for leak in found if leak.kind in ("owner_gone", "unread", "dropped", "repeated")]

    async def _look(self) -> Any:
        return self.node.monitors.find_leaks()


MonitorMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25)
TestMonitorsBesideModel = MonitorMachine.TestCase
