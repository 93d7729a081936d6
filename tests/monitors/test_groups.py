# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError, NotInProcessError
from stanchion.monitors import MonitorGroup
from tests.monitors.helpers import Idle, Owner, call, killed, line_of, process_of, virtual_node


class Grouper(Owner):
    """An owner with a group."""

    group: MonitorGroup


async def grouper(*targets: object) -> st.Pid:
    owner = await st.start(Grouper)

    def make(self: Grouper) -> None:
        self.group = st.monitor_group(targets, tag="workers")

    await call(owner, make)
    return owner


async def test_group_tells_each_exit_once_and_knows_its_downs() -> None:
    async with virtual_node():
        first, second = await st.start(Idle), await st.start(Idle)
        owner = await grouper(first, second)
        await killed(first)
        heard = await call(owner, lambda self: [(down.pid, down.tag, down in self.group) for down in self.heard])
        assert heard == [(first, "workers", True)]
        assert await call(owner, lambda self: self.group.left) == (second,)


async def test_group_knows_who_is_in_it_and_whose_down_is_not() -> None:
    async with virtual_node():
        member, other = await st.start(Idle), await st.start(Idle)
        owner = await grouper(member)
        await call(owner, lambda self: self.kept.append(st.monitor(other)))
        await killed(other)
        assert await call(owner, lambda self: (member in self.group, other in self.group)) == (True, False)
        assert await call(owner, lambda self: self.heard[0] in self.group) is False


async def test_group_monitors_a_target_once() -> None:
    async with virtual_node():
        target = await st.start(Idle)
        owner = await grouper(target, target)
        assert await call(owner, lambda self: self.group.add(target) is self.group.add(target))
        assert len(process_of(target).watchers or ()) == 1


async def test_group_monitors_a_target_anew_when_the_holder_of_its_name_was_replaced() -> None:
    async with virtual_node():
        first = await st.start(Idle, name="clerk")
        owner = await grouper("clerk")
        await killed(first)
        second = await st.start(Idle, name="clerk")
        await call(owner, lambda self: self.group.add("clerk"))
        assert await call(owner, lambda self: self.group.left) == (second,)


async def test_group_tells_at_once_of_a_target_that_is_not_there() -> None:
    async with virtual_node():
        owner = await grouper("nobody")
        heard = await call(owner, lambda self: [(down.reason, down in self.group) for down in self.heard])
        assert heard == [("noproc", True)]
        assert await call(owner, lambda self: self.group.left) == ()


@pytest.mark.parametrize("by_ref", [False, True])
async def test_group_discards_a_target_by_name_or_monitor(by_ref: bool) -> None:
    async with virtual_node():
        target = await st.start(Idle)
        owner = await grouper()

        def discard(self: Grouper) -> str:
            ref = self.group.add(target)
            self.group.discard(ref if by_ref else target)
            self.group.discard(ref if by_ref else target)
            return repr(self.group)

        assert await call(owner, discard) == "<monitor group 'workers' of <test.2>, 0 left>"
        assert process_of(target).watchers is None


async def test_group_leaves_a_monitor_alone_that_is_not_its_own() -> None:
    async with virtual_node():
        target = await st.start(Idle)
        owner = await grouper()

        def discard(self: Grouper) -> None:
            ref = st.monitor(target)
            self.kept.append(ref)
            self.group.discard(ref)

        await call(owner, discard)
        assert len(process_of(target).watchers or ()) == 1


async def test_group_takes_back_unread_downs_when_it_is_cleared() -> None:
    async with virtual_node():
        gone, lives, other = [await st.start(Idle) for _ in range(3)]
        owner = await grouper(gone, lives)

        async def clear(self: Grouper) -> None:
            self.kept.append(st.monitor(other, tag="other"))
            await killed(gone)
            await killed(other)
            self.group.clear()

        await call(owner, clear)
        assert await call(owner, lambda self: [down.tag for down in self.heard]) == ["other"]
        assert process_of(lives).watchers is None


async def test_group_ends_with_its_block() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)

        async def block(_: Owner) -> tuple[st.Pid, ...]:
            async with st.monitor_group([target]) as group:
                return group.left

        assert await call(owner, block) == (target,)
        assert process_of(target).watchers is None


async def test_group_leaves_nothing_when_its_owner_was_declared_dead_in_the_block() -> None:
    async with virtual_node(exit_grace=0.1):
        target = await st.start(Idle)
        ended: list[str] = []

        async def stubborn() -> None:
            async with st.monitor_group([target]):
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    try:
                        await asyncio.sleep(10)
                    except asyncio.CancelledError:
                        ended.append("block")

        pid = st.spawn(stubborn)
        await asyncio.sleep(0)
        await killed(pid)
        await asyncio.sleep(1)
        assert ended == ["block"]
        assert process_of(target).watchers is None


async def test_group_ends_with_its_owner() -> None:
    async with virtual_node():
        target = await st.start(Idle)
        owner = await grouper(target)
        await killed(owner)
        assert process_of(target).watchers is None


async def test_group_holds_nothing_of_those_that_are_gone() -> None:
    async with virtual_node():
        owner = await grouper()
        for _ in range(100):
            target = await st.start(Idle)
            await call(owner, lambda self, target=target: bool(self.group.add(target)))
            await killed(target)
        held = await call(owner, lambda self: (len(self.group._monitors), len(self.group._added_as), len(self.heard)))
        assert held == (0, 0, 100)


async def test_group_that_was_dropped_is_told_of_no_exit_and_its_down_still_comes() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: repr(st.monitor_group([target])))
        await killed(target)
        assert [down.pid for down in await call(owner, lambda self: self.heard)] == [target]


async def test_group_shows_the_line_that_made_it_and_the_lines_that_added_to_it() -> None:
    async with virtual_node() as node:
        first, second = await st.start(Idle), await st.start(Idle)
        owner = await st.start(Grouper)

        def make(self: Grouper) -> None:
            self.group = st.monitor_group([first])
            self.group.add(second)

        await call(owner, make)
        assert [info.site for info in node.monitors.list()] == [line_of(make, 1), line_of(make, 2)]
        assert {info.purpose for info in node.monitors.list()} == {"a group"}


async def test_group_monitors_none_when_one_target_is_wrong() -> None:
    async with virtual_node():
        owner, target = await st.start(Owner), await st.start(Idle)

        def make(_: Owner) -> str:
            with pytest.raises(InvalidOptionError) as caught:
                st.monitor_group([target, 42])
            return str(caught.value)

        assert await call(owner, make) == (
            "MonitorGroup.add(target): expected a pid or a registered name, got 42\n"
            "Fix: pass what start() or spawn() returned, or the name= the process was started with."
        )
        assert process_of(target).watchers is None


@pytest.mark.parametrize(
    ("targets", "text"),
    [
        (
            "clerk",
            (
                "monitor_group(targets): expected pids or registered names, several of them, got 'clerk'\n"
                "Fix: write monitor_group(['clerk'])."
            ),
        ),
        (
            7,
            "monitor_group(targets): expected pids or registered names, several of them, got 7\nFix: put it into a list.",
        ),
    ],
)
def test_group_refuses_what_are_no_targets(targets: object, text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        st.monitor_group(targets)
    assert str(caught.value) == text


async def test_group_belongs_to_a_process() -> None:
    async with virtual_node():
        with pytest.raises(NotInProcessError) as caught:
            st.monitor_group([])
        assert str(caught.value).startswith("monitor_group(): expected to run inside a process")


@pytest.mark.parametrize(
    ("verb", "change"),
    [
        ("add", lambda group: group.add("clerk")),
        ("discard", lambda group: group.discard("clerk")),
        ("clear", lambda group: group.clear()),
    ],
)
async def test_group_refuses_another_process(verb: str, change: Callable[[MonitorGroup], object]) -> None:
    async with virtual_node():
        owner = await grouper()
        group = await call(owner, lambda self: self.group)
        stranger = await st.start(Owner)

        def try_it(_: Owner) -> str:
            with pytest.raises(InvalidOptionError) as caught:
                change(group)
            return str(caught.value)

        assert await call(stranger, try_it) == (
            f"MonitorGroup.{verb}(): expected the owner of the group, <test.1>, got Owner <test.2>\n"
            "Fix: let each process have a group of its own: a Down comes to who monitors."
        )
