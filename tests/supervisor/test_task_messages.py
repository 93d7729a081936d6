# SPDX-License-Identifier: MIT
"""tell=True: the outcome of a task comes to its owner as one message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stanchion.errors import NotInProcessError, TaskStateError
from stanchion.kernel import exit, receive, spawn, wait_exit
from stanchion.server import NO_REPLY, UNHANDLED, GenServer, call, reply, start
from stanchion.supervisor import TaskExit, TaskOk, TaskResult, TaskSupervisor
from stanchion.testing import VirtualTimeLoop
from tests.kernel.helpers import run_in_process, steps
from tests.supervisor.servers import hang
from tests.supervisor.tasks import Owner, double, fail, no_tasks, slow, slow_fail, tasks


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


async def told(function, *args):
    return await TaskSupervisor.async_nolink("tasks", function, *args, tell=True)


class Fetcher(GenServer):
    """Answers each call by a task, and meanwhile the others."""

    def init(self):
        self.callers = {}

    async def handle_call(self, request, sender):
        task = await told(*request)
        self.callers[task] = sender
        return NO_REPLY

    def handle_info(self, message):
        if not isinstance(message, TaskResult):
            return UNHANDLED
        reply(self.callers.pop(message.task), message.outcome)
        return None


async def test_server_hears_of_each_task_and_is_free_meanwhile():
    async with tasks():
        fetcher = await start(Fetcher)
        error = ValueError("no")
        calls = [(slow, 2), (double, 4), (fail, error), (slow, 1)]
        answers = await asyncio.gather(*(call(fetcher, request) for request in calls))
        assert answers == [TaskOk(2), TaskOk(8), TaskExit(error), TaskOk(1)]
        assert asyncio.get_running_loop().time() == 1002


@pytest.mark.parametrize(
    ("function", "argument", "outcome"), [(double, 2, TaskOk(4)), (fail, "normal", TaskExit("normal"))]
)
async def test_one_message_comes_for_each_task(function, argument, outcome):
    async def body():
        task = await told(function, argument)
        assert await receive(timeout=1) == TaskResult(task, outcome)
        with pytest.raises(TimeoutError):
            await receive(timeout=1)

    async with tasks():
        await run_in_process(body)


async def test_linked_task_can_tell_too():
    async def body():
        task = await TaskSupervisor.async_("tasks", double, 2, tell=True)
        assert await receive(timeout=1) == TaskResult(task, TaskOk(4))

    async with tasks():
        await run_in_process(body)


async def test_message_comes_to_a_full_mailbox_too():
    received: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    async def body():
        started = [await told(double, number) for number in range(3)]
        for task in started:
            await wait_exit(task.pid, timeout=None)
        received.set_result([await receive(timeout=0) for _ in started])

    async with tasks():
        spawn(body, mailbox=1)
        assert [message.outcome for message in await received] == [TaskOk(0), TaskOk(2), TaskOk(4)]


@pytest.mark.parametrize("verb", ["await_", "yield_"])
async def test_result_that_comes_as_a_message_is_not_awaited(verb):
    async def body():
        task = await told(hang)
        with pytest.raises(TaskStateError) as info:
            await getattr(task, verb)()
        assert str(info.value) == (
            f"{verb}() of {task!r}: expected a task whose owner waits for the result, "
            "got one whose result comes as a message\n"
            "Fix: handle TaskResult in handle_info(), or start it without tell=True."
        )

    async with tasks():
        await run_in_process(body)


async def test_no_message_comes_after_shutdown():
    async def body():
        ready, running = await told(double, 1), await told(hang)
        other = await told(double, 5)
        await wait_exit(other.pid, timeout=None)
        assert await ready.shutdown() == TaskOk(2)
        assert await running.shutdown() is None
        assert await receive(timeout=0) == TaskResult(other, TaskOk(10))
        with pytest.raises(TimeoutError):
            await receive(timeout=1)

    async with tasks():
        await run_in_process(body)


async def test_no_message_comes_after_ignore():
    async def body():
        task = await told(slow, 1)
        assert task.ignore() is None
        with pytest.raises(TimeoutError):
            await receive(timeout=2)

    async with tasks():
        await run_in_process(body)


async def test_message_that_was_read_is_not_searched_for():
    async def body():
        task = await told(double, 1)
        await receive(timeout=1)
        assert await task.shutdown() == TaskOk(2)

    async with tasks():
        await run_in_process(body)


async def test_message_to_an_owner_that_is_gone_is_dropped(caplog):
    async with tasks() as supervisor:
        owner = Owner(told, slow_fail, 1, "normal")
        await owner.down
        await asyncio.sleep(2)
        assert await no_tasks(supervisor)
    assert caplog.messages == []


async def test_unread_message_is_settled_with_the_exit_of_its_owner(caplog):
    async def body():
        task = await told(double, 1)
        await wait_exit(task.pid, timeout=None)

    async with tasks():
        await run_in_process(body)
    assert caplog.messages == []


async def test_code_outside_of_processes_cannot_be_told():
    async with tasks():
        with pytest.raises(NotInProcessError, match=r"TaskSupervisor.async_nolink\(tell=True\)"):
            await told(double, 1)


async def test_linked_task_is_for_processes():
    async with tasks() as supervisor:
        with pytest.raises(NotInProcessError, match=r"TaskSupervisor.async_\(\): expected to run inside a process"):
            await TaskSupervisor.async_(supervisor, double, 1)
        exit(supervisor, "shutdown")
        await steps()
