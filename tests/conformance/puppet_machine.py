# SPDX-License-Identifier: MIT
"""A state machine that does what it is sent: the twin of ``otp/puppet_statem.erl``."""

from __future__ import annotations

from typing import Any

import stanchion as st
from stanchion.kernel import self_pid
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
    StateMachine,
    StateTimeout,
    StopAndReply,
)
from tests.conformance.puppet_base import BasicPuppet, Do, Request, World, seconds, why
from tests.conformance.scenario import Op


class Machine(StateMachine):
    """A machine with the states one, two and three."""

    async def init(self, puppet: type[BasicPuppet], world: World, label: str, options: dict[str, Any]) -> object:
        self.options = options
        self.puppet = puppet(world, world.label(self_pid(), label))
        st.trap_exit(options.get("trap", False))
        self.puppet.lifecycle("init")
        match await self.puppet.run(options.get("init", [])):
            case None:
                return NextState("one")
            case returned:
                return self.returned(returned)

    async def one(self, event: object) -> object:
        return await self.handle("one", event)

    async def two(self, event: object) -> object:
        return await self.handle("two", event)

    async def three(self, event: object) -> object:
        return await self.handle("three", event)

    async def handle(self, state: str, event: object) -> object:
        self.puppet.state = state
        returned = await self.puppet.run(self.told(state, event))
        if returned is not None:
            return self.returned(returned)
        return KeepState(ReplyTo(event.sender, "ok")) if isinstance(event, CallEvent) else None

    def told(self, state: str, event: Any) -> list[Op]:
        """Tell of an event, and return what to do."""
        match event:
            case CallEvent(Request(tag, does), sender):
                self.puppet.sender = sender
                told = f"call {tag}"
            case CastEvent(Request(tag, does)):
                told = f"cast {tag}"
            case InfoEvent(Do(op)):
                return [op]
            case InfoEvent(message):
                self.puppet.hears(message)
                return []
            case EnterEvent(old):
                told, does = f"enter from {old}", self.options.get("enter", {}).get(state, [])
            case InternalEvent((tag, does)):
                told = f"internal {tag}"
            case StateTimeout((tag, does)):
                told = f"state_timeout {tag}"
            case EventTimeout((tag, does)):
                told = f"event_timeout {tag}"
            case GenericTimeout(name, (tag, does)):
                told = f"timeout({name}) {tag}"
            case _:
                raise TypeError(event)
        self.puppet.event(f"{state}: {told}")
        return does

    def returned(self, returned: Op) -> object:
        match returned:
            case ("goto", state, actions):
                return NextState(state, *map(self.action, actions))
            case ("keep_state", actions):
                return KeepState(*map(self.action, actions))
            case ("repeat", actions):
                return RepeatState(*map(self.action, actions))
            case ("stop_and_reply", reason, value):
                return StopAndReply(why(reason), ReplyTo(self.puppet.sender, value))
            case ("stops", reason):
                return st.Stop(why(reason))
            case ("ignores",):
                return st.IGNORE
            case ("unknown",):
                return st.UNHANDLED
            case _:
                return "rubbish"

    def action(self, action: Op) -> Any:
        match action:
            case ("postpone",):
                return POSTPONE
            case ("answers", value):
                return ReplyTo(self.puppet.sender, value)
            case ("next", tag, does):
                return NextEvent(InternalEvent((tag, does)))
            case ("state_timeout", "update", tag, does):
                return StateTimeout(UPDATE, (tag, does))
            case ("state_timeout", ms, tag, does):
                return StateTimeout(seconds(ms), (tag, does))
            case ("event_timeout", ms, tag, does):
                return EventTimeout(seconds(ms), (tag, does))
            case ("named_timeout", name, ms, tag, does):
                return GenericTimeout(name, seconds(ms), (tag, does))
            case _:
                raise TypeError(action)

    async def terminate(self, reason: st.ExitReason) -> None:
        self.puppet.lifecycle(f"terminate {self.puppet.world.reason(reason)} in {self.current_state}")
        await self.puppet.run(self.options.get("terminate", []))


class EnteringMachine(Machine):
    """One that hears of each state that it enters."""

    state_enter = True
