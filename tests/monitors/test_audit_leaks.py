# SPDX-License-Identifier: MIT
"""What Node.audit() says looks leaked."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

import stanchion as st
from stanchion.kernel import Owned, defer, own
from stanchion.monitors import Leak
from stanchion.server import Sender
from stanchion.testing import VirtualClock, advance, wait_quiet
from tests.kernel.helpers import process_of


async def sleeper():
    await st.receive(timeout=None)


def only_leak(node: st.Node) -> Leak:
    (leak,) = node.audit().leaks
    return leak


async def test_monitor_that_nobody_keeps_is_a_leak_until_it_is_adopted(node):
    target = st.spawn(sleeper)

    async def watch():
        st.monitor(target, tag="lost")
        await st.receive(timeout=None)

    watcher = st.spawn(watch)
    await wait_quiet()
    leak = only_leak(node)
    assert (leak.kind, leak.owner, leak.what.kind, leak.what.text) == ("dropped", watcher, "monitor", "of <test.1>")
    assert re.match(
        r"a monitor 'lost' of sleeper <test\.1> by watch <test\.2>, made at .*test_audit_leaks\.py", leak.why
    )
    node.monitors.adopt(watcher)
    assert node.audit().leaks == ()


async def test_timer_of_the_node_to_a_process_that_has_ended_is_a_leak(node):
    timer = st.send_after(st.spawn(asyncio.sleep, 0), "too late", 60)
    assert node.audit().leaks == ()
    await wait_quiet()
    leak = only_leak(node)
    assert (leak.kind, leak.owner, leak.what.kind) == ("target_gone", None, "timer")
    assert leak.why.startswith("a timer of node test, to <test.1>, 60 s left, made at ")
    st.cancel_timer(timer)
    assert node.audit().leaks == ()


async def test_timer_to_a_name_that_nobody_holds_is_none(node):
    st.send_after("nobody", "perhaps", 60)
    assert node.audit().leaks == ()


class Forgetful(st.GenServer):
    def handle_call(self, request, sender):
        return st.NO_REPLY


async def test_reply_is_overdue_from_a_minute_on_or_as_it_is_told(node):
    server = await st.start(Forgetful)
    call = asyncio.create_task(st.call(server, "hello", timeout=70))
    await advance(60)
    assert node.audit().leaks == ()
    await advance(1)
    leak = only_leak(node)
    assert (leak.kind, leak.owner, leak.what.kind, leak.what.age) == ("overdue", server, "reply", 61.0)
    assert node.audit(owed_for=None).leaks == ()
    assert len(node.audit(owed_for=0).leaks) == 1
    with pytest.raises(TimeoutError):
        await call


async def test_reply_to_a_caller_that_waits_no_more_would_be_a_leak(node):
    process = process_of(st.spawn(sleeper))
    future = asyncio.get_running_loop().create_future()
    token = Sender(None, future, process, "hello", None)
    defer(process, token, handled=True)
    future.set_result(None)
    assert str(only_leak(node)) == (
        "a reply of sleeper <test.1>, to <sender None, dead> for 'hello': nobody waits for it\n"
        "  Fix: this is a fault of Stanchion's: please report it."
    )
    process.deferred = None


async def test_link_with_a_process_that_has_ended_would_be_a_leak(node):
    process, other = process_of(st.spawn(sleeper)), process_of(st.spawn(sleeper))
    st.exit(other.pid, "kill")
    await wait_quiet()
    process.links = {other: None}
    assert str(only_leak(node)) == (
        "a link of sleeper <test.1>, with sleeper <test.2>: that has ended\n"
        "  Fix: this is a fault of Stanchion's: please report it."
    )
    process.links = None


@pytest.mark.parametrize("table", ["registry", "member", "monitor"])
async def test_entry_of_a_process_that_has_ended_would_be_a_leak(node, table):
    await st.start(st.Registry, "unique", name="rooms")
    await st.start(st.ProcessGroups, name="pg")

    async def enter():
        if table == "registry":
            st.Registry.register("rooms", "attic")
        elif table == "member":
            st.ProcessGroups.join("room", st.self_pid())
        else:
            st.ProcessGroups.monitor("room")
        await st.receive(timeout=None)

    process = process_of(st.spawn(enter))
    await wait_quiet()
    assert node.audit().leaks == ()
    process.pid._process = None  # as if it had ended, and nobody had taken its entry away
    owner = "Registry <test.1 rooms>" if table == "registry" else "ProcessGroups <test.2 pg>"
    assert node.audit().leaks[0].why == f"a subscription of {owner}, of <test.3>: that has ended"
    process.pid._process = process


async def test_task_that_outlives_its_process_is_a_leak(node):
    tasks = []

    async def leave():
        tasks.append(asyncio.create_task(asyncio.sleep(60), name="orphan"))

    pid = st.spawn(leave)
    await wait_quiet()
    leak = only_leak(node)
    assert (leak.kind, leak.owner, leak.what.kind) == ("owner_gone", pid, "task")
    assert re.match(
        r"a task of leave <test\.1>, 'orphan' \(sleep\), which waits at .*: its process has ended$", leak.why
    )
    assert node.audit().of(pid) == (leak.what,)
    await advance(60)
    assert node.audit().leaks == ()


async def test_task_that_has_been_told_to_end_is_none(node):
    tasks = []

    async def leave():
        tasks.append(asyncio.create_task(asyncio.sleep(60)))

    st.spawn(leave)
    await wait_quiet()
    tasks[0].cancel()
    assert len(node.audit().owners) == 1
    assert node.audit().leaks == ()


async def test_task_that_nobody_keeps_is_a_leak_wherever_it_was_made(node):
    async def work():
        asyncio.create_task(asyncio.sleep(60), name="lost")  # noqa: RUF006
        kept = asyncio.create_task(asyncio.sleep(60))
        await st.receive(timeout=None)
        await kept

    async def wait_for(task):
        await task

    pid = st.spawn(work)
    inner = asyncio.create_task(asyncio.sleep(60))
    outer = asyncio.create_task(wait_for(inner))
    del inner
    asyncio.create_task(asyncio.sleep(60), name="lost, too")  # noqa: RUF006
    await wait_quiet()
    first, second = node.audit().leaks
    assert (first.kind, first.owner) == ("dropped", pid)
    assert re.match(r"a task of work <test\.1>, 'lost' \(sleep\), which waits at .*: nobody keeps it$", first.why)
    assert second.why.startswith("a task of node test, 'lost, too' (sleep), which waits at ")
    await outer
    st.send(pid, "go on")
    await wait_quiet()


async def test_task_that_is_about_to_run_and_kept_is_none(node):
    task = asyncio.create_task(asyncio.sleep(0))
    assert len(node.audit().of(None)) == 1
    assert node.audit().leaks == ()
    await task


def test_process_that_was_declared_dead_and_still_runs_is_a_leak():
    async def main():
        gate = asyncio.Event()

        async def stubborn():
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()

        async with st.Node("test", block_threshold=None, exit_grace=0.01) as node:
            pid = st.spawn(stubborn)
            await asyncio.sleep(0)
            st.exit(pid, "kill")
            await st.wait_exit(pid, timeout=5)
            (leak,) = node.audit().leaks
            gate.set()
            await asyncio.sleep(0.05)
            assert node.audit().leaks == ()
        return leak

    leak = asyncio.run(main())
    assert re.match(
        r"a task of stubborn <test\.1>, '<test\.1>' \(_main\), which waits at .*: its process has ended$", leak.why
    )


async def test_task_that_outlives_its_node_is_a_leak(node):
    async with st.Node("inner", clock=VirtualClock(), block_threshold=None) as inner:
        task = asyncio.create_task(asyncio.sleep(60), name="late")
        await wait_quiet()
        assert inner.audit().leaks == ()
    leak = only_leak(inner)
    assert (leak.kind, leak.owner) == ("owner_gone", None)
    assert re.match(r"a task of node inner, 'late' \(sleep\), which waits at .*: its node has stopped$", leak.why)
    assert leak.fix == "end it, or await it, in the block of the node."
    await task
    assert inner.audit().leaks == ()


async def test_what_is_the_runtimes_own_is_no_leak_and_not_listed(node):
    own(process_of(st.spawn(sleeper)), Owned())
    assert (node.audit().owners, node.audit().leaks) == ((), ())
