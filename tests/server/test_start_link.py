# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import contextlib

import pytest

from stanchion.errors import NotInProcessError, StartError
from stanchion.kernel import Exit, exit, receive, self_pid, spawn, trap_exit, wait_exit, whereis
from stanchion.server import IGNORE, Stop, cast, start_link
from tests.kernel.helpers import process_of, quick_node, run_in_process, sleeper, steps
from tests.server.servers import By, Counter, hang, raises, returns


async def test_server_and_parent_are_linked() -> None:
    async with quick_node():

        async def parent() -> object:
            trap_exit()
            pid = await start_link(By)
            assert process_of(pid).parent is self_pid()
            cast(pid, returns(Stop("shutdown")))
            return await receive(timeout=1) == Exit(pid, "shutdown")

        assert await run_in_process(parent)


async def test_server_ends_with_its_parent() -> None:
    async with quick_node():

        async def parent() -> None:
            await start_link(Counter, name="child")
            await sleeper()

        pid = spawn(parent)
        await steps()
        child = whereis("child")
        exit(pid, "kill")
        assert child is not None
        assert await wait_exit(child, timeout=1) == "killed"


@pytest.mark.parametrize(
    "init",
    [
        raises(ValueError("broken")),
        raises(asyncio.CancelledError()),
        returns(Stop("shutdown")),
        returns(IGNORE),
        returns(42),
        lambda _: exit(self_pid(), "kill"),
        hang,
    ],
    ids=["raises", "cancelled", "stop", "ignore", "nonsense", "killed", "hangs"],
)
async def test_init_that_does_not_succeed_gives_the_parent_an_error_and_no_exit_signal(init) -> None:
    async with quick_node():

        async def parent() -> object:
            trap_exit()
            with pytest.raises(StartError):
                await start_link(By, init, timeout=0.01)
            assert not process_of(self_pid()).links
            with contextlib.suppress(TimeoutError):
                return await receive(timeout=0.01)
            return "nothing came"

        assert await run_in_process(parent) == "nothing came"


async def test_parent_that_traps_nothing_survives_a_child_that_does_not_start() -> None:
    async with quick_node():

        async def parent() -> str:
            with pytest.raises(StartError):
                await start_link(By, raises(ValueError("broken")))
            await asyncio.sleep(0)
            return "alive"

        assert await run_in_process(parent) == "alive"


@pytest.mark.parametrize("traps", [False, True])
async def test_parent_that_ends_during_the_childs_init_takes_the_child_with_it(traps: bool) -> None:
    async with quick_node() as node:

        def init(_):
            trap_exit(traps)
            return hang()

        async def parent() -> None:
            await start_link(By, init, name="child")

        pid = spawn(parent)
        await steps()
        child = whereis("child")
        assert child is not None
        exit(pid, "shutdown")
        assert await wait_exit(child, timeout=1) in ("shutdown", "killed")
        await steps()
        assert node.processes == {}


async def test_cancelled_start_link_gives_the_parent_no_exit_signal() -> None:
    async with quick_node() as node:

        async def parent() -> object:
            trap_exit()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await start_link(By, hang)
            with contextlib.suppress(TimeoutError):
                return await receive(timeout=0.02)
            return len(node.processes)

        assert await run_in_process(parent) == 1


async def test_start_link_belongs_to_processes() -> None:
    async with quick_node():
        with pytest.raises(NotInProcessError, match=r"^start_link\(\): expected to run inside a process"):
            await start_link(Counter)


async def test_start_link_names_itself_in_its_errors() -> None:
    async with quick_node():
        with pytest.raises(
            ValueError, match=r"^start_link\(mailbox\): expected a whole number >= 1, a MailboxPolicy or None, got 0"
        ):
            await run_in_process(lambda: start_link(Counter, mailbox=0))
