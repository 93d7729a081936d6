# SPDX-License-Identifier: MIT
"""Hearing of those who join and leave."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from stanchion.errors import InvalidOptionError, NotInProcessError
from stanchion.kernel import Exit, Pid, exit, receive, spawn, wait_exit
from stanchion.registry import GroupMonitorRef, Joined, Left, ProcessGroups
from stanchion.server import cast
from stanchion.telemetry import DEAD_LETTER, PROCESS_EXIT
from tests.kernel.helpers import Events, process_of, sleeper, steps
from tests.registry.helpers import Worker, linked, new_node, scope, trapping_worker

join, leave = ProcessGroups.join, ProcessGroups.leave


async def killed(pid: Pid) -> None:
    exit(pid, "kill")
    await wait_exit(pid, timeout=1)


async def test_monitor_tells_the_members_and_then_who_joins_and_leaves() -> None:
    async with new_node():
        await scope()
        one, two = spawn(sleeper), spawn(sleeper)
        join("room", one)
        worker = Worker()
        ref, members = await worker.do(ProcessGroups.monitor, "room")
        assert members == [one]
        join("room", [two, two])
        join("attic", two)
        leave("room", [one, two])
        assert await worker.all_heard() == [Joined(ref, "room", [two, two]), Left(ref, "room", [one, two])]


async def test_monitor_of_a_scope_tells_of_every_group() -> None:
    async with new_node():
        await scope()
        one = spawn(sleeper)
        join("room", [one, one])
        worker = Worker()
        ref, groups = await worker.do(ProcessGroups.monitor_scope)
        assert groups == {"room": [one, one]}
        join("attic", one)
        leave("room", one)
        assert await worker.all_heard() == [Joined(ref, "attic", [one]), Left(ref, "room", [one])]


async def test_exit_of_a_member_is_told_for_each_time_that_it_joined_and_before_links_are() -> None:
    async with new_node():
        await scope()
        member, worker = Worker(), await trapping_worker()
        await linked(worker, member.pid)
        ref, _ = await worker.do(ProcessGroups.monitor_scope)
        join("room", [member.pid, member.pid])
        join("attic", member.pid)
        await worker.all_heard()
        reason = await member.crashes()
        assert await worker.all_heard() == [
            Left(ref, "attic", [member.pid]),
            Left(ref, "room", [member.pid]),
            Left(ref, "room", [member.pid]),
            Exit(member.pid, reason),
        ]


async def test_nobody_hears_of_those_who_did_not_leave_or_join() -> None:
    async with new_node():
        await scope()
        one, gone = spawn(sleeper), spawn(sleeper)
        await killed(gone)
        worker = Worker()
        ref, _ = await worker.do(ProcessGroups.monitor, "room")
        join("room", [gone])
        join("room", [])
        leave("room", one)
        join("room", [gone, one])
        leave("room", [gone, one])
        assert await worker.all_heard() == [Joined(ref, "room", [one]), Left(ref, "room", [one])]


async def test_each_monitor_tells_for_itself_those_of_the_scope_first() -> None:
    async with new_node():
        await scope()
        one = spawn(sleeper)
        worker = Worker()
        refs = [(await worker.do(ProcessGroups.monitor, "room"))[0] for _ in range(2)]
        whole, _ = await worker.do(ProcessGroups.monitor_scope)
        join("room", one)
        assert await worker.all_heard() == [Joined(ref, "room", [one]) for ref in (whole, *refs)]


async def test_list_in_a_message_is_the_receivers_own() -> None:
    async with new_node():
        await scope()
        one = spawn(sleeper)
        worker, other = Worker(), Worker()
        for each in (worker, other):
            await each.do(ProcessGroups.monitor, "room")
        join("room", one)
        (message,) = await worker.all_heard()
        message.pids.clear()
        (message,) = await other.all_heard()
        assert message.pids == [one]


@pytest.mark.parametrize("whole_scope", [False, True])
async def test_nothing_comes_after_demonitor_not_even_what_was_in_the_mailbox(whole_scope: bool) -> None:
    heard: list[object] = []

    async def body() -> None:
        if whole_scope:
            ref, _ = ProcessGroups.monitor_scope()
        else:
            ref, _ = ProcessGroups.monitor("room")
        kept, _ = ProcessGroups.monitor("room")
        join("room", one)
        leave("room", one)
        ProcessGroups.demonitor(ref)
        ProcessGroups.demonitor(ref)
        join("room", one)
        cast(pid, "end")
        while not heard or heard[-1] != "end":
            heard.append(await receive(timeout=None))
        heard.insert(0, kept)

    async with new_node():
        await scope()
        one = spawn(sleeper)
        pid = spawn(body)
        await wait_exit(pid, timeout=1)
        kept = heard.pop(0)
        assert heard == [
            Joined(kept, "room", [one]),  # type: ignore[arg-type]
            Left(kept, "room", [one]),  # type: ignore[arg-type]
            Joined(kept, "room", [one]),  # type: ignore[arg-type]
            "end",
        ]


@pytest.mark.usefixtures("no_gc")
async def test_monitor_ends_with_its_owner() -> None:
    async with new_node():
        await scope()
        one, worker = spawn(sleeper), Worker()
        gone = weakref.ref(worker.pid)
        await worker.do(ProcessGroups.monitor, "room")
        await worker.do(ProcessGroups.monitor_scope)
        await worker.killed()
        join("room", one)
        del worker
        await steps()
        assert gone() is None


async def test_monitor_ends_in_silence_with_its_scope() -> None:
    async with new_node():
        pid = await scope()
        one, worker = spawn(sleeper), Worker()
        ref, _ = await worker.do(ProcessGroups.monitor, "room")
        await worker.do(ProcessGroups.monitor_scope)
        await killed(pid)
        await scope()
        join("room", one)
        assert await worker.all_heard() == []
        assert process_of(worker.pid).owned is None
        await worker.do(ProcessGroups.demonitor, ref)


async def test_monitor_reaches_a_mailbox_that_is_full() -> None:
    heard: list[Any] = []

    async def body() -> None:
        ProcessGroups.monitor("room")
        while True:
            heard.append(await receive(timeout=None))

    async with new_node():
        await scope()
        one, pid = spawn(sleeper), spawn(body, mailbox=1)
        await steps()
        for _ in range(3):
            join("room", one)
        assert pid.alive
        await steps()
        assert [message.pids for message in heard] == [[one]] * 3


async def test_what_a_monitor_told_and_nobody_read_is_settled_with_its_owner() -> None:
    async def body() -> None:
        ProcessGroups.monitor("room")
        await sleeper()

    async with new_node() as node:
        await scope()
        one, pid = spawn(sleeper), spawn(body)
        await steps()
        join("room", one)
        leave("room", one)
        lost, exits = Events(node, DEAD_LETTER), []
        node.telemetry.attach(PROCESS_EXIT, lambda _event, numbers, _: exits.append(numbers))
        await killed(pid)
        assert (lost.told, exits) == ([], [{"unhandled": 0}])


async def test_member_that_monitors_its_own_group_exits_quietly() -> None:
    async with new_node():
        await scope()
        worker = Worker()
        await worker.do(ProcessGroups.monitor, "room")
        join("room", worker.pid)
        await worker.killed()
        assert ProcessGroups.get_members("room") == []


# --- wrong arguments -----------------------------------------------------------------------------


async def test_only_its_owner_ends_a_monitor() -> None:
    async with new_node():
        await scope()
        worker, other = Worker(), Worker()
        ref, _ = await worker.do(ProcessGroups.monitor, "room")
        with pytest.raises(InvalidOptionError) as caught:
            await other.do(ProcessGroups.demonitor, ref)
        assert str(caught.value) == (
            "ProcessGroups.demonitor(ref): expected a monitor of the running process <test.3>, "
            "got <monitor of group 'room' of ProcessGroups <test.1 pg> by <test.2>>\n"
            "Fix: let the process that made it end it."
        )


async def test_what_is_no_monitor_is_refused() -> None:
    async with new_node():
        with pytest.raises(InvalidOptionError) as caught:
            await Worker().do(ProcessGroups.demonitor, "room")
        assert str(caught.value) == (
            "ProcessGroups.demonitor(ref): expected an instance of GroupMonitorRef, got 'room'"
        )


async def test_monitor_of_a_scope_shows_it() -> None:
    async with new_node():
        await scope()
        ref, _ = await Worker().do(ProcessGroups.monitor_scope)
        assert isinstance(ref, GroupMonitorRef)
        assert (ref.whole_scope, ref.group) == (True, None)
        assert repr(ref) == "<monitor of all groups of ProcessGroups <test.1 pg> by <test.2>>"


async def test_monitors_belong_to_processes() -> None:
    async with new_node():
        await scope()
        for function in (
            lambda: ProcessGroups.monitor("room"),
            ProcessGroups.monitor_scope,
            lambda: ProcessGroups.demonitor(None),  # type: ignore[arg-type]
        ):
            with pytest.raises(NotInProcessError):
                function()
