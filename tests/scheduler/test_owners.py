# SPDX-License-Identifier: MIT
"""Schedules belong to a process or to the node, and go with it; so does what they have under way."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, NotInProcessError, SchedulerClosedError
from stanchion.kernel import PROCESS, Node, registered, terminate
from stanchion.scheduler import SchedulerManager, SendMessage, StartTask
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.scheduler.kit import TICK, Told, in_process, ledger, times, virtual_node


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


async def test_schedule_goes_with_the_process_that_added_it_before_anybody_hears_of_the_exit() -> None:
    async with virtual_node() as node:
        await ledger()
        owner, added = in_process(lambda: node.scheduler.every(10, TICK))
        schedule = await added
        assert (await schedule.info()).owner is owner
        await asyncio.sleep(25)
        left: list[Any] = []

        async def watch() -> None:
            st.monitor(owner)
            await st.receive(timeout=None)
            left.append(await node.scheduler.list())

        st.spawn(watch)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        st.exit(owner, "kill")
        await asyncio.sleep(30)
        assert left == [[]]
        assert times() == [10, 20]


async def test_owner_that_exits_while_a_run_is_under_way_cancels_it(caplog: pytest.LogCaptureFixture) -> None:
    async with virtual_node() as node:
        await ledger(seconds=1000)
        told = Told(node)
        job = SendMessage("ledger", "tick", timeout=None, deadline=None)
        owner, added = in_process(lambda: node.scheduler.every(10, job, id="own", overrun="wait"))
        await added
        await asyncio.sleep(21)
        st.exit(owner, "kill")
        await asyncio.sleep(1)
        assert told.ends() == [("cancelled", "its owner exited")]
        assert told.missed() == [("cancelled", 20, 1)]
    assert "a run of schedule 'own' was cancelled: its owner exited" in caplog.messages


async def test_owner_that_exits_ends_the_task_that_runs_for_it() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async with virtual_node() as node:
        await st.start(st.TaskSupervisor, name="tasks")
        told = Told(node)
        owner, added = in_process(lambda: node.scheduler.every(10, StartTask("tasks", work)))
        await added
        await asyncio.sleep(11)
        st.exit(owner, "kill")
        await asyncio.sleep(1)
        assert ended == ["work"]
        assert told.ends() == [("cancelled", "its owner exited")]
        assert node.statistics().processes == 2


async def test_owner_that_crashes_on_its_own_tick_leaves_nothing() -> None:
    async with virtual_node() as node:

        class Ticking(st.GenServer):
            async def init(self) -> None:
                await node.scheduler.every(10, SendMessage(st.self_pid(), "tick"))

            def handle_cast(self, message: object) -> None:
                raise ValueError(message)

        await st.start(Ticking)
        told = Told(node)
        await asyncio.sleep(11)
        assert told.ends() == [("cancelled", "its owner exited")]
        assert await node.scheduler.list() == []
        await asyncio.sleep(100)
        assert len(told.ends()) == 1


async def test_process_sends_to_itself_by_a_schedule() -> None:
    heard: list[object] = []

    class Ticking(st.GenServer):
        async def init(self) -> None:
            await node.scheduler.every(10, SendMessage(st.self_pid(), "tick"))

        def handle_cast(self, message: object) -> None:
            heard.append(message)

    async with virtual_node() as node:
        await st.start(Ticking)
        await asyncio.sleep(35)
        assert heard == ["tick"] * 3


async def test_added_outside_of_processes_it_belongs_to_the_node() -> None:
    async with virtual_node() as node:
        schedule = await node.scheduler.every(10, TICK)
        assert (await schedule.info()).owner is None


async def test_code_that_outlived_its_process_can_add_none() -> None:
    async with virtual_node() as node:
        gone = asyncio.Event()
        late: list[asyncio.Task[Any]] = []

        async def add() -> None:
            await gone.wait()
            await node.scheduler.every(10, TICK)

        async def body() -> None:
            late.append(asyncio.create_task(add()))

        await st.wait_exit(st.spawn(body), timeout=1)
        gone.set()
        with pytest.raises(NotInProcessError, match=r"SchedulerManager\.every\(\)"):
            await late[0]
        assert await node.scheduler.list() == []


async def test_audit_shows_schedules_with_their_owners_and_those_of_the_node_with_the_scheduler() -> None:
    async with virtual_node() as node:
        owner, added = in_process(lambda: node.scheduler.every(10, TICK, id="own"))
        await added
        await node.scheduler.cron("@daily", TICK, id="report")
        await asyncio.sleep(2)
        found = [
            (owned.pid, thing) for owned in node.audit().owners for thing in owned.things if thing.kind == "schedule"
        ]
        assert {thing.text: (pid is owner, thing.age) for pid, thing in found} == {
            "'own': every 10 s, SendMessage('ledger', 'tick')": (True, 2),
            "'report': cron '@daily' in UTC, SendMessage('ledger', 'tick')": (False, 2),
        }
        assert all(thing.made_at is not None and "tests/scheduler" in thing.made_at for _, thing in found)


async def test_owner_holds_nothing_of_a_schedule_that_is_over_or_was_cancelled() -> None:
    async with virtual_node() as node:
        await ledger()

        async def add() -> list[Any]:
            await node.scheduler.after(1, TICK)
            await (await node.scheduler.every(10, TICK)).cancel()
            return [PROCESS.get()]

        _, added = in_process(add)
        process = (await added)[0]
        await asyncio.sleep(5)
        assert process.owned is None


async def test_schedule_that_is_over_leaves_nothing_in_memory() -> None:
    async with virtual_node() as node:
        await ledger()

        class Message:
            pass

        message = Message()
        gone = weakref.ref(message)
        await node.scheduler.after(1, SendMessage("nobody", message, retries=0, on_error="ignore"))
        del message
        await asyncio.sleep(5)
        gc.collect()
        assert gone() is None


# --- the scheduler itself ------------------------------------------------------------------------


async def test_node_that_stops_cancels_what_is_under_way_and_tells_it() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async with virtual_node() as node:
        await ledger(seconds=1000)
        await st.start(st.TaskSupervisor, name="tasks")
        told = Told(node)
        await node.scheduler.every(10, StartTask("tasks", work))
        job = SendMessage("ledger", "tick", timeout=None, deadline=None, retries=1000)
        await node.scheduler.every(10, job, overrun="wait")
        await asyncio.sleep(25)
    assert ended == ["work"]
    assert sorted(told.ends(), key=str) == [("cancelled", "the scheduler stopped"), ("failed", "'shutdown'")]
    assert ("cancelled", 20, 1) in told.missed()


async def test_node_that_kills_at_once_leaves_nothing_either() -> None:
    async with virtual_node(shutdown_timeout=0) as node:
        await st.start(st.TaskSupervisor, name="tasks")
        await node.scheduler.every(10, StartTask("tasks", asyncio.sleep, 1000), max_running=None)
        await node.scheduler.cron("* * * * *", TICK)
        await asyncio.sleep(35)


async def test_node_that_stops_begins_no_more_runs() -> None:
    class Slow(st.GenServer):
        def init(self) -> None:
            st.trap_exit(True)

        async def terminate(self, reason: object) -> None:
            await asyncio.sleep(20)

    async with virtual_node() as node:
        await ledger()
        await st.start(Slow)
        told = Told(node)
        await node.scheduler.every(7, TICK)
        await node.scheduler.cron("* * * * *", TICK)
        await asyncio.sleep(6)
    assert (times(), told.ends(), told.missed()) == ([], [], [])


async def test_what_waits_when_the_node_stops_is_missed_and_not_begun() -> None:
    class Slow(st.GenServer):
        def init(self) -> None:
            st.trap_exit(True)

        async def terminate(self, reason: object) -> None:
            await asyncio.sleep(25)

    async with virtual_node() as node:
        await ledger(seconds=20)
        await st.start(Slow)
        told = Told(node)
        await node.scheduler.every(10, SendMessage("ledger", "tick", timeout=60), overrun="wait")
        await asyncio.sleep(21)
    assert times() == [10]
    assert (told.ends(), told.missed()) == ([("confirmed", None)], [("cancelled", 20, 1)])


async def test_scheduler_whose_process_is_killed_is_closed() -> None:
    async with virtual_node() as node:
        await ledger()
        owner, added = in_process(lambda: node.scheduler.every(10, TICK))
        schedule = await added
        scheduler = next(process for process in node.processes.values() if process.code == "SchedulerManager")
        terminate(scheduler, "killed")
        await asyncio.sleep(1)
        with pytest.raises(SchedulerClosedError) as caught:
            await schedule.info()
        assert str(caught.value) == (
            "SchedulerManager.info(): expected an open scheduler, got a closed one\n"
            "Fix: make the node with Node(services=[scheduler]), and use it while that runs."
        )
        assert owner._process is not None
        assert owner._process.owned is None
        await asyncio.sleep(30)
        assert times() == []


async def test_scheduler_that_is_in_no_node_is_closed() -> None:
    scheduler = SchedulerManager()
    with pytest.raises(SchedulerClosedError) as caught:
        await scheduler.every(10, TICK)
    assert caught.value.operation == "SchedulerManager.every()"
    await scheduler.close()


async def test_scheduler_of_a_node_that_has_stopped_is_closed_and_can_be_given_to_the_next_one() -> None:
    scheduler = SchedulerManager()
    async with virtual_node(scheduler):
        await scheduler.every(10, TICK)
    with pytest.raises(SchedulerClosedError):
        await scheduler.list()
    async with virtual_node(scheduler):
        await ledger()
        await scheduler.every(10, TICK)
        await asyncio.sleep(11)
        assert times() == [10]


async def test_scheduler_is_used_outside_of_its_node_by_its_handle() -> None:
    scheduler = SchedulerManager()
    node = virtual_node(scheduler)
    async with node:
        await ledger()
        async with Node("other", clock=VirtualClock(), block_threshold=None):
            assert registered() == []
            await scheduler.every(10, TICK)
        await asyncio.sleep(11)
        assert times() == [10]


async def test_scheduler_that_is_given_to_two_nodes_is_refused() -> None:
    scheduler = SchedulerManager()
    async with virtual_node(scheduler, name="first"):
        second = virtual_node(scheduler, name="second")
        with pytest.raises(InvalidOptionError) as caught:
            await second.__aenter__()
        assert str(caught.value) == (
            "SchedulerManager.open(): expected a closed scheduler, got an open one, of node first\n"
            "Fix: make one for each node: Node(services=[SchedulerManager()])."
        )
        await scheduler.every(10, TICK)


async def test_node_without_a_scheduler_says_so() -> None:
    async with st.Node(clock=VirtualClock(), block_threshold=None) as node:
        with pytest.raises(InvalidOptionError, match=r"Node\.scheduler: expected a node with a scheduler"):
            _ = node.scheduler
