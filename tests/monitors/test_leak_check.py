# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import stanchion as st
from stanchion.errors import InvalidOptionError
from stanchion.kernel import PROCESS
from stanchion.monitors import LeakChecker, _look
from stanchion.telemetry import MONITOR_LEAK, MONITORS_CHECKED
from tests.kernel.helpers import Events
from tests.monitors.helpers import Idle, Owner, call, killed, line_of, process_of, virtual_node


def checked_node(**options: Any) -> st.Node:
    return virtual_node(leak_check=60, **options)


def checker_of(node: st.Node) -> LeakChecker:
    assert isinstance(node.leak_check, LeakChecker)
    return node.leak_check


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "stanchion.monitors"]


def drops(target: st.Ref, count: int = 1):
    def drop(_: Owner) -> None:
        for _number in range(count):
            st.monitor(target, tag="lookup")

    return drop


async def test_check_tells_a_leak_by_an_event_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with checked_node() as node:
        events = Events(node, MONITOR_LEAK)
        owner, target = await st.start(Owner), await st.start(Idle)
        drop = drops(target, 3)
        await call(owner, drop)
        await asyncio.sleep(61)
        site = line_of(drop, 2)
        why = (
            f"3 monitors 'lookup' of Idle <test.2> by Owner <test.1>, made at {site}: "
            "nobody keeps the ref, so nobody can end it"
        )
        (line,) = logged(caplog)
        assert line == (
            f"{why}. Fix: keep the ref and demonitor() it when it has served, or write `async with monitoring(target):`; "
            "if it is meant to last as long as its target, monitor(target, until='exit')."
        )
        ((_, measurements, metadata),) = events.told
        assert measurements["count"] == 3
        assert 60 <= measurements["age"] < 60.1
        assert metadata == {
            "node": "test",
            "kind": "dropped",
            "tag": "lookup",
            "site": site,
            "owner": owner,
            "target": target,
            "why": why,
        }


async def test_check_tells_the_log_when_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    async with checked_node():
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target))
        await asyncio.sleep(61)
        assert [line.partition(", made at")[0] for line in logged(caplog)] == [
            "a monitor 'lookup' of Idle <test.2> by Owner <test.1>"
        ]


async def test_check_tells_a_leak_again_only_when_it_has_grown(caplog: pytest.LogCaptureFixture) -> None:
    async with checked_node() as node:
        events = Events(node, MONITOR_LEAK)
        owner, target = await st.start(Owner), await st.start(Idle)
        drop = drops(target)
        await call(owner, drop)
        await asyncio.sleep(200)
        await call(owner, drop)
        await asyncio.sleep(400)
        assert [measurements["count"] for _, measurements, _ in events.told] == [1, 2]
        assert len(logged(caplog)) == 2


async def test_check_tells_a_leak_anew_when_it_was_gone() -> None:
    async with checked_node() as node:
        events = Events(node, MONITOR_LEAK)
        owner, first = await st.start(Owner), await st.start(Idle)
        drops_it = drops("clerk")
        for _ in range(2):
            first = await st.start(Idle, name="clerk")
            await call(owner, drops_it)
            await asyncio.sleep(130)
            await killed(first)
            await asyncio.sleep(130)
        assert [measurements["count"] for _, measurements, _ in events.told] == [1, 1]


async def test_check_tells_several_owners_and_one_place_together() -> None:
    async with checked_node() as node:
        events = Events(node, MONITOR_LEAK)
        target = await st.start(Idle)
        drop = drops(target)
        for _ in range(2):
            await call(await st.start(Owner), drop)
        await asyncio.sleep(61)
        await call(await st.start(Owner), drop)
        await asyncio.sleep(130)
        assert [measurements["count"] for _, measurements, _ in events.told] == [2, 3]
        assert " by Owner <test.2> and another process, made at " in str(events.all("why")[0])
        assert " by Owner <test.2> and 2 other processes, made at " in str(events.all("why")[1])
        assert events.all("target") == [target, target]


async def test_check_leaves_young_monitors_alone() -> None:
    async with checked_node() as node:
        events = Events(node, MONITOR_LEAK)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.append(st.monitor(target)))
        await asyncio.sleep(30)
        await call(owner, drops(target))
        await asyncio.sleep(31)
        assert events.told == []
        await asyncio.sleep(60)
        assert events.all("kind") == ["dropped"]


async def test_check_tells_an_outlived_monitor_at_the_second_look() -> None:
    async with checked_node() as node:
        events = Events(node, MONITOR_LEAK)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.append(st.monitor(target, until=59)))
        await asyncio.sleep(61)
        assert events.told == []
        await asyncio.sleep(60)
        assert events.all("kind") == ["outlived"]


async def test_check_tells_what_it_has_looked_at() -> None:
    async with checked_node() as node:
        events = Events(node, MONITORS_CHECKED)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target, 2))
        await call(owner, lambda self: self.kept.append(st.monitor(target)))
        await asyncio.sleep(61)
        assert [(measurements, metadata) for _, measurements, metadata in events.told] == [
            ({"monitors": 3, "leaks": 2}, {"node": "test"})
        ]


async def test_check_looks_at_nothing_while_there_are_no_monitors() -> None:
    async with checked_node() as node:
        events = Events(node, MONITORS_CHECKED)
        owner, target = await st.start(Owner), await st.start(Idle)
        await asyncio.sleep(1000)
        assert events.told == []
        assert not any(node.wheel._buckets.values())
        await call(owner, lambda self: st.demonitor(st.monitor(target)))
        await asyncio.sleep(1000)
        assert [measurements["monitors"] for _, measurements, _ in events.told] == [0]
        assert not any(node.wheel._buckets.values())
        assert process_of(owner).held_monitors is None


async def test_check_goes_on_when_a_process_that_it_forgot_monitors_again() -> None:
    async with checked_node() as node:
        events = Events(node, MONITORS_CHECKED)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: st.demonitor(st.monitor(target)))
        await asyncio.sleep(1000)
        await call(owner, lambda self: self.kept.append(st.monitor(target)))
        await asyncio.sleep(61)
        assert [measurements["monitors"] for _, measurements, _ in events.told] == [0, 1]


async def test_check_runs_in_no_process() -> None:
    async with checked_node() as node:
        processes: list[object] = []
        node.telemetry.attach(MONITORS_CHECKED, lambda *_: processes.append(PROCESS.get()))
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target))
        await asyncio.sleep(61)
        assert processes == [None]


async def test_check_lets_others_run_between_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.monitors._look.SLICE", 10)
    monkeypatch.setattr("stanchion.monitors._check.SLICE", 10)
    async with checked_node() as node:
        events = Events(node, MONITORS_CHECKED, MONITOR_LEAK)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target, 95))
        await asyncio.sleep(59)
        checker_of(node).expire()
        turns = 0
        while not events.told and turns < 100:
            await asyncio.sleep(0)
            turns += 1
        assert 15 < turns < 25  # 95 monitors of the owner, and the same seen from the target


async def test_check_lets_others_run_while_it_looks_at_processes_that_nobody_monitors() -> None:
    async with virtual_node() as node:
        for _ in range(1200):
            st.spawn(asyncio.Event().wait)
        assert sum(_look.Look(node, _look.Limits(0.0, 60.0, 100)).steps()) == 1200


async def test_check_leaves_out_what_ends_between_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.monitors._look.SLICE", 1)
    async with virtual_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target, 3))
        look = _look.Look(node, _look.Limits(0.0, None, 1))
        steps = look.steps()
        next(steps)
        await killed(target)
        assert sum(steps) > 0
        assert [(key[0], found.count) for key, found in look.found.items()] == [("dropped", 1)]


async def test_check_that_has_begun_makes_no_difference_to_find_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.monitors._look.SLICE", 10)
    monkeypatch.setattr("stanchion.monitors._check.SLICE", 10)
    async with checked_node() as node:
        events = Events(node, MONITORS_CHECKED)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target, 50))
        checker_of(node).expire()
        assert [leak.count for leak in node.monitors.find_leaks()] == [50]
        await asyncio.sleep(0.1)
        assert [measurements["monitors"] for _, measurements, _ in events.told] == [50]


async def test_check_ends_with_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stanchion.monitors._look.SLICE", 10)
    monkeypatch.setattr("stanchion.monitors._check.SLICE", 10)
    async with checked_node() as node:
        events = Events(node, MONITORS_CHECKED)
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, drops(target, 50))
        checker_of(node).expire()
    await asyncio.sleep(1000)
    assert events.told == []


def test_check_refuses_zero_seconds() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        st.Node(leak_check=0)
    assert str(caught.value) == ("Node(leak_check): expected seconds > 0, got 0\nFix: pass None to look for no leaks.")


async def test_check_takes_100_000_monitors_in_slices_that_leave_room_for_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with checked_node() as node:
        owner, target = await st.start(Owner), await st.start(Idle)
        await call(owner, lambda self: self.kept.extend(st.monitor(target) for _ in range(100_000)))
        look = _look.Look(node, _look.Limits(0.0, 60.0, None))
        costs = list(look.steps())
        assert look.monitors == 100_000
        assert look.found == {}
        assert len(costs) > 400
        assert max(costs) == 500
