# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""State, event and generic timeouts. Expected traces are what gen_statem of OTP 25 does, unless a test says otherwise."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from stanchion.kernel import exit, wait_exit
from stanchion.server import cast, get_state, resume, send, start, suspend
from stanchion.state_machine import (
    POSTPONE,
    UPDATE,
    CastEvent,
    EventTimeout,
    GenericTimeout,
    InfoEvent,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    StateEvent,
    StateMachine,
    StateTimeout,
)
from tests.kernel.helpers import process_of, steps
from tests.state_machine.machines import Scripted, begin, node, quiet, traced

INSERT = NextEvent(InternalEvent("i"))


def on_go(result: Any) -> Any:
    """Return a script that answers the cast "go" in state a by ``result``, and nothing else."""

    def script(state: str, event: Any) -> Any:
        return result if (state, event) == ("a", CastEvent("go")) else None

    return script


# --- when they come ------------------------------------------------------------------------------


async def test_state_timeout_comes_when_its_time_has_come_and_not_before() -> None:
    async with node():
        _, trace = await begin(on_go(None), first=NextState("a", StateTimeout(2.5, "t")))
        await asyncio.sleep(2.499)
        assert trace == []
        await asyncio.sleep(0.002)
        assert trace == ["a state_timeout t"]
        await asyncio.sleep(10)
        assert trace == ["a state_timeout t"]


async def test_state_timeout_is_cancelled_by_a_state_change() -> None:
    first = NextState("a", StateTimeout(0.03, "t"))
    assert await traced(on_go(NextState("b")), "go", first=first, wait=1) == ["a cast go"]


async def test_state_timeout_outlives_events_that_keep_or_repeat_the_state() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("go"):
                return NextState("a")
            case CastEvent("repeat"):
                return RepeatState()

    first = NextState("a", StateTimeout(0.03, "t"))
    assert await traced(script, "go", "repeat", first=first, enter=True, wait=1) == [
        "a enter a",
        "a cast go",
        "a cast repeat",
        "a enter a",
        "a state_timeout t",
    ]


async def test_state_timeout_set_with_a_state_change_counts_for_the_new_state() -> None:
    script = on_go(NextState("b", StateTimeout(0.01, "of b")))
    first = NextState("a", StateTimeout(0.02, "of a"))
    assert await traced(script, "go", first=first, wait=1) == ["a cast go", "b state_timeout of b"]


@pytest.mark.parametrize("message", ["anything", "go"])
async def test_event_timeout_is_cancelled_by_any_event(message: str) -> None:
    first = NextState("a", EventTimeout(0.03, "t"))
    assert await traced(on_go(KeepState(POSTPONE)), message, first=first, wait=1) == [f"a cast {message}"]


async def test_event_timeout_is_cancelled_by_an_inserted_event() -> None:
    first = NextState("a", EventTimeout(0.03, "t"), INSERT)
    assert await traced(on_go(None), first=first, wait=1) == ["a internal i"]


async def test_event_timeout_is_not_cancelled_by_get_state() -> None:
    first = NextState("a", EventTimeout(0.03, "t"))
    assert await traced(on_go(None), first=first, wait=1) == ["a timeout t"]  # traced() asks for the state


async def test_event_timeout_is_cancelled_by_the_event_that_repeats_the_state() -> None:
    first = NextState("a", EventTimeout(0.03, "t"))
    assert await traced(on_go(RepeatState()), "go", first=first, wait=1) == ["a cast go"]


async def test_generic_timeout_outlives_a_state_change() -> None:
    first = NextState("a", GenericTimeout("n", 0.03, "old"))
    assert await traced(on_go(NextState("b")), "go", first=first, wait=1) == ["a cast go", "b timeout(n) old"]


async def test_generic_timeouts_of_several_names_run_side_by_side() -> None:
    first = NextState(
        "a", GenericTimeout("n", 0.02, 1), GenericTimeout(("n", 2), 0.01, 2), GenericTimeout("o", 0.02, 3)
    )
    assert await traced(on_go(None), first=first, wait=1) == [
        "a timeout(('n', 2)) 2",
        "a timeout(n) 1",
        "a timeout(o) 3",
    ]


async def test_timeouts_of_one_time_come_in_the_order_in_which_they_were_set() -> None:
    # OTP starts the timers of one list of actions from its end, so that they come the other way round.
    script = on_go(KeepState(StateTimeout(0.01, "s"), GenericTimeout("n", 0.01, "n"), EventTimeout(0.01, "e")))
    assert await traced(script, "go", wait=1) == ["a cast go", "a state_timeout s", "a timeout(n) n"]


# --- replaced, cancelled, updated ----------------------------------------------------------------

RUNNING = {
    "state_timeout": StateTimeout(0.03, "old"),
    "timeout": EventTimeout(0.03, "old"),
    "timeout(n)": GenericTimeout("n", 0.03, "old"),
}


def other(kind: str, *arguments: Any) -> Any:
    match kind:
        case "state_timeout":
            return StateTimeout(*arguments)
        case "timeout":
            return EventTimeout(*arguments)
        case _:
            return GenericTimeout("n", *arguments)


@pytest.mark.parametrize("kind", RUNNING)
async def test_timeout_that_is_set_again_is_replaced(kind: str) -> None:
    script = on_go(KeepState(other(kind, 0.02, "new")))
    assert await traced(script, "go", first=NextState("a", RUNNING[kind]), wait=1) == ["a cast go", f"a {kind} new"]


@pytest.mark.parametrize("kind", RUNNING)
async def test_timeout_of_none_cancels(kind: str) -> None:
    script = on_go(KeepState(other(kind, None)))
    assert await traced(script, "go", first=NextState("a", RUNNING[kind]), wait=1) == ["a cast go"]


@pytest.mark.parametrize("kind", ["state_timeout", "timeout(n)"])
async def test_update_changes_the_content_and_not_the_time(kind: str) -> None:
    async with node():
        pid, trace = await begin(on_go(KeepState(other(kind, UPDATE, "new"))), first=NextState("a", RUNNING[kind]))
        await asyncio.sleep(0.02)
        cast(pid, "go")
        await asyncio.sleep(0.009)
        assert trace == ["a cast go"]
        await asyncio.sleep(0.002)
        assert trace == ["a cast go", f"a {kind} new"]


@pytest.mark.parametrize("kind", RUNNING)
async def test_update_of_one_that_does_not_run_comes_at_once(kind: str) -> None:
    script = on_go(KeepState(other(kind, UPDATE, "new")))
    assert await traced(script, "go", 3, wait=1) == ["a cast go", f"a {kind} new", "a cast 3"]


async def test_update_of_an_event_timeout_comes_at_once_since_the_event_has_cancelled_it() -> None:
    first = NextState("a", EventTimeout(0.03, "old"))
    script = on_go(KeepState(EventTimeout(UPDATE, "new")))
    assert await traced(script, "go", first=first) == ["a cast go", "a timeout new"]


async def test_update_with_a_state_change_comes_at_once_since_the_change_has_cancelled_it() -> None:
    first = NextState("a", StateTimeout(0.03, "old"))
    script = on_go(NextState("b", StateTimeout(UPDATE, "new")))
    assert await traced(script, "go", first=first) == ["a cast go", "b state_timeout new"]


async def test_updated_timeout_shows_the_seconds_that_were_set() -> None:
    events = []

    def script(state: str, event: Any) -> Any:
        events.append(event)
        return KeepState(StateTimeout(UPDATE, "new")) if event == CastEvent("go") else None

    await traced(script, "go", first=NextState("a", StateTimeout(0.03, "old")), wait=1)
    assert events == [CastEvent("go"), StateTimeout(0.03, "new")]


async def test_last_timeout_of_a_kind_counts_in_its_own_place() -> None:
    script = on_go(
        KeepState(
            StateTimeout(0.02, "first"),
            StateTimeout(0.01, "second"),
            GenericTimeout("x", 0, "x1"),
            GenericTimeout("y", 0, "y1"),
            GenericTimeout("x", 0, "x2"),
        )
    )
    assert await traced(script, "go", wait=1) == [
        "a cast go",
        "a timeout(y) y1",
        "a timeout(x) x2",
        "a state_timeout second",
    ]


# --- due, and in the mailbox behind other events --------------------------------------------------


async def suspended_until_due(script: Any, message: str, first: NextState) -> list[str]:
    """Return the trace of a machine that finds a message in its mailbox, and behind it a timeout that came since."""
    async with node():
        pid, trace = await begin(script, first=first)
        await suspend(pid)
        cast(pid, message)
        await asyncio.sleep(0.02)
        await resume(pid)
        await asyncio.sleep(1)
        return list(trace)


async def test_state_timeout_that_is_due_is_cancelled_by_a_state_change_before_it() -> None:
    first = NextState("a", StateTimeout(0.005, "t"))
    assert await suspended_until_due(on_go(NextState("b")), "go", first) == ["a cast go"]


async def test_event_timeout_that_is_due_is_cancelled_by_an_event_before_it() -> None:
    first = NextState("a", EventTimeout(0.005, "t"))
    assert await suspended_until_due(on_go(None), "x", first) == ["a cast x"]


async def test_timeout_that_is_due_can_be_updated() -> None:
    first = NextState("a", StateTimeout(0.005, "t"))
    trace = await suspended_until_due(on_go(KeepState(StateTimeout(UPDATE, "u"))), "go", first)
    assert trace == ["a cast go", "a state_timeout u"]


async def test_timeout_that_is_due_can_be_set_again() -> None:
    first = NextState("a", StateTimeout(0.005, "t"))
    trace = await suspended_until_due(on_go(KeepState(StateTimeout(0.01, "u"))), "go", first)
    assert trace == ["a cast go", "a state_timeout u"]


# --- zero seconds --------------------------------------------------------------------------------


async def test_timeouts_of_zero_come_after_inserted_events_and_before_queued_ones() -> None:
    script = on_go(KeepState(StateTimeout(0, "st"), GenericTimeout("n", 0, "nm"), EventTimeout(0, "ev"), INSERT))
    assert await traced(script, "go", 3) == [
        "a cast go",
        "a internal i",
        "a state_timeout st",
        "a timeout(n) nm",
        "a cast 3",
    ]


async def test_timeout_of_zero_comes_after_postponed_events_that_are_retried() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return NextState("b", StateTimeout(0, "st"), INSERT)
            case "a", _:
                return KeepState(POSTPONE)

    assert await traced(script, 1, "go", 3) == [
        "a cast 1",
        "a cast go",
        "b internal i",
        "b cast 1",
        "b state_timeout st",
        "b cast 3",
    ]


@pytest.mark.parametrize(
    ("timeouts", "comes"),
    [
        ((EventTimeout(0, "ev"),), ["a timeout ev"]),
        ((EventTimeout(0, "ev"), StateTimeout(0, "st")), ["a timeout ev", "a state_timeout st"]),
        ((StateTimeout(0, "st"), EventTimeout(0, "ev")), ["a state_timeout st"]),
        ((EventTimeout(0, "ev"), INSERT), ["a internal i"]),
    ],
)
async def test_event_timeout_of_zero_comes_unless_another_event_is_before_it(timeouts: Any, comes: list[str]) -> None:
    assert await traced(on_go(KeepState(*timeouts)), "go", 3) == ["a cast go", *comes, "a cast 3"]


async def test_event_timeout_of_zero_is_cancelled_by_a_retried_event() -> None:
    def script(state: str, event: Any) -> Any:
        match state, event:
            case "a", CastEvent("go"):
                return NextState("b", EventTimeout(0, "ev"))
            case "a", _:
                return KeepState(POSTPONE)

    assert await traced(script, 1, "go", 3) == ["a cast 1", "a cast go", "b cast 1", "b cast 3"]


@pytest.mark.parametrize(
    ("answer", "comes"),
    [
        (NextState("b"), []),
        (KeepState(StateTimeout(None)), []),
        (KeepState(StateTimeout(UPDATE, "new")), ["a state_timeout new"]),
    ],
)
async def test_timeout_of_zero_can_be_cancelled_and_updated_until_it_comes(answer: Any, comes: list[str]) -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("go"):
                return KeepState(StateTimeout(0, "z"), INSERT)
            case InternalEvent():
                return answer

    assert await traced(script, "go") == ["a cast go", "a internal i", *comes]


async def test_state_timeout_of_zero_is_cancelled_when_a_timeout_before_it_changes_the_state() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("go"):
                return KeepState(GenericTimeout("x", 0, "x"), StateTimeout(0, "st"))
            case GenericTimeout("x"):
                return NextState("b")

    assert await traced(script, "go", 3) == ["a cast go", "a timeout(x) x", "b cast 3"]


async def test_timeout_of_zero_that_is_set_again_comes_last() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("go"):
                return KeepState(GenericTimeout("x", 0, "x1"), GenericTimeout("y", 0, "y1"))
            case GenericTimeout("x", "x1"):
                return KeepState(GenericTimeout("x", 0, "x2"), INSERT)

    assert await traced(script, "go", 3) == [
        "a cast go",
        "a timeout(x) x1",
        "a internal i",
        "a timeout(y) y1",
        "a timeout(x) x2",
        "a cast 3",
    ]


# --- no loss, no leak ----------------------------------------------------------------------------


async def test_timeout_reaches_a_machine_whose_mailbox_is_full() -> None:
    trace: list[str] = []
    async with node():
        first = NextState("a", StateTimeout(0.01, "t"))
        pid = await start(Scripted, trace, on_go(None), first, mailbox=1)
        await suspend(pid)
        cast(pid, 1)
        await asyncio.sleep(0.02)
        await resume(pid)
        await quiet(pid)
        assert trace == ["a cast 1", "a state_timeout t"]


async def test_timers_go_with_their_machine() -> None:
    async with node():
        pid, _ = await begin(on_go(None), first=NextState("a", StateTimeout(60), GenericTimeout("n", 60)))
        process = process_of(pid)
        assert len(process.owned or ()) == 3  # the two timers, and the machine's own
        exit(pid, "kill")
        await wait_exit(pid, timeout=1)
        assert process.owned is None


async def test_timer_ends_when_its_timeout_is_cancelled() -> None:
    async with node():
        pid, _ = await begin(on_go(NextState("b")), first=NextState("a", StateTimeout(60)))
        assert len(process_of(pid).owned or ()) == 2
        cast(pid, "go")
        await quiet(pid)
        assert len(process_of(pid).owned or ()) == 1


async def test_runaway_that_was_declared_dead_sets_no_timer() -> None:
    deaf_until = asyncio.Event()

    class Deaf(StateMachine):
        def init(self) -> NextState:
            return NextState("on")

        async def on(self, event: StateEvent) -> KeepState:
            while not deaf_until.is_set():
                with suppress(asyncio.CancelledError):
                    await deaf_until.wait()
            return KeepState(StateTimeout(1))

    async with node() as here:
        pid = await start(Deaf)
        process = process_of(pid)
        cast(pid, "go")
        await steps()
        exit(pid, "shutdown")
        await asyncio.sleep(1)
        assert here.runaways == {process.task}
        deaf_until.set()
        await steps()
        assert (process.owned, here.runaways) == (None, set())


async def test_plain_send_is_no_timeout_whatever_it_looks_like() -> None:
    events = []
    async with node():
        pid, _ = await begin(lambda state, event: events.append(event))
        send(pid, StateTimeout(1, "forged"))
        await get_state(pid)
        assert events == [InfoEvent(StateTimeout(1, "forged"))]
