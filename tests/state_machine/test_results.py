# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""Events, results and actions as values, and what state functions must not return."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stanchion.errors import BadReturnError, CallExitError, InvalidOptionError
from stanchion.kernel import wait_exit
from stanchion.server import IGNORE, Continue, Reject, Reply, Sender, Stop, Timeout, call, cast, start
from stanchion.state_machine import (
    POSTPONE,
    UPDATE,
    CallEvent,
    CastEvent,
    EnterEvent,
    EventTimeout,
    GenericTimeout,
    InfoEvent,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    ReplyTo,
    StateEvent,
    StateMachine,
    StateTimeout,
    StopAndReply,
)
from tests.state_machine.machines import begin, node

DEAD = "<sender None, dead>"


async def a_sender() -> Sender:
    senders: list[Sender] = []
    async with node():
        pid, _ = await begin(lambda state, event: senders.append(event.sender) or StopAndReply("normal"))
        with pytest.raises(CallExitError):
            await call(pid, "question")
    return senders[0]


async def test_events_and_actions_show_how_they_are_written() -> None:
    sender = await a_sender()
    assert repr(
        [
            CallEvent("r", sender),
            CastEvent("m"),
            InfoEvent("m"),
            InternalEvent(),
            EnterEvent("shut"),
            StateTimeout(1),
            EventTimeout(timedelta(minutes=1), "c"),
            GenericTimeout("n", UPDATE, "c"),
            GenericTimeout("n", None),
            NextState("open", POSTPONE, NextEvent(InternalEvent(1))),
            KeepState(),
            RepeatState(ReplyTo(sender, 1)),
            StopAndReply("shutdown", ReplyTo(sender, 1)),
            CastEvent("x" * 300),
        ]
    ) == (
        f"[CallEvent('r', {DEAD}), CastEvent('m'), InfoEvent('m'), InternalEvent(None), EnterEvent('shut'), "
        "StateTimeout(1.0, None), EventTimeout(60.0, 'c'), GenericTimeout('n', UPDATE, 'c'), "
        "GenericTimeout('n', None, None), NextState('open', POSTPONE, NextEvent(InternalEvent(1))), KeepState(), "
        f"RepeatState(ReplyTo({DEAD}, 1)), StopAndReply('shutdown', ReplyTo({DEAD}, 1)), "
        "CastEvent('" + "x" * 198 + "…)]"
    )


def test_events_are_equal_when_kind_and_content_are() -> None:
    assert CastEvent([1]) == CastEvent([1])
    assert CastEvent(1) != InfoEvent(1)
    assert CastEvent(1) != CastEvent(2)
    assert StateTimeout(1, "c") != StateTimeout(2, "c")
    assert CastEvent(1) != 1


def test_results_can_be_matched() -> None:
    match NextState("open", POSTPONE):
        case NextState(state, actions):
            assert (state, actions) == ("open", (POSTPONE,))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: StateTimeout(-1),
            "StateTimeout(seconds): expected seconds >= 0 as a finite number, or a timedelta, got -1",
        ),
        (
            lambda: EventTimeout("soon"),
            "EventTimeout(seconds): expected seconds >= 0 as a finite number, or a timedelta, got 'soon'",
        ),
        (
            lambda: GenericTimeout([], 1),
            "GenericTimeout(name): expected something hashable, a string say, got []",
        ),
        (lambda: ReplyTo("you", 1), "ReplyTo(sender): expected an instance of Sender, got 'you'"),
        (
            lambda: NextEvent("me"),
            (
                "NextEvent(event): expected an event other than EnterEvent, got 'me'\n"
                "Fix: wrap what the machine tells itself in InternalEvent(...)."
            ),
        ),
        (
            lambda: NextEvent(EnterEvent("on")),
            (
                "NextEvent(event): expected an event other than EnterEvent, got EnterEvent('on')\n"
                "Fix: wrap what the machine tells itself in InternalEvent(...)."
            ),
        ),
        (
            lambda: KeepState("postpone"),
            (
                "KeepState(actions): expected POSTPONE, ReplyTo(...), NextEvent(...), StateTimeout(...), "
                "EventTimeout(...) or GenericTimeout(...), got 'postpone'"
            ),
        ),
        (
            lambda: RepeatState([POSTPONE]),
            (
                "RepeatState(actions): expected POSTPONE, ReplyTo(...), NextEvent(...), StateTimeout(...), "
                "EventTimeout(...) or GenericTimeout(...), got [POSTPONE]\n"
                "Fix: write them as separate arguments, not as a list."
            ),
        ),
        (
            lambda: NextState(StateMachine.terminate),
            "NextState(state): expected the name of a state, got <function GenServer.terminate at ",
        ),
        (lambda: NextState(7), "NextState(state): expected the name of a state, got 7"),
        (
            lambda: StopAndReply("normal", "bye"),
            "StopAndReply(replies): expected an instance of ReplyTo, got 'bye'",
        ),
        (
            lambda: StopAndReply("bye"),
            (
                "StopAndReply(reason): expected an exit reason ('normal', 'shutdown', ('shutdown', term), 'kill' or an "
                "exception), got 'bye'\nFix: wrap what you want to tell in ('shutdown', term), or in an exception."
            ),
        ),
    ],
)
def test_wrong_arguments_are_refused_where_they_are_written(make: Any, text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        make()
    assert str(caught.value).startswith(text)
    assert len(str(caught.value)) == len(text) or text.endswith(" at ")


def test_state_that_is_given_as_the_method_is_told_its_name() -> None:
    with pytest.raises(InvalidOptionError, match=r"\nFix: write NextState\('terminate'\)\.$"):
        NextState(StateMachine.terminate)  # type: ignore[arg-type]


RESULTS = (
    "None, NextState(...), KeepState(...), RepeatState(...), Stop(...), StopAndReply(...), Reject(...) for a cast, "
    "or UNHANDLED"
)


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (POSTPONE, "return KeepState(POSTPONE)."),
        (StateTimeout(1, "c"), "return KeepState(StateTimeout(1.0, 'c'))."),
        (NextEvent(InternalEvent(1)), "return KeepState(NextEvent(InternalEvent(1)))."),
        ("b", "return NextState('b')."),
        (Reply(1, then=Stop()), "return KeepState(ReplyTo(sender, value))."),
        (Continue(1), "return KeepState(NextEvent(InternalEvent(...)))."),
        (Timeout(1), "return KeepState(EventTimeout(...))."),
        (Reject("no"), "to answer a call, return KeepState(ReplyTo(sender, value))."),
        ("done", "to answer a call, return KeepState(ReplyTo(sender, value))."),
        (IGNORE, "to answer a call, return KeepState(ReplyTo(sender, value))."),
        (True, "to answer a call, return KeepState(ReplyTo(sender, value))."),
        ([KeepState()], "to answer a call, return KeepState(ReplyTo(sender, value))."),
    ],
)
async def test_state_function_that_returns_something_else_ends_the_machine(value: Any, fix: str) -> None:
    async with node():
        pid, _ = await begin(lambda state, event: value)
        with pytest.raises(CallExitError) as caught:
            await call(pid, "question")
        reason = caught.value.reason
        assert isinstance(reason, BadReturnError)
        assert str(reason) == f"Scripted.a(): expected {RESULTS} as its return value, got {value!r}\nFix: {fix}"


class Door(StateMachine):
    def init(self) -> NextState:
        return NextState("closed")

    def closed(self, event: StateEvent) -> NextState:
        match event:
            case CastEvent(str() as state):
                return NextState(state)
        raise AssertionError(event)

    def opened(self, event: StateEvent) -> None: ...

    def _helper(self) -> None: ...


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        ("openedd", "write 'opened'."),
        ("zzz", "write the method of the state: def zzz(self, event)."),
        ("terminate", "give the state another name: terminate belongs to every server."),
        ("init", "give the state another name: init belongs to every server."),
        ("__class__", "give the state another name: __class__ belongs to every server."),
        ("current_state", "write the method of the state: def current_state(self, event)."),
    ],
)
async def test_state_that_does_not_exist_ends_the_machine_and_is_told(state: str, fix: str) -> None:
    async with node():
        pid = await start(Door)
        cast(pid, state)
        reason = await wait_exit(pid, timeout=1)
        assert isinstance(reason, BadReturnError)
        assert str(reason) == (
            f"Door.closed(): expected NextState(...) of a state of Door (closed, opened) as its return value, "
            f"got NextState({state!r})\nFix: {fix}"
        )
