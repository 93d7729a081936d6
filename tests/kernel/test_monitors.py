# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.errors import InvalidOptionError, NotInProcessError
from stanchion.kernel import (
    Down,
    MonitorRef,
    Pid,
    deadline,
    demonitor,
    exit,
    monitor,
    place_of,
    receive,
    self_pid,
    spawn,
    spawn_monitor,
    wait_exit,
)
from tests.kernel.helpers import Hearer, process_of, quick_node, run_in_process, sleeper, steps


async def test_monitor_delivers_one_down_when_the_target_exits() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target, tag="it"))
        await steps()
        exit(target, ("shutdown", "enough"))
        await steps()
        assert owner.heard == [Down(owner.results[0], target, ("shutdown", "enough"), "it")]


async def test_monitor_of_a_dead_pid_delivers_noproc_at_once() -> None:
    async with quick_node():
        gone = spawn(sleeper)
        exit(gone, "kill")
        await wait_exit(gone, timeout=1)

        async def body() -> object:
            ref = monitor(gone)
            return await receive(timeout=0) == Down(ref, gone, "noproc", None)

        assert await run_in_process(body)


async def test_monitor_of_an_unknown_name_delivers_noproc_without_a_pid() -> None:
    async with quick_node():

        async def body() -> object:
            ref = monitor("nobody", tag="x")
            return await receive(timeout=0) == Down(ref, None, "noproc", "x")

        assert await run_in_process(body)


async def test_monitor_by_name_watches_who_holds_the_name_now() -> None:
    async with quick_node():
        target = spawn(sleeper, name="clerk")
        owner = Hearer(lambda: monitor("clerk"))
        await steps()
        exit(target, "shutdown")
        await steps()
        assert [(down.pid, down.reason) for down in owner.heard] == [(target, "shutdown")]


async def test_each_monitor_delivers_its_own_down() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target, tag="a"), lambda: monitor(target, tag="b"))
        await steps()
        exit(target, "shutdown")
        await steps()
        assert [down.tag for down in owner.heard] == ["a", "b"]


async def test_demonitor_keeps_the_down_away() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: demonitor(monitor(target)))
        await steps()
        assert process_of(target).watchers is None
        exit(target, "shutdown")
        await steps()
        assert owner.heard == []


async def test_demonitor_takes_back_a_down_that_waits_in_the_mailbox() -> None:
    async with quick_node():
        target = spawn(sleeper)

        async def body() -> object:
            process_of(self_pid()).mailbox.put(("info", "before", None))
            other = monitor(target, tag="kept")
            ref = monitor(target, tag="flushed")
            exit(target, "kill")
            await wait_exit(target, timeout=1)
            demonitor(ref)
            assert other.tag == "kept"
            first = await receive(timeout=0)
            second = await receive(timeout=0)
            with pytest.raises(TimeoutError):
                await receive(timeout=0)
            return first, isinstance(second, Down) and second.tag

        assert await run_in_process(body) == ("before", "kept")


async def test_demonitor_is_harmless_when_the_down_was_read() -> None:
    async with quick_node():

        async def body() -> object:
            ref = monitor("nobody")
            await receive(timeout=0)
            process_of(self_pid()).mailbox.put(("info", "next", None))
            demonitor(ref)
            demonitor(ref)
            return await receive(timeout=0)

        assert await run_in_process(body) == "next"


async def test_demonitor_twice_is_harmless() -> None:
    async with quick_node():
        target = spawn(sleeper)

        def body() -> None:
            ref = monitor(target)
            demonitor(ref)
            demonitor(ref)

        await run_in_process(body)
        assert process_of(target).watchers is None


async def test_demonitor_refuses_another_process_and_leaves_the_monitor() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target))
        await steps()
        with pytest.raises(InvalidOptionError) as caught:
            await run_in_process(demonitor, owner.results[0])
        assert str(caught.value) == (
            "demonitor(ref): expected a monitor of the running process <test.3>, "
            "got <monitor of <test.1> by <test.2>>\n"
            "Fix: let the process that called monitor() end it."
        )
        exit(target, "shutdown")
        await steps()
        assert len(owner.heard) == 1


async def test_demonitor_refuses_what_is_no_monitor() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await run_in_process(demonitor, "ref")
        assert str(caught.value) == "demonitor(ref): expected an instance of MonitorRef, got 'ref'"


async def test_monitors_end_with_their_owner() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target), lambda: monitor(target))
        await steps()
        assert len(process_of(target).watchers or {}) == 2
        exit(owner.pid, "kill")
        await wait_exit(owner.pid, timeout=1)
        assert process_of(target).watchers is None


async def test_owner_holds_nothing_once_the_down_came() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target))
        await steps()
        exit(target, "shutdown")
        await steps()
        assert not process_of(owner.pid).held_monitors


async def test_process_may_monitor_itself_and_hears_nothing() -> None:
    async with quick_node():
        owner = Hearer(lambda: monitor(self_pid()))
        await steps()
        exit(owner.pid, "shutdown")
        assert await wait_exit(owner.pid, timeout=1) == "shutdown"


async def test_spawn_monitor_hears_of_a_process_that_ends_in_its_first_step() -> None:
    async with quick_node():

        async def ends() -> None:
            return

        owner = Hearer(lambda: spawn_monitor(ends, name="short"))
        await steps()
        pid, ref = owner.results[0]
        assert owner.heard == [Down(ref, pid, "normal", None)]
        assert repr(ref) == "<monitor of <test.2 short> by <test.1>>"


async def test_monitor_shows_its_tag() -> None:
    async with quick_node():
        owner = Hearer(lambda: monitor("nobody", tag="lookup"))
        await steps()
        assert repr(owner.results[0]) == "<monitor 'lookup' of None by <test.1>>"


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("monitor()", lambda: monitor("x")),
        ("demonitor()", lambda: demonitor(None)),
        ("spawn_monitor()", lambda: spawn_monitor(sleeper)),
    ],
)
async def test_monitors_belong_to_processes(operation: str, call) -> None:
    async with quick_node():
        with pytest.raises(NotInProcessError) as caught:
            call()
        assert str(caught.value) == (
            f"{operation}: expected to run inside a process, got code outside of all processes\n"
            "Fix: call it from a GenServer callback or from a function started by stanchion.spawn()."
        )


async def test_monitor_refuses_what_is_no_ref() -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await run_in_process(monitor, 42)
        assert str(caught.value) == (
            "monitor(target): expected a pid or a registered name, got 42\n"
            "Fix: pass what start() or spawn() returned, or the name= the process was started with."
        )


async def test_code_that_outlived_its_process_can_monitor_nothing() -> None:
    async with quick_node():
        tasks: list[asyncio.Task[object]] = []

        async def late(dead: Pid) -> object:
            await wait_exit(dead, timeout=1)
            return monitor("x")

        async def body() -> None:
            tasks.append(asyncio.create_task(late(self_pid())))

        spawn(body)
        await steps(2)
        with pytest.raises(NotInProcessError) as caught:
            await tasks[0]
        assert str(caught.value) == (
            "monitor(): expected to run inside a process, got code that outlived its process body <test.1>\n"
            "Fix: let the process wait for the tasks that it starts, or give them a process of their own."
        )
        assert caught.value.ended == "body <test.1>"


async def test_wait_exit_returns_the_reason() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        waiting = asyncio.create_task(wait_exit(pid, timeout=None))
        await steps()
        error = ValueError("no")
        exit(pid, error)
        assert await waiting is error
        assert await wait_exit(pid, timeout=0) == "noproc"


async def test_wait_exit_leaves_nothing_behind_when_the_time_is_up() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        with pytest.raises(TimeoutError):
            await wait_exit(pid, timeout=0)
        assert pid.alive
        assert process_of(pid).watchers is None


async def test_exit_in_the_step_of_a_cancelled_wait_is_no_error() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        waiting = asyncio.create_task(wait_exit(pid, timeout=None))
        await steps()
        exit(pid, "kill")
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()


async def test_wait_exit_refuses_what_is_no_pid() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        await wait_exit("clerk", timeout=1)
    assert str(caught.value) == "wait_exit(pid): expected an instance of Pid, got 'clerk'"


async def test_wait_exit_hears_of_an_exit_in_the_very_step_of_its_timeout() -> None:
    async with quick_node() as node:
        pid = spawn(sleeper)
        waiting = asyncio.create_task(wait_exit(pid, timeout=1))
        await steps()
        (deadline,) = [item for bucket in node.wheel._buckets.values() for item in bucket]
        exit(pid, "kill")
        while pid._process is not None:
            await asyncio.sleep(0)
        deadline.expire()
        assert await waiting == "killed"
        assert not any(node.wheel._buckets.values())


async def test_down_that_waits_when_its_owner_dies_is_settled_with_it() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target))
        await steps()
        exit(target, "kill")
        while target._process is not None:
            await asyncio.sleep(0)
        exit(owner.pid, "kill")
        assert await wait_exit(owner.pid, timeout=1) == "killed"
        assert owner.heard == []


async def test_monitor_knows_where_it_was_made() -> None:
    async with quick_node():
        target = spawn(sleeper)

        def make() -> None:
            here.append(monitor(target))

        here: list[MonitorRef] = []
        await run_in_process(make)
        assert place_of(here[0].site) == f"{__file__}:{make.__code__.co_firstlineno + 1}"
        assert here[0].stack is None


async def test_spawn_monitor_knows_where_it_was_called() -> None:
    async with quick_node():

        def make() -> str:
            return place_of(spawn_monitor(sleeper)[1].site)

        assert await run_in_process(make) == f"{__file__}:{make.__code__.co_firstlineno + 1}"


async def test_monitor_knows_when_it_was_made_and_when_it_fired() -> None:
    async with quick_node() as node:
        before = node.clock.monotonic()
        target = spawn(sleeper)
        owner = Hearer(lambda: monitor(target))
        await steps()
        ref = owner.results[0]
        assert before <= ref.made <= node.clock.monotonic()
        assert ref.fired is None
        exit(target, "kill")
        await wait_exit(target, timeout=1)
        assert ref.made <= (ref.fired or 0) <= node.clock.monotonic()


async def test_monitor_records_the_stack_where_the_node_says_so() -> None:
    async with quick_node() as node:
        node.record_stacks = True

        def make() -> str | None:
            return monitor("nobody").stack

        stack = await run_in_process(make)
        assert stack.endswith('in make\n    return monitor("nobody").stack\n')


async def test_monitor_takes_what_it_is_for() -> None:
    async with quick_node() as node:
        target = spawn(sleeper)
        future: asyncio.Future[None] = node.loop.create_future()
        scope = deadline(5)
        owner = Hearer(
            *[lambda until=until: monitor(target, until=until) for until in (None, "exit", future, scope, 5)]
        )
        await steps()
        assert [ref.until for ref in owner.results[:4]] == [None, "exit", future, scope]
        assert owner.results[4].until - owner.results[4].made == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("until", ["forever", -1, float("nan"), object])
async def test_monitor_refuses_what_is_no_purpose(until: object) -> None:
    async with quick_node():
        target = spawn(sleeper)
        with pytest.raises(InvalidOptionError) as caught:
            await run_in_process(lambda: monitor(target, until=until))
        assert str(caught.value).startswith("monitor(until): expected seconds")
        assert process_of(target).watchers is None


async def test_deadline_scope_is_done_when_its_block_was_left() -> None:
    async with quick_node():
        async with deadline(5) as scope:
            assert not scope.done()
        assert scope.done()


async def test_monitor_refuses_a_tag_that_is_no_text() -> None:
    async with quick_node():

        async def body() -> object:
            with pytest.raises(InvalidOptionError) as caught:
                monitor(self_pid(), tag=["a"])  # type: ignore[arg-type]
            return str(caught.value)

        assert await run_in_process(body) == "monitor(tag): expected an instance of str, got ['a']"


async def test_spawn_monitor_is_meant_to_last_until_the_exit() -> None:
    async with quick_node():

        async def body() -> object:
            return spawn_monitor(sleeper)[1].until

        assert await run_in_process(body) == "exit"
