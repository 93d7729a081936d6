# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from stanchion.errors import InvalidOptionError, NotInProcessError
from stanchion.kernel import (
    Exit,
    ProcessExit,
    exit,
    link,
    receive,
    self_pid,
    spawn,
    spawn_link,
    trap_exit,
    unlink,
    wait_exit,
)
from tests.kernel.helpers import Hearer, process_of, quick_node, run_in_process, sleeper, steps


async def test_linked_processes_end_together_when_the_linked_one_exits() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: link(target))
        await steps()
        exit(target, "shutdown")
        assert await wait_exit(owner.pid, timeout=1) == "shutdown"


async def test_linked_processes_end_together_when_the_linking_one_exits() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: link(target))
        await steps()
        exit(owner.pid, ("shutdown", 1))
        assert await wait_exit(target, timeout=1) == ("shutdown", 1)


async def test_link_turns_into_a_message_where_exits_are_trapped() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(trap_exit, lambda: link(target))
        await steps()
        exit(target, "kill")
        await steps()
        assert owner.heard == [Exit(target, "killed")]
        assert not process_of(owner.pid).links


async def test_normal_exit_ends_no_linked_process_but_is_told_where_exits_are_trapped() -> None:
    async with quick_node():

        async def ends() -> None:
            await receive(timeout=None)

        target = spawn(ends)
        deaf, trapping = Hearer(lambda: link(target)), Hearer(trap_exit, lambda: link(target))
        await steps()
        process_of(target).mailbox.put(("info", "go", None))
        await steps()
        assert deaf.pid.alive
        assert trapping.heard == [Exit(target, "normal")]


async def test_link_with_the_dead_gives_noproc_at_once() -> None:
    async with quick_node():
        gone = spawn(sleeper)
        exit(gone, "kill")
        await wait_exit(gone, timeout=1)
        trapping = Hearer(trap_exit, lambda: link(gone))
        plain = Hearer(lambda: link(gone))
        assert await wait_exit(plain.pid, timeout=1) == "noproc"
        assert trapping.heard == [Exit(gone, "noproc")]


async def test_unlink_keeps_both_sides_apart() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: link(target), lambda: unlink(target))
        await steps()
        exit(target, "kill")
        await steps()
        assert owner.pid.alive
        assert not process_of(owner.pid).links


async def test_unlink_leaves_an_exit_message_that_came_before() -> None:
    async with quick_node():
        target = spawn(sleeper)

        async def body() -> object:
            trap_exit()
            link(target)
            exit(target, "kill")
            await wait_exit(target, timeout=1)
            unlink(target)
            return await receive(timeout=0)

        assert await run_in_process(body) == Exit(target, "killed")


async def test_unlink_is_harmless_without_a_link() -> None:
    async with quick_node():
        target = spawn(sleeper)
        await run_in_process(unlink, target)
        assert target.alive


async def test_linking_twice_is_one_link() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(trap_exit, lambda: link(target), lambda: link(target))
        await steps()
        exit(target, "kill")
        await steps()
        assert owner.heard == [Exit(target, "killed")]


async def test_linking_with_oneself_is_no_link() -> None:
    async with quick_node():
        owner = Hearer(lambda: link(self_pid()))
        await steps()
        assert process_of(owner.pid).links is None


async def test_exit_signals_go_out_in_the_order_of_linking() -> None:
    async with quick_node():
        heard: list[str] = []

        async def member(name: str) -> None:
            trap_exit()
            await receive(timeout=None)
            heard.append(name)

        names = [f"member{number}" for number in range(30)]
        members = [spawn(member, name) for name in names]
        hub = Hearer(*[lambda pid=pid: link(pid) for pid in members])
        await steps()
        exit(hub.pid, "kill")
        await steps()
        assert heard == names


async def test_crash_spreads_through_a_chain_of_links_with_its_exception() -> None:
    async with quick_node():
        error = ValueError("first")

        async def chain(length: int) -> None:
            if length:
                spawn_link(chain, length - 1)
                await sleeper()
            raise error

        assert await wait_exit(spawn(chain, 5), timeout=1) is error


async def test_spawn_link_ends_the_child_with_its_parent() -> None:
    async with quick_node():
        parent = Hearer(lambda: spawn_link(sleeper))
        await steps()
        child = parent.results[0]
        exit(parent.pid, "shutdown")
        assert await wait_exit(child, timeout=1) == "shutdown"


async def test_spawn_link_is_linked_before_the_child_runs() -> None:
    async with quick_node():

        async def fails() -> None:
            raise ProcessExit("shutdown")

        parent = Hearer(trap_exit, lambda: spawn_link(fails))
        await steps()
        assert parent.heard == [Exit(parent.results[1], "shutdown")]


@pytest.mark.parametrize("operation", [link, unlink])
async def test_links_belong_to_processes(operation) -> None:
    async with quick_node():
        pid = spawn(sleeper)
        with pytest.raises(NotInProcessError) as caught:
            operation(pid)
        assert str(caught.value).startswith(f"{operation.__name__}(): expected to run inside a process, got")


@pytest.mark.parametrize("operation", [link, unlink])
async def test_links_take_pids_only(operation) -> None:
    async with quick_node():
        with pytest.raises(InvalidOptionError) as caught:
            await run_in_process(operation, "clerk")
        assert str(caught.value) == f"{operation.__name__}(pid): expected an instance of Pid, got 'clerk'"
