# SPDX-License-Identifier: MIT
"""A stream that ends early, from whichever side, ends its tasks and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

import pytest

from stanchion.errors import CallExitError, MaxChildrenError
from stanchion.kernel import ProcessExit, exit, self_pid, spawn, wait_exit
from stanchion.supervisor import TaskExit, TaskOk, TaskSupervisor
from stanchion.testing import VirtualTimeLoop
from tests.kernel.helpers import run_in_process, steps
from tests.supervisor.servers import hang, process_of
from tests.supervisor.tasks import Owner, no_tasks, node_of, slow, stubborn, tasks
from tests.supervisor.test_task_stream import AsyncPulls, collect

async_stream = TaskSupervisor.async_stream
nolink = TaskSupervisor.async_stream_nolink

FIRST = [0, 50, 60, 70]
"""One task that ends at once, and some that would take longer than a test waits."""


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


async def forever():
    number = 0
    while True:
        yield number
        number += 1


async def test_break_ends_the_tasks_that_run():
    async with tasks() as supervisor:
        async for outcome in nolink("tasks", slow, FIRST, max_concurrency=4):
            assert outcome == TaskOk(0)
            break
        await steps(10)
        assert await no_tasks(supervisor)


async def test_items_without_an_end_can_be_left():
    async with tasks() as supervisor:
        taken = []
        async for outcome in nolink("tasks", slow, forever(), max_concurrency=2):
            taken.append(outcome)
            if len(taken) == 3:
                break
        assert taken == [TaskOk(0), TaskOk(1), TaskOk(2)]
        await steps(10)
        assert await no_tasks(supervisor)


async def test_aclose_has_waited_until_the_tasks_have_ended():
    async with tasks() as supervisor:
        here = node_of(supervisor)
        async with aclosing(nolink("tasks", slow, FIRST, max_concurrency=4)) as stream:
            await anext(stream)
            assert len(here.processes) > 1
        assert list(here.processes) == [supervisor.id]


async def test_aclose_of_a_stream_that_did_not_begin_does_nothing():
    async with tasks():
        await nolink("tasks", slow, FIRST, max_concurrency=4).aclose()


async def test_error_of_the_consumer_ends_the_tasks():
    async with tasks() as supervisor:

        async def consume():
            async with aclosing(nolink("tasks", slow, FIRST, max_concurrency=4)) as stream:
                async for _ in stream:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await consume()
        assert await no_tasks(supervisor)


@pytest.mark.parametrize("items", [[50, 60], AsyncPulls(50, 60)])
async def test_cancelled_consumer_ends_the_tasks(items):
    async with tasks() as supervisor:
        consuming = asyncio.create_task(collect(nolink("tasks", slow, items, max_concurrency=2, timeout=None)))
        await asyncio.sleep(15)
        assert not await no_tasks(supervisor)
        consuming.cancel()
        await asyncio.wait([consuming])
        assert consuming.cancelled()
        assert await no_tasks(supervisor)


@pytest.mark.parametrize("make", [async_stream, nolink])
@pytest.mark.parametrize("make_items", [lambda: [50, 60], lambda: AsyncPulls(50, 60)])
async def test_killed_consumer_that_waits_for_an_outcome_takes_its_tasks_along(make, make_items):
    async def body():
        await collect(make("tasks", slow, make_items(), max_concurrency=2, timeout=None))

    async with tasks() as supervisor:
        owner = Owner(body)
        await asyncio.sleep(15)
        assert not await no_tasks(supervisor)
        exit(owner.pid, "kill")
        assert await owner.down == "killed"
        await steps()
        assert await no_tasks(supervisor)


@pytest.mark.parametrize("make", [async_stream, nolink])
@pytest.mark.parametrize("make_items", [lambda: FIRST, lambda: AsyncPulls(*FIRST)])
async def test_killed_consumer_that_does_something_else_takes_its_tasks_along(make, make_items):
    async def body():
        async for _ in make("tasks", slow, make_items(), max_concurrency=4, timeout=None):
            await hang()

    async with tasks() as supervisor:
        owner = Owner(body)
        await asyncio.sleep(15)
        exit(owner.pid, "kill")
        assert await owner.down == "killed"
        await steps()
        assert await no_tasks(supervisor)


async def test_consumer_that_returns_and_keeps_the_stream_takes_its_tasks_along():
    kept = []

    async def body():
        kept.append(nolink("tasks", slow, FIRST, max_concurrency=4))
        await anext(kept[0])

    async with tasks() as supervisor:
        await run_in_process(body)
        await steps()
        assert await no_tasks(supervisor)
        await kept[0].aclose()


async def test_killed_consumer_does_not_wait_for_tasks_that_refuse_to_end():
    async def body():
        await collect(nolink("tasks", stubborn, [3], max_concurrency=2, timeout=None))

    async with tasks():
        owner = Owner(body)
        await steps(10)
        exit(owner.pid, "kill")
        assert await owner.down == "killed"
        assert asyncio.get_running_loop().time() == 1000
        await asyncio.sleep(5)


async def test_error_of_the_items_comes_out_and_ends_the_tasks():
    def items():
        yield 50
        raise ZeroDivisionError

    async with tasks() as supervisor:
        for source in (items(), AsyncPulls(50, ZeroDivisionError())):
            with pytest.raises(ZeroDivisionError):
                await collect(nolink("tasks", slow, source, max_concurrency=2, timeout=None))
            assert await no_tasks(supervisor)


async def test_items_that_end_their_process_end_the_consumer():
    async def items():
        yield 1
        raise ProcessExit(("shutdown", "enough"))

    async def body():
        await collect(nolink("tasks", slow, items(), max_concurrency=1))

    async with tasks():
        assert await Owner(body).down == ("shutdown", "enough")


async def test_items_that_await_something_cancelled_do_not_hang():
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def items():
        yield await gone

    async with tasks() as supervisor:
        with pytest.raises(asyncio.CancelledError):
            await collect(nolink("tasks", slow, items(), max_concurrency=1))
        assert await no_tasks(supervisor)


async def test_items_that_swallow_the_cancellation_end_with_the_next_one():
    asked = []

    class Stubborn:
        def __aiter__(self):
            return self

        async def __anext__(self):
            asked.append(asyncio.current_task())
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            return 1

    async with tasks():
        consuming = asyncio.create_task(collect(nolink("tasks", slow, Stubborn(), max_concurrency=2)))
        await asyncio.sleep(1)
        consuming.cancel()
        await asyncio.wait([consuming])
        assert [task.done() for task in asked] == [True]


async def test_items_that_cannot_be_iterated_after_all_are_an_error_of_the_first_step():
    class Broken:
        def __iter__(self):
            raise ZeroDivisionError

    async with tasks():
        with pytest.raises(ZeroDivisionError):
            await collect(nolink("tasks", slow, Broken(), max_concurrency=1))


async def test_task_beyond_max_children_ends_the_stream():
    async with tasks(1) as supervisor:
        with pytest.raises(MaxChildrenError):
            await collect(nolink("tasks", slow, FIRST, max_concurrency=2))
        assert await no_tasks(supervisor)


async def test_stream_fails_when_there_is_no_supervisor():
    async with tasks():
        with pytest.raises(CallExitError):
            await collect(nolink("nobody", slow, AsyncPulls(1), max_concurrency=1))


async def test_killed_supervisor_ends_the_stream():
    async with tasks() as supervisor:
        stream = nolink("tasks", slow, FIRST, max_concurrency=2)
        assert await anext(stream) == TaskOk(0)
        exit(supervisor, "kill")
        with pytest.raises(CallExitError):
            await collect(stream)


async def test_tasks_that_run_when_the_supervisor_is_killed_are_outcomes():
    async with tasks() as supervisor:
        stream = nolink("tasks", slow, [50, 60], max_concurrency=2)
        collecting = asyncio.create_task(collect(stream))
        await asyncio.sleep(1)
        exit(supervisor, "kill")
        await wait_exit(supervisor, timeout=None)
        assert await collecting == [TaskExit("killed", 50), TaskExit("killed", 60)]


async def test_node_that_is_left_ends_the_stream():
    async with tasks() as supervisor:
        here = node_of(supervisor)

        async def body():
            await collect(async_stream("tasks", slow, [50, 60], max_concurrency=2, timeout=None))

        spawn(body)
        outside = asyncio.create_task(collect(nolink("tasks", slow, [50], max_concurrency=1, timeout=None)))
        await asyncio.sleep(1)
    assert await outside == [TaskExit("shutdown", 50)]
    assert not here.processes


async def test_process_owns_nothing_of_a_stream_that_is_done():
    async def body():
        await collect(async_stream("tasks", slow, AsyncPulls(0, 1), max_concurrency=2))
        process = process_of(self_pid())
        return process.owned, list(process.links or ())

    async with tasks():
        assert await run_in_process(body) == (None, [])
