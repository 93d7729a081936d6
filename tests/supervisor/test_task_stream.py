# SPDX-License-Identifier: MIT
"""async_stream: a function on each item, by a task each, so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from stanchion.errors import InvalidOptionError, NotInProcessError, TaskTimeoutError
from stanchion.kernel import exit, receive, self_pid, spawn, trap_exit
from stanchion.supervisor import TaskExit, TaskOk, TaskSupervisor
from stanchion.testing import VirtualTimeLoop
from tests.kernel.helpers import run_in_process, steps
from tests.supervisor.servers import hang
from tests.supervisor.tasks import SLOW, Owner, double, fail, no_tasks, slow, stubborn, tasks

async_stream = TaskSupervisor.async_stream
nolink = TaskSupervisor.async_stream_nolink


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


async def collect(stream):
    return [outcome async for outcome in stream]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


class Pulls:
    """An iterable, also an async one, that counts what was taken from it."""

    def __init__(self, *items: object) -> None:
        self.items = items
        self.count = 0

    def __iter__(self) -> Iterator[object]:
        for item in self.items:
            self.count += 1
            yield item


class AsyncPulls:
    """Gives an item each ten seconds."""

    def __init__(self, *items: object) -> None:
        self.items = items
        self.count = 0
        self.closed = False

    async def __aiter__(self):
        try:
            for item in self.items:
                await asyncio.sleep(10)
                self.count += 1
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed = True


# --- outcomes and their order --------------------------------------------------------------------


async def test_outcomes_come_in_the_order_of_the_items():
    async with tasks():
        stream = nolink("tasks", slow, [3, 1, 2], max_concurrency=3)
        assert await collect(stream) == [TaskOk(3), TaskOk(1), TaskOk(2)]
        assert now() == 3


async def test_unordered_outcomes_come_as_the_tasks_end():
    async with tasks():
        stream = nolink("tasks", slow, [3, 1, 2], max_concurrency=3, ordered=False)
        assert await collect(stream) == [TaskOk(1), TaskOk(2), TaskOk(3)]


async def test_stream_of_nothing_is_empty():
    async with tasks():
        assert await collect(nolink("tasks", slow, [], max_concurrency=3)) == []
        assert await collect(nolink("tasks", slow, AsyncPulls(), max_concurrency=3)) == []


async def test_exit_of_a_task_is_an_outcome_with_its_item():
    async with tasks():
        error = ValueError("no")
        stream = nolink("tasks", fail, [error, "normal"], max_concurrency=1)
        assert await collect(stream) == [TaskExit(error, error), TaskExit("normal", "normal")]


async def test_linked_stream_runs_in_a_process():
    async def body():
        return await collect(async_stream("tasks", double, range(3), max_concurrency=2))

    async with tasks() as supervisor:
        assert await run_in_process(body) == [TaskOk(0), TaskOk(2), TaskOk(4)]
        assert await no_tasks(supervisor)


# --- how many run, and what is pulled ------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_than_max_concurrency_run_at_the_same_time(ordered):
    running: list[int] = []
    most = 0

    async def work(number):
        nonlocal most
        running.append(number)
        most = max(most, len(running))
        await asyncio.sleep(number % 3 + 1)
        running.remove(number)

    async with tasks():
        outcomes = await collect(nolink("tasks", work, range(10), max_concurrency=3, ordered=ordered))
        assert len(outcomes) == 10
        assert most == 3


async def test_others_go_on_while_the_first_is_slow():
    async with tasks():
        stream = nolink("tasks", slow, [4, 1, 1, 1, 1], max_concurrency=2)
        assert await anext(stream) == TaskOk(4)
        assert now() == 4
        assert await collect(stream) == [TaskOk(1)] * 4
        assert now() == 4


async def test_items_are_pulled_only_as_tasks_are_started():
    pulls = Pulls(*range(1, 100))
    async with tasks():
        stream = nolink("tasks", slow, pulls, max_concurrency=3)
        assert pulls.count == 0
        assert await anext(stream) == TaskOk(1)
        assert pulls.count <= 4
        await asyncio.sleep(20)  # nobody asks for more
        assert pulls.count <= 4
        await stream.aclose()


async def test_async_items_are_pulled_only_as_tasks_are_started():
    pulls = AsyncPulls(*range(100))
    async with tasks():
        stream = nolink("tasks", double, pulls, max_concurrency=1)
        assert await anext(stream) == TaskOk(0)
        await asyncio.sleep(100)
        assert pulls.count <= 2
        await stream.aclose()
        await steps()
        assert pulls.closed


async def test_outcomes_do_not_wait_for_the_next_item():
    async with tasks():
        stream = nolink("tasks", slow, AsyncPulls(1, 2), max_concurrency=5)
        assert [(outcome, now()) async for outcome in stream] == [(TaskOk(1), 11), (TaskOk(2), 22)]


@pytest.mark.parametrize("ordered", [True, False])
async def test_tasks_do_not_run_ahead_of_a_consumer_that_is_slower(ordered):
    pulls = Pulls(*range(100))
    async with tasks():
        stream = nolink("tasks", double, pulls, max_concurrency=3, ordered=ordered)
        for taken in range(50):
            assert await anext(stream) == TaskOk(taken * 2)
            assert pulls.count <= taken + 3
            await steps()
        await stream.aclose()


async def test_tasks_run_while_the_consumer_works():
    async with tasks():
        async for outcome in nolink("tasks", slow, [4] * 6, max_concurrency=3):
            assert outcome == TaskOk(4)
            await asyncio.sleep(4)
        assert now() == 4 + 6 * 4  # and not 4 more for the second three


async def test_outcome_that_was_waited_for_is_given_before_another_task_starts():
    pulls = Pulls(1, 2)
    async with tasks():
        stream = nolink("tasks", slow, pulls, max_concurrency=1)
        assert await anext(stream) == TaskOk(1)
        assert pulls.count == 1
        assert await collect(stream) == [TaskOk(2)]


async def test_each_step_of_the_items_runs_in_the_same_task():
    seen = set()

    async def items():
        for number in range(3):
            seen.add(asyncio.current_task())
            yield number

    async with tasks():
        await collect(nolink("tasks", double, items(), max_concurrency=2))
    assert len(seen) == 1


# --- time ----------------------------------------------------------------------------------------


async def test_task_that_takes_too_long_is_killed_and_the_stream_raises():
    async with tasks() as supervisor:
        stream = nolink("tasks", slow, [1, 60, 2, 70], max_concurrency=4, timeout=10)
        assert await anext(stream) == TaskOk(1)
        with pytest.raises(TaskTimeoutError) as info:
            await anext(stream)
        assert (info.value.timeout, now()) == (10, pytest.approx(10, abs=0.1))
        assert str(info.value) == (
            f"{info.value.task}: expected a result within 10 s, got none; it was killed\n"
            "Limit: timeout=10.\n"
            f"Target: {info.value.task} is at {SLOW}.\n"
            "Fix: pass a longer timeout=, or on_timeout='kill_task' to have TaskExit('timeout', item) instead."
        )
        assert await no_tasks(supervisor)


async def test_task_that_takes_too_long_is_an_outcome_with_kill_task():
    async with tasks():
        stream = nolink("tasks", slow, [60, 1], max_concurrency=2, on_timeout="kill_task")
        assert await collect(stream) == [TaskExit("timeout", 60), TaskOk(1)]
        assert now() == pytest.approx(5, abs=0.1)


async def test_each_task_has_its_own_time():
    async with tasks():
        stream = nolink("tasks", slow, [3, 3, 3], max_concurrency=1, timeout=4)
        assert await collect(stream) == [TaskOk(3)] * 3


async def test_without_a_limit_a_task_takes_as_long_as_it_takes():
    async with tasks():
        stream = nolink("tasks", slow, [10_000], max_concurrency=1, timeout=None)
        assert await collect(stream) == [TaskOk(10_000)]


async def test_task_that_ends_in_the_step_of_its_timeout_keeps_its_result():
    """One that swallows the kill that the timeout sent, and returns, has a result."""
    async with tasks():
        stream = nolink("tasks", stubborn, [2.02], max_concurrency=1, timeout=2, on_timeout="kill_task")
        assert await collect(stream) == [TaskOk(None)]


async def test_stream_does_not_raise_for_a_task_that_comes_to_a_result_when_its_time_is_up():
    async with tasks():
        assert await collect(nolink("tasks", stubborn, [2.02], max_concurrency=1, timeout=2)) == [TaskOk(None)]


async def test_task_that_ends_in_the_very_step_of_its_timeout_keeps_its_reason():
    """It is declared dead by one deadline, and its time is up by another, of the same turn of the loop."""
    loop = asyncio.get_running_loop()

    async def work(number):
        loop.call_later(1, exit, self_pid(), "shutdown")
        loop.call_later(1, VirtualTimeLoop.jump, loop, 3)
        await stubborn(10)

    async with tasks():
        assert await collect(nolink("tasks", work, [7], max_concurrency=1, timeout=2)) == [TaskExit("shutdown", 7)]
        await asyncio.sleep(20)


async def test_outcomes_that_were_ready_come_before_the_error_of_a_later_task():
    async with tasks():
        stream = nolink("tasks", slow, [1, 1, 60], max_concurrency=3, timeout=2)
        assert await anext(stream) == TaskOk(1)
        await asyncio.sleep(5)
        assert await anext(stream) == TaskOk(1)
        with pytest.raises(TaskTimeoutError):
            await anext(stream)


async def test_linked_task_that_is_killed_by_its_timeout_spares_the_consumer():
    async def body():
        return await collect(async_stream("tasks", slow, [60, 1], max_concurrency=2, timeout=2, on_timeout="kill_task"))

    async with tasks():
        assert await run_in_process(body) == [TaskExit("timeout", 60), TaskOk(1)]


# --- links ---------------------------------------------------------------------------------------


async def test_crash_of_a_linked_task_ends_the_consumer():
    error = ValueError("crash")

    async def body():
        await collect(async_stream("tasks", fail, [error], max_concurrency=1))

    async with tasks():
        assert await Owner(body).down is error


async def test_outcome_before_the_crash_of_the_next_linked_task_is_given():
    got: list[object] = []

    async def work(number):
        got.append(number)
        return 1 / number

    async with tasks():
        owner = Owner(consume_into, got, partial(async_stream, "tasks", work, [1, 0], max_concurrency=1))
        assert isinstance(await owner.down, ZeroDivisionError)
        assert got == [1, TaskOk(1.0), 0]


async def consume_into(got, make):
    async for outcome in make():
        got.append(outcome)


async def test_tasks_are_linked_with_the_process_that_consumes_the_stream():
    async with tasks():
        made = asyncio.get_running_loop().create_future()

        async def make():
            made.set_result(async_stream("tasks", fail, [ValueError("crash")], max_concurrency=1))
            await hang()

        maker = spawn(make)
        consumer = Owner(collect, await made)
        assert isinstance(await consumer.down, ValueError)
        assert maker.alive


async def test_consumer_that_traps_exits_gets_outcomes_and_no_messages():
    error = ValueError("crash")

    async def body():
        trap_exit()
        outcomes = await collect(async_stream("tasks", fail, [error, "normal"], max_concurrency=2))
        with pytest.raises(TimeoutError):
            await receive(timeout=1)
        return outcomes

    async with tasks():
        assert await run_in_process(body) == [TaskExit(error, error), TaskExit("normal", "normal")]


# --- what is refused -----------------------------------------------------------------------------


async def test_linked_stream_is_consumed_by_a_process():
    stream = async_stream("tasks", double, [1], max_concurrency=1)
    with pytest.raises(NotInProcessError, match=r"TaskSupervisor.async_stream\(\): expected to run inside a process"):
        await anext(stream)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"function": 3}, "(function): expected an async function, got 3"),
        ({"items": 3}, "(items): expected an iterable or async iterable, got 3"),
        ({"max_concurrency": 0}, "(max_concurrency): expected a whole number >= 1, got 0"),
        ({"timeout": -1}, "(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1"),
        (
            {"on_timeout": "kill"},
            "(on_timeout): expected one of 'exit', 'kill_task', got 'kill'\nFix: write 'kill_task'.",
        ),
        ({"shutdown": -1}, "(shutdown): expected seconds >= 0 as a finite number, or a timedelta, got -1"),
    ],
)
async def test_wrong_argument_is_refused_at_the_call(changes, text):
    arguments = {"function": double, "items": [1], "max_concurrency": 1, **changes}
    with pytest.raises(InvalidOptionError) as info:
        nolink("tasks", arguments.pop("function"), arguments.pop("items"), **arguments)
    assert str(info.value) == "TaskSupervisor.async_stream_nolink" + text
