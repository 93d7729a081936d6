# SPDX-License-Identifier: MIT
"""Random verbs on a queue, against a list of letters that knows the rules and nothing of stores."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stanchion._backoff import Backoff
from stanchion.dead_letters import (
    STATES,
    DeadLetter,
    DeadLetterQueue,
    LetterFilter,
    MemoryStore,
    Selection,
    SqlStore,
    State,
    Store,
)
from stanchion.errors import DeadLetterNotFoundError, DeadLetterStateError
from tests.dead_letters.support import Host

DELAY, LEASE, MAX_ATTEMPTS = 16.0, 60.0, 2

Verb = Literal[
    "add", "claim", "delivered", "failed", "final", "release", "retry", "replay", "discard", "purge",
    "wait", "reopen", "select", "retry all", "replay all", "discard all", "purge all",
]  # fmt: skip
ALL: tuple[Verb, ...] = ("retry all", "replay all", "discard all", "purge all")
VERBS: tuple[Verb, ...] = (
    "add", "add", "add", "claim", "claim", "delivered", "failed", "failed", "final", "release", "retry", "replay",
    "discard", "purge", "wait", "wait", "reopen", "select", *ALL,
)  # fmt: skip


class Step(NamedTuple):
    """One verb, with the number of the letter that it is about."""

    verb: Verb
    number: int
    flag: bool


STEPS = st.lists(st.builds(Step, st.sampled_from(VERBS), st.integers(0, 5), st.booleans()), max_size=40)


class Entry:
    """A letter as the model knows it."""

    def __init__(self, id: str, *, due: float | None, redeliverable: bool, replay_of: str | None = None) -> None:
        self.id = id
        self.state: State = "exhausted" if due is None else "waiting"
        self.due = due
        self.redeliverable = redeliverable
        self.replay_of = replay_of
        self.redeliveries = 0
        self.revision = 0

    def become(self, state: State, due: float | None = None) -> None:
        self.state, self.due = state, due
        self.revision += 1

    def fails(self, now: float, *, final: bool = False) -> None:
        self.redeliveries += 1
        if final or self.redeliveries >= MAX_ATTEMPTS:
            self.become("exhausted")
        else:
            self.become("waiting", now + DELAY)


class RefusedError(Exception):
    """The model says that a verb must be refused."""


class Model:
    """What the queue must have."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.selected: dict[str, int] = {}  # id -> revision

    def require(self, entry: Entry, *states: State, sendable: bool = False) -> None:
        if entry.state not in states or (sendable and not entry.redeliverable):
            raise RefusedError

    def change(self, verb: str, entry: Entry, now: float) -> None:
        """Do what a verb other than ``replay`` does to one letter."""
        if verb == "retry":
            self.require(entry, "waiting", "exhausted", sendable=True)
            entry.redeliveries = 0
            entry.become("waiting", now)
        elif verb == "discard":
            self.require(entry, "waiting", "exhausted")
            entry.become("discarded")
        elif verb == "delivered":
            self.require(entry, "waiting", "retrying", "exhausted")
            entry.redeliveries += 1
            entry.become("delivered")
        elif verb == "purge":
            self.require(entry, "waiting", "exhausted", "delivered", "discarded")
            del self.entries[entry.id]
        else:
            self.require(entry, "retrying")
            if verb == "release":
                entry.become("waiting", now)
            else:
                entry.fails(now, final=verb == "final")

    def replay(self, entry: Entry, new_id: str, now: float) -> None:
        self.entries[new_id] = Entry(new_id, due=now, redeliverable=True, replay_of=entry.id)
        if entry.state in ("waiting", "exhausted"):
            entry.become("discarded")

    def check_replay(self, entry: Entry) -> None:
        self.require(entry, "waiting", "exhausted", "delivered", "discarded", sendable=True)

    def claim(self, now: float) -> set[str]:
        """Claim all that is due; a claim that ran out is a failed redelivery."""
        taken: set[str] = set()
        for entry in self.entries.values():
            if entry.due is None or entry.due > now:
                continue
            if entry.state == "retrying":
                entry.redeliveries += 1
            if entry.redeliveries >= MAX_ATTEMPTS:
                entry.become("exhausted")
            else:
                entry.become("retrying", now + LEASE)
                taken.add(entry.id)
        return taken


class Both:
    """The queue and its model, side by side."""

    def __init__(self, store: Store) -> None:
        self.host = Host(now=1000.0)
        self.model = Model()
        backoff = Backoff(initial=DELAY, factor=1, maximum=1000, jitter=0)
        self.queue = DeadLetterQueue(store, backoff=backoff, max_attempts=MAX_ATTEMPTS)
        self.selection: Selection | None = None

    @property
    def now(self) -> float:
        return self.host.clock.now

    async def take(self, step: Step) -> None:
        verb, number, flag = step
        if verb == "add":
            id = await self.queue.add(recipient="a", message=number, reason="noproc", redeliverable=flag)
            self.model.entries[id] = Entry(id, due=self.now + DELAY if flag else None, redeliverable=flag)
        elif verb == "claim":
            expected = self.model.claim(self.now)
            claimed = await self.queue.claim_due(1000, lease_seconds=LEASE)
            assert {letter.id for letter in claimed} == expected
        elif verb == "wait":
            self.host.clock.now += 10.0 * number
        elif verb == "reopen":
            await self.reopen()
        elif verb == "select":
            wanted: LetterFilter = LetterFilter(state=STATES[number % 5]) if flag else LetterFilter()
            self.selection = await self.queue.select(wanted)
            fitting = [entry for entry in self.model.entries.values() if not flag or entry.state == STATES[number % 5]]
            assert [(key.id, key.state) for key in self.selection.keys] == [(one.id, one.state) for one in fitting]
            self.model.selected = {entry.id: entry.revision for entry in fitting}
        elif verb in ALL:
            await self.take_all(verb.removesuffix(" all"))
        elif verb == "purge":
            gone = [entry for entry in self.model.entries.values() if entry.state in ("delivered", "discarded")]
            assert await self.queue.purge() == len(gone)
            for entry in gone:
                del self.model.entries[entry.id]
        else:
            await self.take_one(verb, number)

    async def take_one(self, verb: str, number: int) -> None:
        ids = list(self.model.entries)
        if not ids:
            with pytest.raises(DeadLetterNotFoundError):
                await self.queue.retry("nothing")
            return
        entry = self.model.entries[ids[number % len(ids)]]
        try:
            if verb == "replay":
                self.model.check_replay(entry)
                self.model.replay(entry, await self.queue.replay(entry.id), self.now)
            else:
                self.model.change(verb, entry, self.now)
                await self.call(verb, entry.id)
        except RefusedError:
            with pytest.raises(DeadLetterStateError):
                await self.call(verb, entry.id)

    async def call(self, verb: str, id: str) -> object:
        if verb in ("failed", "final"):
            return await self.queue.failed(id, reason="timeout", final=verb == "final")
        return await getattr(self.queue, verb)(id)

    async def take_all(self, verb: str) -> None:
        if self.selection is None:
            return
        done: list[Entry] = []
        changed: list[str] = []
        refused: list[str] = []
        for id, revision in self.model.selected.items():
            entry = self.model.entries.get(id)
            if entry is None or entry.revision != revision:
                changed.append(id)
                continue
            try:
                self.model.check_replay(entry) if verb == "replay" else self.model.change(verb, entry, self.now)
                done.append(entry)
            except RefusedError:
                refused.append(id)
        result = await getattr(self.selection, verb)()
        assert list(result.done) == [entry.id for entry in done]
        assert sorted(result.changed) == sorted(changed)
        assert [error.id for error in result.refused] == refused
        for entry, new_id in zip(done, result.replayed_as, strict=False):
            self.model.replay(entry, new_id, self.now)

    async def check(self) -> None:
        """Compare everything that can be seen."""
        letters = (await self.queue.list(limit=1000)).entries
        assert [_seen(letter) for letter in letters] == [_meant(entry) for entry in self.model.entries.values()]
        stats = await self.queue.stats()
        states = Counter(entry.state for entry in self.model.entries.values())
        assert {state: getattr(stats, state) for state in STATES} == {state: states[state] for state in STATES}
        dues = [entry.due for entry in self.model.entries.values() if entry.due is not None]
        assert stats.next_due == (min(dues) if dues else None)

    async def reopen(self) -> None:
        """Close the queue and open it again, under the same name: it goes on with its claims."""
        self.host.clock.now += 2.0  # ids of two makers are in order from one millisecond to the next only
        owner = self.queue.owner
        await self.queue.close()
        await self.queue.open(self.host)
        self.queue.owner = owner


def _seen(letter: DeadLetter) -> tuple[object, ...]:
    return letter.id, letter.state, letter.due_at, letter.redeliveries, letter.revision, letter.replay_of


def _meant(entry: Entry) -> tuple[object, ...]:
    return entry.id, entry.state, entry.due, entry.redeliveries, entry.revision, entry.replay_of


async def compare(store: Store, steps: list[Step]) -> None:
    """Take the steps with a queue and with its model, and compare after each."""
    both = Both(store)
    await both.queue.open(both.host)
    try:
        await store.remove(await store.keys(LetterFilter(), cursor=None, limit=1000))  # of the example before
        for step in steps:
            await both.take(step)
            await both.check()
    finally:
        await both.queue.close()


@settings(max_examples=60)
@given(steps=STEPS)
async def test_queue_in_memory_does_what_the_rules_say(steps: list[Step]) -> None:
    await compare(MemoryStore(), steps)


quick = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@quick
@given(steps=STEPS)
async def test_queue_in_a_file_does_what_the_rules_say(steps: list[Step], tmp_path: Path) -> None:
    await compare(SqlStore(f"sqlite:///{tmp_path}/letters.db"), steps)


@settings(quick, max_examples=5)
@given(steps=STEPS)
async def test_queue_in_postgresql_does_what_the_rules_say(steps: list[Step], postgres_url: str) -> None:
    await compare(SqlStore(postgres_url), steps)
