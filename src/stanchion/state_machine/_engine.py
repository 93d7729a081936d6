# SPDX-License-Identifier: MIT
"""The engine of a state machine: it has the state functions called, and does what they return.

A message becomes an event. When the event is handled, so are those that it brought about (inserted ones, postponed ones
that are retried, timeouts of 0 seconds), until none is left; only then the server's loop takes the next message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Hashable
from types import CoroutineType
from typing import TYPE_CHECKING, Final, NoReturn, cast

from stanchion.kernel import (
    BURST,
    CAST,
    DEADLINE,
    INFO,
    Envelope,
    Notification,
    Owned,
    Process,
    ProcessExit,
    current_process,
    is_overdue,
    own,
    undeliverable,
)
from stanchion.server import (
    HELD,
    IGNORE,
    UNHANDLED,
    Continue,
    Directive,
    Reject,
    Stop,
    finished,
    hold,
    reply,
    settle,
    take_up,
    tell_rejected,
    tell_unhandled,
    under,
)
from stanchion.state_machine._checks import bad_enter_result, bad_init_result, bad_result, check_state, checked_state
from stanchion.state_machine._events import CallEvent, CastEvent, EnterEvent, InfoEvent
from stanchion.state_machine._results import (
    POSTPONE,
    Insertable,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    ReplyTo,
    StopAndReply,
    Transition,
)
from stanchion.state_machine._timeouts import EVENT, STATE, AnyTimeout
from stanchion.state_machine._timers import Elapsed, Timers

if TYPE_CHECKING:
    from stanchion.state_machine._state_machine import StateMachine

_COROUTINE: Final = cast("type[Coroutine[object, object, object]]", CoroutineType)
_KEEP: Final = KeepState()

Timeouts = dict[Hashable, AnyTimeout]
"""Timeouts to be set, at most one of each key, in the order in which they were asked for last."""


class Engine(Owned):
    """What a running state machine has beyond its state and data: events, timeouts, and the rules."""

    __slots__ = ("_checked", "_machine", "_postponed", "_process", "_queue", "_timers", "_turns")

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self._process: Final[Process] = current_process("start of a state machine")
        self._timers: Final = Timers(self._process)
        # Events to handle before the next message, each with the envelope that holds whoever waits for it.
        self._queue: deque[tuple[Insertable, Envelope]] = deque()
        # Those that wait for a change of the state, in the order in which they were postponed.
        self._postponed: list[tuple[Insertable, Envelope]] = []
        # The state whose method was seen to exist.
        self._checked = ""
        # How many events are handled before other tasks get their turn; the loop counts messages alone.
        self._turns = BURST
        own(self._process, self)

    def release(self) -> None:
        """Tell of the messages that the machine never got to handle; the kernel calls this when its process exits.

        Calls and supervised sends among them are told by their tokens.
        """
        process = self._process
        for event, (_, message, token) in (*self._postponed, *self._queue):
            if token is None and isinstance(event, CastEvent | InfoEvent) and not isinstance(message, Notification):
                undeliverable(process.node, process.pid, event.message, "noproc")

    async def begin(self, *args: object) -> Directive:
        """Have init name the first state. It is entered when the starter has been told, as in OTP."""
        machine = self._machine
        result = await finished(machine.init(*args))
        if result is IGNORE or isinstance(result, Stop):
            return cast("Directive", result)
        if not isinstance(result, NextState) or POSTPONE in result.actions:
            raise bad_init_result(machine, result)
        check_state(machine, "init", result)
        machine.current_state = result.state
        return Continue(result)

    async def enter_first(self, first: NextState) -> None:
        """Enter the first state, and handle what init inserted."""
        inserted, timeouts = self._act(first)
        if self._machine.state_enter:
            await self._enter(first.state, timeouts)
        self._arrange(inserted, timeouts, changed=False)
        await self._drain()

    async def take(self, event: Insertable) -> Directive:
        """Handle the event that the message in hand became, and all that it brings about."""
        envelope = cast("Envelope", self._process.handling)  # the loop put it there
        await self._handle(event, envelope)
        if envelope[2] is not None:
            DEADLINE.set(None)  # it was of this message; those that were postponed have their own
        await self._drain()
        return HELD

    async def elapsed(self, message: Elapsed) -> Directive | None:
        """Handle a timeout whose time has come, unless it was cancelled since."""
        event = cast("Insertable | None", self._timers.due(message))
        if event is None:
            return None
        self._process.handling = (INFO, event, None)  # what reports of it show
        return await self.take(event)

    async def _drain(self) -> None:
        """Handle events until none is left that comes before the next message."""
        while self._process.exiting is None:
            if self._queue:
                event, envelope = self._queue[0]
            elif (timeout := self._timers.due_at_once()) is not None:
                event = cast("Insertable", timeout)
                envelope = (INFO, event, None)
                self._queue.append((event, envelope))
            else:
                return
            if not self._turns:
                await asyncio.sleep(0)
                self._turns = BURST
            self._turns -= 1
            self._queue.popleft()
            process, token = self._process, envelope[2]
            if take_up(process, envelope) and not is_overdue(process, envelope):
                process.since = process.node.clock.monotonic()
                await under(None if token is None else token.deadline, self._handle, event, envelope)

    async def _handle(self, event: Insertable, envelope: Envelope) -> None:
        """Call the state function, and do what it asks for; the order is part of the contract."""
        machine, process = self._machine, self._process
        state = checked_state(machine, self._checked)
        self._checked = state
        result = getattr(machine, state)(event)
        if type(result) is _COROUTINE:
            result = await result
        if result is None and type(event) is not CallEvent:  # nothing else to do, and the most frequent of all
            settle(process)
            self._timers.cancel(EVENT)
            return
        transition = self._transition(event, envelope, state, result)
        following = transition.state if isinstance(transition, NextState) else state
        changed = following != state
        if changed:
            machine.current_state = following
        inserted, timeouts = self._act(transition)
        postponed = POSTPONE in transition.actions
        if postponed:  # before the state is entered, which may end the machine: the event was not handled
            self._postponed.append((event, hold(process, handled=False)))
        if machine.state_enter and (changed or isinstance(transition, RepeatState)):
            await self._enter(state, timeouts)
        # Whoever waits hears of it only now: if entering the state crashes, who knows.
        if type(event) is CallEvent and not postponed:
            hold(process)  # it may have no reply yet
        else:
            settle(process)
        self._arrange(inserted, timeouts, changed=changed)

    def _transition(self, event: Insertable, envelope: Envelope, state: str, result: object) -> Transition:
        """Return the transition that a result means; one that ends the machine raises ProcessExit."""
        if isinstance(result, Transition):
            if isinstance(result, NextState) and result.state != state:
                check_state(self._machine, state, result)
            return result
        if result is None:
            # A `match` without a clause for the call, unless it was answered inside.
            if cast("CallEvent", event).sender.waiting:
                self._refuse(event, envelope, state)
        elif result is UNHANDLED:
            self._refuse(event, envelope, state)
        elif isinstance(result, Reject) and type(event) is CastEvent:
            tell_rejected(self._process, envelope, result)
        elif isinstance(result, Stop | StopAndReply):
            self._stop(result)
        else:
            raise bad_result(self._machine, state, result)
        self._process.handling = (envelope[0], envelope[1], None)  # whoever waited has been told, and once is enough
        return _KEEP

    def _refuse(self, event: Insertable, envelope: Envelope, state: str) -> None:
        kind, message, token = envelope
        if isinstance(event, CallEvent):
            token = event.sender  # the envelope has none when the event was inserted
        tell_unhandled(self._process, (kind, message, token), state)

    def _act(self, result: Transition) -> tuple[list[Insertable], Timeouts]:
        """Send the replies among the actions; return the inserted events and the timeouts, in order."""
        inserted: list[Insertable] = []
        timeouts: Timeouts = {}
        for action in result.actions:
            if isinstance(action, ReplyTo):
                reply(action.sender, action.value)
            elif isinstance(action, NextEvent):
                inserted.append(action.event)
            elif isinstance(action, AnyTimeout):
                _note(timeouts, action)
        return inserted, timeouts

    async def _enter(self, old_state: str, timeouts: Timeouts) -> None:
        """Have the state told that it was entered, as often as it asks for it; add its timeouts to those there are."""
        machine = self._machine
        state = machine.current_state
        enter = getattr(machine, state)
        again = True
        while again and self._process.exiting is None:
            if not self._turns:
                await asyncio.sleep(0)
                self._turns = BURST
            self._turns -= 1
            result = await finished(enter(EnterEvent(old_state)))
            if result is None or result is UNHANDLED:
                return
            if isinstance(result, Stop | StopAndReply):
                self._stop(result)
            if not isinstance(result, Transition):
                raise bad_enter_result(machine, result)
            if isinstance(result, NextState) and result.state != state:
                raise bad_enter_result(machine, result)
            if any(action is POSTPONE or isinstance(action, NextEvent) for action in result.actions):
                raise bad_enter_result(machine, result)
            for timeout in self._act(result)[1].values():
                _note(timeouts, timeout)
            again = isinstance(result, RepeatState)

    def _arrange(self, inserted: list[Insertable], timeouts: Timeouts, *, changed: bool) -> None:
        """Order the events that come next, and the timeouts."""
        queue = self._queue
        if changed:
            queue.extendleft(reversed(self._postponed))
            self._postponed.clear()
            self._timers.cancel(STATE)
        self._timers.cancel(EVENT)
        queue.extendleft((event, (INFO, event, None)) for event in reversed(inserted))
        self._timers.set_all(timeouts.values())

    def _stop(self, result: Stop | StopAndReply) -> NoReturn:
        """End the machine. A cast that ends it was handled; a call that it did not answer hears of the exit."""
        if isinstance(result, StopAndReply):
            for answer in result.replies:
                reply(answer.sender, answer.value)
        handling = self._process.handling
        if handling is not None and handling[0] == CAST:
            settle(self._process)
            self._process.handling = (CAST, handling[1], None)  # the report of a crash shows it
        raise ProcessExit(result.reason)


def _note(timeouts: Timeouts, timeout: AnyTimeout) -> None:
    timeouts.pop(timeout.key, None)  # the last one counts, and in its own place
    timeouts[timeout.key] = timeout
