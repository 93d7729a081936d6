# SPDX-License-Identifier: MIT
"""Processes by the thousand that do to each other whatever a process can, in an order that is drawn from a seed.

On virtual time, so that a second of waiting costs nothing, and on a loop that is not in debug mode, so that 100,000 take a
minute. It is not ``run_isolated``, which remembers each exit.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections import Counter
from functools import partial
from typing import NamedTuple

import stanchion as st
from stanchion.kernel import Process, registered
from stanchion.monitors import NodeAudit
from stanchion.testing import SeededLoop, VirtualClock

WAVE = 500
"""How many live at once."""


class Found(NamedTuple):
    """What is there after a wave of processes, when all of them have ended.

    Attributes:
        audit: What the node says of itself.
        processes: How many ``Process`` objects the interpreter has beyond those that live.
        blocks: How many blocks of memory it has.
    """

    audit: NodeAudit
    processes: int
    blocks: int


class World(NamedTuple):
    """What the processes of one node share."""

    chance: random.Random
    done: Counter[str]
    crowd: list[st.Pid]

    def somebody(self) -> st.Pid:
        """Return one of the crowd, who may have ended."""
        return self.chance.choice(self.crowd)


class Member(st.GenServer):
    """One of the crowd."""

    def init(self, world: World) -> None:
        self.world = world
        self.kept: list[object] = []
        if world.chance.random() < 0.3:
            st.trap_exit()

    async def handle_cast(self, message: str) -> object:
        self.world.done[message] += 1
        return await getattr(self, message)()

    async def handle_call(self, request: str, sender: st.Sender) -> object:
        fate = self.world.chance.random()
        if fate < 0.1:
            self.kept.append(sender)  # and never answered
            return st.NO_REPLY
        if fate < 0.2:
            await asyncio.sleep(2)
        elif fate < 0.25:
            raise ValueError(request)
        return request

    def handle_info(self, message: object) -> object:
        self.world.done[type(message).__name__] += 1
        return st.Stop("shutdown") if isinstance(message, st.Exit) else None

    def terminate(self, reason: object) -> None:
        for task in self.kept:
            if isinstance(task, asyncio.Task):
                task.cancel()

    # --- what they do --------------------------------------------------------------------------------

    async def calls(self) -> None:
        try:
            await st.call(self.world.somebody(), "hello", timeout=self.world.chance.choice([0, 0.5, 1]))
        except st.StanchionError as error:
            self.world.done[type(error).__name__] += 1

    async def calls_within_a_deadline(self) -> None:
        try:
            async with st.deadline(1):
                await st.call(self.world.somebody(), "hello", timeout=None)
                st.cast(self.world.somebody(), "rests")
        except st.StanchionError as error:
            self.world.done[type(error).__name__] += 1

    async def sends_supervised(self) -> None:
        delivery = await st.send_supervised(
            self.world.somebody(), "rests", timeout=1, retries=1, backoff=st.Backoff(initial=0.1), on_error="ignore"
        )
        self.world.done[str(delivery.outcome)] += 1

    async def rests(self) -> None:
        await asyncio.sleep(self.world.chance.uniform(0, 0.01))

    async def monitors(self) -> None:
        self.kept.append(st.monitor(self.world.somebody(), tag="kept"))
        st.monitor(self.world.somebody(), until="exit")
        st.demonitor(st.monitor(self.world.somebody()))

    async def monitors_for_a_while(self) -> None:
        async with st.monitoring(self.world.somebody(), tag="a while"):
            await self.rests()

    async def links(self) -> None:
        st.link(self.world.somebody())
        other = self.world.somebody()
        st.link(other)
        st.unlink(other)

    async def sets_timers(self) -> None:
        for ref in (st.self_pid(), self.world.somebody(), "nobody"):
            timer = st.send_after(ref, "tick", self.world.chance.uniform(0, 30))
            if self.world.chance.random() < 0.5:
                st.cancel_timer(timer)

    async def registers(self) -> None:
        key = self.world.chance.randrange(100)
        st.Registry.register("keys", key)
        if self.world.chance.random() < 0.5:
            st.Registry.unregister("keys", key)

    async def takes_a_name(self) -> None:
        name = f"name {self.world.chance.randrange(WAVE)}"
        if st.whereis(name) is None and st.self_pid().name is None:
            st.register(name, st.self_pid())

    async def joins(self) -> None:
        groups = st.ProcessGroups
        groups.join(self.world.chance.randrange(20), [st.self_pid(), self.world.somebody()])
        ref, _ = groups.monitor(self.world.chance.randrange(20))
        if self.world.chance.random() < 0.5:
            groups.demonitor(ref)

    async def starts_a_task(self) -> None:
        self.kept.append(asyncio.create_task(asyncio.sleep(self.world.chance.uniform(0, 0.1))))

    async def awaits_a_task(self) -> None:
        task = await st.TaskSupervisor.async_nolink("tasks", self.rests)
        try:
            await task.await_(timeout=self.world.chance.choice([0, 1]))
        except st.StanchionError as error:
            self.world.done[type(error).__name__] += 1

    async def kills(self) -> None:
        st.exit(self.world.somebody(), self.world.chance.choice(["kill", "shutdown", ValueError("told to")]))

    async def crashes(self) -> None:
        raise ValueError("crashed")

    async def stops(self) -> object:
        return st.Stop("normal")


ENDS = ("crashes", "stops", "kills")
"""The last thing that each does."""
WORK = tuple(
    name
    for name, value in vars(Member).items()
    if callable(value) and not name.startswith(("_", "handle_")) and name not in ("init", "terminate", *ENDS)
)


def run(count: int, seed: int) -> tuple[list[Found], Counter[str]]:
    """Have ``count`` processes live, a wave at a time; return what each wave left, and what they did."""
    with asyncio.Runner(loop_factory=partial(SeededLoop, seed)) as runner:
        return runner.run(_waves(count, seed))


async def _waves(count: int, seed: int) -> tuple[list[Found], Counter[str]]:
    world = World(random.Random(seed), Counter(), [])
    found: list[Found] = []
    node = st.Node("load", clock=VirtualClock(), block_threshold=None, leak_check=5.0, seed=seed)
    async with node:
        await st.start(st.Registry, "duplicate", name="keys")
        await st.start(st.ProcessGroups, name="pg")
        await st.start(st.TaskSupervisor, name="tasks")
        for _ in range(count // WAVE):
            await _wave(world)
            found.append(_look(node))
        _nothing_waits(node)
    return found, world.done


async def _wave(world: World) -> None:
    """Have a crowd live from its start to the end of its last one."""
    world.crowd[:] = [await st.start(Member, world) for _ in range(WAVE)]
    for pid in world.crowd:
        for order in (*world.chance.choices(WORK, k=4), world.chance.choice(ENDS)):
            st.cast(pid, order)
    await asyncio.sleep(5)
    for pid in world.crowd:
        st.exit(pid, "kill")  # those that killed somebody else, and were not killed themselves
    await asyncio.sleep(30)  # what was set for later comes
    world.crowd.clear()


def _look(node: st.Node) -> Found:
    gc.collect()
    processes = sum(isinstance(thing, Process) and thing.node is node for thing in gc.get_objects())
    return Found(node.audit(), processes - len(node.processes), sys.getallocatedblocks())


def _nothing_waits(node: st.Node) -> None:
    """Check what an audit does not show, for it belongs to no process."""
    assert {process.pid.name for process in node.processes.values()} == {"keys", "pg", "tasks"}
    assert not any(process.mailbox.queue for process in node.processes.values())
    assert sorted(registered()) == ["keys", "pg", "tasks"]
    assert st.Registry.count("keys") == 0
    assert st.ProcessGroups.which_groups() == []
    assert not any(node.wheel._buckets.values())
    assert node.timers._heap == []
    assert node.monitor_owners == {}
    assert node.runaways == set()
