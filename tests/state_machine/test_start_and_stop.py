# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""How a machine begins and ends, and what sys sees of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import BadReturnError, InvalidOptionError, StartError
from stanchion.kernel import exit, wait_exit, whereis
from stanchion.server import (
    IGNORE,
    GenServer,
    Stop,
    call,
    cast,
    get_state,
    get_status,
    replace_state,
    start,
    stop,
)
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
    StateEvent,
    StateMachine,
    StateResult,
    StateTimeout,
    StopAndReply,
)
from stanchion.supervisor import Supervisor, child_spec
from tests.state_machine.machines import begin, node, quiet, traced


class Door(StateMachine):
    """Opens by a call, and shuts itself after five seconds."""

    async def init(self, code: str = "0") -> NextState:
        self.code = code
        return NextState("shut")

    def shut(self, event: StateEvent) -> StateResult:
        match event:
            case CallEvent(("open", code), sender) if code == self.code:
                return NextState("ajar", ReplyTo(sender, True), StateTimeout(5))
            case CallEvent(("open", _), sender):
                return KeepState(ReplyTo(sender, False))
        return None

    async def ajar(self, event: StateEvent) -> StateResult:
        match event:
            case StateTimeout():
                return NextState("shut")
            case CastEvent("burn"):
                raise RuntimeError("fire")
        return None

    async def terminate(self, reason: object) -> None:
        self.ended = reason


async def test_machine_works_under_a_supervisor_and_begins_anew_after_a_crash() -> None:
    async with node():
        await start(Supervisor, [child_spec(Door, "42", name="door")])
        assert await call("door", ("open", "0")) is False
        assert await call("door", ("open", "42")) is True
        assert await get_state("door") == {"code": "42", "current_state": "ajar"}
        first = whereis("door")
        cast("door", "burn")
        await asyncio.sleep(0.1)
        assert whereis("door") is not first
        assert await get_state("door") == {"code": "42", "current_state": "shut"}


async def test_status_shows_state_and_data() -> None:
    async with node():
        pid = await start(Door, "42")
        assert (await get_status(pid)).state == {"code": "42", "current_state": "shut"}


async def test_replaced_state_counts_from_the_next_event_on() -> None:
    async with node():
        pid = await start(Door)
        await replace_state(pid, lambda state: {**state, "current_state": "ajar"})
        cast(pid, "burn")
        assert str(await wait_exit(pid, timeout=1)) == "fire"


@pytest.mark.parametrize("name", ["gone", "terminate", None])
async def test_replaced_state_that_is_none_ends_the_machine_at_the_next_event(name: str | None) -> None:
    async with node():
        pid = await start(Door)
        await replace_state(pid, lambda state: {**state, "current_state": name})
        cast(pid, "anything")
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, InvalidOptionError)
        assert str(reason) == (
            f"Door.current_state: expected the name of a state of Door (shut, ajar), got {name!r}\n"
            "Fix: leave it to the transitions; replace_state() may set it to one of these."
        )


async def test_replaced_state_without_a_current_state_ends_the_machine_at_the_next_event() -> None:
    async with node():
        pid = await start(Door)
        await replace_state(pid, lambda state: {"code": "7"})
        cast(pid, "anything")
        assert "a state of Door (shut, ajar), got None" in str(await wait_exit(pid, timeout=1))


async def test_state_functions_can_be_called_without_a_process() -> None:
    door = Door()
    await door.init("1")
    assert door.shut(CastEvent("knock")) is None


@pytest.mark.parametrize(("result", "reason"), [(Stop("shutdown"), "shutdown"), (IGNORE, "ignore")])
async def test_init_may_refuse_to_start(result: Any, reason: str) -> None:
    class Refusing(StateMachine):
        def init(self) -> Any:
            return result

    async with node():
        with pytest.raises(StartError) as caught:
            await start(Refusing)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("result", "got", "fix"),
    [
        (None, "None", "\nFix: return NextState(...) with the first state, 'on' say."),
        ("on", "'on'", "\nFix: return NextState('on')."),
        (KeepState(), "KeepState()", "\nFix: return NextState(...) with the first state, 'on' say."),
        (NextState("on", POSTPONE), "NextState('on', POSTPONE)", "\nFix: leave POSTPONE out: there is no event yet."),
    ],
)
async def test_init_that_names_no_first_state_is_told_so(result: Any, got: str, fix: str) -> None:
    class Lamp(StateMachine):
        def init(self) -> Any:
            return result

        def on(self, event: StateEvent) -> None: ...

    async with node():
        with pytest.raises(StartError) as caught:
            await start(Lamp)
        assert str(caught.value.reason) == (
            f"Lamp.init(): expected NextState(...), Stop(...) or IGNORE as its return value, got {got}{fix}"
        )


async def test_machine_without_init_and_states_is_told_so() -> None:
    class Empty(StateMachine):
        pass

    async with node():
        with pytest.raises(StartError) as caught:
            await start(Empty)
        assert str(caught.value.reason) == (
            "Empty.init(): expected NextState(...), Stop(...) or IGNORE as its return value, got None"
        )


async def test_first_state_that_does_not_exist_fails_the_start() -> None:
    class Lamp(StateMachine):
        def init(self) -> NextState:
            return NextState("of")

        def off(self, event: StateEvent) -> None: ...

    async with node():
        with pytest.raises(StartError) as caught:
            await start(Lamp)
        assert isinstance(caught.value.reason, BadReturnError)
        assert str(caught.value.reason) == (
            "Lamp.init(): expected NextState(...) of a state of Lamp (off) as its return value, got NextState('of')\n"
            "Fix: write 'off'."
        )


async def test_stop_comes_after_the_messages_that_are_there() -> None:
    async with node():
        pid, trace = await begin(lambda state, event: None, 1, 2)
        await stop(pid, "shutdown")
        assert trace == ["a cast 1", "a cast 2", "a terminate shutdown"]


async def test_state_function_that_stops_leaves_what_it_has_inserted() -> None:
    def script(state: str, event: Any) -> Any:
        match event:
            case CastEvent("go"):
                return KeepState(NextEvent(InternalEvent("i")), NextEvent(InternalEvent("k")))
            case InternalEvent("i"):
                return Stop()

    assert await traced(script, "go") == ["a cast go", "a internal i", "a terminate normal"]


async def test_stop_and_reply_replies_before_terminate_runs() -> None:
    class Slow(Door):
        def shut(self, event: StateEvent) -> StateResult:
            match event:
                case CallEvent(_, sender):
                    return StopAndReply("normal", ReplyTo(sender, "bye"))
            return None

        async def terminate(self, reason: object) -> None:
            await asyncio.sleep(1)

    async with node():
        pid = await start(Slow, name="door")
        assert await call(pid, "question", timeout=0.5) == "bye"
        assert whereis("door") is pid
        assert await wait_exit(pid, timeout=2) == "normal"


async def test_crash_that_a_state_function_asks_for_is_reported_with_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with node():
        pid, _ = await begin(lambda state, event: Stop(ValueError("x")), "job")
        await wait_exit(pid, timeout=1)
        assert caplog.records[-1].getMessage() == (
            "Scripted <test.1> crashed on 'job'; 0 messages were left in its mailbox"
        )


async def test_told_to_exit_in_a_handler_that_swallows_it_ends_before_the_next_event() -> None:
    entered = asyncio.Event()

    class Stubborn(StateMachine):
        def init(self) -> NextState:
            return NextState("on")

        async def on(self, event: StateEvent) -> StateResult:
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return KeepState(NextEvent(InternalEvent("never handled")))
            return None

    async with node():
        pid = await start(Stubborn)
        cast(pid, "go")
        await entered.wait()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"


async def test_entry_that_swallows_its_cancellation_ends_the_machine() -> None:
    entered = asyncio.Event()

    class Stubborn(StateMachine):
        state_enter = True

        def init(self) -> NextState:
            return NextState("on")

        async def on(self, event: StateEvent) -> StateResult:
            entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return RepeatState()
            return None

    async with node():
        pid = await start(Stubborn)
        await entered.wait()
        exit(pid, "shutdown")
        assert await wait_exit(pid, timeout=1) == "shutdown"


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("handle_call", "write `case CallEvent(request, sender):` in its state functions."),
        ("handle_cast", "write `case CastEvent(message):` in its state functions."),
        ("handle_info", "write `case InfoEvent(message):` in its state functions."),
        (
            "handle_continue",
            "return NextState(state, NextEvent(InternalEvent(...))), and write `case InternalEvent(...):`.",
        ),
    ],
)
def test_class_that_writes_a_callback_of_gen_server_is_refused(name: str, fix: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        type("Door", (StateMachine,), {name: lambda self, *_: None})
    assert str(caught.value) == (
        f"class Door: expected state functions, which get every event of a state machine, got {name}()\nFix: {fix}"
    )


def test_class_that_inherits_a_callback_of_gen_server_is_refused() -> None:
    class Answering(GenServer):
        def handle_call(self, request: Any, sender: Any, /) -> None: ...

    with pytest.raises(InvalidOptionError, match=r"^class Door: expected state functions, .* got handle_call\(\)"):
        type("Door", (Answering, StateMachine), {})


async def test_quiet_waits_for_what_ended_too() -> None:
    async with node():
        pid, trace = await begin(lambda state, event: Stop(), 1)
        await quiet(pid)
        assert trace == ["a cast 1", "a terminate normal"]
