# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

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
    terminate,
    trap_exit,
    wait_exit,
)
from tests.kernel.helpers import Hearer, process_of, quick_node, sleeper, steps


@pytest.mark.parametrize("reason", ["shutdown", ("shutdown", 3), "killed", "noproc", "noconnection"])
async def test_exit_ends_a_process_with_the_reason(reason) -> None:
    async with quick_node():
        pid = spawn(sleeper)
        exit(pid, reason)
        assert await wait_exit(pid, timeout=1) == reason


async def test_exit_is_a_shutdown_when_nothing_is_said() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        exit(pid)
        assert await wait_exit(pid, timeout=1) == "shutdown"


async def test_exit_refuses_messages_from_the_same_step_on() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        mailbox = process_of(pid).mailbox
        exit(pid)
        assert not pid.alive
        assert mailbox.put(("info", 1, None)) == "noproc"
        assert mailbox.refusal_of(1) == "noproc"


async def test_normal_exit_signal_does_nothing_to_another_process() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        exit(pid, "normal")
        await steps()
        assert pid.alive


async def test_normal_exit_signal_ends_the_process_that_sends_it_to_itself() -> None:
    """erlang:exit/2: "if Pid is the caller itself and does not trap, it exits with reason normal"."""
    async with quick_node():
        pid = Hearer(lambda: exit(self_pid(), "normal")).pid
        assert await wait_exit(pid, timeout=1) == "normal"


async def test_normal_exit_signal_to_oneself_is_a_message_where_exits_are_trapped() -> None:
    async with quick_node():
        hearer = Hearer(trap_exit, lambda: exit(self_pid(), "normal"))
        await steps()
        assert hearer.heard == [Exit(hearer.pid, "normal")]


async def test_exit_to_oneself_ends_the_process_where_it_waits_next() -> None:
    async with quick_node():
        reached: list[str] = []

        async def body() -> None:
            exit(self_pid(), "shutdown")
            reached.append("goes on")
            await asyncio.sleep(0)
            reached.append("never")

        assert await wait_exit(spawn(body), timeout=1) == "shutdown"
        assert reached == ["goes on"]


async def test_normal_exit_to_oneself_does_not_change_a_reason_before_it() -> None:
    async with quick_node():

        async def body() -> None:
            exit(self_pid(), "shutdown")
            exit(self_pid(), "normal")

        assert await wait_exit(spawn(body), timeout=1) == "shutdown"


async def test_exit_to_oneself_counts_when_the_code_never_waits_again() -> None:
    async with quick_node():

        async def body() -> None:
            exit(self_pid(), "shutdown")

        assert await wait_exit(spawn(body), timeout=1) == "shutdown"


async def test_trapped_exit_signal_is_a_message_with_its_sender() -> None:
    async with quick_node():
        hearer = Hearer(trap_exit)
        await steps()
        exit(hearer.pid, "shutdown")
        sender = Hearer(lambda: exit(hearer.pid, "normal"))
        await steps()
        assert hearer.heard == [Exit(None, "shutdown"), Exit(sender.pid, "normal")]


async def test_trapping_can_be_switched_off_again() -> None:
    async with quick_node():
        hearer = Hearer(trap_exit, lambda: trap_exit(False))
        await steps()
        exit(hearer.pid, "shutdown")
        assert await wait_exit(hearer.pid, timeout=1) == "shutdown"


async def test_kill_cannot_be_trapped_and_is_told_as_killed() -> None:
    async with quick_node():
        hearer = Hearer(trap_exit)
        await steps()
        exit(hearer.pid, "kill")
        assert await wait_exit(hearer.pid, timeout=1) == "killed"


async def test_kill_that_comes_by_a_link_is_a_reason_like_any_other() -> None:
    """erlang:exit/1: a process that exits itself with kill sends a signal that can be trapped."""
    async with quick_node():

        async def kills_itself() -> None:
            await receive(timeout=None)
            raise ProcessExit("kill")

        target = spawn(kills_itself)
        hearer = Hearer(trap_exit, lambda: link(target))
        await steps()
        process_of(target).mailbox.put(("info", "go", None))
        await steps()
        assert hearer.heard == [Exit(target, "kill")]


async def test_first_exit_signal_counts() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        await steps()
        exit(pid, "shutdown")
        exit(pid, ("shutdown", "second"))
        assert await wait_exit(pid, timeout=1) == "shutdown"


async def test_killed_neighbour_does_not_change_the_reason_of_a_process_that_ends_already() -> None:
    async with quick_node():
        target = spawn(sleeper)
        owner = Hearer(lambda: link(target))
        await steps()
        exit(owner.pid, "shutdown")
        exit(target, "kill")
        assert await wait_exit(owner.pid, timeout=1) == "shutdown"


async def test_kill_overrides_a_reason_before_it_and_cuts_the_unwinding_short() -> None:
    async with quick_node(exit_grace=10):
        unwound: list[bool] = []

        async def body() -> None:
            try:
                await sleeper()
            finally:
                await sleeper()
                unwound.append(True)

        pid = spawn(body)
        await steps()
        exit(pid, "shutdown")
        await steps()
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"
        assert unwound == []


async def test_second_kill_changes_nothing() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        exit(pid, "kill")
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"


async def test_process_that_is_killed_before_its_first_step_never_runs_and_is_told_of() -> None:
    async with quick_node() as node:
        ran: list[bool] = []

        async def body() -> None:
            ran.append(True)

        pid = spawn(body)
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"
        assert ran == []
        assert node.processes == {}


async def test_exit_of_the_dead_does_nothing() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        process = process_of(pid)
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        exit(pid, "kill")
        terminate(process, "killed")
        assert not pid.alive


async def test_exit_from_a_callback_of_the_loop_comes_from_nobody() -> None:
    async with quick_node() as node:
        hearer = Hearer(trap_exit)
        await steps()
        node.loop.call_soon(exit, hearer.pid, "shutdown")
        await steps()
        assert hearer.heard == [Exit(None, "shutdown")]


async def test_exit_refuses_an_unknown_reason_with_the_nearest() -> None:
    async with quick_node():
        pid = spawn(sleeper)
        with pytest.raises(InvalidOptionError) as caught:
            exit(pid, "shutdwon")
        assert str(caught.value) == (
            "exit(reason): expected an exit reason ('normal', 'shutdown', ('shutdown', term), 'kill' or an exception), "
            "got 'shutdwon'\n"
            "Fix: write 'shutdown'."
        )
        assert pid.alive


async def test_exit_takes_pids_only() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        exit("clerk")
    assert str(caught.value) == "exit(pid): expected an instance of Pid, got 'clerk'"


async def test_trap_exit_belongs_to_processes() -> None:
    with pytest.raises(NotInProcessError, match=r"^trap_exit\(\): expected to run inside a process"):
        trap_exit()
