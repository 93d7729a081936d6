# SPDX-License-Identifier: MIT
"""Who handles it, when that depends on what came before: the StateMachine.

A message that a server's loop hands over becomes an event, and comes to the method of the state that the machine is in.
What that returns says which state is next, and what is to be done on the way.
"""

from __future__ import annotations

from stanchion._public import show_public_path
from stanchion.server import Directive
from stanchion.state_machine._events import CallEvent, CastEvent, EnterEvent, InfoEvent, InternalEvent
from stanchion.state_machine._results import (
    POSTPONE,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    ReplyTo,
    StopAndReply,
)
from stanchion.state_machine._state_machine import StateMachine
from stanchion.state_machine._timeouts import UPDATE, EventTimeout, GenericTimeout, StateTimeout

__all__ = [
    "POSTPONE",
    "UPDATE",
    "CallEvent",
    "CastEvent",
    "EnterEvent",
    "EventTimeout",
    "GenericTimeout",
    "InfoEvent",
    "InternalEvent",
    "KeepState",
    "NextEvent",
    "NextState",
    "RepeatState",
    "ReplyTo",
    "StateEvent",
    "StateMachine",
    "StateResult",
    "StateTimeout",
    "StopAndReply",
]

StateEvent = (
    CallEvent | CastEvent | InfoEvent | InternalEvent | EnterEvent | StateTimeout | EventTimeout | GenericTimeout
)
"""What a state function gets."""

StateResult = Directive | None
"""What a state function returns, or its coroutine does; see ``StateMachine``."""

show_public_path(globals())
