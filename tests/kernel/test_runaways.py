# SPDX-License-Identifier: MIT
"""Processes whose task does not end when it is told to."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from stanchion.errors import CallExitError
from stanchion.kernel import Node, Pid, exit, receive, spawn, wait_exit, whereis
from stanchion.server import call
from stanchion.telemetry import PROCESS_RUNAWAY
from tests.kernel.helpers import Events, process_of, quick_node, sleeper, steps


async def swallow(free: asyncio.Event) -> None:
    """Swallow every cancellation until ``free`` is set."""
    while not free.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await free.wait()


async def linger(free: asyncio.Event) -> None:
    """Wait in a finally."""
    try:
        await sleeper()
    finally:
        await swallow(free)


async def gone(node: Node) -> None:
    while node.runaways:
        await asyncio.sleep(0)


@pytest.mark.parametrize("body", [swallow, linger])
async def test_process_that_does_not_end_is_declared_dead_after_the_grace(body) -> None:
    async with quick_node() as node:
        free = asyncio.Event()
        pid = spawn(body, free, name="deaf")
        await steps()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert whereis("deaf") is None
        assert node.processes == {}
        assert len(node.runaways) == 1
        free.set()
        await gone(node)


async def test_runaway_is_reported_with_the_place_where_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node() as node:
        events = Events(node, PROCESS_RUNAWAY)
        free = asyncio.Event()
        pid = spawn(linger, free, name="deaf")
        await steps()
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        text = caplog.records[0].getMessage()
        assert text.startswith(
            "linger <test.1 deaf> was told to exit ('killed') and its task did not end within 0.05 s: it is declared dead. "
            "Its code swallows CancelledError or waits in a finally; fix it at: "
        )
        assert (
            f"{__file__}:{linger.__code__.co_firstlineno + 5} > {__file__}:{swallow.__code__.co_firstlineno + 4} > "
            in text
        )
        assert events.told == [
            (PROCESS_RUNAWAY, {"grace": 0.05}, {"node": "test", "pid": pid, "name": "deaf", "reason": "killed"})
        ]
        free.set()
        await gone(node)


async def test_callers_of_a_runaway_are_answered() -> None:
    async with quick_node() as node:
        free = asyncio.Event()
        pid = spawn(swallow, free)
        waiting = asyncio.create_task(call(pid, "question", timeout=None))
        await steps()
        exit(pid, "shutdown")
        with pytest.raises(CallExitError, match="exit with reason 'shutdown'; the request was not handled"):
            await waiting
        free.set()
        await gone(node)


async def test_node_closes_although_a_process_does_not_end() -> None:
    free = asyncio.Event()
    async with quick_node(shutdown_timeout=0.01) as node:
        spawn(swallow, free)
        await steps()
    assert node.processes == {}
    free.set()
    await gone(node)


async def test_runaway_that_ends_with_an_error_at_last_changes_nothing() -> None:
    async with quick_node() as node:
        free = asyncio.Event()

        async def fails(free: asyncio.Event) -> None:
            await swallow(free)
            raise ValueError("too late")

        pid = spawn(fails, free)
        await steps()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        free.set()
        await gone(node)


async def test_process_that_ends_within_the_grace_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    async with quick_node() as node:

        async def tidy() -> None:
            try:
                await sleeper()
            finally:
                await asyncio.sleep(0)

        pid = spawn(tidy)
        await steps()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert not any(node.wheel._buckets.values())
        assert caplog.records == []


async def test_grace_of_zero_gives_one_step() -> None:
    async with quick_node(exit_grace=0) as node:
        free = asyncio.Event()
        plain, deaf = spawn(sleeper), spawn(swallow, free)
        await steps()
        exit(plain, "shutdown")
        exit(deaf, "shutdown")
        await wait_exit(deaf, timeout=1)
        assert not plain.alive
        assert len(node.runaways) == 1
        free.set()
        await gone(node)


async def test_process_that_swallows_its_exit_around_receive_ends_at_the_next_one() -> None:
    async with quick_node(exit_grace=10):

        async def body() -> None:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await receive(timeout=None)

        pid = spawn(body)
        await steps()
        exit(pid, ("shutdown", "now"))
        assert await wait_exit(pid, timeout=1) == ("shutdown", "now")


async def test_process_that_swallows_everything_around_receive_lets_the_others_run() -> None:
    async with quick_node(exit_grace=0.01) as node:
        stop: list[bool] = []

        async def body() -> None:
            while not stop:
                with contextlib.suppress(BaseException):
                    await receive(timeout=None)

        pid: Pid = spawn(body)
        await steps()
        process = process_of(pid)
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert process.task in node.runaways
        stop.append(True)
        await gone(node)
