# SPDX-License-Identifier: MIT
"""Tasks, streams, owners and supervisors that are killed at random moments: nothing hangs and nothing is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from stanchion.errors import StanchionError
from stanchion.kernel import Node, exit, receive, spawn, trap_exit
from stanchion.server import start
from stanchion.supervisor import Supervisor, Task, TaskSupervisor
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.supervisor.servers import quick_node
from tests.supervisor.test_task_stream import AsyncPulls


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


async def work(draw: random.Random) -> int:
    """Take some time, and then return, raise or exit."""
    await asyncio.sleep(draw.choice([0, 0, 1, 5, 30]))
    if draw.random() < 0.2:
        raise ValueError("chance")
    return 1


async def own_some(draw: random.Random) -> None:
    """Start tasks and streams in each way that there is, and wait for them in each way that there is."""
    if draw.random() < 0.3:
        trap_exit()
    while True:
        try:
            await draw.choice([await_one, tell_one, consume, consume_async])(draw)
        except (StanchionError, TimeoutError):
            await asyncio.sleep(1)


async def start_one(draw: random.Random, *, tell: bool = False) -> Task[int]:
    start_it = draw.choice([TaskSupervisor.async_nolink, TaskSupervisor.async_])
    return await start_it("tasks", work, draw, tell=tell)


async def await_one(draw: random.Random) -> None:
    task = await start_one(draw)
    verbs = [task.await_, task.yield_, task.shutdown]
    async with asyncio.timeout(draw.choice([0, 1, 60])):
        await draw.choice(verbs)(timeout=draw.choice([0, 2, None]))
    if draw.random() < 0.5:
        task.ignore()


async def tell_one(draw: random.Random) -> None:
    task = await start_one(draw, tell=True)
    if draw.random() < 0.7:
        await receive(timeout=draw.choice([1, 40]))
    else:
        await task.shutdown(timeout=draw.choice([0, "brutal_kill"]))


async def consume(draw: random.Random, items: object = None) -> None:
    make = draw.choice([TaskSupervisor.async_stream, TaskSupervisor.async_stream_nolink])
    stream = make(
        "tasks",
        work,
        [draw] * draw.randrange(8) if items is None else items,
        max_concurrency=draw.randrange(1, 4),
        ordered=draw.random() < 0.5,
        timeout=draw.choice([0, 3, None]),
        on_timeout=draw.choice(["exit", "kill_task"]),
    )
    async for _ in stream:
        if draw.random() < 0.2:
            break
        await asyncio.sleep(draw.choice([0, 2]))


async def consume_async(draw: random.Random) -> None:
    await consume(draw, AsyncPulls(*[draw] * draw.randrange(4)))


async def kill_some(draw: random.Random, node: Node, rounds: int) -> None:
    """Kill any process at any time; the top supervisor goes with the node."""
    for _ in range(rounds):
        await asyncio.sleep(draw.choice([0, 0, 0, 0.5, 3]))
        victim = draw.choice(list(node.processes.values()))
        if victim.parent is not None or victim.label == "own_some":
            exit(victim.pid, draw.choice(["kill", "shutdown", ValueError("chance")]))
        while sum(process.label == "own_some" for process in node.processes.values()) < 4:
            spawn(own_some, draw)


async def disorder(seed: int, rounds: int) -> None:
    draw = random.Random(seed)
    async with quick_node(clock=VirtualClock()) as node:
        # No more restarts than kills: a node that is being left refuses each start, and time stands still.
        await start(Supervisor, [TaskSupervisor.child_spec(name="tasks", max_children=12)], "one_for_one", rounds)
        await kill_some(draw, node, rounds)
    assert not node.processes
    assert not node.wheel._ticks
    # Generators that were left are closed by tasks of their own; the harness wants none behind.
    await asyncio.sleep(100)


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_left_when_anybody_is_killed_at_any_time(seed):
    await disorder(seed, rounds=40)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(1000, 1100))
async def test_nothing_is_left_when_anybody_is_killed_at_any_time_for_long(seed):
    await disorder(seed, rounds=400)
