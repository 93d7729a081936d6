# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.monitors import MonitorInfo, MonitorManager, MonitorStatistics
from tests.monitors.helpers import Idle, Owner, call, killed, line_of, process_of, virtual_node


def keeps(target: st.Ref, **options: object):
    """Return what has an owner monitor a target and keep the ref."""
    return lambda self: self.kept.append(st.monitor(target, **options))


async def test_list_tells_all_of_a_monitor() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)

        def watch(self: Owner) -> None:
            self.kept.append(st.monitor(target, tag="it", until=timedelta(seconds=5)))

        await call(owner, watch)
        await asyncio.sleep(2)
        assert node.monitors.list() == (MonitorInfo(owner, target, "it", line_of(watch, 1), 2.0, "5 s", None, None),)


async def test_list_tells_for_how_long_a_down_is_unread() -> None:
    async with virtual_node() as node:
        target = await st.start(Idle)

        async def never_reads() -> None:
            st.monitor("nobody", tag="a")
            st.monitor(target, tag="b")
            await asyncio.sleep(100)

        st.spawn(never_reads)
        await asyncio.sleep(1)
        await killed(target)
        await asyncio.sleep(2)
        assert [(info.tag, info.target, info.age, info.unread) for info in node.monitors.list()] == [
            ("a", None, 3.0, 3.0),
            ("b", target, 3.0, 2.0),
        ]


async def test_list_filters_by_owner_target_tag_and_age() -> None:
    async with virtual_node() as node:
        first, second = await st.start(Owner, name="first"), await st.start(Owner)
        one, two = await st.start(Idle, name="one"), await st.start(Idle)
        await call(first, keeps(one, tag="a"))
        await asyncio.sleep(10)
        await call(first, keeps(two, tag="b"))
        await call(second, keeps(one, tag="b"))

        def found(**wanted: object) -> list[tuple[object, ...]]:
            return [(info.owner, info.target) for info in node.monitors.list(**wanted)]

        assert found() == [(first, one), (first, two), (second, one)]
        assert found(owner="first") == [(first, one), (first, two)]
        assert found(target="one") == [(first, one), (second, one)]
        assert found(tag="b") == [(first, two), (second, one)]
        assert found(older_than=10) == [(first, one)]
        assert found(owner=second, target=two) == []
        assert found(owner="nobody") == found(target="nobody") == []


@pytest.mark.parametrize(
    ("until", "text"),
    [(None, None), (0.5, "0.5 s"), ("exit", "its target's exit")],
)
async def test_list_tells_what_a_monitor_is_for(until: object, text: str | None) -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, keeps(target, until=until))
        assert [info.purpose for info in node.monitors.list()] == [text]


async def test_list_tells_whose_end_a_monitor_waits_for() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await call(owner, keeps(target, until=future))
        assert str(node.monitors.list()[0].purpose).startswith("<Future pending")


async def test_list_refuses_an_age_that_is_none() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            node.monitors.list(older_than=-1)
        assert str(caught.value) == (
            "monitors.list(older_than): expected seconds >= 0 as a finite number, or a timedelta, got -1"
        )


async def test_statistics_count_monitors_owners_targets_and_tags() -> None:
    async with virtual_node() as node:
        first, second = await st.start(Owner), await st.start(Owner)
        one, two = await st.start(Idle), await st.start(Idle)
        await call(first, keeps(one, tag="a"))
        await asyncio.sleep(3)
        await call(first, keeps(two))
        await call(second, keeps(one, tag="a"))
        assert node.monitors.statistics() == MonitorStatistics(
            monitors=3, owners=2, targets=2, oldest=3.0, tags={"a": 2, None: 1}, unread=0
        )


async def test_statistics_of_a_node_without_monitors_are_zero() -> None:
    async with virtual_node() as node:
        assert node.monitors.statistics() == MonitorStatistics(0, 0, 0, 0.0, {}, 0)


async def test_adopt_gives_tag_and_purpose_to_those_that_have_none() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, keeps(target))
        await call(owner, keeps(target, tag="own", until="exit"))
        await call(owner, keeps(target, tag="half"))
        adopted = node.monitors.adopt(owner, tag="legacy")
        assert [(info.tag, info.purpose) for info in adopted] == [
            ("legacy", "its target's exit"),
            ("half", "its target's exit"),
        ]
        await killed(target)
        assert [down.tag for down in await call(owner, lambda self: self.heard)] == ["legacy", "own", "half"]


async def test_adopt_leaves_out_what_is_none() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, keeps(target))
        assert node.monitors.adopt(owner, until=None) == ()
        assert [(info.tag, info.purpose) for info in node.monitors.adopt(owner, tag="x", until=None)] == [("x", None)]
        assert [info.purpose for info in node.monitors.adopt(owner, until=1)] == ["1 s"]


async def test_adopt_is_harmless_for_a_process_without_monitors_or_that_is_gone() -> None:
    async with virtual_node() as node:
        owner = await st.start(Owner)
        assert node.monitors.adopt(owner) == ()
        await killed(owner)
        assert node.monitors.adopt(owner) == ()


async def test_adopt_refuses_what_is_no_purpose() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            node.monitors.adopt("nobody", until="forever")
        assert str(caught.value) == (
            "adopt(until): expected seconds, a timedelta, something that has done(), as tasks have, or 'exit', got 'forever'"
        )


async def test_record_stacks_keeps_the_stack_of_those_made_from_then_on() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)

        def inner(self: Owner) -> None:
            self.kept.append(st.monitor(target))

        def outer(self: Owner) -> None:
            inner(self)

        await call(owner, outer)
        node.monitors.record_stacks()
        await call(owner, outer)
        node.monitors.record_stacks(False)
        await call(owner, outer)
        before, recorded, after = (info.stack for info in node.monitors.list())
        assert before is None
        assert after is None
        assert recorded is not None
        assert recorded.index("in outer\n") < recorded.index("in inner\n    self.kept.append(st.monitor(target))")


async def test_record_stacks_refuses_what_is_no_bool() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            node.monitors.record_stacks(16)
        assert str(caught.value) == "record_stacks(on): expected an instance of bool, got 16"


async def test_manager_is_the_nodes_and_keeps_nothing() -> None:
    async with virtual_node() as node:
        assert isinstance(node.monitors, MonitorManager)
        assert repr(node.monitors) == "<monitors of <Node test running, 0 processes>>"


async def test_node_forgets_an_owner_with_its_exit() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, keeps(target))
        assert list(node.monitor_owners) == [process_of(owner)]
        await killed(owner)
        assert list(node.monitor_owners) == []


async def test_statistics_count_unread_downs_among_other_messages() -> None:
    async with virtual_node() as node:

        async def never_reads() -> None:
            st.monitor("nobody")
            await asyncio.sleep(100)

        owner = st.spawn(never_reads)
        st.send(owner, "before")
        await asyncio.sleep(0)
        st.send(owner, "after")
        assert node.monitors.statistics().unread == 1
        assert node.monitors.find_leaks(unread_after=1) == ()


async def test_names_mean_processes_of_the_managers_node_wherever_it_is_asked() -> None:
    async with virtual_node() as node:
        owner, target = await st.start(Owner, name="desk"), await st.start(Idle, name="clerk")
        await call(owner, lambda self: st.monitor(target) and None)
        async with st.Node("other", block_threshold=None) as other:
            assert [info.target for info in node.monitors.list(owner="desk", target="clerk")] == [target]
            assert [leak.kind for leak in node.monitors.find_leaks(owner="desk")] == ["dropped"]
            assert other.monitors.list(owner=owner) == ()
            assert other.monitors.find_leaks(owner=owner) == ()


async def test_adopt_refuses_a_tag_that_is_no_text() -> None:
    async with virtual_node() as node:
        with pytest.raises(InvalidOptionError) as caught:
            node.monitors.adopt("nobody", tag=["a"])  # type: ignore[arg-type]
        assert str(caught.value) == "adopt(tag): expected an instance of str, got ['a']"
