# SPDX-License-Identifier: MIT
"""Outbox: processes send durably and deliver what was sent, and are killed.

Each message whose send had returned is in the outbox, or was handled, or is a dead letter; in the end the outbox is
empty. A message may be handled again only when the process that handled it died before it could remove it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import stanchion as st
from stanchion.dead_letters import DeadLetterQueue, SqlStore, decode
from stanchion.delivery import OutboxDelivery, write_message
from stanchion.outbox import Outbox
from stanchion.storage import database_of
from stanchion.telemetry import OUTBOX_DELIVERED
from tests.crash.databases import ExaminedDatabase
from tests.crash.handling import Handling, Recipient
from tests.crash.journal import Entry, Journal
from tests.crash.letters import all_letters, number_of
from tests.crash.processes import Kill, any_moment
from tests.crash.target import Life, Report

T = TypeVar("T")

NUMBERS: Final = 100_000
"""How many messages one process may send."""

SENDS: Final = 30
"""How many messages each task of a process sends; then it only delivers."""

RECIPIENTS: Final = ("inventory", "mail", "ledger")
ORDERED: Final = "ledger"
"""One who gets its messages in order."""

ABSENT: Final = "absent"
"""One whom nobody starts: what is sent to it is given up."""

AGAIN: Final[Mapping[str, Any]] = {
    "timeout": 60.0,
    "retries": 100,
    "backoff": st.Backoff(initial=0.005, factor=1, maximum=0.005, jitter=0),
    "deadline": None,
}
"""Until it is confirmed."""

PATIENCE: Final = 25.0

ORDERS: Final = "orders"
"""A table of the user's, whose rows are committed together with messages."""


def node(life: Life) -> st.Node:
    """Return a node that delivers what is in the outbox, and keeps what it gives up."""
    database = database_of(life.url)
    outbox = Outbox(database, poll=0.05)
    services = [outbox, OutboxDelivery(outbox)]
    letters = DeadLetterQueue(SqlStore(database))
    return st.Node(dead_letters=letters, redeliver=False, services=services, block_threshold=None)


async def start_recipients(running: st.Node, life: Life) -> None:
    """Start those whom messages are for, and note each message that is known to be removed."""

    def told(_event: object, _numbers: object, about: Mapping[str, object]) -> None:
        life.journal.note("delivered", id=str(about["message_id"]))

    running.telemetry.attach(OUTBOX_DELIVERED, told)
    for name in RECIPIENTS:
        await st.start(Recipient, life, name=name)


class OutboxOfMessages:
    """The target; see the module."""

    rounds: ClassVar[int] = 20

    def kill(self, random: Random) -> Kill:
        """See ``Target.kill``."""
        return any_moment(random)

    def processes(self, random: Random) -> int:
        """Two nodes share the outbox, now and then."""
        return random.choice((1, 1, 2))

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """See ``Target.prepare``."""
        create = f"CREATE TABLE {ORDERS} (number INTEGER PRIMARY KEY)"
        await database.run(lambda connection: connection.exec_driver_sql(create).close())

    async def work(self, life: Life) -> None:
        """See ``Target.work``."""
        numbers = itertools.count(life.number * NUMBERS)
        async with node(life) as running:
            await start_recipients(running, life)
            life.at_work()
            await asyncio.gather(
                *(_send(life, numbers) for _ in range(3)),
                _send_in_order(life, numbers),
                _send_to_nobody(life, numbers),
                _write(life, numbers),
            )
            await asyncio.Event().wait()

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """See ``Target.check``."""
        found = await _look(database)
        history = History(entries)
        report = history.compare(found)
        history.note_undecided(found, journal)
        return report

    async def finish(self, life: Life) -> None:
        """Deliver until the outbox is empty."""
        async with node(life) as running:
            await start_recipients(running, life)
            async with asyncio.timeout(PATIENCE):
                await running.outbox.wait_empty()
            await asyncio.sleep(0.15)  # it looks again, more than once, and finds nothing


async def _send(life: Life, numbers: Iterator[int]) -> None:
    for number in itertools.islice(numbers, SENDS):
        ack = life.random.choice(("stored", "stored", "processed"))
        key = f"order-{number}" if life.random.random() < 0.3 else None
        life.journal.note("add", number=number)
        delivery = await st.send_supervised(
            life.random.choice(("inventory", "mail")), number, durable=True, ack=ack, idempotency_key=key, **AGAIN
        )
        what = "handled for sure" if ack == "processed" and delivery else "added"
        life.journal.note(what, number=number, id=delivery.message_id)


async def _send_in_order(life: Life, numbers: Iterator[int]) -> None:
    for number in itertools.islice(numbers, SENDS):
        life.journal.note("add", number=number, recipient=ORDERED)
        delivery = await st.send_supervised(ORDERED, number, durable=True, ordered=True, **AGAIN)
        life.journal.note("added", number=number, id=delivery.message_id)


async def _send_to_nobody(life: Life, numbers: Iterator[int]) -> None:
    for number in itertools.islice(numbers, SENDS // 3):
        life.journal.note("add", number=number)
        delivery = await st.send_supervised(ABSENT, number, durable=True, retries=0)
        life.journal.note("added", number=number, id=delivery.message_id)


async def _write(life: Life, numbers: Iterator[int]) -> None:
    """Write messages in transactions of our own, and leave one of four of them undone."""
    for number in itertools.islice(numbers, SENDS):
        undone = life.random.random() < 0.25

        def write(connection: sa.Connection, number: int = number, undone: bool = undone) -> str:
            connection.exec_driver_sql(f"INSERT INTO {ORDERS} VALUES ({number})")
            id = write_message(connection, "inventory", number, **AGAIN)
            if undone:
                raise _UndoneError
            return id

        life.journal.note("add", number=number, recipient=ORDERS)
        try:
            id = await _transaction(life.url, write)
        except _UndoneError:
            life.journal.note("undone", number=number)
        else:
            life.journal.note("added", number=number, id=id)


class _UndoneError(Exception):
    """Why a transaction is rolled back."""


async def _transaction(url: str, work: Callable[[sa.Connection], T]) -> T:
    """Return what ``work`` returns, in a transaction as a user would make it."""
    if url.startswith("sqlite"):

        def run() -> T:
            with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
                return work(connection)

        return await asyncio.to_thread(run)
    engine = create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg"), poolclass=sa.NullPool)
    async with engine.begin() as connection:
        return await connection.run_sync(work)


class Found(NamedTuple):
    """What the database has, by the numbers of the messages.

    Attributes:
        rows: How many rows each has in the outbox.
        letters: How many dead letters.
        orders: The rows of the user's table.
    """

    rows: Counter[int]
    letters: Counter[int]
    orders: frozenset[int]


async def _look(database: ExaminedDatabase) -> Found:
    async with DeadLetterQueue(database.url) as letters:
        kept = Counter(number_of(letter) for letter in await all_letters(letters))

    def rows(connection: sa.Connection) -> Counter[int]:
        if not sa.inspect(connection).has_table("stanchion_outbox"):
            return Counter()
        query = "SELECT message_type, version, payload FROM stanchion_outbox"
        return Counter(_int(decode(*row)) for row in connection.exec_driver_sql(query))

    def orders(connection: sa.Connection) -> frozenset[int]:
        return frozenset(connection.exec_driver_sql(f"SELECT number FROM {ORDERS}").scalars())

    return Found(await database.run(rows), kept, await database.run(orders))


def _int(message: object) -> int:
    assert isinstance(message, int)
    return message


class History:
    """What must be there, by the journal.

    Args:
        entries: All of them, oldest first.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._handling = Handling()
        self._under_way: set[int] = set()
        # Those that must be somewhere, each with its id where a caller was told.
        self._promised: dict[int, str | None] = {}
        self._undone: set[int] = set()
        self._ordered: set[int] = set()
        self._written: set[int] = set()
        self._numbers: dict[str, int] = {}
        self._delivered: set[str] = set()
        self._problems: list[str] = []
        for entry in entries:
            self._handling.take(entry)
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Entry(what="add", number=int(number)):
                self._under_way.add(number)
                self._ordered |= {number} if entry.recipient == ORDERED else set()
                self._written |= {number} if entry.recipient == ORDERS else set()
            case Entry(what="added" | "handled for sure", number=int(number), id=str(id)):
                self._under_way.discard(number)
                self._promised[number] = id
                self._numbers[id] = number
                if entry.what == "handled for sure" and not self._handling.handled[number]:
                    self._problems.append(f"message {number}: nobody handled it, and its send was confirmed")
                if id in self._delivered:
                    self._handling.done(number)
            case Entry(what="seen", number=int(number)):
                self._under_way.discard(number)
                self._promised[number] = None
            case Entry(what="undone", number=int(number)):
                self._under_way.discard(number)
                self._undone.add(number)
            case Entry(what="delivered", id=str(id)):
                self._delivered.add(id)
                if (number := self._numbers.get(id)) is not None:
                    self._handling.done(number)
            case _:
                pass

    def compare(self, found: Found) -> Report:
        """Compare with what is there."""
        return Report(
            problems=[
                *self._handling.problems,
                *self._problems,
                *self._lost(found),
                *self._too_much(found),
                *self._apart(found),
                *self._out_of_order(),
            ],
            promised=len(self._promised) + len(self._delivered) + len(self._undone),
            undecided=len(self._under_way),
            duplicates=self._handling.duplicates,
        )

    def _is_somewhere(self, number: int, found: Found) -> bool:
        return bool(self._handling.handled[number] or found.rows[number] or found.letters[number])

    def _lost(self, found: Found) -> Iterator[str]:
        for number, id in self._promised.items():
            if not self._is_somewhere(number, found):
                yield f"message {number}: it was stored with id {id}, and is neither handled nor anywhere"

    def _too_much(self, found: Found) -> Iterator[str]:
        for number, count in found.rows.items():
            if number not in self._promised and number not in self._under_way:
                yield f"message {number}: it is in the outbox, and nobody sent it"
            if count > 1:
                yield f"message {number}: it is in the outbox {count} times"
            if self._promised.get(number) in self._delivered:
                yield f"message {number}: it is in the outbox, and was reported as removed"
        for number in self._undone & self._handling.handled.keys():
            yield f"message {number}: it was handled, and its transaction was undone"

    def _apart(self, found: Found) -> Iterator[str]:
        for number in self._written:
            if (number in found.orders) != self._is_somewhere(number, found):
                yield f"message {number}: of its row and the message, one is there without the other"

    def _out_of_order(self) -> Iterator[str]:
        latest: dict[int, int] = {}
        for number in self._handling.order:
            if number in self._ordered:
                sender = number // NUMBERS
                if number < latest.get(sender, 0):
                    yield f"message {number}: handled after {latest[sender]}, which was sent after it"
                latest[sender] = number

    def note_undecided(self, found: Found, journal: Journal) -> None:
        """Note what became of the sends that were under way: from now on it is known."""
        for number in self._under_way:
            journal.note("seen" if self._is_somewhere(number, found) else "undone", number=number)
