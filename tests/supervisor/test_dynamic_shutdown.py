# SPDX-License-Identifier: MIT
"""How a DynamicSupervisor stops its children: all at once, each within its own time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from stanchion import Backoff
from stanchion.errors import CallExitError, StopExitError
from stanchion.kernel import Pid, exit, trap_exit, wait_exit
from stanchion.server import GenServer, start, stop
from stanchion.supervisor import (
    DynamicSupervisor,
    Supervisor,
    child_spec,
    start_child,
    terminate_child,
    which_children,
)
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import steps
from tests.supervisor.servers import InitBy, hang, pid_of, process_of, quick_node, recorder


@pytest.fixture
def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    return VirtualTimeLoop


def node():
    return quick_node(clock=VirtualClock())


class Slow(GenServer):
    """Takes its time to terminate, and notes when it has."""

    def init(self, log, seconds):
        trap_exit()
        self.log, self.seconds = log, seconds

    async def terminate(self, reason):
        await asyncio.sleep(self.seconds)
        self.log.append((reason, asyncio.get_running_loop().time()))


async def started(supervisor: Pid, *args, **options) -> Pid:
    pid = await start_child(supervisor, child_spec(*args, **options))
    assert pid is not None
    return pid


async def test_children_are_told_to_stop_all_at_once():
    log: list[tuple[object, float]] = []
    async with node() as here:
        supervisor = await start(DynamicSupervisor)
        for _ in range(5):
            await started(supervisor, Slow, log, 4.0)
        begun = here.clock.monotonic()
        await stop(supervisor)
        assert log == [("shutdown", begun + 4.0)] * 5


async def test_each_child_is_killed_when_its_own_time_is_up(caplog):
    ends: dict[str, float] = {}
    async with node() as here:
        supervisor = await start(DynamicSupervisor)
        begun = here.clock.monotonic()
        watchers = []
        times = {"at once": "brutal_kill", "zero": 0, "one": 1, "three": 3, "in time": 3}
        for name, shutdown in times.items():
            seconds = 2.0 if name == "in time" else 1000.0
            pid = await started(supervisor, Slow, [], seconds, id=name, shutdown=shutdown)
            watchers.append(asyncio.create_task(note_end(ends, name, pid, begun)))
        await steps()
        await stop(supervisor, timeout=None)
        await asyncio.gather(*watchers)
    assert {name: round(end, 1) for name, end in ends.items()} == {
        "at once": 0.0,
        "zero": 0.0,
        "one": 1.0,
        "three": 3.0,
        "in time": 2.0,
    }
    assert [record.getMessage() for record in caplog.records] == [
        f"DynamicSupervisor {supervisor!r}: child {name!r} did not stop within {limit} s and is killed"
        for name, limit in (("zero", "0"), ("one", "1"), ("three", "3"))
    ]


async def note_end(ends: dict[str, float], name: str, pid: Pid, begun: float) -> None:
    await wait_exit(pid, timeout=None)
    ends[name] = asyncio.get_running_loop().time() - begun


async def test_child_without_a_limit_is_waited_for():
    log: list[tuple[object, float]] = []
    async with node():
        supervisor = await start(DynamicSupervisor)
        await started(supervisor, Slow, log, 10_000.0, shutdown=None)
        await stop(supervisor, timeout=None)
    assert len(log) == 1


async def test_exit_with_another_reason_than_it_was_told_is_logged(caplog):
    class Stubborn(GenServer):
        def init(self):
            trap_exit()

        def terminate(self, reason):
            raise ValueError("not clean")

    async with node():
        supervisor = await start(DynamicSupervisor)
        await started(supervisor, Stubborn, id="s")
        await stop(supervisor)
    expected = f"DynamicSupervisor {supervisor!r}: child 's' was told to stop, and exited with ValueError('not clean')"
    assert expected in caplog.messages


async def test_child_that_died_just_before_is_not_waited_for():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang)
        exit(child, "kill")
        exit(supervisor, "shutdown")  # whose mailbox has this before the child's exit
        await wait_exit(supervisor, timeout=1)
        assert not child.alive


async def test_supervisor_that_is_told_to_exit_with_dead_children_only_exits():
    async with node():
        supervisor = await start(DynamicSupervisor)
        child = await started(supervisor, hang, restart="temporary")
        process = process_of(supervisor)
        exit(child, "kill")
        await wait_exit(child, timeout=None)
        queue = process.mailbox.queue
        assert isinstance(queue, deque)
        queue.clear()  # as if the exit were still on its way
        await stop(supervisor)


async def test_child_that_waits_for_its_restart_is_not_started_any_more():
    log: list[str] = []
    async with node():
        supervisor = await start(DynamicSupervisor)
        spec = recorder(log, "a", backoff=Backoff(initial=10, jitter=0))
        child = await start_child(supervisor, spec)
        assert child is not None
        exit(child, "kill")
        await wait_exit(child, timeout=None)
        assert [info.state for info in await which_children(supervisor)] == ["restarting"]
        await stop(supervisor)
        await asyncio.sleep(20)
    assert log == ["+a"]


async def test_children_are_killed_when_the_supervisor_is():
    async with node() as here:
        supervisor = await start(DynamicSupervisor)
        await started(supervisor, hang)
        await started(supervisor, hang)
        exit(supervisor, "kill")
        await wait_exit(supervisor, timeout=None)
        await steps()
        assert not here.processes


async def test_nothing_is_left_when_the_supervisor_is_killed_while_it_stops():
    async with node() as here:
        supervisor = await start(DynamicSupervisor)
        log: list[tuple[object, float]] = []
        child = process_of(await started(supervisor, Slow, log, 100.0, shutdown=60))
        stopping = asyncio.create_task(stop(supervisor, timeout=None))
        await asyncio.sleep(1)
        exit(supervisor, "kill")
        with pytest.raises(StopExitError, match="'killed'"):
            await stopping
        assert child.watchers is None
        await wait_exit(child.pid, timeout=None)
        assert not here.processes
        assert len(log) == 1  # nobody was there any more to kill it


async def test_supervisor_that_is_told_to_exit_while_an_init_hangs_does_not_wait_for_it():
    log: list[str] = []
    reached = asyncio.Event()

    async def never_ready():
        reached.set()
        await hang()

    async with node() as here:
        top = await start(Supervisor, [DynamicSupervisor.child_spec(id="pool", name="pool")])
        await start_child("pool", recorder(log, "a"))
        starting = asyncio.create_task(start_child("pool", child_spec(InitBy, never_ready, timeout=None)))
        await reached.wait()
        await terminate_child(top, "pool")
        with pytest.raises(CallExitError):
            await starting
        assert log == ["+a", "-a"]
        assert list(here.processes.values()) == [process_of(top)]


async def test_supervisor_that_is_told_to_exit_while_a_restart_hangs_does_not_wait_for_it():
    reached = asyncio.Event()
    starts: list[None] = []

    async def ready_once():
        starts.append(None)
        if len(starts) > 1:
            reached.set()
            await hang()

    async with node() as here:
        top = await start(Supervisor, [DynamicSupervisor.child_spec(id="pool", name="pool")])
        child = await started(pid_of("pool"), InitBy, ready_once, timeout=None)
        exit(child, "kill")
        await reached.wait()
        await terminate_child(top, "pool")
        assert list(here.processes.values()) == [process_of(top)]


async def test_start_that_waits_behind_an_order_to_exit_is_not_begun():
    starts: list[None] = []
    async with node():
        pool = await start(DynamicSupervisor)
        starting = asyncio.create_task(start_child(pool, child_spec(InitBy, lambda: starts.append(None))))
        await asyncio.sleep(0)
        exit(pool, "shutdown")
        with pytest.raises(CallExitError):
            await starting
    assert starts == []


async def test_node_that_is_left_stops_every_child():
    log: list[str] = []
    async with node() as here:
        supervisor = await start(DynamicSupervisor)
        for name in "abc":
            await start_child(supervisor, recorder(log, name))
    assert sorted(log) == ["+a", "+b", "+c", "-a", "-b", "-c"]
    assert not here.processes


async def test_start_looks_at_each_waiting_message_once():
    """A thousand requests that wait must not make each start look at a thousand messages."""
    looks = 0

    class Counted(tuple):
        __slots__ = ()

        def __iter__(self):
            nonlocal looks
            looks += 1
            return super().__iter__()

    async with node():
        supervisor = await start(DynamicSupervisor)
        starting = [asyncio.create_task(start_child(supervisor, child_spec(hang))) for _ in range(100)]
        await asyncio.sleep(0)
        queue = process_of(supervisor).mailbox.queue
        waiting = [Counted(envelope) for envelope in queue]
        assert len(waiting) > 90
        assert isinstance(queue, deque)
        queue.clear()
        queue.extend(waiting)
        await asyncio.gather(*starting)
    assert looks <= 3 * len(waiting)  # once to look for an order, once to handle it
