# SPDX-License-Identifier: MIT
"""Machines that the tests put to work, and what they tell of their events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stanchion.kernel import Node, Pid
from stanchion.server import Sender, cast, get_state, start
from stanchion.state_machine import (
    CallEvent,
    CastEvent,
    EnterEvent,
    EventTimeout,
    GenericTimeout,
    InfoEvent,
    InternalEvent,
    NextState,
    StateMachine,
    StateTimeout,
)
from stanchion.testing import VirtualClock
from tests.kernel.helpers import quick_node

Script = Callable[[str, Any], Any]
"""What a scripted machine returns in a state for an event."""


def node(**options: Any) -> Node:
    return quick_node(clock=VirtualClock(), **options)


def told(state: str, event: Any) -> str:
    """Return an event as OTP's terms would name it: ``"a cast go"``."""
    match event:
        case CallEvent(request, Sender()):
            what = f"call {request}"
        case CastEvent(message):
            what = f"cast {message}"
        case InfoEvent(message):
            what = f"info {message}"
        case InternalEvent(content):
            what = f"internal {content}"
        case EnterEvent(old_state):
            what = f"enter {old_state}"
        case StateTimeout(content):
            what = f"state_timeout {content}"
        case EventTimeout(content):
            what = f"timeout {content}"
        case GenericTimeout(name, content):
            what = f"timeout({name}) {content}"
        case _:
            raise AssertionError(event)
    return f"{state} {what}"


class Scripted(StateMachine):
    """Does in its states a, b and c what its script says, and keeps a trace."""

    def init(self, trace: list[str], script: Script, first: NextState) -> NextState:
        self.trace = trace
        self.script = script
        return first

    def a(self, event: Any) -> Any:
        return self._play("a", event)

    def b(self, event: Any) -> Any:
        return self._play("b", event)

    async def c(self, event: Any) -> Any:
        return self._play("c", event)

    def _play(self, state: str, event: Any) -> Any:
        self.trace.append(told(state, event))
        return self.script(state, event)

    def terminate(self, reason: object) -> None:
        self.trace.append(f"{self.current_state} terminate {reason}")


class Entering(Scripted):
    """The same, with EnterEvents."""

    state_enter = True


async def begin(script: Script, *messages: object, first: NextState | None = None, enter: bool = False) -> Any:
    """Start a scripted machine whose mailbox has casts before it is in its first state; return its pid and trace."""
    trace: list[str] = []
    machine = Entering if enter else Scripted
    pid = await start(machine, trace, script, NextState("a") if first is None else first)
    for message in messages:
        cast(pid, message)
    return pid, trace


async def traced(
    script: Script, *messages: object, first: NextState | None = None, enter: bool = False, wait: float = 0
) -> list[str]:
    """Return what a scripted machine was told, in order, from its start until ``wait`` seconds after its messages."""
    async with node():
        pid, trace = await begin(script, *messages, first=first, enter=enter)
        await quiet(pid)
        await asyncio.sleep(wait)
        return list(trace)


async def quiet(pid: Pid) -> None:
    """Wait until a machine has handled what it had, or has ended."""
    try:
        await get_state(pid)
    except Exception:
        return
