# SPDX-License-Identifier: MIT
"""How tasks end before their time: shutdown, their owner, their supervisor, the node; and what hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stanchion.errors import (
    CallExitError,
    InvalidOptionError,
    MaxChildrenError,
    NotInProcessError,
    TaskExitError,
)
from stanchion.kernel import Exit, ProcessExit, exit, receive, spawn, trap_exit, wait_exit
from stanchion.server import start, stop
from stanchion.supervisor import (
    Supervisor,
    TaskExit,
    TaskOk,
    TaskSupervisor,
    child_spec,
    start_child,
    terminate_child,
)
from stanchion.testing import VirtualTimeLoop
from tests.kernel.helpers import run_in_process, steps
from tests.supervisor.servers import hang, pid_of, process_of
from tests.supervisor.tasks import (
    Owner,
    double,
    fail,
    no_tasks,
    node_of,
    slow,
    slow_fail,
    stubborn,
    tasks,
    trapping,
)

async_ = TaskSupervisor.async_
async_nolink = TaskSupervisor.async_nolink


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


# --- shutdown ------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [5, None, 0.5, "brutal_kill"])
async def test_shutdown_ends_a_task(timeout):
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, hang)
        assert await task.shutdown(timeout=timeout) is None
        assert not task.pid.alive


@pytest.mark.parametrize(
    ("function", "argument", "outcome"),
    [
        (double, 1, TaskOk(2)),
        (fail, "normal", TaskExit("normal")),
        (fail, "shutdown", None),
        (fail, "killed", TaskExit("killed")),
    ],
)
async def test_shutdown_tells_what_the_task_came_to_before(function, argument, outcome):
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, function, argument)
        await wait_exit(task.pid, timeout=None)
        assert await task.shutdown() == outcome


async def test_shutdown_tells_what_the_task_came_to_meanwhile():
    error = ValueError("in the clean-up")
    async with tasks() as supervisor:
        for result, outcome in ((7, TaskOk(7)), (error, TaskExit(error)), (ProcessExit("shutdown"), None)):
            task = await async_nolink(supervisor, trapping, result)
            await steps()
            assert await task.shutdown() == outcome


async def test_shutdown_kills_a_task_whose_time_is_up():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, trapping)
        await steps()
        assert await task.shutdown(timeout=2) == TaskExit("killed")
        assert asyncio.get_running_loop().time() == pytest.approx(1002, abs=0.01)


async def test_shutdown_can_be_called_again():
    async with tasks() as supervisor:
        ended, done = await async_nolink(supervisor, hang), await async_nolink(supervisor, double, 1)
        assert [await ended.shutdown(), await ended.shutdown()] == [None, None]
        assert await done.await_() == 2
        assert await done.shutdown() == TaskOk(2)


async def test_shutdown_ends_a_task_that_was_ignored():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, hang)
        task.ignore()
        assert await task.shutdown() is None
        assert not task.pid.alive


async def test_shutdown_of_a_linked_task_spares_the_owner():
    async def body():
        task = await async_("tasks", hang)
        return await task.shutdown(timeout="brutal_kill")

    async with tasks():
        assert await run_in_process(body) is None


async def test_shutdown_of_a_linked_task_puts_no_message_into_the_mailbox():
    async def body():
        trap_exit()
        task = await async_("tasks", hang)
        await task.shutdown()
        with pytest.raises(TimeoutError):
            await receive(timeout=1)

    async with tasks():
        await run_in_process(body)


async def test_shutdown_that_is_cancelled_kills_the_task():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, trapping)
        await steps()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await task.shutdown(timeout=None)
        assert await wait_exit(task.pid, timeout=1) in ("killed", "noproc")


@pytest.mark.parametrize(
    ("timeout", "text"),
    [
        ("kill", "Task.shutdown(timeout): expected one of 'brutal_kill', got 'kill'\nFix: write 'brutal_kill'."),
        (-1, "Task.shutdown(timeout): expected seconds >= 0 as a finite number, or a timedelta, got -1"),
    ],
)
async def test_wrong_time_for_shutdown_is_refused(timeout, text):
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, hang)
        with pytest.raises(InvalidOptionError) as info:
            await task.shutdown(timeout=timeout)
        assert str(info.value) == text
        assert task.pid.alive


# --- owner and task ------------------------------------------------------------------------------


async def test_crash_of_a_linked_task_ends_its_owner():
    error = ValueError("crash")

    async def body():
        task = await async_("tasks", slow_fail, 1, error)
        await task.await_()

    async with tasks():
        assert await Owner(body).down is error


async def test_task_that_crashes_in_its_first_step_ends_its_owner():
    error = ValueError("crash")

    async def body():
        await async_("tasks", fail, error)
        await hang()

    async with tasks():
        assert await Owner(body).down is error


async def test_owner_that_traps_exits_gets_the_error_and_the_exit_message():
    error = ValueError("crash")

    async def body():
        trap_exit()
        task = await async_("tasks", slow_fail, 1, error)
        with pytest.raises(TaskExitError):
            await task.await_()
        assert await receive(timeout=0) == Exit(task.pid, error)

    async with tasks():
        await run_in_process(body)


async def test_linked_task_ends_with_its_owner():
    async def body():
        return await async_("tasks", hang)

    async with tasks() as supervisor:
        owner = Owner(hang_with, body)
        await steps(10)
        exit(owner.pid, ValueError("killed in the middle"))
        await owner.down
        await steps()
        assert await no_tasks(supervisor)


async def hang_with(body):
    await body()
    await hang()


async def test_linked_task_ends_with_an_owner_that_is_killed_while_it_awaits():
    async def body():
        await (await async_("tasks", hang)).await_(timeout=None)

    async with tasks() as supervisor:
        owner = Owner(body)
        await steps(10)
        assert not await no_tasks(supervisor)
        exit(owner.pid, "kill")
        assert await owner.down == "killed"
        await steps()
        assert await no_tasks(supervisor)


async def test_task_without_link_outlives_its_owner():
    async def body():
        return await async_nolink("tasks", slow, 10)

    async with tasks() as supervisor:
        task = await run_in_process(body)
        await steps()
        assert task.owner is not None
        assert not task.owner.alive
        assert task.pid.alive
        assert not await no_tasks(supervisor)


# --- cancellation of the start -------------------------------------------------------------------


async def test_start_that_is_cancelled_before_the_supervisor_has_it_starts_nothing():
    calls: list[int] = []

    async def note():
        calls.append(1)

    async with tasks() as supervisor:
        starting = asyncio.create_task(async_nolink(supervisor, note))
        await asyncio.sleep(0)
        starting.cancel()
        await steps()
        assert starting.cancelled()
        assert calls == []


@pytest.mark.parametrize("start_it", [async_, async_nolink])
async def test_start_that_is_cancelled_when_the_task_runs_already_kills_it(start_it):
    async def body():
        starting = asyncio.create_task(start_it("tasks", hang))
        supervisor = process_of(pid_of("tasks"))
        while not supervisor.links:
            await asyncio.sleep(0)
        starting.cancel()  # the answer is on its way
        await asyncio.wait([starting])
        await steps()
        return starting.cancelled()

    async with tasks() as supervisor:
        assert await run_in_process(body)
        assert await no_tasks(supervisor)


async def test_owner_that_is_gone_gets_no_task():
    """A task of an owner that has ended would have nobody to be linked with."""
    outcome: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def outlives():
        try:
            await async_("tasks", hang)
        except NotInProcessError as error:
            outcome.set_result(error)

    async with tasks() as supervisor:
        process = process_of(supervisor)

        async def body():
            left_behind.append(asyncio.create_task(outlives()))
            while not process.mailbox.queue:
                await asyncio.sleep(0)

        left_behind: list[asyncio.Task[None]] = []
        owner = spawn(body)
        error = await outcome
        assert str(error).startswith(
            f"TaskSupervisor.async_(): expected to run inside a process, got code that outlived its process {owner!r}"
        )
        await asyncio.wait(left_behind)
        assert await no_tasks(supervisor)


# --- the supervisor ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["shutdown", "kill"])
async def test_tasks_end_with_their_supervisor(how):
    async with tasks() as supervisor:
        here = node_of(supervisor)
        task = await async_nolink(supervisor, hang)
        exit(supervisor, how)
        with pytest.raises(TaskExitError) as info:
            await task.await_()
        assert info.value.reason == ("killed" if how == "kill" else "shutdown")
        await wait_exit(supervisor, timeout=None)
        assert not here.processes


async def test_supervisor_gives_a_task_its_shutdown_time():
    async with tasks() as supervisor:
        clean = await async_nolink(supervisor, trapping, "cleaned up")
        late = await async_nolink(supervisor, trapping, shutdown=2)
        untold = await async_nolink(supervisor, trapping, "cleaned up", shutdown="brutal_kill")
        await steps()
        await stop(supervisor)
        assert await clean.await_() == "cleaned up"
        assert [await late.yield_(), await untold.yield_()] == [TaskExit("killed")] * 2
        assert asyncio.get_running_loop().time() < 1002.1


async def test_terminate_child_ends_a_task():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, hang)
        await terminate_child(supervisor, task.pid)
        assert await task.yield_() == TaskExit("shutdown")


async def test_task_that_refuses_its_cancellation_is_declared_dead():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, stubborn, 2)
        await steps()
        assert await task.shutdown(timeout=1) is None
        await asyncio.sleep(3)


async def test_start_fails_when_there_is_no_supervisor():
    async with tasks():
        with pytest.raises(CallExitError) as info:
            await async_nolink("task", double, 1)
        assert info.value.reason == "noproc"
        assert str(info.value) == (
            "call to 'task': expected a reply to stanchion.start_task(double), got no such process (noproc)\n"
            "Fix: call 'tasks' if you mean that one."
        )


async def test_start_fails_when_the_supervisor_is_told_to_exit_first():
    async with tasks() as supervisor:
        starting = asyncio.create_task(async_nolink(supervisor, double, 1))
        exit(supervisor, "shutdown")
        with pytest.raises(CallExitError):
            await starting


async def test_start_fails_when_an_order_to_exit_waits_behind_it():
    async with tasks() as supervisor:
        starting = asyncio.create_task(async_nolink(supervisor, double, 1))
        await asyncio.sleep(0)
        exit(supervisor, "shutdown")
        with pytest.raises(CallExitError):
            await starting


async def test_task_beyond_max_children_is_refused():
    async with tasks(1) as supervisor:
        await async_nolink(supervisor, hang)
        with pytest.raises(MaxChildrenError) as info:
            await async_nolink(supervisor, hang)
        assert (info.value.child_id, info.value.max_children) == ("hang", 1)


async def test_start_child_runs_a_function_whose_result_nobody_awaits():
    done = asyncio.Event()

    async def note():
        done.set()

    async with tasks() as supervisor:
        await start_child(supervisor, child_spec(note, restart="temporary"))
        await done.wait()
        assert await no_tasks(supervisor)


async def test_restarted_supervisor_begins_without_tasks():
    async with tasks():
        await start(Supervisor, [TaskSupervisor.child_spec(name="others", max_children=3)])
        first = pid_of("others")
        task = await async_nolink("others", hang)
        exit(first, "kill")
        assert await task.yield_() == TaskExit("killed")
        await wait_exit(first, timeout=None)
        await steps()
        assert await (await async_nolink("others", double, 1)).await_() == 2


async def test_node_that_is_left_ends_the_tasks_and_whoever_awaits_them():
    async with tasks() as supervisor:
        task = await async_nolink(supervisor, hang)
        waiting = asyncio.create_task(task.yield_(timeout=None))
        await steps()
    assert await waiting == TaskExit("shutdown")


async def test_node_that_is_left_ends_owners_that_await():
    async def body():
        task = await async_("tasks", hang)
        await task.await_(timeout=None)

    async with tasks() as supervisor:
        here = node_of(supervisor)
        owner = spawn(body)
        await steps(10)
    assert not owner.alive
    assert not here.processes


async def test_task_starts_tasks_of_its_own():
    async def tree(depth):
        if not depth:
            return 1
        below = [await async_("tasks", tree, depth - 1) for _ in range(2)]
        return sum([await task.await_() for task in below])

    async with tasks() as supervisor:
        assert await (await async_nolink(supervisor, tree, 4)).await_() == 16
        assert await no_tasks(supervisor)
