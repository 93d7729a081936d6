# SPDX-License-Identifier: MIT
"""When a DynamicSupervisor restarts a child, and when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from stanchion import Backoff
from stanchion.kernel import ExitReason, Pid, ProcessExit, exit, wait_exit
from stanchion.server import IGNORE, Stop, start, stop
from stanchion.supervisor import (
    ChildCounts,
    DynamicSupervisor,
    RestartBudget,
    Supervisor,
    child_spec,
    count_children,
    start_child,
    supervisor_spec,
    terminate_child,
    which_children,
)
from stanchion.telemetry import CHILD_RESTART, GAVE_UP
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import Events
from tests.supervisor.servers import InitBy, hang, pid_of, quick_node


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


def node():
    return quick_node(clock=VirtualClock())


class Init:
    """An init that does one thing after the other; when they are used up, it succeeds."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)
        self.count = 0

    def __call__(self) -> object:
        self.count += 1
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        return result


async def started(supervisor: Pid, *args, **options) -> Pid:
    pid = await start_child(supervisor, child_spec(*args, **options))
    assert pid is not None
    return pid


async def end(pid: Pid, reason: ExitReason) -> None:
    exit(pid, reason)
    await wait_exit(pid, timeout=None)


async def pids(supervisor: Pid) -> list[Pid | None]:
    return [info.pid for info in await which_children(supervisor)]


async def only_child(supervisor: Pid) -> Pid:
    (pid,) = await pids(supervisor)
    assert pid is not None
    return pid


async def exit_as(reason):
    await asyncio.sleep(1)
    raise ProcessExit(reason)


async def test_permanent_child_is_restarted_with_a_new_pid():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang)
        other = await started(supervisor, hang)
        await end(child, "shutdown")
        left, new = await pids(supervisor)
        assert left is other
        assert new not in (None, child, other)


@pytest.mark.parametrize(
    ("restart", "reason", "active"),
    [
        ("permanent", "normal", 1),
        ("transient", "normal", 0),
        ("transient", "shutdown", 0),
        ("transient", ("shutdown", "done"), 0),
        ("transient", ValueError("crash"), 1),
        ("transient", "killed", 1),
        ("temporary", ValueError("crash"), 0),
    ],
)
async def test_child_is_restarted_as_its_spec_says_or_forgotten(restart, reason, active):
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, exit_as, reason, restart=restart)
        await wait_exit(child, timeout=None)
        assert await count_children(supervisor) == ChildCounts(active, active, 0, active)


async def test_old_pid_of_a_restarted_child_is_nobodys():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang)
        await end(child, "kill")
        with pytest.raises(LookupError):
            await terminate_child(supervisor, child)


async def test_child_that_init_ignores_at_a_restart_is_forgotten():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, InitBy, Init(None, IGNORE))
        await stop(child)
        assert await which_children(supervisor) == []


async def test_restart_that_fails_is_tried_again_and_counts_each_time():
    init = Init(None, ValueError("not yet"), Stop("shutdown"))
    async with node() as here:
        events = Events(here, CHILD_RESTART)
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, InitBy, init, id="slow to recover")
        await stop(child)
        await wait_until(lambda: init.count == 4)
        assert await only_child(supervisor) is not child
        assert [measured["restarts"] for _, measured, _ in events.told] == [1, 2, 3]
        assert events.all("child_id") == ["slow to recover"] * 3


async def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_child_that_waits_for_its_restart_is_told_as_restarting_and_counts_as_one():
    async with node():
        supervisor = await start(DynamicSupervisor, 1)
        backoff = Backoff(initial=10, jitter=0)
        child = await started(supervisor, hang, backoff=backoff, id="w")
        await end(child, "kill")
        (info,) = await which_children(supervisor)
        assert (info.id, info.pid, info.state) == ("w", None, "restarting")
        assert await count_children(supervisor) == ChildCounts(1, 0, 0, 1)


async def test_backoff_puts_the_restart_off():
    async with node() as here:
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang, backoff=Backoff(initial=10, jitter=0))
        killed = here.clock.monotonic()
        await end(child, "kill")
        await wait_until_running(supervisor)
        assert 10 <= here.clock.monotonic() - killed < 10.1


async def wait_until_running(supervisor: Pid) -> None:
    while not (await count_children(supervisor)).active:
        await asyncio.sleep(0.01)


async def test_child_that_waits_for_its_restart_can_be_terminated_by_the_pid_that_it_had():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang, backoff=Backoff(initial=10, jitter=0))
        await end(child, "kill")
        await terminate_child(supervisor, child)
        await asyncio.sleep(20)
        assert await which_children(supervisor) == []


async def test_restart_that_failed_is_not_tried_again_when_the_child_was_terminated_meanwhile():
    init = Init(None, ValueError("no"))
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, InitBy, init)
        terminated = asyncio.create_task(stop_then_terminate(supervisor, child))
        await terminated
        assert await which_children(supervisor) == []
        assert init.count == 2


async def stop_then_terminate(supervisor: Pid, child: Pid) -> None:
    # Both are in the mailbox before the failed restart's own message: the exit, and the order to terminate.
    exit(child, "kill")
    ended = asyncio.create_task(wait_exit(child, timeout=None))
    ended.add_done_callback(lambda _: orders.append(asyncio.create_task(terminate_child(supervisor, child))))
    orders: list[asyncio.Task[None]] = []
    await ended
    await asyncio.sleep(0)
    await orders[0]


async def test_budget_that_is_used_up_has_the_child_forgotten_and_the_others_live():
    async with node() as here:
        events = Events(here, GAVE_UP)
        supervisor = await start(DynamicSupervisor)
        other = await started(supervisor, hang)
        child = await started(supervisor, hang, id="w", budget=RestartBudget(1, 60))
        await end(child, "kill")
        _, second = await pids(supervisor)
        assert second is not None
        await end(second, "kill")
        assert await pids(supervisor) == [other]
        assert events.all("stops") == ["child"]


async def test_supervisor_gives_up_when_there_are_too_many_restarts():
    async with node():
        supervisor = await start(DynamicSupervisor, None, (), 2, 5.0)
        bystander = await started(supervisor, hang, restart="temporary")
        await started(supervisor, hang)
        for _ in range(3):
            _, child = await pids(supervisor)
            assert child is not None
            await end(child, "kill")
        assert await wait_exit(supervisor, timeout=None) in ("shutdown", "noproc")
        assert not bystander.alive


async def test_supervisor_that_gave_up_exits_with_shutdown():
    async with node():
        supervisor = await start(DynamicSupervisor, None, (), 0)
        await started(supervisor, exit_as, ValueError("crash"))
        assert await wait_exit(supervisor, timeout=None) == "shutdown"


async def test_supervisor_gives_up_when_a_restart_keeps_failing():
    init = Init(None, *[ValueError("no")] * 9)
    async with node():
        supervisor = await start(DynamicSupervisor, None, (), 2)
        child = await started(supervisor, InitBy, init)
        exit(child, "kill")
        assert await wait_exit(supervisor, timeout=None) == "shutdown"
        assert init.count == 3


async def test_restarts_that_are_long_ago_do_not_count():
    async with node():
        supervisor = await start(DynamicSupervisor, None, (), 1, 5.0)
        await started(supervisor, hang)
        for _ in range(3):
            await end(await only_child(supervisor), "kill")
            await asyncio.sleep(5.1)
        assert (await count_children(supervisor)).active == 1


async def test_supervisor_that_gave_up_begins_without_children_when_it_is_restarted():
    async with node():
        await start(Supervisor, [DynamicSupervisor.child_spec(max_restarts=0, name="pool")])
        first = pid_of("pool")
        await started(first, exit_as, ValueError("crash"))
        await wait_exit(first, timeout=None)
        await wait_until_registered("pool")
        assert await which_children(pid_of("pool")) == []


async def wait_until_registered(name: str) -> None:
    from stanchion.kernel import whereis

    while whereis(name) is None:
        await asyncio.sleep(0)


async def test_child_that_is_a_supervisor_comes_back_with_its_children():
    async with node():
        supervisor = await start(DynamicSupervisor)
        inner = await started(supervisor, Supervisor, [child_spec(hang, name="leaf")])
        leaf = pid_of("leaf")
        await end(inner, "kill")
        assert (await count_children(supervisor)).supervisors == 1
        assert pid_of("leaf") is not leaf


async def test_sys_exit_of_a_child_restarts_nothing():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang)
        await end(child, SystemExit(3))
        assert (await count_children(supervisor)).active == 0


async def test_spec_of_a_tree_can_be_a_child():
    async with node():
        supervisor = await start(DynamicSupervisor)
        assert await start_child(supervisor, supervisor_spec([child_spec(hang, name="leaf")])) is not None
        assert pid_of("leaf").alive
