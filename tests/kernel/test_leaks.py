# SPDX-License-Identifier: MIT
"""Nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from stanchion.errors import CallExitError
from stanchion.kernel import (
    Node,
    Pid,
    demonitor,
    exit,
    link,
    monitor,
    self_pid,
    spawn,
    trap_exit,
    unlink,
    wait_exit,
)
from stanchion.server import NO_REPLY, GenServer, Stop, call, cast, start, stop
from tests.kernel.helpers import process_of, quick_node, sleeper, steps


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Let only reference counts free things: what is left then is part of a cycle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Echo(GenServer):
    def handle_call(self, request, sender):
        return NO_REPLY if request == "hang" else request

    def handle_cast(self, message):
        if isinstance(message, Pid):
            link(message)
            unlink(message)
            demonitor(monitor(message))
            monitor(message)
            link(message)
            return None
        return Stop(message)


def nothing_left(node: Node) -> bool:
    return (
        node.processes == {} and node.names.all() == [] and not any(node.wheel._buckets.values()) and not node.runaways
    )


async def test_node_is_empty_after_a_thousand_processes_that_called_linked_and_monitored() -> None:
    async with quick_node(timeouts=30) as node:
        keeper = spawn(sleeper)
        for number in range(1000):
            pid = await start(Echo, name=f"echo{number % 10}" if number % 2 else None)
            assert await call(pid, number) == number
            if number % 2 == 0:
                cast(pid, keeper)
                with pytest.raises(TimeoutError):
                    await call(pid, "hang", timeout=0)
            await stop(pid)
        assert process_of(keeper).watchers is None
        assert not process_of(keeper).links
        exit(keeper, "kill")
        await wait_exit(keeper, timeout=1)
        assert nothing_left(node)


async def test_deferred_reply_is_forgotten_when_its_caller_stops_waiting() -> None:
    async with quick_node():
        pid = await start(Echo)
        with pytest.raises(TimeoutError):
            await call(pid, "hang", timeout=0.001)
        waiting = asyncio.create_task(call(pid, "hang", timeout=None))
        await steps()
        assert len(process_of(pid).deferred or ()) == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not process_of(pid).deferred


@pytest.mark.usefixtures("no_gc")
async def test_pid_keeps_neither_process_nor_server_alive() -> None:
    async with quick_node():
        servers: list[weakref.ref[GenServer]] = []

        class Kept(Echo):
            def init(self) -> None:
                servers.append(weakref.ref(self))

        pid = await start(Kept)
        mailbox = id(pid._mailbox)
        assert await call(pid, 1) == 1
        assert servers[0]() is not None
        await stop(pid)
        await steps()
        assert servers[0]() is None
        assert pid._process is None
        assert id(pid._mailbox) != mailbox


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("how", ["stop", "kill", "crash", "exit"])
async def test_server_is_freed_without_the_collector_however_it_ends(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "stanchion.process")  # a captured record would hold the traceback

    class Held:
        pass

    class Holds(GenServer):
        def init(self, held: Held) -> None:
            self.held = held

        def handle_cast(self, message):
            if message == "crash":
                raise ValueError("broken")
            return Stop("shutdown")

    async with quick_node():
        held = Held()
        ref = weakref.ref(held)
        pid = await start(Holds, held)
        del held
        if how == "stop":
            await stop(pid)
        elif how == "kill":
            exit(pid, "kill")
        else:
            cast(pid, how)
        await wait_exit(pid, timeout=1)
        await steps()
        assert ref() is None


@pytest.mark.usefixtures("no_gc")
async def test_monitor_that_fired_is_freed_without_the_collector() -> None:
    async with quick_node():
        target = spawn(sleeper)
        refs: list[weakref.ref[Pid]] = []

        async def body() -> None:
            trap_exit()
            for _ in range(3):
                monitor(target)
            refs.append(weakref.ref(self_pid()))
            await sleeper()

        pid = spawn(body)
        await steps()
        exit(target, "shutdown")
        await steps()
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        await steps()
        del pid
        assert refs[0]() is None


async def test_callers_error_names_the_crash_and_shows_its_traceback() -> None:
    class Crashes(GenServer):
        def handle_call(self, request, sender):
            raise ValueError("broken")

    async with quick_node():
        pid = await start(Crashes)
        with pytest.raises(CallExitError) as caught:
            await call(pid, 1)
        assert isinstance(caught.value.__cause__, ValueError)
        assert caught.value.reason is caught.value.__cause__
