# SPDX-License-Identifier: MIT
"""Timeout: what a server does when no message comes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from stanchion.errors import CallExitError, InvalidOptionError
from stanchion.kernel import Pid, exit, self_pid, send_after, wait_exit
from stanchion.server import (
    NO_REPLY,
    TIMEOUT,
    Continue,
    GenServer,
    Reply,
    Stop,
    Timeout,
    call,
    cast,
    get_state,
    reply,
    resume,
    send,
    start,
    stop,
    suspend,
)
from stanchion.testing import VirtualClock, VirtualTimeLoop
from tests.kernel.helpers import process_of, quick_node, steps
from tests.server.servers import wanted


@pytest.fixture
def loop_factory():
    return VirtualTimeLoop


def now() -> float:
    return asyncio.get_running_loop().time()


class Idle(GenServer):
    """Notes what comes and when; what it is told to return next is in ``answers``."""

    def init(self, *answers: Any) -> Any:
        self.begun = now()
        self.log: list[tuple[object, float]] = []
        self.answers = list(answers)
        return self.note("init")

    def note(self, what: object) -> Any:
        self.log.append((what, round(now() - self.begun, 1)))
        return self.answers.pop(0) if self.answers else None

    def handle_call(self, request, sender):
        self.sender = sender
        return self.log if request == "log" else request

    def handle_cast(self, message):
        return self.note(message)

    def handle_info(self, message):
        return self.note(message)

    def handle_continue(self, arg):
        return self.note(arg)

    def terminate(self, reason):
        self.note(("terminate", reason))


async def log_of(pid: Pid) -> Any:
    return await call(pid, "log")


def idle_node():
    return quick_node(clock=VirtualClock())


async def test_timeout_of_init_comes_when_nothing_else_does_and_once() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), (TIMEOUT, 10)]


@pytest.mark.parametrize("send_it", [cast, send])
async def test_timeout_of_a_message_begins_when_its_handler_returns(send_it) -> None:
    async with idle_node():
        pid = await start(Idle, None, Timeout(timedelta(seconds=5)), Timeout(2), None)
        await asyncio.sleep(1)
        send_it(pid, "message")
        await asyncio.sleep(100)
        assert (await log_of(pid))[1:] == [("message", 1), (TIMEOUT, 6), (TIMEOUT, 8)]


async def test_timeout_of_continue_begins_when_it_returns() -> None:
    async with idle_node():
        pid = await start(Idle, Continue("a"), Timeout(3))
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), ("a", 0), (TIMEOUT, 3)]


async def test_timeout_may_come_with_a_reply() -> None:
    async with idle_node():
        pid = await start(Idle)
        assert await call(pid, Reply("value", then=Timeout(4))) == "value"
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), (TIMEOUT, 4)]


async def test_timeout_may_come_where_the_reply_is_put_off() -> None:
    class Later(Idle):
        def handle_info(self, message):
            assert message is TIMEOUT
            reply(self.sender, "late")

    async with idle_node():
        pid = await start(Later)
        assert await call(pid, Reply(NO_REPLY, then=Timeout(4)), timeout=5) == "late"
        assert not process_of(pid).deferred


async def test_stop_without_a_reply_is_the_callers_answer_even_when_it_was_put_off() -> None:
    async with idle_node():
        pid = await start(Idle)
        with pytest.raises(CallExitError, match=r"its exit with reason \('shutdown', 1\)$"):
            await call(pid, Reply(NO_REPLY, then=Stop(("shutdown", 1))))


@pytest.mark.parametrize("message", [lambda pid: cast(pid, "m"), lambda pid: send(pid, "m")])
async def test_any_message_cancels_the_timeout(message) -> None:
    async with idle_node() as node:
        pid = await start(Idle, Timeout(10))
        await asyncio.sleep(9)
        message(pid)
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), ("m", 9)]
        assert node.processes


async def test_call_cancels_the_timeout_too() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        assert await call(pid, "value") == "value"
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0)]


async def test_timer_of_the_server_itself_cancels_the_timeout() -> None:
    class Timed(Idle):
        def init(self, *answers):
            send_after(self_pid(), "timer", 2)
            return super().init(*answers)

    async with idle_node():
        pid = await start(Timed, Timeout(10))
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), ("timer", 2)]


async def test_timeout_of_zero_comes_at_once_when_the_mailbox_is_empty() -> None:
    async with idle_node():
        pid = await start(Idle, Continue("a"), Timeout(0))
        assert await log_of(pid) == [("init", 0), ("a", 0), (TIMEOUT, 0)]


async def test_timeout_of_zero_does_not_come_when_messages_wait() -> None:
    async with idle_node():
        pid = await start(Idle, None, Timeout(0), Timeout(0), None)
        cast(pid, 1)
        cast(pid, 2)
        await steps()
        assert [what for what, _ in await log_of(pid)] == ["init", 1, 2, TIMEOUT]


async def test_server_that_always_wants_a_timeout_of_zero_lets_others_run() -> None:
    class Restless(GenServer):
        def init(self):
            self.turns = 0
            return Timeout(0)

        def handle_call(self, request, sender):
            return self.turns

        def handle_info(self, message):
            self.turns += 1
            return Timeout(0)

    async with idle_node():
        pid = await start(Restless)
        turns: Any = await call(pid, "turns", timeout=None)
        assert turns > 0


async def test_timeout_takes_no_place_in_a_full_mailbox() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10), mailbox=1)
        await asyncio.sleep(11)
        assert [what for what, _ in await log_of(pid)] == ["init", TIMEOUT]


async def test_request_of_sys_is_no_message_but_the_wait_begins_anew() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        await asyncio.sleep(6)
        await get_state(pid)
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), (TIMEOUT, 16)]


async def test_message_behind_a_request_of_sys_cancels_the_timeout() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        asked = asyncio.create_task(get_state(pid))
        await asyncio.sleep(0)
        cast(pid, "m")
        await asked
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), ("m", 0)]


async def test_request_of_sys_does_not_stand_in_for_a_message_to_a_timeout_of_zero() -> None:
    async with idle_node():
        pid = await start(Idle, None, Timeout(0))
        cast(pid, 1)
        await get_state(pid)
        assert [what for what, _ in await log_of(pid)] == ["init", 1, TIMEOUT]


async def test_suspended_server_has_no_timeout_until_it_is_resumed() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        await suspend(pid)
        await asyncio.sleep(100)
        await resume(pid)
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), (TIMEOUT, 110)]


async def test_server_can_be_stopped_while_it_is_suspended_in_its_wait() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        await suspend(pid)
        await stop(pid, "shutdown")
        assert not pid.alive


async def test_withdrawn_message_cancels_nothing_and_the_wait_goes_on() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        await asyncio.sleep(6)
        envelope = ("cast", "withdrawn", None)
        process_of(pid).mailbox.put(envelope)
        process_of(pid).mailbox.withdraw(envelope)
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), (TIMEOUT, 10)]


async def test_message_in_the_very_step_of_the_timeout_comes_in_its_place() -> None:
    async with idle_node():
        pid = await start(Idle, Timeout(10))
        await asyncio.sleep(5)
        process = process_of(pid)
        (bucket,) = [bucket for bucket in process.node.wheel._buckets.values() if bucket]
        (deadline,) = bucket
        deadline.expire()
        cast(pid, "m")
        await asyncio.sleep(100)
        assert await log_of(pid) == [("init", 0), ("m", 5)]


async def test_timeout_leaves_no_deadline_and_nothing_in_hand() -> None:
    async with idle_node() as node:
        pid = await start(Idle, Timeout(10))
        await steps()
        assert process_of(pid).handling is None
        cast(pid, "m")
        await steps()
        assert not any(node.wheel._buckets.values())


async def test_exit_during_the_wait_ends_the_server_and_leaves_no_deadline() -> None:
    async with idle_node() as node:
        pid = await start(Idle, Timeout(10))
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert not any(node.wheel._buckets.values())


async def test_server_whose_handler_swallowed_its_exit_does_not_wait() -> None:
    class Swallows(Idle):
        async def handle_cast(self, message):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
            return Timeout(1000)

    async with quick_node(clock=VirtualClock(), exit_grace=10):
        pid = await start(Swallows)
        cast(pid, 1)
        await steps()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"


async def test_sender_that_wants_to_know_is_told_before_the_wait() -> None:
    async with idle_node():
        pid = await start(Idle, None, Timeout(10))
        token = wanted(pid, "m")
        await steps()
        assert token.log == ["processed"]


async def test_timeout_without_a_clause_is_an_unhandled_message(caplog: pytest.LogCaptureFixture) -> None:
    class Deaf(GenServer):
        def init(self):
            return Timeout(1)

    async with idle_node():
        pid = await start(Deaf)
        await asyncio.sleep(2)
        assert pid.alive
        assert "TIMEOUT" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "got"), [(-1, "-1"), (float("inf"), "inf"), (None, "None"), ("5", "'5'"), (True, "True")]
)
def test_timeout_refuses_what_is_no_duration(seconds: Any, got: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Timeout(seconds)
    assert str(caught.value).startswith(
        f"Timeout(seconds): expected seconds >= 0 as a finite number, or a timedelta, got {got}"
    )


@pytest.mark.parametrize("value", [Stop(), Timeout(1), Continue()])
def test_reply_refuses_a_directive_for_its_value(value: object) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Reply(value, then=Timeout(1))
    assert str(caught.value) == (
        f"Reply(value): expected a reply or NO_REPLY, got {value!r}\nFix: pass it as then=, or return it alone."
    )


async def test_handle_call_that_returns_a_bare_timeout_ends_the_server() -> None:
    async with idle_node():
        pid = await start(Idle)
        with pytest.raises(CallExitError, match="expected a reply, NO_REPLY, Reply"):
            await call(pid, Timeout(1))


async def test_server_that_is_never_idle_for_long_has_room_in_the_smallest_mailbox() -> None:
    async with quick_node():

        class Restless(GenServer):
            def init(self):
                return Timeout(0)

            def handle_info(self, message):
                return Timeout(0)

            def handle_call(self, request, sender):
                return "room"

        pid = await start(Restless, mailbox=1)
        await steps()
        assert await call(pid, 1) == "room"
