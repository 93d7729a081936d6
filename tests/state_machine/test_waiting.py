# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""Those who wait for an event that a machine keeps: callers and supervised senders."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.delivery import Outcome, Reason, message_info, send_supervised
from stanchion.errors import CallExitError, CallTimeoutError, UnhandledRequestError
from stanchion.kernel import exit, monitor, spawn, wait_exit
from stanchion.server import NO_REPLY, UNHANDLED, Reject, Stop, call, cast, reply, stop, suspend
from stanchion.state_machine import (
    POSTPONE,
    CallEvent,
    CastEvent,
    EnterEvent,
    InfoEvent,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    ReplyTo,
    StateTimeout,
)
from stanchion.telemetry import DEAD_LETTER, MESSAGE_UNHANDLED
from tests.kernel.helpers import Events, process_of, sleeper
from tests.server.servers import wanted
from tests.state_machine.machines import begin, node, quiet, traced


def postponing(state: str, event: Any) -> Any:
    """Postpone in a all but some casts; answer calls in b."""
    match state, event:
        case "a", CastEvent("go"):
            return NextState("b")
        case "a", CastEvent("stop"):
            return Stop("shutdown")
        case "a", CastEvent("crash"):
            raise ZeroDivisionError
        case "a", CallEvent() | CastEvent() | InfoEvent():
            return KeepState(POSTPONE)
        case "b", CallEvent(request, sender):
            return KeepState(ReplyTo(sender, f"answer to {request}"))


async def test_caller_of_a_postponed_call_gets_its_reply_when_the_state_has_changed() -> None:
    async with node():
        pid, _ = await begin(postponing)
        waiting = asyncio.create_task(call(pid, "question"))
        await quiet(pid)
        assert not waiting.done()
        cast(pid, "go")
        assert await waiting == "answer to question"


@pytest.mark.parametrize("end", ["crash", "stop", "kill"])
async def test_caller_of_a_postponed_call_hears_at_once_of_the_end(end: str) -> None:
    async with node():
        pid, _ = await begin(postponing)
        waiting = asyncio.create_task(call(pid, "question", timeout=None))
        await quiet(pid)
        if end == "kill":
            exit(pid, "kill")
        else:
            cast(pid, end)
        with pytest.raises(CallExitError) as caught:
            await waiting
        assert not caught.value.handled


async def test_caller_of_a_postponed_call_that_stopped_waiting_is_forgotten() -> None:
    async with node():
        pid, trace = await begin(postponing)
        with pytest.raises(CallTimeoutError):
            await call(pid, "question", timeout=0.1)
        assert not process_of(pid).deferred
        cast(pid, "go")
        await quiet(pid)
        assert trace[-1] == "b call question"  # as in OTP: the machine cannot know


async def test_call_that_is_kept_is_answered_later_by_anybody() -> None:
    async with node():
        pid, _ = await begin(
            lambda state, event: asyncio.get_running_loop().call_later(1, reply, event.sender, "later") and KeepState()
        )
        assert await call(pid, "question") == "later"


async def test_call_that_no_clause_answers_is_refused_at_once() -> None:
    async with node() as here:
        events = Events(here, MESSAGE_UNHANDLED)
        pid, _ = await begin(lambda state, event: None)
        with pytest.raises(UnhandledRequestError) as caught:
            await call(pid, "question", timeout=None)
        assert str(caught.value) == (
            f"call to {pid!r}: expected Scripted.a() to know the request, got 'question'\n"
            "Fix: add a clause for it to Scripted.a(), or send what it knows."
        )
        assert (events.all("kind"), events.all("message")) == (["call"], ["question"])


async def test_call_that_was_answered_inside_needs_no_result() -> None:
    async with node():
        pid, _ = await begin(lambda state, event: None if reply(event.sender, "inside") else UNHANDLED)
        assert await call(pid, "question") == "inside"


async def test_postponed_supervised_send_is_confirmed_when_it_is_handled_and_not_before() -> None:
    seen: list[Any] = []

    def script(state: str, event: Any) -> Any:
        info = message_info()
        seen.append((state, event.message, info and info.metadata.get("key")))
        return postponing(state, event)

    async with node():
        pid, _ = await begin(script)
        sending = asyncio.create_task(send_supervised(pid, "job", metadata={"key": "k"}))
        await quiet(pid)
        assert not sending.done()
        cast(pid, "go")
        assert (await sending).outcome is Outcome.CONFIRMED
        assert seen == [("a", "job", "k"), ("a", "go", None), ("b", "job", "k")]


async def test_postponed_supervised_send_fails_with_the_machine() -> None:
    async with node():
        pid, _ = await begin(postponing)
        sending = asyncio.create_task(send_supervised(pid, "job", retries=0, on_error="ignore"))
        await quiet(pid)
        cast(pid, "stop")
        delivery = await sending
        assert (delivery.outcome, delivery.reason) == (Outcome.REJECTED, Reason.DOWN)


async def test_supervised_send_is_confirmed_before_the_events_that_it_brings_about() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "b", CastEvent("postponed"):
                raise ZeroDivisionError
        return postponing(state, event)

    async with node():
        pid, _ = await begin(script)
        postponed = asyncio.create_task(send_supervised(pid, "postponed", retries=0, on_error="ignore"))
        await quiet(pid)
        assert await send_supervised(pid, "go")
        delivery = await postponed
        assert (delivery.outcome, delivery.reason) == (Outcome.UNKNOWN, Reason.DOWN)  # its handler had begun


async def test_supervised_send_that_stops_the_machine_is_confirmed() -> None:
    async with node():
        pid, _ = await begin(postponing)
        assert await send_supervised(pid, "stop")
        assert await wait_exit(pid, timeout=1) == "noproc"


async def test_supervised_send_is_not_confirmed_by_another_event_that_stops_the_machine() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("job"):
                return KeepState(POSTPONE, NextEvent(InternalEvent("stop")))
            case InternalEvent("stop"):
                return Stop("shutdown")

    async with node():
        pid, _ = await begin(script)
        delivery = await send_supervised(pid, "job", retries=0, on_error="ignore")
        assert delivery.outcome is Outcome.REJECTED


@pytest.mark.parametrize("end", [Stop("shutdown"), ValueError("entered")])
async def test_postponed_supervised_send_is_known_as_unhandled_when_entering_the_next_state_ends_the_machine(
    end: Any,
) -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("job"):
                return NextState("b", POSTPONE)
            case EnterEvent("a") if state == "b":
                if isinstance(end, Stop):
                    return end
                raise end

    async with node():
        pid, _ = await begin(script, enter=True)
        delivery = await send_supervised(pid, "job", retries=0, on_error="ignore")
        assert (delivery.outcome, delivery.reason) == (Outcome.REJECTED, Reason.DOWN)


async def test_postponed_supervised_send_that_is_out_of_time_is_never_handled() -> None:
    async with node():
        pid, trace = await begin(postponing)
        delivery = await send_supervised(pid, "job", timeout=0.1, retries=2, on_error="ignore")
        assert (delivery.outcome, delivery.reason, delivery.attempts) == (Outcome.REJECTED, Reason.TIMEOUT, 3)
        assert not process_of(pid).deferred
        cast(pid, "go")
        await quiet(pid)
        assert trace == ["a cast job"] * 3 + ["a cast go"]


async def test_postponed_supervised_send_whose_sender_is_cancelled_is_never_handled() -> None:
    async with node():
        pid, trace = await begin(postponing)
        sending = asyncio.create_task(send_supervised(pid, "job"))
        await quiet(pid)
        sending.cancel()
        await asyncio.wait([sending])
        cast(pid, "go")
        await quiet(pid)
        assert trace == ["a cast job", "a cast go"]


async def test_supervised_send_that_the_state_does_not_take_is_told_once() -> None:
    async with node():
        pid, _ = await begin(lambda state, event: UNHANDLED if event.message == "job" else Reject("full", retry=False))
        tokens = [wanted(pid, "job"), wanted(pid, "other")]
        await quiet(pid)
        assert [token.log for token in tokens] == [[("Scripted.a", False, False)], [("full", True, False)]]


async def test_call_that_the_machine_inserted_and_no_clause_answers_is_refused() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CallEvent("question", sender):
                return KeepState(NextEvent(CallEvent("again", sender)))
        return UNHANDLED

    async with node():
        pid, _ = await begin(script)
        with pytest.raises(
            UnhandledRequestError, match=r"expected Scripted\.a\(\) to know the request, got 'question'"
        ):
            await call(pid, "question", timeout=None)


@pytest.mark.parametrize(
    ("result", "reason"), [(UNHANDLED, Reason.INVALID), (Reject("full", retry=False), Reason.REFUSED)]
)
async def test_supervised_send_that_the_state_does_not_take_is_rejected(result: Any, reason: Reason) -> None:
    async with node():
        pid, _ = await begin(lambda state, event: result)
        delivery = await send_supervised(pid, "job", on_error="ignore")
        assert (delivery.outcome, delivery.reason) == (Outcome.REJECTED, reason)


async def test_plain_cast_that_is_rejected_is_a_dead_letter_event() -> None:
    async with node() as here:
        events = Events(here, DEAD_LETTER)
        pid, _ = await begin(lambda state, event: Reject("full"), "job")
        await quiet(pid)
        assert events.all("reason") == ["rejected: full"]


async def test_event_without_a_clause_is_told_and_cancels_what_any_event_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with node() as here:
        events = Events(here, MESSAGE_UNHANDLED)
        pid, trace = await begin(lambda state, event: UNHANDLED, "what", first=NextState("a", StateTimeout(1, "t")))
        await asyncio.sleep(2)
        assert trace == ["a cast what", "a state_timeout t"]
        assert events.all("message") == ["what", StateTimeout(1, "t")]
        assert [record.getMessage() for record in caplog.records] == [
            f"message to {pid!r} was not handled (Scripted.a() has no clause for it): 'what'",
            f"message to {pid!r} was not handled (Scripted.a() has no clause for it): StateTimeout(1.0, 't')",
        ]


async def test_event_without_a_clause_is_silent_when_nobody_listens() -> None:
    assert await traced(lambda state, event: UNHANDLED, "what", "next") == ["a cast what", "a cast next"]


async def test_postponed_messages_that_nobody_waits_for_are_told_when_the_machine_ends() -> None:
    async with node() as here:
        events = Events(here, DEAD_LETTER)
        pid, _ = await begin(postponing, "one", "two", "stop", "three", first=NextState("a", StateTimeout(0)))
        await wait_exit(pid, timeout=1)
        assert events.all("message") == ["one", "two", "three"]


async def test_down_that_is_postponed_when_the_machine_ends_is_nobodys_message() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("watch"):
                monitor(target)
                return None
            case _:
                return KeepState(POSTPONE)

    async with node() as here:
        events = Events(here, DEAD_LETTER)
        target = spawn(sleeper)
        pid, trace = await begin(script, "watch")
        await quiet(pid)
        exit(target, "kill")
        await quiet(pid)
        assert trace[-1].startswith("a info Down(")
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert events.told == []


async def test_timeout_that_is_due_when_the_machine_ends_is_nobodys_message() -> None:
    async with node() as here:
        events = Events(here, DEAD_LETTER)
        pid, trace = await begin(lambda state, event: None, first=NextState("a", StateTimeout(1)))
        await suspend(pid)
        cast(pid, "behind")
        await asyncio.sleep(2)
        await stop(pid)
        assert events.all("message") == ["behind"]
        assert trace == ["a terminate normal"]


async def test_no_reply_is_not_what_a_state_function_returns() -> None:
    async with node():
        pid, _ = await begin(lambda state, event: NO_REPLY)
        with pytest.raises(CallExitError) as caught:
            await call(pid, "question")
        assert str(caught.value.reason).endswith("got NO_REPLY\nFix: return KeepState(), and reply later.")
