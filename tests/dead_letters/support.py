# SPDX-License-Identifier: MIT
"""What the tests of dead letters share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from stanchion.dead_letters import DeadLetter, MemoryStore, State, Write
from stanchion.kernel import SystemClock, TimerHandle
from stanchion.telemetry import Telemetry


class WallClock:
    """A wall clock that a test sets; its other times are the machine's."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        return SystemClock.monotonic()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        return SystemClock().call_at(when, callback)


class Host:
    """What a queue needs of a node."""

    def __init__(self, now: float = 1000.0) -> None:
        self.name = "shop"
        self.clock = WallClock(now)
        self.telemetry = Telemetry()
        self.random = random.Random(1)


class SlowStore(MemoryStore):
    """A store that commits when the test says so, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.failures: list[Exception] = []

    async def write(self, writes: Sequence[Write]) -> list[bool]:
        self.batches.append([write.letter.preview for write in writes])
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return await super().write(writes)


def letter(
    number: int = 1,
    *,
    state: State = "waiting",
    recipient: str = "inventory",
    reason: str = "noproc",
    message_type: str = "shop.reserve",
    next_attempt_at: float | None = None,
    claimed_until: float | None = None,
    created_at: float = 100.0,
    updated_at: float = 100.0,
    revision: int = 0,
    replay_of: str | None = None,
) -> DeadLetter:
    """Return a letter whose id sorts by ``number``."""
    return DeadLetter(
        id=f"letter-{number:04d}",
        recipient=recipient,
        message_type=message_type,
        version=1,
        payload=b"\x80",
        preview="Reserve()",
        reason=reason,
        state=state,
        next_attempt_at=next_attempt_at,
        claimed_until=claimed_until,
        created_at=created_at,
        updated_at=updated_at,
        revision=revision,
        replay_of=replay_of,
    )
