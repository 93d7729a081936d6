# SPDX-License-Identifier: MIT
"""Random interleavings of storing, claiming, sending, putting back and failing, on one database and one or two nodes.

What must hold is little: whatever was stored comes to its end, nothing is sent by two at once, and the ordered messages
of a recipient are sent in their order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stanchion.errors import StoreError
from stanchion.outbox import Held, OutboxMessage, _lanes, _session, _tables
from stanchion.outbox._session import Session, Settings

LEASE, RECIPIENTS = 30.0, "ab"
ANY_ORDER = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Database:
    """A database in memory that takes its time, and now and then fails before a commit or right after it."""

    name = "memory"

    def __init__(self, random: Random, failures: float) -> None:
        self.random, self.failures = random, failures
        self.engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        _tables.metadata.create_all(self.engine)
        self.turn = asyncio.Lock()

    async def write(self, work: Callable[..., Any], *args: Any) -> Any:
        async with self.turn:
            await self.some_time()
            if self.random.random() < self.failures:
                raise StoreError(self.name, expected="a commit", got="none")
            with self.engine.begin() as connection:
                made = work(connection, *args)
            await self.some_time()
            if self.random.random() < self.failures:
                raise StoreError(self.name, expected="an answer", got="a connection that was cut")
            return made

    read = write

    async def some_time(self) -> None:
        for _ in range(self.random.choice((0, 0, 1, 2, 5))):
            await asyncio.sleep(0)

    def listen(self, channel: str, heard: Callable[[], None]) -> Callable[[], None]:
        return lambda: None


class World:
    """Nodes that share a database, and what is known of each message."""

    def __init__(self, seed: int, *, nodes: int, failures: float = 0.0, crashes: float = 0.0) -> None:
        self.random, self.crashes = Random(seed), crashes
        self.database = Database(self.random, failures)
        self.now = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        self.node: Any = SimpleNamespace(clock=clock, telemetry=SimpleNamespace(attached=False), name="node")
        limits = Settings(LEASE, concurrency=4, per_recipient=2, max_pending=100, remember_keys=None)
        self.sessions = [Session(self.database, limits, self.node, lambda: None) for _ in range(nodes)]
        self.messages: list[OutboxMessage] = []
        self.stored: set[str] = set()
        self.ended = Counter[str]()
        self.under_way = Counter[str]()
        self.sends: set[asyncio.Task[None]] = set()
        self.strict = not failures and not crashes

    async def run(self) -> None:
        for session in self.sessions:
            await self.insist(session.begin)
        stores = [asyncio.create_task(self.store(self.sessions[0], number)) for number in range(25)]
        for _ in range(120):
            await self.step(self.random.choice(self.sessions))
        self.database.failures, self.crashes = 0.0, 0.0
        await asyncio.wait(stores)
        async with asyncio.timeout(10):
            while await self.database.read(_tables.any_left):
                for session in self.sessions:
                    self.now += LEASE / 4
                    await self.step(session, looks=True)
        await asyncio.gather(*self.sends)
        assert self.stored <= self.ended.keys()
        for session in self.sessions:
            await session.look()
            assert (session.lanes.held, session.lanes.under_way, session._mine) == (0, 0, set())
            assert (session._back, session._left, session.lanes._lanes) == ([], [], {})
        self.database.engine.dispose()

    async def insist(self, work: Callable[[], Any]) -> None:
        while True:
            try:
                return await work()
            except StoreError:
                pass

    async def store(self, session: Session, number: int) -> None:
        for _ in range(self.random.randrange(40)):
            await asyncio.sleep(0)
        recipient, ordered = self.random.choice(RECIPIENTS), self.random.random() < 0.6
        id = f"{len(self.messages):04d}"
        message = OutboxMessage(id, id, recipient, "data", 1, b"", None, "{}", ordered, 0.0)
        self.messages.append(message)
        try:
            if session.full:
                await session.wait_room()
            await session.put(message, hold=self.random.random() < 0.2)
        except StoreError:
            return
        self.stored.add(id)

    async def step(self, session: Session, *, looks: bool = False) -> None:
        if self.random.random() < self.crashes:
            self.now += 2 * LEASE  # it stood still, and somebody else has taken over
            with self.database.engine.begin() as connection:
                connection.execute(_tables.owners.delete().where(_tables.owners.c.id == session._owner))
                _tables.take_over(connection, [])
        if looks or self.random.random() < 0.3:
            self.now += 1
            try:
                await session.look()
            except StoreError:
                assert self.database.failures
        while (held := session.next()) is not None:
            send = asyncio.create_task(self.send(session, held))
            self.sends.add(send)
            if self.random.random() < 0.5:
                break
        await asyncio.sleep(0)

    async def send(self, session: Session, held: Held) -> None:
        message = held.message
        self.check(message)
        self.under_way[message.id] += 1
        for _ in range(self.random.choice((0, 1, 3, 30))):
            await asyncio.sleep(0)
        self.under_way[message.id] -= 1
        if self.random.random() < 0.1:
            session.put_back(message)
        else:
            self.ended[message.id] += 1
            session.done(message, delivered=True, handled=True)

    def check(self, message: OutboxMessage) -> None:
        if self.strict:
            assert not self.under_way[message.id], "it is sent by two at once"
            assert not self.ended[message.id], "it is sent again"
            if message.ordered and len(self.sessions) == 1:
                before = (one for one in self.messages if one.id < message.id and one.ordered)
                waits = [one.id for one in before if one.recipient == message.recipient and not self.ended[one.id]]
                assert not waits, "it overtakes others"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little fits into memory, so that there is always something that does not; and no thread makes it random."""

    async def at_once(work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    monkeypatch.setattr(_lanes, "LANE_LIMIT", 3)
    monkeypatch.setattr(_lanes, "LIMIT", 6)
    monkeypatch.setattr(_session, "_CLAIM_LIMIT", 4)
    monkeypatch.setattr("asyncio.to_thread", at_once)


@ANY_ORDER
@given(seed=st.integers(0, 2**32))
def test_ordered_messages_keep_their_order_and_each_is_sent_once(seed: int) -> None:
    asyncio.run(World(seed, nodes=1).run())


@ANY_ORDER
@given(seed=st.integers(0, 2**32))
def test_two_nodes_send_each_message_once(seed: int) -> None:
    asyncio.run(World(seed, nodes=2).run())


@ANY_ORDER
@given(seed=st.integers(0, 2**32), nodes=st.integers(1, 2))
def test_nothing_is_lost_when_commits_fail_and_nodes_are_taken_for_dead(seed: int, nodes: int) -> None:
    asyncio.run(World(seed, nodes=nodes, failures=0.1, crashes=0.03).run())
