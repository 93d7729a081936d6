# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""Postponed and inserted events. Expected traces are what gen_statem of OTP 25 does with the same machine."""

from __future__ import annotations

from typing import Any

from stanchion.kernel import exit, wait_exit
from stanchion.server import call
from stanchion.state_machine import (
    POSTPONE,
    CallEvent,
    CastEvent,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    ReplyTo,
    StateTimeout,
)
from tests.state_machine.machines import begin, node, quiet, traced


def internal(content: object) -> NextEvent:
    return NextEvent(InternalEvent(content))


def waits_in_a(state: str, event: Any) -> Any:
    """Postpone every cast in state a but "go", which leads to b."""
    match state, event:
        case "a", CastEvent("go"):
            return NextState("b")
        case "a", CastEvent():
            return KeepState(POSTPONE)


async def test_postponed_events_are_retried_in_order_after_a_state_change_and_before_new_ones() -> None:
    assert await traced(waits_in_a, 1, 2, "go", 3) == [
        "a cast 1",
        "a cast 2",
        "a cast go",
        "b cast 1",
        "b cast 2",
        "b cast 3",
    ]


async def test_postponed_events_stay_when_the_state_stays() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("keep"):
                return KeepState()
            case "a", CastEvent("same"):
                return NextState("a")
            case "a", CastEvent("repeat"):
                return RepeatState()
        return waits_in_a(state, event)

    assert await traced(script, 1, "keep", "same", "repeat", 2, "go", enter=True) == [
        "a enter a",
        "a cast 1",
        "a cast keep",
        "a cast same",
        "a cast repeat",
        "a enter a",
        "a cast 2",
        "a cast go",
        "b enter a",
        "b cast 1",
        "b cast 2",
    ]


async def test_event_that_changes_the_state_may_be_postponed_itself() -> None:
    def script(state: str, event: Any) -> Any:
        if (state, event) == ("a", CastEvent("go")):
            return NextState("b", POSTPONE, internal("i"))
        return None

    assert await traced(script, "go", 3) == ["a cast go", "b internal i", "b cast go", "b cast 3"]


async def test_event_that_repeats_the_state_may_be_postponed_itself_and_waits() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return RepeatState(POSTPONE)
            case "a", CastEvent("b"):
                return NextState("b")

    assert await traced(script, "go", 3, "b") == ["a cast go", "a cast 3", "a cast b", "b cast go"]


async def test_events_postponed_again_keep_their_place() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case _, CastEvent(("to", to)):
                return NextState(to)
            case "c", _:
                return None
        return KeepState(POSTPONE)

    assert await traced(script, 1, 2, ("to", "b"), 3, ("to", "c"), 4) == [
        "a cast 1",
        "a cast 2",
        "a cast ('to', 'b')",
        "b cast 1",
        "b cast 2",
        "b cast 3",
        "b cast ('to', 'c')",
        "c cast 1",
        "c cast 2",
        "c cast 3",
        "c cast 4",
    ]


async def test_retried_event_that_changes_the_state_has_those_before_it_retried_first() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "b", CastEvent(2):
                return NextState("c")
            case _, CastEvent(("to", to)):
                return NextState(to)
            case "c", _:
                return None
        return KeepState(POSTPONE)

    assert await traced(script, 1, 2, 3, ("to", "b"), 4) == [
        "a cast 1",
        "a cast 2",
        "a cast 3",
        "a cast ('to', 'b')",
        "b cast 1",
        "b cast 2",
        "c cast 1",
        "c cast 3",
        "c cast 4",
    ]


async def test_inserted_events_come_before_postponed_and_queued_ones() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return NextState("b", internal("x"), NextEvent(CastEvent("y")))
            case "b", InternalEvent("x"):
                return KeepState(internal("xx"))
        return waits_in_a(state, event)

    assert await traced(script, 1, 2, "go", 3) == [
        "a cast 1",
        "a cast 2",
        "a cast go",
        "b internal x",
        "b internal xx",
        "b cast y",
        "b cast 1",
        "b cast 2",
        "b cast 3",
    ]


async def test_inserted_event_can_be_postponed() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return KeepState(internal(1))
            case "a", InternalEvent():
                return KeepState(POSTPONE)
            case "a", CastEvent("b"):
                return NextState("b")

    assert await traced(script, "go", 3, "b") == ["a cast go", "a internal 1", "a cast 3", "a cast b", "b internal 1"]


async def test_timeout_can_be_postponed() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", StateTimeout():
                return KeepState(POSTPONE)
            case "a", CastEvent("go"):
                return NextState("b")

    first = NextState("a", StateTimeout(0, "t"))
    assert await traced(script, "go", first=first) == ["a state_timeout t", "a cast go", "b state_timeout t"]


async def test_call_can_be_inserted_under_another_request() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CallEvent("question", sender):
                return KeepState(NextEvent(CallEvent("again", sender)))
            case CallEvent("again", sender):
                return KeepState(ReplyTo(sender, "done"))

    async with node():
        pid, _ = await begin(script)
        assert await call(pid, "question") == "done"


async def test_machine_that_inserts_for_ever_leaves_others_their_turn_and_can_be_killed() -> None:
    async with node():
        pid, trace = await begin(lambda state, event: KeepState(internal("more")), "go")
        other, others = await begin(lambda state, event: None, 1)
        await quiet(other)
        assert others == ["a cast 1"]
        exit(pid, "kill")
        assert await wait_exit(pid, timeout=1) == "killed"
        assert len(trace) > 256
