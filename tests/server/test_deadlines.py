# SPDX-License-Identifier: MIT
"""A deadline on its way through servers: who has it, what it cuts, and what is not begun because of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.delivery import send_supervised
from stanchion.errors import CallExitError, CallTimeoutError, StartError
from stanchion.kernel import Node, deadline, remaining, send_after
from stanchion.server import (
    NO_REPLY,
    Continue,
    GenServer,
    Reject,
    StateHolder,
    Stop,
    abcast,
    call,
    cast,
    get_state,
    multi_call,
    replace_state,
    reply,
    resume,
    send,
    start,
    suspend,
)
from stanchion.telemetry import DEAD_LETTER, MESSAGE_EXPIRED, MESSAGE_UNHANDLED
from stanchion.testing import wait_quiet
from tests.kernel.helpers import Events
from tests.server.servers import By, hang, raises, returns


class Notes(GenServer):
    """Notes what it has left in each of its callbacks."""

    def init(self, seen: list[Any]) -> Any:
        self.seen = seen
        self.seen.append(("init", remaining()))
        return Continue("begin")

    def handle_call(self, request: Any, sender: Any) -> Any:
        self.seen.append((request, remaining()))
        return remaining()

    async def handle_cast(self, message: Any) -> Any:
        await asyncio.sleep(message if isinstance(message, int) else 0)
        self.seen.append((message, remaining()))
        return Stop("shutdown") if message == "stop" else Continue("go on") if message == "continue" else None

    def handle_info(self, message: Any) -> None:
        self.seen.append((message, remaining()))

    def handle_continue(self, arg: Any) -> None:
        self.seen.append((arg, remaining()))

    def terminate(self, reason: Any) -> None:
        self.seen.append(("terminate", remaining()))


async def notes(*args: Any) -> tuple[Any, list[Any]]:
    """Start one, and return it with its notes after the start."""
    seen: list[Any] = []
    pid = await start(Notes, seen, *args)
    await wait_quiet()
    seen.clear()
    return pid, seen


async def test_each_kind_of_message_brings_its_deadline_and_the_next_has_none_of_it(node: Node) -> None:
    pid, seen = await notes()
    async with deadline(2):
        assert await call(pid, "call") == 2
        cast(pid, "cast")
        abcast([pid], "abcast")
        send(pid, "info")
        assert (await multi_call([pid], "multi_call")).failures == ()
    cast(pid, "after")
    assert await call(pid, "last") is None
    assert seen == [
        ("call", 2),
        ("cast", 2),
        ("abcast", 2),
        ("info", 2),
        ("multi_call", 2),
        ("after", None),
        ("last", None),
    ]


async def test_deadline_is_not_that_of_what_comes_after_the_callback(node: Node) -> None:
    pid, seen = await notes()
    async with deadline(2):
        cast(pid, "continue")
        cast(pid, "stop")
    await asyncio.sleep(1)
    assert seen == [("continue", 2), ("go on", None), ("stop", 2), ("terminate", None)]


async def test_deadline_of_a_callback_that_raises_is_not_that_of_terminate(node: Node) -> None:
    left: list[Any] = []

    class Fails(By):
        async def terminate(self, reason: Any) -> None:
            left.append(remaining())

    pid = await start(Fails)
    with pytest.raises(CallExitError):
        async with deadline(2):
            await call(pid, raises(ValueError("on purpose")))
    assert left == [None]


async def test_init_has_the_deadline_of_the_starter_and_what_comes_after_it_has_not(node: Node) -> None:
    seen: list[Any] = []
    async with deadline(2):
        await start(Notes, seen)
        await wait_quiet()
    assert seen == [("init", 2), ("begin", None)]


async def test_start_after_the_deadline_starts_nothing(node: Node) -> None:
    seen: list[Any] = []
    with pytest.raises(StartError):
        async with deadline(0):
            await start(Notes, seen)
    assert seen == []


async def test_deadline_shrinks_from_hop_to_hop(node: Node) -> None:
    last = await start(By)
    first = await start(By)

    async def ask_on(_: Any) -> Any:
        await asyncio.sleep(1)
        return await call(last, lambda _: remaining())

    async with deadline(3):
        assert await call(first, ask_on) == 2


async def test_deadline_cuts_the_timeout_of_a_nested_call(node: Node) -> None:
    last = await start(By)
    first = await start(By)

    async def ask_on(_: Any) -> Any:
        try:
            return await call(last, hang, timeout=60)
        except CallTimeoutError as error:
            return error

    sender: list[Any] = []

    async def patient(server: Any) -> Any:
        sender.append(await ask_on(server))

    with pytest.raises(CallTimeoutError):
        async with deadline(3):
            await call(first, patient)
    await wait_quiet()
    assert sender[0].timeout == 3


async def test_timeout_of_a_call_does_not_travel(node: Node) -> None:
    pid, _ = await notes()
    assert await call(pid, "call", timeout=2) is None


async def test_timer_does_not_carry_the_deadline(node: Node) -> None:
    pid, seen = await notes()
    async with deadline(2):
        send_after(pid, "timer", 1)
        await asyncio.sleep(1.5)
    assert seen == [("timer", None)]


async def test_call_after_the_deadline_sends_nothing(node: Node) -> None:
    pid, seen = await notes()
    with pytest.raises(CallTimeoutError) as caught:
        async with deadline(0):
            await call(pid, "too late")
    await wait_quiet()
    assert seen == []
    assert (caught.value.outcome, caught.value.handled, caught.value.timeout) == ("not_sent", False, 0)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"call to {pid!r}: expected a reply to 'too late' within 0 s, got none; the request was not sent"
    )
    assert lines[1].startswith("Limit: what was left of the deadline of 0 s set at ")
    assert lines[1].endswith("; without it: default = 5 s (code).")
    assert lines[2:] == ["Fix: give the deadline more seconds, or do less under it."]


async def test_multi_call_and_sys_after_the_deadline_send_nothing(node: Node) -> None:
    pid, seen = await notes()
    async with deadline(0):
        ((_, error),) = (await multi_call([pid], "too late")).failures
        assert isinstance(error, CallTimeoutError)
        assert error.outcome == "not_sent"
        with pytest.raises(CallTimeoutError, match="the request was not sent"):
            await get_state(pid)
    await wait_quiet()
    assert seen == []


async def test_server_does_not_begin_with_what_comes_too_late(node: Node) -> None:
    events = Events(node, MESSAGE_EXPIRED)
    pid, seen = await notes()
    cast(pid, 3)
    async with deadline(2):
        cast(pid, "cast")
        send(pid, "info")
        with pytest.raises(CallTimeoutError) as caught:
            await call(pid, "call", timeout=None)
    assert (caught.value.outcome, caught.value.handled) == ("expired", False)
    assert await call(pid, "next") is None
    assert seen == [(3, None), ("next", None)]
    assert [(about["kind"], about["message"]) for _, _, about in events.told] == [
        ("cast", "cast"),
        ("info", "info"),
        ("call", "call"),
    ]
    assert [measured["lateness"] for _, measured, _ in events.told] == [1, 1, 1]
    assert node.statistics().expired == 3


async def test_caller_that_still_waits_hears_that_its_request_came_too_late(node: Node) -> None:
    """The wheel ends a wait up to a tick after its time; a server may come to the request in between."""
    pid = await start(By)
    jump = asyncio.get_running_loop().jump  # type: ignore[attr-defined]
    async with deadline(2):
        cast(pid, lambda _: jump(2.0))
        with pytest.raises(CallTimeoutError) as caught:
            await call(pid, "late", timeout=None)
    assert (caught.value.outcome, caught.value.handled, caught.value.doing) == ("expired", False, None)


async def test_message_that_may_come_twice_has_its_deadline_and_is_looked_up_first(node: Node) -> None:
    pid, seen = await notes()
    async with deadline(2):
        for _ in range(2):
            assert await send_supervised(pid, "once", idempotency_key="k")
    assert seen == [("once", 2)]


async def test_sys_request_that_comes_too_late_is_not_answered(node: Node) -> None:
    pid, _ = await notes()
    cast(pid, 3)
    with pytest.raises(CallTimeoutError) as caught:
        async with deadline(2):
            await replace_state(pid, lambda state: {**state, "seen": "changed"}, timeout=None)
    assert caught.value.outcome == "expired"
    assert (await get_state(pid))["seen"] == [(3, None)]
    assert node.statistics().expired == 1


async def test_sys_request_in_time_is_answered(node: Node) -> None:
    pid, seen = await notes()
    async with deadline(2):
        await suspend(pid)
        await resume(pid)
        assert (await get_state(pid))["seen"] is seen


async def test_state_holder_is_bounded_as_any_server(node: Node) -> None:
    holder = await start(StateHolder, dict)
    async with deadline(2):
        assert await StateHolder.get(holder, lambda _: remaining()) == 2
    assert await StateHolder.get(holder, lambda _: remaining()) is None


async def test_cast_with_a_deadline_is_refused_as_any_other(node: Node) -> None:
    rejected, unhandled = Events(node, DEAD_LETTER), Events(node, MESSAGE_UNHANDLED)
    rejects = await start(By)
    knows_nothing = await start(GenServer)
    async with deadline(2):
        cast(rejects, returns(Reject("not today")))
        cast(knows_nothing, "what?")
        await wait_quiet()
    assert rejected.all("reason") == ["rejected: not today"]
    assert unhandled.all("message") == ["what?"]


async def test_call_with_a_deadline_may_be_answered_later(node: Node) -> None:
    pid = await start(By)

    def put_off(server: Any) -> Any:
        server.waiting = server.sender
        return NO_REPLY

    async with deadline(2):
        waiting = asyncio.create_task(call(pid, put_off))
        await asyncio.sleep(1)
    cast(pid, lambda server: reply(server.waiting, "later") and None)
    assert await waiting == "later"
