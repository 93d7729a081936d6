# SPDX-License-Identifier: MIT
"""What there is while a queue is open, and what follows from each commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from stanchion._backoff import RandomSource
from stanchion._ids import TimeIds
from stanchion.dead_letters import _transitions as transitions
from stanchion.dead_letters._changes import ChangeFeed
from stanchion.dead_letters._claimant import has_ended
from stanchion.dead_letters._hook import ExhaustedHook, HookRunner
from stanchion.dead_letters._letter import DeadLetter
from stanchion.dead_letters._purging import Retention, keep_enforcing
from stanchion.dead_letters._statistics import Growth, GrowthAlarm, GrowthHook, GrowthMeter, QueueStatistics
from stanchion.dead_letters._store import Store, Write
from stanchion.dead_letters._transitions import RetryPolicy
from stanchion.errors import DeadLettersClosedError, StoreError
from stanchion.kernel import Clock, StormGuard
from stanchion.storage import GroupCommit, Owner
from stanchion.telemetry import (
    LETTER_DELIVERED,
    LETTER_EXHAUSTED,
    LETTER_STORED,
    LETTERS_GROWTH,
    LETTERS_PURGED,
    Telemetry,
)

_log = logging.getLogger("stanchion.dead_letters")

_SEARCH_INTERVAL: Final = 5.0


class Host(Protocol):
    """What the queue uses of the node that it is a service of."""

    @property
    def name(self) -> str:
        """The node's name."""
        ...

    @property
    def clock(self) -> Clock:
        """The node's clock."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """Where the node's events are told."""
        ...

    @property
    def random(self) -> RandomSource:
        """Where the node's jitter comes from."""
        ...


class Session:
    """One time that a queue is open.

    Attributes:
        store: The open store.
        policy: When to redeliver.
        changes: Where changes are told.
        commit: Through which every change goes.
        clock: The time.
        ids: Where the ids of new letters come from.
    """

    __slots__ = ("_claiming", "_end_listening", "_growth", "_next_search", "_on_exhausted", "_on_growth", "_process",
                 "_retaining", "_storm_guard", "_tally", "_telemetry", "changes", "clock", "commit", "ids", "policy",
                 "store")  # fmt: skip

    def __init__(
        self,
        store: Store,
        policy: RetryPolicy,
        clock: Clock,
        telemetry: Telemetry | None,
        process: Owner,
        *,
        max_pending: int,
        on_exhausted: ExhaustedHook | None,
        growth: GrowthAlarm | None,
        on_growth: GrowthHook | None,
        retention: Retention | None,
    ) -> None:
        self.store: Final = store
        self.policy: Final = policy
        self.clock: Final = clock
        # Made anew each time: a process that was forked since must not make the same ones.
        self.ids: Final = TimeIds()
        self.changes: Final = ChangeFeed()
        self.commit: Final = GroupCommit[Write, bool](
            store.write,
            name=store.name,
            label="dead-letters",
            limit=max_pending,
            committed=self._committed,
            lost=_lost,
            closed=DeadLettersClosedError,
        )
        self._process: Final = process
        self._next_search = clock.monotonic()  # when to look for the claims of processes that are gone
        self._claiming: Final[set[asyncio.Task[list[DeadLetter]]]] = set()
        self._end_listening: Final = store.listen(self.changes.heard)
        self._on_exhausted: Final = HookRunner("on_exhausted", on_exhausted)
        self._on_growth: Final = HookRunner("on_growth", on_growth)
        self._growth: Final = None if growth is None else GrowthMeter(growth)
        self._telemetry: Final = telemetry
        self._storm_guard: Final = StormGuard(clock)
        self._tally: Final = dict.fromkeys(QueueStatistics.__struct_fields__, 0)
        self._retaining: asyncio.Task[None] | None = None
        if retention is not None:
            self._retaining = asyncio.get_running_loop().create_task(
                keep_enforcing(self, retention), name="dead-letters-retention"
            )

    def claim(
        self, limit: int, *, owner: str, lease: float, per_recipient: int | None, room: Mapping[str, int]
    ) -> asyncio.Task[list[DeadLetter]]:
        """Begin to claim letters that are due, and to tell of each; closing waits until that is done."""

        async def claimed() -> list[DeadLetter]:
            await self._end_claims()
            while True:
                now = self.clock.time()
                change = partial(transitions.claim, owner=owner, until=now + lease, now=now, policy=self.policy)
                letters = await self.store.claim(now, limit, change, per_recipient=per_recipient, room=room)
                for letter in letters:
                    self.changed("claim", letter)
                taken = [letter for letter in letters if letter.state == "retrying"]
                if taken or not letters:  # not when all of them are exhausted: their last claims had run out
                    return taken

        task = asyncio.get_running_loop().create_task(claimed(), name="dead-letters-claim")
        self._claiming.add(task)
        task.add_done_callback(self._claiming.discard)
        return task

    async def _end_claims(self) -> None:
        """End the claims of processes of this machine that are gone, now and then."""
        now = self.clock.monotonic()
        if now >= self._next_search:
            self._next_search = now + _SEARCH_INTERVAL
            await self.store.end_claims(self.clock.time(), partial(has_ended, here=self._process))

    async def close(self) -> None:
        """Commit what waits, let hooks finish, answer everybody who waits, and close the store."""
        self._end_listening()
        if self._retaining is not None:
            self._retaining.cancel()  # before anything else: closing may be cancelled, too
        try:
            while self._claiming:
                await asyncio.wait(self._claiming)
            if self._retaining is not None:
                await asyncio.wait([self._retaining])
            await self.commit.close()
            await self._on_exhausted.close()
            await self._on_growth.close()
        finally:
            self._storm_guard.close()
            self.changes.close()
            await self.store.close()

    @property
    def statistics(self) -> QueueStatistics:
        """What was done so far."""
        return QueueStatistics(**self._tally)

    def purged(self, count: int) -> None:
        """Note that so many letters were deleted."""
        self._tally["purged"] += count
        if count and self._telemetry is not None and self._telemetry.attached:
            self._telemetry.emit(LETTERS_PURGED, {"count": count}, {"store": self.store.name})

    def changed(self, verb: str, letter: DeadLetter) -> None:
        """Tell everybody of a change that is committed."""
        self.changes.publish(verb, letter)
        counted = _COUNTED.get(verb)
        if counted is not None:
            self._tally[counted] += 1
        if self._telemetry is not None and self._telemetry.attached:
            self._tell(self._telemetry, verb, letter)
        if verb == "add" and self._growth is not None:
            growth = self._growth.added(self.clock.monotonic())
            if growth is not None:
                self._grew(growth)
        # No other change leads from exhausted to exhausted: this is the first.
        if letter.state == "exhausted" and verb != "import":
            self._exhausted(letter)

    def _committed(self, verb: str, write: Write, made: bool) -> None:
        if not made:  # somebody else was faster
            return
        if write.also is None:
            self.changed(verb, write.letter)
        else:  # a replay, which discards the letter that it replays
            self.changed("discard", write.letter)
            self.changed(verb, write.also)

    def _exhausted(self, letter: DeadLetter) -> None:
        self._tally["exhausted"] += 1
        if self._telemetry is not None and self._telemetry.attached:
            self._telemetry.emit(
                LETTER_EXHAUSTED,
                {"attempts": letter.redeliveries},
                {"id": letter.id, "recipient": letter.recipient, "reason": letter.reason},
            )
        if self._storm_guard.admit("dead letters were exhausted", _log):
            _log.warning(
                "dead letter %s to %s is exhausted and waits for a person: %s",
                letter.id, letter.recipient, letter.error or letter.reason,
            )  # fmt: skip
        self._on_exhausted.start(letter, f"dead letter {letter.id}")

    def _grew(self, growth: Growth) -> None:
        _log.warning("%d dead letters were added within %.3g s", growth.letters, growth.seconds)
        if self._telemetry is not None and self._telemetry.attached:
            measured = {"letters": growth.letters, "seconds": growth.seconds}
            self._telemetry.emit(LETTERS_GROWTH, measured, {"store": self.store.name})
        self._on_growth.start(growth, f"{growth.letters} letters")

    def _tell(self, telemetry: Telemetry, verb: str, letter: DeadLetter) -> None:
        about = {"id": letter.id, "recipient": letter.recipient}
        if _COUNTED.get(verb) == "stored":
            telemetry.emit(LETTER_STORED, {"count": 1}, {**about, "reason": letter.reason})
        if verb == "delivered":
            telemetry.emit(LETTER_DELIVERED, {"attempts": letter.redeliveries}, about)


# What each verb counts as.
_COUNTED: Final = {
    "add": "stored", "replay": "stored", "import": "stored",
    "delivered": "redelivered", "failed": "failed", "discard": "discarded",
}  # fmt: skip


def _lost(verb: str, write: Write, error: StoreError) -> None:
    _log.error("%s of dead letter %s was not stored: %s", verb, write.letter.id, error)
