# SPDX-License-Identifier: MIT
"""Whatever happens in whatever order: each monitor delivers one Down, each caller is answered, nothing is left."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from typing import Any

import pytest

from stanchion.errors import CallError, UnhandledRequestError
from stanchion.kernel import (
    Down,
    MonitorRef,
    Pid,
    demonitor,
    exit,
    link,
    monitor,
    self_pid,
    trap_exit,
    unlink,
)
from stanchion.server import NO_REPLY, UNHANDLED, GenServer, Reject, Stop, call, cast, start
from stanchion.testing import SeededLoop, VirtualClock
from tests.kernel.helpers import quick_node


@pytest.fixture
def loop_factory(request: pytest.FixtureRequest):
    """Return what makes a loop whose order of processes comes from the test's seed."""
    callspec = getattr(request.node, "callspec", None)
    return partial(SeededLoop, callspec.params["seed"] if callspec else 0)


class World:
    """What all agents share, and what they saw."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.pids: list[Pid] = []
        self.monitors: list[MonitorRef] = []
        self.ended: set[MonitorRef] = set()
        self.downs: Counter[MonitorRef] = Counter()

    def somebody(self) -> Pid:
        return self.draw.choice(self.pids)


class Agent(GenServer):
    """Does something random with somebody random at each cast."""

    def init(self, world: World, traps: bool) -> None:
        self.world = world
        self.held: list[MonitorRef] = []
        trap_exit(traps)

    def handle_cast(self, message: str) -> Any:
        world = self.world
        match message:
            case "monitor":
                self.held.append(monitor(world.somebody()))
                world.monitors.append(self.held[-1])
            case "demonitor" if self.held:
                ref = self.held.pop()
                demonitor(ref)
                world.ended.add(ref)
            case "link":
                link(world.somebody())
            case "unlink":
                unlink(world.somebody())
            case "crash":
                raise ValueError("chaos")
            case "stop":
                return Stop("shutdown")
            case "reject":
                return Reject("chaos")
            case _:
                pass
        return None

    async def handle_call(self, request: int, sender: Any) -> Any:
        if request % 5 == 0:
            await asyncio.sleep(0)
        return {1: NO_REPLY, 2: UNHANDLED, 3: Stop("shutdown")}.get(request % 7, request)

    def handle_info(self, message: Any) -> Any:
        if isinstance(message, Down):
            assert message.ref not in self.world.ended
            self.world.downs[message.ref] += 1


VERBS = (
    ["monitor"] * 6 + ["demonitor"] * 2 + ["link"] * 2 + ["unlink", "crash", "stop", "reject", "exit", "kill", "call"]
)


async def caller(pid: Pid, request: int, answers: list[object]) -> None:
    try:
        answers.append(await call(pid, request, timeout=0.05))
    except (CallError, UnhandledRequestError) as error:
        answers.append(error)


@pytest.mark.parametrize("seed", range(15))
async def test_nothing_is_lost_twice_or_left_whatever_happens(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")
    world, answers = World(seed), []
    async with quick_node(clock=VirtualClock()) as node:
        calls: list[asyncio.Task[None]] = []
        for _ in range(600):
            if len(node.processes) < 20:
                world.pids.append(await start(Agent, world, world.draw.random() < 0.5))
            verb, pid = world.draw.choice(VERBS), world.somebody()
            if verb == "exit":
                exit(pid, world.draw.choice(["normal", "shutdown", "killed"]))
            elif verb == "kill":
                exit(pid, "kill")
            elif verb == "call":
                calls.append(asyncio.create_task(caller(pid, world.draw.randrange(50), answers)))
            else:
                cast(pid, verb)
            if world.draw.random() < 0.3:
                await asyncio.sleep(0)
        await asyncio.gather(*calls)
    assert len(answers) == len(calls)
    assert max(world.downs.values(), default=0) == 1
    assert node.processes == {}
    assert node.names.all() == []
    assert not any(node.wheel._buckets.values())


async def test_every_monitor_of_a_survivor_delivers_exactly_one_down() -> None:
    world = World(1)
    async with quick_node(clock=VirtualClock()):
        survivor = await start(Agent, world, True)
        for number in range(200):
            world.pids = [await start(Agent, world, number % 2 == 0)]
            for _ in range(3):
                cast(survivor, "monitor")
            await asyncio.sleep(0)
            exit(world.pids[0], "kill")
        assert await call(survivor, 4) == 4
        await asyncio.sleep(0)
        await call(survivor, 4)
        assert len(world.monitors) == 600
        assert set(world.downs.values()) == {1}
        assert len(world.downs) == 600


async def test_process_that_monitors_calls_and_dies_in_one_step_leaves_nothing() -> None:
    async with quick_node(clock=VirtualClock()) as node:

        class Brief(GenServer):
            def init(self, other: Pid) -> None:
                monitor(other)
                link(other)
                unlink(other)
                assert self_pid().alive

        other = await start(GenServer)
        for _ in range(50):
            pid = await start(Brief, other)
            exit(pid, "kill")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        left = next(iter(node.processes.values()))
        assert left.pid is other
        assert not left.watchers
        assert not left.links
