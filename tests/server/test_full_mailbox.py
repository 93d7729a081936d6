# SPDX-License-Identifier: MIT
"""Calls to a server whose mailbox is full."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import CallExitError, CallOverflowError
from stanchion.kernel import MailboxPolicy, Pid, exit
from stanchion.server import GenServer, call, cast, get_status, multi_call, start
from tests.kernel.helpers import process_of, quick_node, steps

_FIX = "Fix: call again later, slow the callers down, or start the process with a larger mailbox=."


class Gate(GenServer):
    """Answers only while it is open."""

    def init(self, made: list[Gate]) -> None:
        made.append(self)
        self.open = asyncio.Event()
        self.seen: list[object] = []

    async def handle_call(self, request: Any, sender: Any) -> Any:
        await self.open.wait()
        self.seen.append(request)
        return request

    async def handle_cast(self, message: Any) -> None:
        await self.open.wait()


async def full_gate(overflow: Any) -> tuple[Pid, Gate, asyncio.Task[Any]]:
    """Start a closed gate with one message in hand and one caller in its mailbox, which is then full."""
    made: list[Gate] = []
    pid = await start(Gate, made, mailbox=MailboxPolicy(1, overflow))
    cast(pid, "in hand")
    await steps()
    waiting = asyncio.create_task(call(pid, "waits"))
    await asyncio.sleep(0)
    return pid, made[0], waiting


@pytest.mark.parametrize("overflow", ["reject", "drop_newest"])
async def test_call_to_a_full_mailbox_says_so_at_once(overflow: str) -> None:
    async with quick_node():
        pid, server, waiting = await full_gate(overflow)
        with pytest.raises(CallOverflowError) as caught:
            await call(pid, "late")
        assert str(caught.value) == (
            f"call to {pid!r}: expected room in its mailbox for 'late', got a full one (1 messages)\n{_FIX}"
        )
        assert (caught.value.limit, caught.value.waited, caught.value.displaced) == (1, None, False)
        server.open.set()
        assert await waiting == "waits"


async def test_call_whose_place_a_newer_message_took_says_so_at_once() -> None:
    async with quick_node():
        pid, server, waiting = await full_gate("drop_oldest")
        newer = asyncio.create_task(call(pid, "newer"))
        with pytest.raises(CallOverflowError) as caught:
            await waiting
        assert str(caught.value) == (
            f"call to {pid!r}: expected room in its mailbox for 'waits', got a full one (1 messages), where a newer "
            f"message took its place\n{_FIX}"
        )
        assert caught.value.displaced
        server.open.set()
        assert (await newer, server.seen) == ("newer", ["newer"])


async def test_callers_stand_in_line_for_a_place_and_are_answered_in_order() -> None:
    async with quick_node():
        pid, server, waiting = await full_gate("block")
        calls = [asyncio.create_task(call(pid, number)) for number in range(5)]
        several = asyncio.create_task(multi_call([pid, pid], "both"))
        await asyncio.sleep(0)
        cast(pid, "cannot wait")
        status = asyncio.create_task(get_status(pid))
        await asyncio.sleep(0)
        server.open.set()
        assert await asyncio.gather(waiting, *calls) == ["waits", 0, 1, 2, 3, 4]
        assert (await several).replies == ((pid, "both"), (pid, "both"))
        assert server.seen == ["waits", 0, 1, 2, 3, 4, "both", "both"]
        told = await status
        assert (told.senders, told.overflows) == (6, 8)


async def test_caller_that_finds_no_place_in_time_was_not_handled() -> None:
    async with quick_node():
        pid, server, waiting = await full_gate("block")
        with pytest.raises(CallOverflowError) as caught:
            await call(pid, "late", timeout=0)
        assert str(caught.value) == (
            f"call to {pid!r}: expected room in its mailbox for 'late' within 0 s, got a full one (1 messages)\n{_FIX}"
        )
        assert caught.value.waited == 0
        result = await multi_call([pid], "late", timeout=0)
        assert [type(error) for _, error in result.failures] == [CallOverflowError]
        server.open.set()
        await waiting
        assert await call(pid, "last") == "last"
        assert server.seen == ["waits", "last"]


@pytest.mark.parametrize("operation", [call, lambda pid, request: multi_call([pid], request)])
async def test_caller_that_is_cancelled_leaves_the_line(operation: Any) -> None:
    async with quick_node():
        pid, server, waiting = await full_gate("block")
        late = asyncio.create_task(operation(pid, "late"))
        await steps()
        late.cancel()
        await asyncio.wait([late])
        server.open.set()
        await waiting
        assert await call(pid, "last") == "last"
        assert server.seen == ["waits", "last"]


async def test_caller_in_line_hears_of_the_exit() -> None:
    async with quick_node():
        pid, _, waiting = await full_gate("block")
        late = asyncio.create_task(call(pid, "late"))
        await steps()
        exit(pid, "shutdown")
        for one in (waiting, late):
            with pytest.raises(CallExitError) as caught:
                await one
            assert (caught.value.reason, caught.value.handled) == ("shutdown", False)


async def test_system_requests_are_answered_first_where_the_policy_says_so() -> None:
    async with quick_node():
        made: list[Gate] = []
        pid = await start(Gate, made, mailbox=MailboxPolicy(system_first=True))
        cast(pid, "in hand")
        await steps()
        waiting = asyncio.create_task(call(pid, "waits"))
        await asyncio.sleep(0)
        status = asyncio.create_task(get_status(pid))
        await asyncio.sleep(0)
        made[0].open.set()
        assert (await status).mailbox == 1
        assert await waiting == "waits"
        assert not process_of(pid).mailbox.queue
