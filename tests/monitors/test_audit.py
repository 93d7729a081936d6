# SPDX-License-Identifier: MIT
"""What Node.audit() lists: everything that is owned, by owner."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, NodeStateError
from stanchion.state_machine import POSTPONE, KeepState, NextState
from stanchion.testing import VirtualClock, advance, start_supervised, wait_quiet


class Keeper(st.GenServer):
    """Runs what it is given and keeps what comes of it; or keeps a caller waiting."""

    def init(self):
        self.kept = []

    def handle_cast(self, function):
        self.kept.append(function())

    def handle_call(self, request, sender):
        self.kept.append(sender)
        return st.NO_REPLY


async def keeper_of(function) -> st.Pid:
    pid = await st.start(Keeper)
    st.cast(pid, function)
    await wait_quiet()
    return pid


def texts(node: st.Node, pid: st.Pid | None, kind: str | None = None) -> list[str]:
    return [thing.text for thing in node.audit().of(pid, kind)]


async def test_audit_of_a_node_in_which_nobody_owns_anything_is_empty(node):
    await st.start(Keeper)
    assert node.audit() == ("test", (), ())
    assert str(node.audit()) == "node test: 0 owners, 0 things, 0 leaks"


async def test_audit_lists_monitors_with_tag_place_and_age(node):
    target = await st.start(Keeper)
    pid = await keeper_of(lambda: st.monitor(target, tag="stock"))
    await advance(3)
    ((kind, text, made_at, age),) = node.audit().of(pid)
    assert (kind, text, age) == ("monitor", "of <test.1>, tag 'stock'", 3.0)
    assert re.fullmatch(r".*test_audit\.py:\d+", made_at)


async def test_audit_lists_a_monitor_whose_down_is_unread(node):
    target = await st.start(Keeper)
    gate = asyncio.Event()

    async def watch():
        ref = st.monitor(target)
        await gate.wait()
        return ref

    pid = st.spawn(watch)
    await wait_quiet()
    await st.stop(target)
    assert texts(node, pid) == ["of <test.1>, whose Down is unread"]
    gate.set()


async def test_audit_lists_links_on_both_sides(node):
    target = await st.start(Keeper)
    pid = await keeper_of(lambda: st.link(target))
    assert texts(node, pid, "link") == ["with Keeper <test.1>"]
    assert texts(node, target, "link") == ["with Keeper <test.2>"]


async def test_audit_lists_timers_with_place_and_age(node):
    pid = await keeper_of(lambda: st.send_after("nobody", "hello", 60))
    await advance(20)
    ((kind, text, made_at, age),) = node.audit().of(pid)
    assert (kind, text, age) == ("timer", "to 'nobody', 40 s left", 20.0)
    assert re.fullmatch(r".*test_audit\.py:\d+", made_at)


async def test_audit_lists_nothing_for_a_timer_that_went_off_or_was_cancelled(node):
    first = await keeper_of(lambda: st.send_after("nobody", "hello", 1))
    second = await keeper_of(lambda: st.cancel_timer(st.send_after("nobody", "hello", 60)))
    await advance(1)
    assert texts(node, first) == texts(node, second) == []


async def test_audit_gives_the_node_what_belongs_to_no_process(node):
    late, timer = st.send_after("nobody", "late", 20), st.send_after("nobody", "hello", 10)
    ended = st.send_after("nobody", "ended", 10)
    st.cancel_timer(ended)
    task = asyncio.create_task(asyncio.Event().wait(), name="waits")
    await wait_quiet()
    (owner,) = node.audit().owners
    assert (owner.pid, owner.name) == (None, "node test")
    assert texts(node, None, "timer") == ["to 'nobody', 10 s left", "to 'nobody', 20 s left"]
    (text,) = texts(node, None, "task")
    assert re.match(r"'waits' \(Event\.wait\), which waits at .*locks\.py:\d+$", text)
    st.cancel_timer(timer)
    st.cancel_timer(late)
    task.cancel()


async def test_audit_leaves_out_the_task_that_asks(node):
    async def ask():
        return node.audit().owners

    assert await asyncio.create_task(ask()) != ()  # the test's own task
    assert node.audit().owners == ()


async def test_audit_may_be_asked_for_by_a_callback_of_the_loop(node):
    audits = []
    asyncio.get_running_loop().call_soon(lambda: audits.append(node.audit()))
    await asyncio.sleep(0)
    (audit,) = audits
    assert [thing.kind for thing in audit.of(None)] == ["task"]  # the test's


async def test_audit_lists_keys_of_registries_and_of_via_addresses(node):
    await st.start(st.Registry, "unique", name="rooms")
    pid = await keeper_of(lambda: [st.Registry.register("rooms", key) for key in ("attic", "cellar")])
    assert texts(node, pid, "key") == [
        "'attic' in Registry <test.1 rooms>",
        "'cellar' in Registry <test.1 rooms>",
    ]
    named = await st.start(Keeper, name=st.Registry.via("rooms", "hall"))
    assert texts(node, named, "name") == ["Registry.via('rooms', 'hall')"]


async def test_audit_lists_memberships_and_monitors_of_groups(node):
    await st.start(st.ProcessGroups, name="pg")
    pid = await keeper_of(
        lambda: (
            st.ProcessGroups.join(("room", 1), st.self_pid()),
            st.ProcessGroups.monitor("room 2"),
            st.ProcessGroups.monitor_scope(),
        )
    )
    assert node.audit().of(pid) == (
        ("membership", "of group ('room', 1) of ProcessGroups <test.1 pg>", None, None),
        ("subscription", "to group 'room 2' of ProcessGroups <test.1 pg>", None, None),
        ("subscription", "to all groups of ProcessGroups <test.1 pg>", None, None),
    )


async def test_audit_lists_replies_that_are_owed(node):
    server = await st.start(Keeper)
    call = asyncio.create_task(st.call(server, "hello", timeout=5))
    await advance(2)
    assert node.audit().of(server) == (("reply", "to <sender None, waiting> for 'hello'", None, 2.0),)
    with pytest.raises(TimeoutError):
        await call
    assert texts(node, server) == []


async def test_audit_lists_a_call_that_a_state_machine_postponed(node):
    class Door(st.StateMachine):
        def init(self):
            return NextState("shut")

        def shut(self, event):
            return KeepState(POSTPONE)

    door = await st.start(Door)
    call = asyncio.create_task(st.call(door, "enter", timeout=100))
    await advance(99)
    assert texts(node, door) == ["to <sender None, waiting> for 'enter', to be handled later"]
    assert node.audit().leaks == ()
    with pytest.raises(TimeoutError):
        await call


async def test_audit_lists_tasks_that_a_process_made(node):
    async def work():
        await asyncio.sleep(60)

    pid = await keeper_of(lambda: asyncio.create_task(work(), name="work"))
    ((kind, text, made_at, age),) = node.audit().of(pid)
    assert (kind, age) == ("task", None)
    assert re.match(r"'work' \(work\), which waits at .*test_audit\.py:\d+ > .*tasks\.py:\d+$", text)
    assert re.fullmatch(r".*test_audit\.py:\d+", made_at)
    await advance(60)


async def test_audit_lists_the_delay_of_a_restart(node):
    class Broken(st.GenServer):
        def handle_cast(self, message):
            raise ValueError(message)

    spec = st.child_spec(Broken, id="broken", name="broken", backoff=st.Backoff(initial=10, jitter=0))
    supervisor = await st.start(st.Supervisor, [spec])
    st.cast("broken", "now")
    await wait_quiet()
    assert node.audit().of(supervisor, "timer") == (("timer", "for the next start of child 'broken'", None, None),)


async def test_audit_lists_streams(node):
    tasks = await st.start(st.TaskSupervisor)

    async def item(number):
        await asyncio.sleep(number)

    async def consume():
        async for _ in st.TaskSupervisor.async_stream(tasks, item, [10, 20, 30], max_concurrency=2, timeout=60):
            pass

    pid = st.spawn(consume)
    await wait_quiet()
    assert texts(node, pid, "stream") == ["of item, 2 tasks run"]
    await advance(90)


async def test_audit_as_text_is_a_list_by_owner_with_the_leaks_at_its_end(node):
    target = st.spawn(asyncio.sleep, 0)

    async def remind():
        timer = st.send_after(target, "too late", 60)
        await st.receive(timeout=None)
        st.cancel_timer(timer)

    pid = st.spawn(remind)
    await advance(1)
    text = re.sub(r"\S*/test_audit\.py:\d+", "HERE", str(node.audit()))
    assert text == (
        "node test: 1 owners, 1 things, 1 leaks\n"
        "remind <test.2>\n"
        "  timer: to <test.1>, 59 s left, 1 s old, made at HERE\n"
        "leak: a timer of remind <test.2>, to <test.1>, 59 s left, made at HERE: it is for a process that has ended\n"
        "  Fix: cancel_timer() it when the process ends, of which monitor() tells; or send to a name."
    )
    st.send(pid, "stop")
    await wait_quiet()


async def test_owner_without_places_and_ages_is_told_without(node):
    target = await st.start(Keeper)
    await keeper_of(lambda: st.link(target))
    assert list(map(str, node.audit().owners)) == [
        "Keeper <test.1>\n  link: with Keeper <test.2>",
        "Keeper <test.2>\n  link: with Keeper <test.1>",
    ]


async def test_audit_keeps_no_process_alive(node):
    class Held:
        pass

    held = Held()
    ref = weakref.ref(held)
    pid = await start_supervised(Keeper, restart="temporary")
    st.cast(pid, lambda held=held: (held, st.send_after("nobody", "hello", 60)))
    del held
    await wait_quiet()
    gc.collect()
    gc.disable()
    try:
        audit = node.audit()
        assert len(audit.of(pid)) == 2
        await st.stop(pid)
        await wait_quiet()
        assert ref() is None
    finally:
        gc.enable()


async def test_two_nodes_do_not_see_what_the_other_one_owns(node):
    async with st.Node("inner", clock=VirtualClock(), block_threshold=None) as inner:
        task = asyncio.create_task(asyncio.Event().wait())
        await wait_quiet()
        assert node.audit().owners == ()
        assert len(inner.audit().of(None, "task")) == 1
        task.cancel()


async def test_node_that_was_not_entered_cannot_be_audited():
    with pytest.raises(NodeStateError) as caught:
        st.Node("new").audit()
    assert str(caught.value).startswith(
        "audit() on node 'new': expected a node that was entered, got one that is new\n"
    )


async def test_owed_for_must_be_a_duration(node):
    with pytest.raises(InvalidOptionError) as caught:
        node.audit(owed_for=-1)
    assert str(caught.value).startswith("Node.audit(owed_for): expected")
