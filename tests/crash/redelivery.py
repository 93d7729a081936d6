# SPDX-License-Identifier: MIT
"""Redelivery: processes lose messages, keep them as letters, redeliver these, and are killed.

Each message has a number. What its recipient does with it is noted by the recipient itself, in the handler. Whatever
was killed in between, in the end each message whose letter was promised is handled, and its letter delivered. It may be
handled again only by a later process than the one that was killed between the handling and its commit.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar, Final

import stanchion as st
from stanchion.dead_letters import DeadLetter, DeadLetterQueue
from stanchion.delivery import Redelivery
from stanchion.telemetry import LETTER_DELIVERED
from tests.crash.databases import ExaminedDatabase
from tests.crash.handling import Handling, Recipient
from tests.crash.journal import Entry, Journal
from tests.crash.letters import all_letters, number_of
from tests.crash.processes import Kill, any_moment
from tests.crash.target import Life, Report

NUMBERS: Final = 100_000
"""How many messages one process may lose."""

RECIPIENTS: Final = ("inventory", "mail")
ADDS: Final = 25
"""How many messages each task of a process loses; then it only redelivers."""

LATE: Final = "late"
"""One who is not there in every other round: what is sent to it then becomes a letter by itself."""

SOON: Final = st.Backoff(initial=0.1, factor=1, maximum=0.1, jitter=0)
PATIENCE: Final = 25.0


def node(life: Life) -> st.Node:
    """Return a node that redelivers without end."""
    letters = DeadLetterQueue(life.url, backoff=SOON, max_attempts=None)
    # A claim outlasts the round, however slow the machine is: whoever handles a message in it is the only one.
    services = [Redelivery(letters, poll=0.05, timeout=60.0, per_recipient=64)]
    return st.Node(dead_letters=letters, redeliver=False, services=services, clock=life.clock, block_threshold=None)


async def start_recipients(running: st.Node, life: Life, *names: str) -> None:
    """Start those whom letters are for, and note each letter that is known to be delivered."""

    def told(_event: object, _numbers: object, about: Mapping[str, object]) -> None:
        life.journal.note("delivered", id=str(about["id"]))

    running.telemetry.attach(LETTER_DELIVERED, told)
    for name in names:
        await st.start(Recipient, life, name=name)


class RedeliveryOfLetters:
    """The target; see the module."""

    rounds: ClassVar[int] = 20

    def kill(self, random: Random) -> Kill:
        """See ``Target.kill``."""
        return any_moment(random)

    def processes(self, random: Random) -> int:
        """Two nodes redeliver the same letters, now and then."""
        return random.choice((1, 1, 2))

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """Nothing."""

    async def work(self, life: Life) -> None:
        """See ``Target.work``."""
        numbers = itertools.count(life.number * NUMBERS)
        alone = life.round % 2 == 0
        async with node(life) as running:
            await start_recipients(running, life, *RECIPIENTS, *(() if alone else (LATE,)))
            life.at_work()
            senders = (_send(life, numbers) for _ in range(2 if alone else 0))
            await asyncio.gather(*(_add(life, running.dead_letters, numbers) for _ in range(3)), *senders)
            await asyncio.Event().wait()

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """See ``Target.check``."""
        async with DeadLetterQueue(database.url) as letters:
            found = await all_letters(letters)
        history = History(entries)
        report = history.compare(found)
        history.note_undecided(found, journal)
        return report

    async def finish(self, life: Life) -> None:
        """Redeliver until no letter is left to be."""
        async with node(life) as running:
            await start_recipients(running, life, *RECIPIENTS, LATE)
            letters = running.dead_letters
            async with asyncio.timeout(PATIENCE):
                while True:
                    seen = letters.changes
                    stats = await letters.stats()
                    if not stats.waiting + stats.retrying:
                        break
                    await letters.wait_changed(seen)
            await asyncio.sleep(0.15)  # it looks again, more than once, and finds nothing


async def _add(life: Life, letters: DeadLetterQueue, numbers: Iterator[int]) -> None:
    for number in itertools.islice(numbers, ADDS):
        life.journal.note("add", number=number)
        id = await letters.add(recipient=life.random.choice(RECIPIENTS), message=number, reason="noproc")
        life.journal.note("added", number=number, id=id)


async def _send(life: Life, numbers: Iterator[int]) -> None:
    for number in itertools.islice(numbers, ADDS):
        life.journal.note("add", number=number)
        delivery = await st.send_supervised(LATE, number, retries=0, on_error="dead_letter")
        life.journal.note("added", number=number, id=delivery.dead_letter_id)


class History:
    """What must be there, by the journal.

    Args:
        entries: All of them, oldest first.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._handling = Handling()
        self._adding: set[int] = set()
        self._numbers: dict[str, int] = {}
        # The ids of letters that were reported as delivered; that may come before the adding is.
        self._delivered: set[str] = set()
        self._promised = 0
        for entry in entries:
            self._handling.take(entry)
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Entry(what="add", number=int(number)):
                self._adding.add(number)
            case Entry(what="added" | "seen", number=int(number), id=str(id)):
                self._adding.discard(number)
                self._numbers[id] = number
                self._promised += entry.what == "added"
                if id in self._delivered:
                    self._handling.done(number)
            case Entry(what="delivered", id=str(id)):
                self._promised += 1
                self._delivered.add(id)
                if (number := self._numbers.get(id)) is not None:
                    self._handling.done(number)
            case Entry(what="recovered"):
                self._adding.clear()
            case _:
                pass

    def compare(self, found: Sequence[DeadLetter]) -> Report:
        """Compare with the letters that are there."""
        return Report(
            problems=[*self._handling.problems, *self._missing(found), *self._wrong(found)],
            promised=self._promised,
            undecided=len(self._adding),
            duplicates=self._handling.duplicates,
        )

    def _missing(self, found: Sequence[DeadLetter]) -> Iterator[str]:
        stored = {letter.id for letter in found}
        for id, number in self._numbers.items():
            if id not in stored:
                yield f"letter {id} of message {number}: expected it, got none"

    def _wrong(self, found: Sequence[DeadLetter]) -> Iterator[str]:
        seen: set[int] = set()
        for letter in found:
            number = number_of(letter)
            if number in seen:
                yield f"message {number}: expected one letter, got another one, {letter.id}"
            seen.add(number)
            if self._numbers.get(letter.id) != number and number not in self._adding:
                yield f"letter {letter.id}: nobody was adding message {number}"
            if letter.state == "delivered" and not self._handling.handled[number]:
                yield f"message {number}: nobody handled it, and its letter is delivered"
            if letter.id in self._delivered and letter.state != "delivered":
                yield f"message {number}: its letter was delivered, and is {letter.state}"
            if letter.state not in ("waiting", "retrying", "delivered"):
                yield f"letter {letter.id}: nobody gave it up, and it is {letter.state}"

    def note_undecided(self, found: Sequence[DeadLetter], journal: Journal) -> None:
        """Note what became of the calls that were under way: from now on it is known."""
        for letter in found:
            number = number_of(letter)
            if letter.id not in self._numbers:
                journal.note("seen", number=number, id=letter.id)
            if letter.state == "delivered" and letter.id not in self._delivered:
                journal.note("delivered", id=letter.id)
        journal.note("recovered")
