# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.kernel import Process
from stanchion.monitors import MonitorLeak
from tests.monitors.helpers import Idle, Owner, call, killed, line_of, process_of, virtual_node

_DROPPED_FIX = (
    "keep the ref and demonitor() it when it has served, or write `async with monitoring(target):`; if it is meant to last "
    "as long as its target, monitor(target, until='exit')."
)


def kinds(node: st.Node, **options: Any) -> list[tuple[str, int]]:
    return [(leak.kind, leak.count) for leak in node.monitors.find_leaks(**options)]


def drops(target: st.Ref, **options: Any) -> Callable[[Owner], None]:
    def drop(_: Owner) -> None:
        st.monitor(target, **options)

    return drop


# --- dropped --------------------------------------------------------------------------------------


async def test_dropped_ref_is_a_leak_with_who_what_and_where() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner, name="desk"), await st.start(Idle)
        drop = drops(target, tag="lookup")
        for _ in range(3):
            await call(owner, drop)
        await asyncio.sleep(2)
        site = line_of(drop, 1)
        (leak,) = node.monitors.find_leaks()
        assert leak == MonitorLeak(
            kind="dropped",
            count=3,
            tag="lookup",
            site=site,
            owner=owner,
            target=target,
            age=2.0,
            why=f"3 monitors 'lookup' of Idle {target!r} by Owner {owner!r}, made at {site}: "
            "nobody keeps the ref, so nobody can end it",
            fix=_DROPPED_FIX,
        )
        assert str(leak) == f"{leak.why}\n  Fix: {leak.fix}"


async def test_dropped_refs_of_several_targets_are_one_leak() -> None:
    async with virtual_node() as node:
        owner = await st.start(Owner)
        targets = [await st.start(Idle) for _ in range(2)]
        await call(owner, lambda self: [st.monitor(target) for target in targets] and None)
        (leak,) = node.monitors.find_leaks()
        assert (leak.count, leak.target) == (2, None)
        assert leak.why.startswith("2 monitors of several targets by Owner <test.1>, made at ")


async def test_dropped_ref_that_is_meant_to_last_until_the_exit_is_no_leak() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target, until="exit"))
        assert kinds(node) == []


async def test_dropped_ref_is_no_leak_once_its_process_was_adopted() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target))
        node.monitors.adopt(owner)
        assert kinds(node) == []


async def test_dropped_ref_is_no_leak_once_its_target_has_exited() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target))
        await killed(target)
        assert kinds(node) == []


async def test_dropped_ref_is_told_after_its_age_alone_where_that_is_asked_for() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target))
        await asyncio.sleep(4)
        assert kinds(node, older_than=5) == []
        assert kinds(node, older_than=4) == [("dropped", 1)]


async def test_dropped_group_is_a_leak() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: repr(st.monitor_group([target])))
        gc.collect()
        assert kinds(node) == [("dropped", 1)]


async def test_dropped_ref_in_a_cycle_is_a_leak_once_the_cycle_is_collected() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)

        def cycle(_: Owner) -> None:
            one: list[object] = [st.monitor(target)]
            one.append(one)

        gc.disable()
        try:
            await call(owner, cycle)
            assert kinds(node) == []
            gc.collect()
            assert kinds(node) == [("dropped", 1)]
        finally:
            gc.enable()


class Slotted:
    __slots__ = ("ref",)


def in_attribute(self: Owner, ref: object) -> None:
    self.one = ref  # type: ignore[attr-defined]


def in_list(self: Owner, ref: object) -> None:
    self.kept.append(ref)


def in_nested_containers(self: Owner, ref: object) -> None:
    self.kept.append({"a": ({ref},)})


def in_closure(self: Owner, ref: object) -> None:
    self.kept.append(lambda: ref)


def in_default_argument(self: Owner, ref: object) -> None:
    def later(what: object = ref) -> object:
        return what

    self.kept.append(later)


def in_bound_method(self: Owner, ref: Any) -> None:
    self.kept.append(ref.__repr__)


def in_slot(self: Owner, ref: object) -> None:
    holder = Slotted()
    holder.ref = ref
    self.kept.append(holder)


def in_generator(self: Owner, ref: object) -> None:
    def values() -> Any:
        yield 1
        yield ref

    generator = values()
    next(generator)
    self.kept.append(generator)


def in_exception(self: Owner, ref: object) -> None:
    self.kept.append(ValueError(ref))


def in_waiting_task(self: Owner, ref: object) -> None:
    async def waits() -> None:
        await asyncio.sleep(1000)
        print(ref)

    self.kept.append(asyncio.create_task(waits()))


def in_message_to_itself(self: Owner, ref: object) -> None:
    st.send_after(st.self_pid(), ref, 1000)


@pytest.mark.parametrize(
    "keep",
    [
        in_attribute,
        in_list,
        in_nested_containers,
        in_closure,
        in_default_argument,
        in_bound_method,
        in_slot,
        in_generator,
        in_exception,
        in_waiting_task,
        in_message_to_itself,
    ],
)
async def test_ref_that_is_kept_is_no_leak(keep: Callable[[Owner, object], None]) -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: keep(self, st.monitor(target)))
        gc.collect()
        assert kinds(node) == []
        tasks = [kept for kept in await call(owner, lambda self: self.kept) if isinstance(kept, asyncio.Task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_ref_in_a_local_variable_of_a_waiting_handler_is_no_leak() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)

        async def waits() -> None:
            ref = st.monitor(target)
            await asyncio.sleep(1)
            st.demonitor(ref)

        st.spawn(waits)
        await asyncio.sleep(0.5)
        assert kinds(node) == []


async def test_ref_that_was_never_in_a_variable_is_no_leak_while_its_function_waits() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)

        async def later(ref: st.MonitorRef) -> None:
            await asyncio.sleep(1)
            st.demonitor(ref)

        async def waits() -> None:
            await later(st.monitor(target))

        st.spawn(waits)
        await asyncio.sleep(0.5)
        assert kinds(node) == []


async def test_monitor_of_a_block_or_of_a_kept_group_is_no_leak() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)

        async def block(self: Owner) -> list[tuple[str, int]]:
            self.kept.append(st.monitor_group([target]))
            async with st.monitoring(target):
                return kinds(node)

        assert await call(owner, block) == []


async def test_leaks_of_one_owner_alone_are_found() -> None:
    async with virtual_node() as node:
        first, second = await st.start(Owner), await st.start(Owner, name="second")
        target = await st.start(Idle)
        drop = drops(target)
        await call(first, drop)
        await call(second, drop)
        assert [leak.owner for leak in node.monitors.find_leaks(owner="second")] == [second]
        assert node.monitors.find_leaks(owner="nobody") == ()


# --- outlived -------------------------------------------------------------------------------------


async def test_monitor_that_outlives_its_time_is_a_leak() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.append(st.monitor(target, until=5)))
        await asyncio.sleep(5)
        assert kinds(node) == []
        await asyncio.sleep(0.1)
        (leak,) = node.monitors.find_leaks()
        assert (leak.kind, leak.count) == ("outlived", 1)
        assert leak.why.endswith(": what it was for is over")
        assert leak.fix == (
            "demonitor() it when that is done, or write `async with monitoring(target):` around what it is for."
        )


async def test_monitor_that_outlives_what_it_waited_for_is_a_leak() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await call(owner, lambda self: self.kept.append(st.monitor(target, until=future)))
        assert kinds(node) == []
        future.set_result(None)
        assert kinds(node) == [("outlived", 1)]
        await call(owner, lambda self: st.demonitor(self.kept.pop()))
        assert kinds(node) == []


@pytest.mark.parametrize("error", [RuntimeError("no"), asyncio.CancelledError()])
async def test_monitor_whose_purpose_cannot_be_asked_is_no_leak(error: BaseException) -> None:
    class Broken:
        def done(self) -> bool:
            raise error

    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.append(st.monitor(target, until=Broken())))
        assert kinds(node) == []


# --- unread ---------------------------------------------------------------------------------------


async def reads_after(seconds: float, target: st.Ref) -> None:
    ref = st.monitor(target, tag="slow", until="exit")
    await asyncio.sleep(seconds)
    await st.receive(timeout=0)
    await asyncio.sleep(1000)
    st.demonitor(ref)


async def test_down_that_waits_for_too_long_is_a_leak() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)
        owner = st.spawn(reads_after, 200, target)
        await asyncio.sleep(0)
        await killed(target)
        await asyncio.sleep(59)
        assert kinds(node) == []
        await asyncio.sleep(1)
        (leak,) = node.monitors.find_leaks()
        assert (leak.kind, leak.count, leak.tag, leak.owner, leak.target) == ("unread", 1, "slow", owner, target)
        assert leak.why == (
            f"a monitor 'slow' of <test.1> by reads_after <test.2>, made at {line_of(reads_after, 1)}: "
            "its Down has been in the mailbox for 60 s"
        )
        assert leak.fix == (
            "have the process read its mailbox: let its handlers return sooner; or demonitor() what it does not handle."
        )


async def test_down_that_was_read_is_no_leak() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)
        st.spawn(reads_after, 10, target)
        await asyncio.sleep(0)
        await killed(target)
        await asyncio.sleep(100)
        assert kinds(node) == []


async def test_down_may_wait_as_long_as_it_likes_where_that_is_asked_for() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)
        st.spawn(reads_after, 500, target)
        await asyncio.sleep(0)
        await killed(target)
        await asyncio.sleep(100)
        assert kinds(node, unread_after=None) == []
        assert kinds(node, unread_after=101) == []
        assert kinds(node, unread_after=100) == [("unread", 1)]


async def test_unread_noproc_names_nobody() -> None:
    async with virtual_node() as node:
        st.spawn(reads_after, 500, "nobody")
        await asyncio.sleep(1)
        (leak,) = node.monitors.find_leaks(unread_after=0)
        assert leak.target is None
        assert leak.why.startswith("a monitor 'slow' of nobody by reads_after <test.1>, made at ")


async def test_unread_down_is_found_among_other_messages_of_a_limited_mailbox() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)
        owner = st.spawn(reads_after, 500, target, mailbox=10)
        await asyncio.sleep(0)
        st.send(owner, "before")
        await killed(target)
        st.send(owner, "after")
        assert kinds(node, unread_after=0) == [("unread", 1)]


# --- repeated -------------------------------------------------------------------------------------


async def test_too_many_monitors_of_one_target_by_one_owner_are_a_leak() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.extend(st.monitor(target, tag="again") for _ in range(100)))
        assert kinds(node) == []
        await call(owner, lambda self: self.kept.append(st.monitor(target, until="exit")))
        (leak,) = node.monitors.find_leaks()
        assert (leak.kind, leak.count, leak.tag, leak.owner, leak.target) == ("repeated", 101, "again", owner, target)
        assert leak.why.endswith(": that is more than 100 of one target")
        assert leak.fix == "monitor once and keep the ref, or demonitor() each when it has served."


async def test_monitors_of_one_target_may_be_as_many_as_is_asked_for() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.extend(st.monitor(target) for _ in range(3)))
        await call(owner, lambda self: self.kept.append(st.monitor(owner)))
        assert kinds(node, repeated=3) == []
        assert kinds(node, repeated=2) == [("repeated", 3)]
        assert kinds(node, repeated=None) == []


async def test_many_monitors_of_many_targets_or_many_owners_are_no_leak() -> None:
    async with virtual_node() as node:
        owners, targets = [await st.start(Owner) for _ in range(3)], [await st.start(Idle) for _ in range(3)]
        for owner in owners:
            await call(owner, lambda self: self.kept.extend(map(st.monitor, targets)))
        assert kinds(node, repeated=1) == []


async def test_blocks_of_one_process_may_monitor_one_target_as_often_as_they_like() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)

        async def blocks(_: Owner) -> list[tuple[str, int]]:
            async with st.monitoring(target), st.monitoring(target):
                return kinds(node, repeated=1)

        assert await call(owner, blocks) == []


# --- owner gone -----------------------------------------------------------------------------------


def forge(target: Process, ref: st.MonitorRef) -> None:
    """Have a target keep a monitor that its owner knows nothing of, which the kernel never does."""
    assert target.watchers is None
    target.watchers = {ref: None}


async def test_monitor_whose_owner_is_gone_would_be_found() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        ref = await call(owner, lambda self: st.monitor(target))
        await killed(owner)
        assert kinds(node) == []
        forge(process_of(target), ref)
        (leak,) = node.monitors.find_leaks()
        assert (leak.kind, leak.owner, leak.target) == ("owner_gone", owner, target)
        assert leak.why.startswith(f"a monitor of Idle {target!r} by <test.1>, made at ")
        assert leak.why.endswith(": its owner is gone")
        assert leak.fix == "this is a fault of Stanchion's: please report it."
        await killed(target)  # whose exit finds nobody to tell


async def test_monitor_that_its_owner_does_not_know_would_be_found() -> None:
    async with virtual_node() as node:
        owner, other, target = await st.start(Owner), await st.start(Owner), await st.start(Idle)
        ref = await call(owner, lambda self: st.monitor(target))
        await call(owner, lambda self: st.demonitor(ref))
        forge(process_of(target), ref)
        assert kinds(node) == [("owner_gone", 1)]
        assert kinds(node, owner=owner) == [("owner_gone", 1)]
        assert kinds(node, owner=other) == []


async def test_who_waits_for_an_exit_is_no_monitor() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)
        waits = asyncio.create_task(st.wait_exit(target, timeout=10))
        await asyncio.sleep(0)
        assert kinds(node) == []
        st.exit(target, "kill")
        await waits


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"older_than": "1"},
            "find_leaks(older_than): expected seconds >= 0 as a finite number, or a timedelta, got '1'",
        ),
        (
            {"unread_after": -1},
            "find_leaks(unread_after): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        ({"repeated": 1.5}, "find_leaks(repeated): expected a whole number >= 0, got 1.5"),
    ],
)
async def test_find_leaks_refuses_a_wrong_option(options: dict[str, object], text: str) -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            node.monitors.find_leaks(**options)
        assert str(caught.value) == text
