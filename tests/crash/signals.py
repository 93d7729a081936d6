# SPDX-License-Identifier: MIT
"""Durable subscriptions: processes publish signals and deliver those that were missed, and are killed.

Each signal whose publication had returned is in the journal behind the position of its subscription, or was handled; in the
end each was. Whatever the position has passed was handled. One publisher's signals are handled in their order, and none is
in two hands at once. A signal may be handled again only when the process that handled it died before that was noted.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar, Final, NamedTuple

import sqlalchemy as sa

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore, decode
from stanchion.outbox import Outbox
from stanchion.storage import database_of
from tests.crash.databases import ExaminedDatabase
from tests.crash.handling import Handling, Recipient
from tests.crash.journal import Entry, Journal
from tests.crash.processes import Kill, any_moment
from tests.crash.target import Life, Report

NUMBERS: Final = 100_000
"""How many signals one process may publish."""

PUBLISHED: Final = 40
"""How many signals each task of a process publishes; then it only delivers."""

PUBLISHERS: Final = 3
SENDER: Final = 1_000
"""How many numbers each task has for itself."""

SUBSCRIPTION: Final = "inventory"
PATTERN: Final = "order.*.placed"
PATIENCE: Final = 25.0

SOON: Final = st.Backoff(initial=0.005, factor=1, maximum=0.005, jitter=0)


class Subscriber(Recipient):
    """Notes the number that a signal has."""

    async def handle_cast(self, signal: st.Signal) -> object:  # type: ignore[override]
        assert isinstance(signal.data, int)
        return await super().handle_cast(signal.data)


def node(life: Life) -> st.Node:
    """Return a node with a router whose journal forgets nothing."""
    database = database_of(life.url)
    letters = DeadLetterQueue(SqlStore(database))
    # The journal keeps what nobody has subscribed to, too: the position passes it.
    services = [Outbox(database, poll=0.05), st.SignalRouter(journal=["order.**"], keep=None)]
    return st.Node(dead_letters=letters, redeliver=False, services=services, block_threshold=None)


async def subscribe(running: st.Node, life: Life) -> None:
    """Have the subscriber get whatever it missed, and what comes; nothing is ever given up."""
    await st.start(Subscriber, life, name="inventory")
    await running.router.subscribe_durable(
        SUBSCRIPTION, PATTERN, "inventory", timeout=60.0, retries=1_000_000, backoff=SOON, poison_after=None
    )


class DurableSubscriptions:
    """The target; see the module."""

    rounds: ClassVar[int] = 20

    def kill(self, random: Random) -> Kill:
        """See ``Target.kill``."""
        return any_moment(random)

    def processes(self, random: Random) -> int:
        """Two nodes share the subscription, now and then."""
        return random.choice((1, 1, 2))

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """Have the subscription be there: what is published before is for nobody."""
        life = Life(0, 0, database.url, journal, random, lambda: None)
        async with node(life) as running:
            await running.router.subscribe_durable(SUBSCRIPTION, PATTERN, "inventory")

    async def work(self, life: Life) -> None:
        """See ``Target.work``."""
        start = life.number * NUMBERS
        async with node(life) as running:
            await subscribe(running, life)
            life.at_work()
            numbers = (itertools.count(start + task * SENDER) for task in range(PUBLISHERS))
            await asyncio.gather(*(_publish(running, life, each) for each in numbers))
            await asyncio.Event().wait()

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """See ``Target.check``."""
        found = await database.run(_look)
        history = History(entries)
        report = history.compare(found)
        history.note_undecided(found, journal)
        return report

    async def finish(self, life: Life) -> None:
        """Deliver until nothing is left to be, and that is noted."""
        async with node(life) as running:
            await subscribe(running, life)
            async with asyncio.timeout(PATIENCE):
                while any(one.behind for one in await running.router.durable_subscriptions()):
                    await asyncio.sleep(0.02)


async def _publish(running: st.Node, life: Life, numbers: Iterator[int]) -> None:
    for number in itertools.islice(numbers, PUBLISHED):
        if life.random.random() < 0.2:  # others are for nobody, and the position passes them
            await running.router.publish(st.Signal("order.placed", -1))
        signal = st.Signal(f"order.{life.random.choice('abc')}.placed", number)
        life.journal.note("add", number=number)
        await running.router.publish(signal)
        life.journal.note("added", number=number, id=signal.id)


class Found(NamedTuple):
    """What the database has.

    Attributes:
        position: That of the subscription.
        places: The position of each signal, by its number.
        twice: The numbers of signals that are there more than once.
    """

    position: int
    places: dict[int, int]
    twice: list[int]


def _look(connection: sa.Connection) -> Found:
    position = connection.exec_driver_sql("SELECT position FROM stanchion_subscriptions").scalar_one()
    places: dict[int, int] = {}
    twice: list[int] = []
    rows = connection.exec_driver_sql(
        "SELECT position, version, payload FROM stanchion_signals WHERE type <> 'order.placed'"
    )
    for place, version, payload in rows:
        signal = decode("stanchion.signal", version, payload)
        assert isinstance(signal, st.Signal)
        assert isinstance(signal.data, int)
        twice += [signal.data] if signal.data in places else []
        places[signal.data] = place
    return Found(position, places, twice)


class History:
    """What must be there, by the journal of the harness.

    Args:
        entries: All of them, oldest first.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._handling = Handling()
        self._under_way: set[int] = set()
        self._promised: set[int] = set()
        for entry in entries:
            self._handling.take(entry)
            match entry:
                case Entry(what="add", number=int(number)):
                    self._under_way.add(number)
                case Entry(what="added" | "seen", number=int(number)):
                    self._under_way.discard(number)
                    self._promised.add(number)
                case Entry(what="undone", number=int(number)):
                    self._under_way.discard(number)
                case _:
                    pass

    def compare(self, found: Found) -> Report:
        """Compare with what is there."""
        return Report(
            problems=[*self._handling.problems, *self._lost(found), *self._too_much(found), *self._out_of_order()],
            promised=len(self._promised),
            undecided=len(self._under_way),
            duplicates=self._handling.duplicates,
        )

    def _lost(self, found: Found) -> Iterator[str]:
        for number in self._promised:
            if number not in found.places:
                yield f"signal {number}: its publication returned, and it is nowhere"
        for number, place in found.places.items():
            if place <= found.position and not self._handling.handled[number]:
                yield f"signal {number}: nobody handled it, and the subscription has passed it"

    def _too_much(self, found: Found) -> Iterator[str]:
        for number in found.places:
            if number not in self._promised and number not in self._under_way:
                yield f"signal {number}: it is in the journal, and nobody published it"
        for number in found.twice:
            yield f"signal {number}: it is in the journal more than once"

    def _out_of_order(self) -> Iterator[str]:
        latest: dict[int, int] = {}
        for number in self._handling.order:
            publisher = number // SENDER
            if number < latest.get(publisher, 0):
                yield f"signal {number}: handled after {latest[publisher]}, which was published after it"
            latest[publisher] = number

    def note_undecided(self, found: Found, journal: Journal) -> None:
        """Note what became of the publications that were under way: from now on it is known."""
        for number in self._under_way:
            journal.note("seen" if number in found.places else "undone", number=number)
