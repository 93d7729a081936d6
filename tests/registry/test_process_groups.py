# SPDX-License-Identifier: MIT
"""Joining and leaving groups."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from stanchion.errors import InvalidOptionError, NoNodeError
from stanchion.kernel import ExitReason, Pid, exit, self_pid, spawn, wait_exit, watch
from stanchion.registry import ProcessGroups, Registry
from stanchion.server import start, stop
from tests.kernel.helpers import process_of, sleeper, steps
from tests.registry.helpers import Worker, new_node, registry, scope

get_members, join, leave = ProcessGroups.get_members, ProcessGroups.join, ProcessGroups.leave


async def test_members_are_those_who_joined_in_that_order() -> None:
    async with new_node():
        await scope()
        one, two = spawn(sleeper), spawn(sleeper)
        join("room", two)
        join("room", [one])
        assert get_members("room") == [two, one]
        assert ProcessGroups.which_groups() == ["room"]


async def test_process_joins_several_groups() -> None:
    async with new_node():
        await scope()
        one = spawn(sleeper)
        join("b", one)
        join("a", one)
        assert ProcessGroups.which_groups() == ["b", "a"]
        assert leave("b", one)
        assert ProcessGroups.which_groups() == ["a"]


async def test_process_joins_itself() -> None:
    async with new_node():
        await scope()
        worker = Worker()
        await worker.do(lambda: join("room", self_pid()))
        assert get_members("room") == [worker.pid]


async def test_group_that_nobody_joined_is_empty() -> None:
    async with new_node():
        await scope()
        assert get_members("room") == []
        join("room", [])
        assert ProcessGroups.which_groups() == []


async def test_member_must_leave_as_often_as_it_joined() -> None:
    async with new_node():
        await scope()
        one = spawn(sleeper)
        join("room", [one, one])
        join("room", one)
        assert get_members("room") == [one, one, one]
        assert leave("room", [one, one])
        assert get_members("room") == [one]
        assert leave("room", one)
        assert not leave("room", one)
        assert ProcessGroups.which_groups() == []
        assert process_of(one).owned is None


async def test_leave_says_whether_anyone_left() -> None:
    async with new_node():
        await scope()
        one, two = spawn(sleeper), spawn(sleeper)
        join("room", one)
        assert not leave("room", two)
        assert not leave("attic", one)
        assert not leave("room", [])
        assert leave("room", [two, one])
        assert get_members("room") == []


class Look:
    """Looks at a group in the very step in which a process's exit is told."""

    def __init__(self, pid: Pid) -> None:
        self.members: list[Pid] | None = None
        watch(process_of(pid), self)

    def down(self, reason: ExitReason) -> None:
        self.members = get_members("room")


async def test_member_has_left_before_anyone_hears_of_its_exit() -> None:
    async with new_node():
        await scope()
        one, two = spawn(sleeper), spawn(sleeper)
        join("room", [one, two, one])
        join("attic", one)
        look = Look(one)
        exit(one, "kill")
        await wait_exit(one, timeout=1)
        assert look.members == [two]
        assert ProcessGroups.which_groups() == ["room"]


async def test_process_that_is_gone_does_not_join_and_has_nothing_to_leave() -> None:
    async with new_node():
        await scope()
        one, two = spawn(sleeper), spawn(sleeper)
        exit(one, "kill")
        await wait_exit(one, timeout=1)
        join("room", [one, two])
        assert get_members("room") == [two]
        assert not leave("room", one)


async def test_members_are_not_linked_with_the_scope() -> None:
    async with new_node():
        pid = await scope()
        one = spawn(sleeper)
        join("room", one)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert one.alive
        assert process_of(one).owned is None
        await scope()
        assert get_members("room") == []
        join("room", one)
        assert get_members("room") == [one]


async def test_scopes_know_nothing_of_each_other() -> None:
    async with new_node():
        chess = await scope("chess")
        await scope()
        one = spawn(sleeper)
        join("room", one, scope="chess")
        assert get_members("room") == []
        assert get_members("room", scope=chess) == [one]
        assert not leave("room", one)
        assert leave("room", one, scope="chess")


async def test_scope_is_addressed_by_a_via_address() -> None:
    async with new_node():
        await registry()
        via = Registry.via("registry", "chess")
        await start(ProcessGroups, name=via)
        join("room", [], scope=via)
        assert ProcessGroups.which_groups(scope=via) == []


async def test_two_nodes_do_not_see_each_others_groups() -> None:
    async with new_node("outer"):
        await scope()
        one = spawn(sleeper)
        join("room", one)
        async with new_node("inner"):
            await scope()
            assert get_members("room") == []
            with pytest.raises(InvalidOptionError) as caught:
                join("room", one)
            assert str(caught.value) == (
                "ProcessGroups.join(pids): expected processes of the node of ProcessGroups <inner.1 pg>, "
                "got <outer.2> of another node"
            )


async def test_group_that_changed_is_gone_with_its_member_and_takes_no_others_with_it() -> None:
    class Room:
        number = 1

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Room) and self.number == other.number

        def __hash__(self) -> int:
            return hash(self.number)

    async with new_node():
        await scope()
        one, two = spawn(sleeper), spawn(sleeper)
        room, other = Room(), Room()
        other.number = 2
        for group in ("attic", room):
            join(group, one)
        join(other, two)
        room.number = 2
        exit(one, "kill")
        await wait_exit(one, timeout=1)
        assert (get_members("attic"), get_members(other)) == ([], [two])
        assert leave(other, two)


@pytest.mark.usefixtures("no_gc")
async def test_scope_keeps_nothing_alive_of_a_process_that_has_ended() -> None:
    async with new_node():
        await scope()
        one = spawn(sleeper)
        gone = weakref.ref(one)
        join("room", one)
        exit(one, "kill")
        await wait_exit(one, timeout=1)
        del one
        await steps()
        assert gone() is None


@pytest.mark.usefixtures("no_gc")
async def test_scope_that_has_ended_keeps_nothing_alive() -> None:
    class Group:
        """A group whose end can be seen."""

    async with new_node():
        pid = await scope()
        group = Group()
        gone = weakref.ref(group)
        join(group, spawn(sleeper))
        del group
        await stop(pid)
        assert gone() is None


# --- wrong arguments -----------------------------------------------------------------------------

CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("join", ("room", [])),
    ("leave", ("room", [])),
    ("get_members", ("room",)),
    ("which_groups", ()),
]
IN_PROCESS: list[tuple[str, tuple[Any, ...]]] = [("monitor", ("room",)), ("monitor_scope", ())]


@pytest.mark.parametrize(("name", "args"), [*CALLS, *IN_PROCESS])
async def test_scope_that_does_not_run_is_named_by_each_function(name: str, args: tuple[Any, ...]) -> None:
    async with new_node():
        worker = Worker()
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(getattr(ProcessGroups, name), *args)
        assert str(caught.value) == (
            f"ProcessGroups.{name}(scope): expected a running scope of process groups, got 'pg', which nobody holds\n"
            "Fix: start it before those who use it: child_spec(ProcessGroups, name='pg')."
        )


async def test_scope_of_another_name_is_suggested() -> None:
    async with new_node():
        await scope("chess")
        with pytest.raises(InvalidOptionError) as caught:
            get_members("room", scope="ches")
        assert str(caught.value) == (
            "ProcessGroups.get_members(scope): expected a running scope of process groups, "
            "got 'ches', which nobody holds\n"
            "Fix: write 'chess'."
        )


async def test_registry_is_no_scope() -> None:
    async with new_node():
        await registry(name="pg")
        with pytest.raises(InvalidOptionError) as caught:
            get_members("room")
        assert str(caught.value) == (
            "ProcessGroups.get_members(scope): expected a running scope of process groups, "
            "got Registry <test.1 pg>, which is none"
        )


@pytest.mark.parametrize("name", ["join", "leave", "get_members", "monitor"])
async def test_group_without_a_hash_is_refused(name: str) -> None:
    async with new_node():
        await scope()
        worker = Worker()
        args: list[Any] = [["room"], []] if name in ("join", "leave") else [["room"]]
        with pytest.raises(InvalidOptionError) as caught:
            await worker.do(getattr(ProcessGroups, name), *args)
        assert str(caught.value) == (
            f"ProcessGroups.{name}(group): expected something hashable, a string say, got ['room']"
        )


@pytest.mark.parametrize("wrong", ["ada", 7, [7]])
async def test_what_is_no_pid_does_not_join(wrong: Any) -> None:
    async with new_node():
        await scope()
        for function in (join, leave):
            with pytest.raises(InvalidOptionError) as caught:
                function("room", wrong)
            assert str(caught.value) == (
                f"ProcessGroups.{function.__name__}(pids): expected a pid, or a list of pids, got {wrong!r}"
            )


def test_name_of_a_scope_needs_a_node() -> None:
    with pytest.raises(NoNodeError) as caught:
        get_members("room")
    assert caught.value.operation == "ProcessGroups.get_members(scope)"
