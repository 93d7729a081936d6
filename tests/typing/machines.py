# SPDX-License-Identifier: MIT
"""What type checkers make of a user's state machine. Checked, never run."""

from __future__ import annotations

from typing import assert_type

import stanchion as st
from stanchion.kernel import Ref
from stanchion.state_machine import (
    POSTPONE,
    UPDATE,
    CallEvent,
    CastEvent,
    EnterEvent,
    GenericTimeout,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    ReplyTo,
    StateEvent,
    StateResult,
    StateTimeout,
    StopAndReply,
)


class Unlock(st.Call[bool]):
    code: str


class Lock(st.StateMachine):
    """State functions as def and async def, with results as narrow as their author likes."""

    state_enter = True

    async def init(self, code: str, *, wait: float = 5) -> NextState:
        self.code = code
        self.wait = wait
        return NextState("locked", NextEvent(InternalEvent("first")))

    def locked(self, event: StateEvent) -> StateResult:
        match event:
            case CallEvent(Unlock(code), sender):
                assert_type(code, str)
                assert_type(sender, st.Sender)
                return NextState("unlocked", ReplyTo(sender, code == self.code), StateTimeout(self.wait))
            case EnterEvent(old_state):
                assert_type(old_state, str)
            case CastEvent("stop"):
                return st.Stop("shutdown")
            case CastEvent():
                return st.Reject("locked")
            case InternalEvent(content):
                assert_type(content, object)
                return st.UNHANDLED
            case _:
                pass
        return None

    async def unlocked(self, event: StateEvent) -> NextState | KeepState | RepeatState | StopAndReply | None:
        match event:
            case StateTimeout():
                return NextState("locked", GenericTimeout("audit", 3600), GenericTimeout("grace", None))
            case CallEvent(_, sender):
                return StopAndReply("normal", ReplyTo(sender, None))
            case CastEvent(1):
                return RepeatState(StateTimeout(UPDATE, "content"))
            case _:
                return KeepState(POSTPONE)

    def terminate(self, reason: object) -> None:
        assert_type(self.current_state, str)


async def check(ref: Ref) -> None:
    pid = await st.start(Lock, "1234")
    assert_type(await st.call(pid, Unlock("1")), bool)
