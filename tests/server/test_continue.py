# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

import pytest

from stanchion.kernel import wait_exit
from stanchion.server import Continue, GenServer, Reply, Stop, call, cast, send, start, stop
from stanchion.telemetry import PROCESS_EXIT
from tests.kernel.helpers import Events, process_of, quick_node, steps
from tests.server.servers import By, raises


class Steps(GenServer):
    """Counts down by handle_continue, and notes what happens."""

    def init(self, count, log):
        self.log = log
        return Continue(count)

    def handle_continue(self, arg):
        self.log.append(arg)
        return Continue(arg - 1) if arg else None

    def handle_call(self, request, sender):
        self.log.append("call")
        return Reply(request, then=Continue(1))

    def handle_cast(self, message):
        self.log.append("cast")
        return Continue(2)

    def handle_info(self, message):
        return Continue(0)


async def test_continue_chain_runs_before_the_first_message() -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Steps, 3, log)
        assert await call(pid, "x") == "x"
        assert log[:5] == [3, 2, 1, 0, "call"]


async def test_continue_runs_before_the_next_message() -> None:
    async with quick_node():
        log: list[object] = []
        pid = await start(Steps, 0, log)
        cast(pid, 1)
        cast(pid, 2)
        send(pid, 3)
        await stop(pid)
        assert log == [0, "cast", 2, 1, 0, "cast", 2, 1, 0, 0]


async def test_init_is_done_before_its_continue_runs() -> None:
    async with quick_node():
        gate = asyncio.Event()

        class Slow(GenServer):
            def init(self):
                return Continue()

            async def handle_continue(self, arg):
                await gate.wait()

            def handle_call(self, request, sender):
                return "ready"

        pid = await start(Slow)
        assert not gate.is_set()
        gate.set()
        assert await call(pid, 1) == "ready"


@pytest.mark.parametrize("reason", ["normal", ("shutdown", 1)])
async def test_continue_may_stop_the_server(reason) -> None:
    async with quick_node():
        pid = await start(By)
        cast(pid, lambda server: Continue(lambda server: Stop(reason)))
        assert await wait_exit(pid, timeout=1) == reason


async def test_continue_of_init_may_stop_the_server() -> None:
    async with quick_node() as node:
        exits = Events(node, PROCESS_EXIT)

        class Brief(GenServer):
            def init(self):
                return Continue()

            async def handle_continue(self, arg):
                return Stop("shutdown")

        await start(Brief)
        await steps()
        assert exits.all("reason") == ["shutdown"]


async def test_crash_in_a_continue_after_init_ends_the_server_through_terminate() -> None:
    states: list[object] = []
    error = ValueError("broken")

    class Fails(By):
        def init(self):
            super().init()
            states.append(self.state)
            return Continue(raises(error))

    async with quick_node():
        await start(Fails)
        await steps()
        assert states == [[("terminate", error)]]


async def test_endless_chain_of_plain_continues_lets_other_tasks_run() -> None:
    async with quick_node():
        count = 0

        class Endless(GenServer):
            def init(self):
                return Continue()

            def handle_continue(self, arg):
                nonlocal count
                count += 1
                return Continue()

        pid = await start(Endless)
        await steps(3)
        assert 256 <= count <= 4 * 256
        assert process_of(pid).task is not None
