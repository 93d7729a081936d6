# SPDX-License-Identifier: MIT
"""What the tests of the scheduler share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import stanchion as st
from stanchion.kernel import current_node
from stanchion.scheduler import SchedulerManager, SendMessage
from stanchion.telemetry import CLOCK_JUMPED, SCHEDULE_MISSED, SCHEDULE_STARTED, SCHEDULE_STOPPED, Event
from stanchion.testing import VirtualClock

START = 1_800_000_000.0
"""What the wall clock shows when virtual time begins: Friday, 15 January 2027, 08:00 UTC."""


class SetClock(VirtualClock):
    """A virtual clock whose wall clock can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def virtual_node(scheduler: SchedulerManager | None = None, **options: Any) -> st.Node:
    """Return a node in virtual time with a scheduler, its jitter always the same."""
    services = [SchedulerManager() if scheduler is None else scheduler]
    defaults = {"clock": VirtualClock(), "block_threshold": None, "seed": 7, "services": services}
    return st.Node(**{**defaults, **options})


def since(time: float | None) -> float:
    """Return a Unix time as seconds since virtual time began."""
    assert time is not None
    return round(time - START, 6)


NOTES: dict[object, list[tuple[float, Any]]] = {}
"""When each ledger of the running test got its messages, by its name: it cannot be asked while it handles one."""


class Ledger(st.GenServer):
    """Notes when it gets each message; it takes ``seconds`` for each, and raises what is an exception."""

    def init(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.notes = NOTES.setdefault(st.self_pid().name, [])

    async def handle_cast(self, message: Any) -> object:
        self.notes.append((since(current_node("test").clock.time()), message))
        await asyncio.sleep(self.seconds)
        if isinstance(message, BaseException):
            raise message
        return st.Reject("no") if message == "refuse" else None


async def ledger(name: str = "ledger", seconds: float = 0.0) -> st.Pid:
    """Start a ledger with no notes."""
    NOTES.pop(name, None)
    return await st.start(Ledger, seconds, name=name)


def times(name: str = "ledger") -> list[float]:
    """Return when a ledger got its messages."""
    return [time for time, _ in NOTES[name]]


TICK = SendMessage("ledger", "tick")


class Told:
    """What a node tells of schedules, in order."""

    def __init__(self, node: st.Node) -> None:
        self.all: list[tuple[Event, Mapping[str, float], Mapping[str, Any]]] = []
        for event in (SCHEDULE_STARTED, SCHEDULE_STOPPED, SCHEDULE_MISSED, CLOCK_JUMPED):
            node.telemetry.attach(event, lambda *told: self.all.append(told))

    def missed(self) -> list[tuple[str, float, int]]:
        """Return reason, due time and count of what was missed."""
        return [
            (about["reason"], since(about["due"]), int(measured["count"]))
            for event, measured, about in self.all
            if event is SCHEDULE_MISSED
        ]

    def ends(self) -> list[tuple[str, str | None]]:
        """Return outcome and reason of each run that ended."""
        return [(about["outcome"], about["reason"]) for event, _, about in self.all if event is SCHEDULE_STOPPED]

    def jumps(self) -> list[float]:
        """Return by how much the wall clock was set."""
        return [round(measured["seconds"], 3) for event, measured, _ in self.all if event is CLOCK_JUMPED]


def in_process(function: Any) -> tuple[st.Pid, asyncio.Future[Any]]:
    """Run an async function in a process that then waits for its end; return the process, and what it comes to."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def body() -> None:
        try:
            done.set_result(await function())
        except Exception as error:
            done.set_exception(error)
        await asyncio.Event().wait()

    return st.spawn(body), done
