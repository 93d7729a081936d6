# SPDX-License-Identifier: MIT
"""Machines that are data: what the n-th call of a state function returns, whatever it was called with."""

from __future__ import annotations

import asyncio
from typing import Any

from stanchion.server import cast, start
from stanchion.state_machine import (
    POSTPONE,
    UPDATE,
    EnterEvent,
    EventTimeout,
    GenericTimeout,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    RepeatState,
    StateTimeout,
)
from tests.state_machine.machines import Entering, Scripted, node, quiet

Action = tuple[Any, ...]
"""``("postpone",)``, ``("insert", content)``, or ``("timeout", kind, seconds, content)``."""

Result = tuple[str, str, list[Action]]
"""``"keep"``, ``"next"`` or ``"repeat"``; the state to go to; the actions."""


def action(spec: Action) -> Any:
    """Return the action that is meant."""
    match spec:
        case ("postpone",):
            return POSTPONE
        case ("insert", content):
            return NextEvent(InternalEvent(content))
        case (_, kind, seconds, content):
            time = UPDATE if seconds == "update" else seconds
            match kind:
                case "state_timeout":
                    return StateTimeout(time, content)
                case "timeout":
                    return EventTimeout(time, content)
                case _:
                    return GenericTimeout(kind[8:-1], time, content)
        case _:
            raise AssertionError(spec)


def result(spec: Result, *, entering: bool) -> Any:
    """Return the result that is meant; on entry without what an EnterEvent does not allow."""
    kind, to, specs = spec
    actions = [action(one) for one in specs if not entering or one[0] == "timeout"]
    if kind == "next" and not entering:
        return NextState(to, *actions)
    return RepeatState(*actions) if kind == "repeat" else KeepState(*actions)


async def run(
    results: list[Result], first: list[Action], messages: list[int], *, enter: bool, wait: float = 0
) -> list[str]:
    """Return the trace of a machine whose mailbox has messages, ``wait`` seconds after it has handled them."""
    left = list(results)
    trace: list[str] = []

    def script(state: str, event: Any) -> Any:
        return result(left.pop(0), entering=isinstance(event, EnterEvent)) if left else None

    async with node():
        machine = Entering if enter else Scripted
        pid = await start(machine, trace, script, NextState("a", *map(action, first)))
        for message in messages:
            cast(pid, message)
        await quiet(pid)
        await asyncio.sleep(wait)
        return list(trace)
