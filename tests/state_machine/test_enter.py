# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""Entering a state. Expected traces are what gen_statem of OTP 25 does with the same machine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.delivery import Outcome, Reason, send_supervised
from stanchion.errors import BadReturnError
from stanchion.kernel import exit, wait_exit
from stanchion.server import UNHANDLED, Stop, call
from stanchion.state_machine import (
    POSTPONE,
    CallEvent,
    CastEvent,
    EnterEvent,
    EventTimeout,
    GenericTimeout,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    ReplyTo,
    StateTimeout,
    StopAndReply,
)
from tests.state_machine.machines import begin, node, quiet, traced

INSERT = NextEvent(InternalEvent("i"))


def entering(result: Any) -> Any:
    """Return a script that goes from a to b on the cast "go", and answers the EnterEvent of b by ``result``."""

    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return NextState("b")
            case "b", EnterEvent():
                return result() if callable(result) else result

    return script


async def test_first_state_is_entered_from_itself_before_what_init_inserted() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", InternalEvent("i"):
                return NextState("b", NextEvent(InternalEvent("j")))
            case "b", EnterEvent():
                return KeepState(StateTimeout(0, "z"))

    assert await traced(script, first=NextState("a", INSERT), enter=True) == [
        "a enter a",
        "a internal i",
        "b enter a",
        "b internal j",
        "b state_timeout z",
    ]


async def test_no_state_is_entered_unless_the_class_asks_for_it() -> None:
    assert await traced(entering(None), "go", 1) == ["a cast go", "b cast 1"]


@pytest.mark.parametrize("result", [None, UNHANDLED, KeepState(), NextState("b")])
async def test_state_may_answer_its_entry_by(result: Any) -> None:
    assert await traced(entering(result), "go", 1, enter=True) == ["a enter a", "a cast go", "b enter a", "b cast 1"]


async def test_state_is_entered_as_often_as_it_asks_for_it() -> None:
    answers = [RepeatState(), RepeatState(), None]
    assert await traced(entering(lambda: answers.pop(0)), "go", enter=True) == [
        "a enter a",
        "a cast go",
        "b enter a",
        "b enter a",
        "b enter a",
    ]


async def test_machine_that_repeats_its_entry_for_ever_can_be_killed() -> None:
    async with node():
        pid, trace = await begin(entering(RepeatState()), "go", enter=True)
        other, _ = await begin(entering(None))
        await quiet(other)
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"
        assert len(trace) > 200


async def test_timeout_set_on_entry_replaces_the_one_that_was_set_on_the_way() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return NextState("b", StateTimeout(0.01, "on the way"), GenericTimeout("n", 0.01, "on the way"))
            case "b", EnterEvent():
                return KeepState(StateTimeout(0.02, "on entry"))

    assert await traced(script, "go", enter=True, wait=1) == [
        "a enter a",
        "a cast go",
        "b enter a",
        "b timeout(n) on the way",
        "b state_timeout on entry",
    ]


async def test_event_timeout_set_on_entry_is_not_cancelled_by_the_event_that_led_there() -> None:
    script = entering(KeepState(EventTimeout(0.01, "e")))
    assert await traced(script, "go", enter=True, wait=1) == ["a enter a", "a cast go", "b enter a", "b timeout e"]


async def test_replies_go_out_before_the_state_is_entered_and_on_entry() -> None:
    senders = []

    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CallEvent("first", sender):
                senders.append(sender)
                return KeepState()
            case "a", CallEvent("second", sender):
                return NextState("b", ReplyTo(sender, "on the way"))
            case "b", EnterEvent():
                return KeepState(ReplyTo(senders[0], "on entry"))

    async with node():
        pid, _ = await begin(script, enter=True)
        first = asyncio.create_task(call(pid, "first"))
        await quiet(pid)
        assert await call(pid, "second") == "on the way"
        assert await first == "on entry"


@pytest.mark.parametrize("result", [Stop("shutdown"), StopAndReply("shutdown")])
async def test_machine_may_stop_on_entry(result: Any) -> None:
    async with node():
        pid, trace = await begin(entering(result), "go", enter=True)
        assert await wait_exit(pid, timeout=1) == "shutdown"
        assert trace == ["a enter a", "a cast go", "b enter a", "b terminate shutdown"]


async def test_machine_that_stops_when_its_first_state_is_entered_was_started() -> None:
    def script(state: str, event: Any) -> Any:
        return Stop("shutdown") if event == EnterEvent("a") else None

    async with node():
        _, trace = await begin(script, enter=True)  # start() returned
        await asyncio.sleep(0)
        assert trace == ["a enter a", "a terminate shutdown"]


EXPECTED = "None, KeepState(...), RepeatState(...), Stop(...), StopAndReply(...) or UNHANDLED for an EnterEvent"


@pytest.mark.parametrize(
    ("result", "got", "fix"),
    [
        (
            KeepState(POSTPONE),
            "KeepState(POSTPONE)",
            "leave POSTPONE out: an EnterEvent cannot come again later.",
        ),
        (
            KeepState(INSERT),
            "KeepState(NextEvent(InternalEvent('i')))",
            "set StateTimeout(0) in place of NextEvent(...), or insert the event where NextState(...) is returned.",
        ),
        (
            NextState("c"),
            "NextState('c')",
            "set StateTimeout(0), and go to the next state on that event.",
        ),
        (StateTimeout(1), "StateTimeout(1.0, None)", "return KeepState(StateTimeout(1.0, None))."),
    ],
)
async def test_entry_that_asks_for_something_else_ends_the_machine(result: Any, got: str, fix: str) -> None:
    async with node():
        pid, trace = await begin(entering(result), "go", enter=True)
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, BadReturnError)
        assert str(reason) == f"Entering.b(): expected {EXPECTED} as its return value, got {got}\nFix: {fix}"
        assert trace[:3] == ["a enter a", "a cast go", "b enter a"]
        assert trace[3].startswith("b terminate Entering.b(): expected")


async def test_event_whose_new_state_crashes_on_entry_was_not_confirmed() -> None:
    crash = ZeroDivisionError("on entry")

    def fail() -> None:
        raise crash

    async with node():
        pid, _ = await begin(entering(fail), enter=True)
        delivery = await send_supervised(pid, "go", retries=0, on_error="ignore")
        assert (delivery.outcome, delivery.reason) == (Outcome.UNKNOWN, Reason.DOWN)
