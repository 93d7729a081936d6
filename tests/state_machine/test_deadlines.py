# SPDX-License-Identifier: MIT
# pyright: reportMatchNotExhaustive=false
"""Each event has the deadline of its message, also when it was postponed; nothing else has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stanchion.errors import CallTimeoutError
from stanchion.kernel import Node, Pid, deadline, remaining
from stanchion.server import call, cast, start
from stanchion.state_machine import (
    POSTPONE,
    CallEvent,
    CastEvent,
    EventTimeout,
    InternalEvent,
    KeepState,
    NextEvent,
    NextState,
    ReplyTo,
    StateMachine,
)
from stanchion.telemetry import MESSAGE_EXPIRED
from tests.kernel.helpers import Events


class Gate(StateMachine):
    """Postpones everything while it is shut; notes what it has left in each event."""

    def init(self, seen: list[Any]) -> NextState:
        self.seen = seen
        return NextState("shut")

    def shut(self, event: Any) -> Any:
        if event == CastEvent("open"):
            self.seen.append(("open", remaining()))
            return NextState("opened", NextEvent(InternalEvent("inserted")), EventTimeout(0, "timeout"))
        return KeepState(POSTPONE)

    def opened(self, event: Any) -> Any:
        match event:
            case CallEvent(request, sender):
                self.seen.append((request, remaining()))
                return KeepState(ReplyTo(sender, remaining()))
            case CastEvent(what) | InternalEvent(what) | EventTimeout(what):
                self.seen.append((what, remaining()))
        return None


async def gate() -> tuple[Pid, list[Any]]:
    seen: list[Any] = []
    return await start(Gate, seen), seen


async def test_event_has_the_deadline_of_its_message_and_what_it_brings_about_has_not(node: Node) -> None:
    pid, seen = await gate()
    async with deadline(2):
        cast(pid, "open")
    cast(pid, "after")
    await asyncio.sleep(1)
    assert seen == [("open", 2), ("inserted", None), ("after", None)]


async def test_postponed_event_keeps_its_own_deadline(node: Node) -> None:
    pid, seen = await gate()
    cast(pid, "free")
    async with deadline(5):
        cast(pid, "bounded")
        waiting = asyncio.create_task(call(pid, "asked"))
    await asyncio.sleep(1)
    async with deadline(2):
        cast(pid, "open")
    assert await waiting == 4
    cast(pid, "after")
    await asyncio.sleep(1)
    assert seen == [
        ("open", 2),
        ("inserted", None),
        ("free", None),
        ("bounded", 4),
        ("asked", 4),
        ("after", None),
    ]


async def test_postponed_event_whose_deadline_has_passed_is_not_begun(node: Node) -> None:
    events = Events(node, MESSAGE_EXPIRED)
    pid, seen = await gate()
    async with deadline(2):
        cast(pid, "late")
        with pytest.raises(CallTimeoutError) as caught:
            await call(pid, "asked too late")
    assert (caught.value.outcome, caught.value.handled) == ("expired", False)
    cast(pid, "open")
    await asyncio.sleep(1)
    assert seen == [("open", None), ("inserted", None)]
    assert events.all("message") == ["late", "asked too late"]
    assert node.statistics().expired == 2


async def test_postponed_request_whose_caller_gives_up_sooner_is_known_to_be_postponed(node: Node) -> None:
    pid, _ = await gate()
    with pytest.raises(CallTimeoutError) as caught:
        await call(pid, "asked", timeout=1)
    assert caught.value.outcome == "postponed"
    assert "got none; the request was postponed, and may yet be handled\n" in str(caught.value)
