# SPDX-License-Identifier: MIT
"""What a task comes to, and how its owner takes it."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial

import pytest

from stanchion.errors import InvalidOptionError, TaskExitError, TaskOwnerError, TaskStateError, TaskTimeoutError
from stanchion.kernel import current_node, exit, self_pid, spawn, wait_exit
from stanchion.server import start
from stanchion.supervisor import DynamicSupervisor, Task, TaskExit, TaskOk, TaskSupervisor, which_children
from stanchion.testing import VirtualTimeLoop
from tests.kernel.helpers import run_in_process, steps
from tests.supervisor.servers import hang, quick_node
from tests.supervisor.tasks import SLOW, double, fail, no_tasks, node_of, slow, slow_fail, tasks

async_nolink = TaskSupervisor.async_nolink


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


async def test_task_gives_what_its_function_returns():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 21)
        assert await task.await_() == 42


async def test_task_runs_as_a_temporary_child_of_the_supervisor():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 1)
        (info,) = await which_children(supervisor)
        assert (info.id, info.pid, info.restart) == ("slow", task.pid, "temporary")
        assert repr(task) == f"<task slow {task.pid!r}>"
        assert (task.function, task.owner) == ("slow", None)


async def test_process_of_a_task_has_ended_when_its_result_is_there():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 1)
        await task.await_()
        assert not task.pid.alive
        assert await no_tasks(supervisor)


async def test_task_is_a_process_that_knows_itself():
    async def who():
        return self_pid()

    async with tasks() as supervisor:
        task = await async_nolink(supervisor, who)
        assert await task.await_() is task.pid


async def test_task_sees_the_context_of_its_owner_but_for_the_process_and_the_node():
    trace: ContextVar[str] = ContextVar("trace", default="none")

    async def look():
        return trace.get(), self_pid(), current_node("look()")

    async with tasks() as supervisor, quick_node("inner"):
        trace.set("of the owner")
        task = await async_nolink(supervisor, look)
        trace.set("changed later")
        assert await task.await_() == ("of the owner", task.pid, node_of(supervisor))


@pytest.mark.parametrize("function", [partial(double, 4), type("C", (), {"__call__": lambda self: double(4)})()])
async def test_function_may_be_anything_that_is_async(function):
    if not isinstance(function, partial):
        type(function).__call__ = _async_call
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, function)
        assert await task.await_() == 8
        assert task.function in ("double", "C")


async def _async_call(self):
    return await double(4)


async def test_extra_args_of_the_supervisor_are_not_for_tasks():
    async with tasks(None, ("extra",)) as supervisor:
        assert await (await async_nolink(supervisor, double, 2)).await_() == 4


async def test_owner_is_the_process_that_starts_the_task():
    async def body():
        task = await TaskSupervisor.async_("tasks", double, 2)
        assert task.owner is self_pid()
        return await task.await_()

    async with tasks():
        assert await run_in_process(body) == 4


# --- await_ --------------------------------------------------------------------------------------


async def test_crash_of_a_task_without_link_comes_from_await():
    error = ValueError("broken")
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, fail, error)
        with pytest.raises(TaskExitError) as info:
            await task.await_()
        assert info.value.reason is error
        assert info.value.__cause__ is error
        assert info.value.task == repr(task)
        assert str(info.value) == f"{task!r}: expected a result, got its exit with reason ValueError('broken')"


@pytest.mark.parametrize("reason", ["normal", "shutdown", "killed", ("shutdown", "done")])
async def test_exit_of_a_task_without_a_result_comes_from_await(reason):
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, fail, reason)
        with pytest.raises(TaskExitError) as info:
            await task.await_()
        assert info.value.reason == reason
        assert info.value.__cause__ is None


async def test_await_gives_up_when_the_time_is_up_and_the_task_goes_on():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 10)
        with pytest.raises(TaskTimeoutError) as info:
            await task.await_(timeout=3)
        assert isinstance(info.value, TimeoutError)
        assert info.value.timeout == 3
        assert str(info.value) == (
            f"{task!r}: expected a result within 3 s, got none; it goes on\n"
            "Limit: timeout=3.\n"
            f"Target: {task!r} is at {SLOW}.\n"
            "Fix: pass a longer timeout=, await it again, or end it with shutdown()."
        )
        assert await task.await_(timeout=None) == 10


async def test_await_waits_as_long_as_a_call_by_default():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 100)
        with pytest.raises(TaskTimeoutError, match="within 5 s"):
            await task.await_()


async def test_await_of_0_seconds_takes_what_is_there():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 1)
        with pytest.raises(TaskTimeoutError):
            await task.await_(timeout=0)
        await wait_exit(task.pid, timeout=None)
        assert await task.await_(timeout=0) == 1


async def test_await_that_is_cancelled_leaves_the_task_as_it_is():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await task.await_()
        assert task.pid.alive
        assert await task.await_() == 2


async def test_tasks_can_be_gathered():
    async def body():
        started = [await TaskSupervisor.async_("tasks", slow, seconds) for seconds in (3, 1, 2)]
        return await asyncio.gather(*(task.await_() for task in started))

    async with tasks():
        assert await run_in_process(body) == [3, 1, 2]


@pytest.mark.parametrize("take", [Task.await_, Task.yield_])
async def test_result_is_taken_once(take):
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 1)
        await take(task)
        with pytest.raises(TaskStateError) as info:
            await task.await_()
        assert info.value.operation == "await_()"
        assert str(info.value) == (
            f"await_() of {task!r}: expected a result that nobody took, got one that was taken by {take.__name__}()\n"
            "Fix: keep the result where you take it; yield_() can be called again while it returns None."
        )


async def test_only_the_owner_takes_the_result():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 1)
        with pytest.raises(TaskOwnerError) as info:
            await run_in_process(task.await_)
        (_, caller) = str(info.value).split("\n")[0].rsplit(", got ", 1)
        assert info.value.operation == "await_()"
        assert str(info.value) == (
            f"await_() of {task!r}: expected to be called by its owner, code outside of processes, got {caller}\n"
            "Fix: let the owner await it and send the result on, or start the task where it is awaited."
        )


async def test_code_outside_of_processes_does_not_take_the_result_of_a_process():
    async with tasks():
        task = await run_in_process(async_nolink, "tasks", double, 1)
        for verb in (task.await_, task.yield_, task.shutdown):
            with pytest.raises(TaskOwnerError, match=f"its owner, {task.owner!r}, got code outside of processes"):
                await verb()
        with pytest.raises(TaskOwnerError):
            task.ignore()


@pytest.mark.parametrize("verb", ["await_", "yield_"])
async def test_wrong_timeout_is_refused(verb):
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 1)
        with pytest.raises(InvalidOptionError) as info:
            await getattr(task, verb)(timeout=-1)
        expected = f"Task.{verb}(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1"
        assert str(info.value) == expected
        assert await task.await_() == 2


# --- yield_ --------------------------------------------------------------------------------------


async def test_yield_tells_what_the_task_came_to():
    async with tasks() as supervisor:
        assert await (await async_nolink(supervisor, double, 1)).yield_() == TaskOk(2)
        error = ValueError("no")
        assert await (await async_nolink(supervisor, fail, error)).yield_() == TaskExit(error)
        assert await (await async_nolink(supervisor, fail, "normal")).yield_() == TaskExit("normal")


async def test_yield_gives_none_while_the_task_goes_on():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 3)
        assert [await task.yield_(timeout=2), await task.yield_(timeout=2)] == [None, TaskOk(3)]


async def test_outcomes_show_what_they_hold():
    assert repr(TaskOk("x")) == "TaskOk('x')"
    assert repr(TaskExit("normal", 3)) == "TaskExit(reason='normal', item=3)"
    assert len({TaskOk(1), TaskOk(1), TaskOk(2)}) == 2
    assert TaskOk(1) != 1


# --- ignore --------------------------------------------------------------------------------------


async def test_ignored_task_goes_on_and_its_result_is_given_up():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 3)
        assert task.ignore() is None
        assert task.pid.alive
        with pytest.raises(TaskStateError, match="got one that was given up by ignore"):
            await task.await_()
        with pytest.raises(TaskStateError, match="got one that was given up by ignore"):
            task.ignore()


async def test_ignore_tells_what_the_task_came_to_before():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 3)
        await wait_exit(task.pid, timeout=None)
        assert task.ignore() == TaskOk(6)


async def test_ignored_task_is_not_linked_any_more():
    async def body():
        task = await TaskSupervisor.async_("tasks", slow_fail, 1, ValueError("nobody cares"))
        task.ignore()
        await asyncio.sleep(2)
        return task.pid.alive

    async with tasks():
        assert await run_in_process(body) is False


# --- several -------------------------------------------------------------------------------------


async def test_await_many_gives_the_results_in_order():
    async with tasks() as supervisor:
        started = [await async_nolink(supervisor, slow, seconds) for seconds in (3, 1, 2)]
        assert await Task.await_many(started) == [3, 1, 2]
        with pytest.raises(TaskStateError, match=r"taken by await_many\(\)"):
            await started[0].await_()


async def test_await_many_of_none_is_empty():
    assert await Task.await_many([]) == []
    assert await Task.yield_many([]) == []


async def test_await_many_of_ended_tasks_does_not_wait():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double, 1)
        await wait_exit(task.pid, timeout=None)
        assert await Task.await_many([task, task], timeout=0) == [2, 2]


async def test_await_many_raises_at_the_first_exit_and_the_others_can_be_awaited():
    async with tasks() as supervisor:
        good = await async_nolink(supervisor, slow, 4)
        bad = await async_nolink(supervisor, slow_fail, 1, ValueError("bad"))
        with pytest.raises(TaskExitError) as info:
            await Task.await_many([good, bad], timeout=60)
        assert info.value.task == repr(bad)
        assert asyncio.get_running_loop().time() < 1002
        assert await good.await_() == 4


async def test_await_many_has_one_time_for_all_and_names_the_first_without_a_result():
    async with tasks() as supervisor:
        started = [await async_nolink(supervisor, slow, seconds) for seconds in (1, 30, 20)]
        with pytest.raises(TaskTimeoutError) as info:
            await Task.await_many(started, timeout=2)
        assert (info.value.task, info.value.timeout) == (repr(started[1]), 2)
        assert await Task.await_many(started, timeout=60) == [1, 30, 20]


async def test_await_many_that_is_cancelled_leaves_the_tasks_as_they_are():
    async with tasks() as supervisor:
        started = [await async_nolink(supervisor, slow, seconds) for seconds in (1, 3)]
        waiting = asyncio.create_task(Task.await_many(started))
        await asyncio.sleep(2)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await Task.await_many(started) == [1, 3]


async def test_yield_many_tells_what_each_came_to():
    async with tasks() as supervisor:
        started = [
            await async_nolink(supervisor, slow, 1),
            await async_nolink(supervisor, slow, 10),
            await async_nolink(supervisor, fail, "normal"),
        ]
        assert await Task.yield_many(started, timeout=2) == [TaskOk(1), None, TaskExit("normal")]
        assert await started[1].await_(timeout=20) == 10
        with pytest.raises(TaskStateError, match=r"taken by yield_many\(\)"):
            await started[0].await_()


@pytest.mark.parametrize("verb", [Task.await_many, Task.yield_many])
async def test_wrong_timeout_for_no_tasks_is_refused_too(verb):
    with pytest.raises(InvalidOptionError, match=rf"Task.{verb.__name__}\(timeout\): expected seconds >= 0"):
        await verb([], timeout=-1)


async def test_crashed_task_is_gone_without_the_collector_when_nobody_holds_it(monkeypatch):
    monkeypatch.setattr(logging.getLogger("stanchion.process"), "disabled", True)  # pytest keeps each record

    class Big:
        pass

    async with tasks() as supervisor:
        big = Big()
        seen = weakref.ref(big)
        gc.disable()
        try:
            await (await async_nolink(supervisor, fail_with, big)).yield_()
            del big
            assert await no_tasks(supervisor)
            assert seen() is None
        finally:
            gc.enable()


async def fail_with(big):
    raise ValueError("crash")


@pytest.mark.parametrize("verb", [Task.await_many, Task.yield_many])
async def test_many_takes_tasks_only(verb):
    with pytest.raises(InvalidOptionError) as info:
        await verb(["task"])
    assert str(info.value) == f"Task.{verb.__name__}(tasks): expected an instance of Task, got 'task'"


# --- what is refused -----------------------------------------------------------------------------


def plain(number):
    return number


async def test_task_takes_no_plain_function():
    async with tasks() as supervisor:
        with pytest.raises(InvalidOptionError) as info:
            await async_nolink(supervisor, plain, 1)
        assert str(info.value) == (
            f"TaskSupervisor.async_nolink(function): expected an async function, got {plain!r}\n"
            "Fix: make it an `async def`; one that blocks is run in a thread by the async function asyncio.to_thread."
        )


async def test_task_takes_nothing_that_cannot_be_called():
    async with tasks() as supervisor:
        with pytest.raises(InvalidOptionError) as info:
            await async_nolink(supervisor, 3)
        assert str(info.value) == "TaskSupervisor.async_nolink(function): expected an async function, got 3"


async def test_task_takes_the_function_and_not_what_calling_it_makes():
    async with tasks() as supervisor:
        with pytest.raises(InvalidOptionError) as info:
            await async_nolink(supervisor, double(1))
        assert info.value.fix == "pass the function itself, and its arguments after it."


async def test_blocking_function_runs_in_a_thread():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, asyncio.to_thread, plain, 3)
        assert await task.await_() == 3


async def test_function_that_takes_other_arguments_is_a_crash_of_the_task():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, double)
        with pytest.raises(TaskExitError, match="missing 1 required positional argument"):
            await task.await_()


async def test_wrong_shutdown_time_is_refused():
    async with tasks() as supervisor:
        with pytest.raises(InvalidOptionError) as info:
            await async_nolink(supervisor, double, 1, shutdown="brutal")
        assert str(info.value) == (
            "TaskSupervisor.async_nolink(shutdown): expected one of 'brutal_kill', got 'brutal'\nFix: write 'brutal_kill'."
        )
        with pytest.raises(InvalidOptionError, match="seconds >= 0"):
            await async_nolink(supervisor, double, 1, shutdown=-1)
        assert await no_tasks(supervisor)


async def test_other_supervisor_is_refused():
    async with tasks():
        other = await start(DynamicSupervisor, name="other")
        for not_one in (other, "other"):
            with pytest.raises(InvalidOptionError) as info:
                await async_nolink(not_one, double, 1)
            assert str(info.value) == (
                f"TaskSupervisor.async_nolink(supervisor): expected a running TaskSupervisor, "
                f"got {not_one!r}, which is none\n"
                "Fix: start one: TaskSupervisor.child_spec(name='tasks') in the tree, or start(TaskSupervisor)."
            )


async def test_process_that_answers_anything_is_no_task_supervisor():
    from stanchion.server import GenServer

    class Yes(GenServer):
        def handle_call(self, request, sender):
            return "yes"

    async with tasks():
        with pytest.raises(InvalidOptionError, match="expected a running TaskSupervisor"):
            await async_nolink(await start(Yes), double, 1)


async def test_unread_result_is_nobodys_error():
    async with tasks() as supervisor:
        await async_nolink(supervisor, fail, ValueError("logged by its process, and read by nobody"))
        spawn(hang)
        await steps()
        assert await no_tasks(supervisor)
        exit(supervisor, "shutdown")


async def test_task_is_done_when_its_function_has_returned():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, slow, 21)
        assert not task.done()
        await task.await_(timeout=30)
        assert task.done()
