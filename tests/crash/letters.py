# SPDX-License-Identifier: MIT
"""Dead letters: processes add letters and decide on them, and are killed.

What is there afterwards must be, letter by letter, what the last call about it returned, or what the one call about it
makes that was under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar, Final

from stanchion.dead_letters import DeadLetter, DeadLetterQueue
from tests.crash.databases import ExaminedDatabase
from tests.crash.journal import Entry, Journal
from tests.crash.processes import Kill, any_moment
from tests.crash.target import Life, Report

WRITERS: Final = 6
NUMBERS: Final = WRITERS * 100_000
"""How many messages one process may add; each number says whose it is."""

MAKES: Final = {"retry": "waiting", "discard": "discarded", "replay": "discarded"}
"""The state that a letter is in after a call."""

SETTLED: Final = ("delivered", "discarded")


def message(number: int) -> list[object]:
    """Return the message of a number: from a few bytes to more than a page of the database."""
    return [number, "x" * (number * 7919 % 6000)]


def recipient(number: int) -> str:
    """Return the name of the one whose letters a number is among: the writer that decides on them."""
    return f"writer{number % WRITERS}"


async def all_letters(letters: DeadLetterQueue) -> list[DeadLetter]:
    """Return every letter, page by page."""
    page = await letters.list(limit=1000)
    found = [*page.entries]
    while page.next_cursor is not None:
        page = await letters.list(limit=1000, cursor=page.next_cursor)
        found += page.entries
    return found


def number_of(letter: DeadLetter) -> int:
    """Return the number of a letter's message."""
    match letter.message():
        case int(number) | [int(number), *_]:
            return number
        case other:
            raise AssertionError(f"letter {letter.id}: expected a numbered message, got {other!r}")


class Letters:
    """The target; see the module."""

    rounds: ClassVar[int] = 25

    def kill(self, random: Random) -> Kill:
        """See ``Target.kill``."""
        return any_moment(random)

    def processes(self, random: Random) -> int:
        """See ``Target.processes``."""
        return 1

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """Nothing."""

    async def work(self, life: Life) -> None:
        """See ``Target.work``."""
        async with DeadLetterQueue(life.url) as letters:
            found = await all_letters(letters)
            life.at_work()
            await asyncio.gather(*(_Writer(life, letters, number, found).run() for number in range(WRITERS)))

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """See ``Target.check``."""
        async with DeadLetterQueue(database.url) as letters:
            found = await all_letters(letters)
        before = await database.dump()
        async with DeadLetterQueue(database.url):
            pass
        ledger = Ledger(entries)
        report = ledger.compare(found)
        if await database.dump() != before:
            report.problems.append("the second recovery changed what is stored")
        ledger.note_undecided(found, journal)
        return report

    async def finish(self, life: Life) -> None:
        """Nothing is left to do."""
        async with DeadLetterQueue(life.url):
            pass


class _Writer:
    """Adds letters, and decides on its own, among them those that processes before this one left."""

    def __init__(self, life: Life, letters: DeadLetterQueue, number: int, found: list[DeadLetter]) -> None:
        self._life = life
        self._journal = life.journal
        self._letters = letters
        self._name = recipient(number)
        self._next = life.number * NUMBERS + number
        self._open = [letter.id for letter in found if letter.recipient == self._name and letter.state == "waiting"]

    async def run(self) -> None:
        while True:
            verb = self._life.random.choices(("add", "retry", "discard", "replay", "purge"), (50, 15, 15, 15, 5))[0]
            if verb == "purge":
                await self._purge()
            elif verb == "add" or not self._open:
                await self._add()
            else:
                await self._decide(verb, self._life.random.choice(self._open))

    async def _add(self) -> None:
        number, self._next = self._next, self._next + WRITERS
        self._journal.note("add", number=number)
        id = await self._letters.add(recipient=self._name, message=message(number), reason="noproc")
        self._journal.note("added", number=number, id=id, state="waiting", revision=0)
        self._open.append(id)

    async def _decide(self, verb: str, id: str) -> None:
        self._journal.note(verb, id=id)
        if verb == "retry":
            letter = await self._letters.retry(id)
            self._journal.note("changed", id=id, state=letter.state, revision=letter.revision)
        elif verb == "discard":
            letter = await self._letters.discard(id, why="not wanted")
            self._journal.note("changed", id=id, state=letter.state, revision=letter.revision)
            self._open.remove(id)
        else:
            new_id = await self._letters.replay(id)
            self._journal.note("replayed", id=new_id, replay_of=id)
            self._open.remove(id)
            self._open.append(new_id)

    async def _purge(self) -> None:
        self._journal.note("purge", recipient=self._name)
        await self._letters.purge({"recipient": self._name})
        self._journal.note("purged", recipient=self._name)


class _Known:
    """What the journal says of a letter: what it is, and which call about it has not returned."""

    __slots__ = ("number", "replay_of", "revision", "state", "under_way")

    def __init__(self, number: int, state: str, revision: int, replay_of: str | None) -> None:
        self.number = number
        self.state = state
        self.revision = revision
        self.replay_of = replay_of
        self.under_way: str | None = None

    def becomes(self, state: str, revision: int) -> None:
        self.state, self.revision, self.under_way = state, revision, None

    def allows(self, letter: DeadLetter) -> bool:
        """Tell whether the letter is what was reported, or what the call under way makes of it."""
        if letter.revision == self.revision:
            return letter.state == self.state
        return self.changed(letter) and letter.state == MAKES[self.under_way or "retry"]

    def changed(self, letter: DeadLetter) -> bool:
        """Tell whether the call under way was committed."""
        return self.under_way is not None and letter.revision == self.revision + 1

    def __str__(self) -> str:
        text = f"{self.state} at revision {self.revision}"
        return text if self.under_way is None else f"{text}, or one further by the {self.under_way} under way"


class Ledger:
    """What must be there, by the journal.

    Args:
        entries: All of them, oldest first.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._known: dict[str, _Known] = {}
        self._adding: set[int] = set()
        self._purging: set[str] = set()
        self._promised = 0
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry:
            case Entry(what="add", number=int(number)):
                self._adding.add(number)
            case Entry(what="added" | "seen", number=int(number), id=str(id), state=str(state), revision=int(revision)):
                self._adding.discard(number)
                self._known[id] = _Known(number, state, revision, entry.replay_of)
            case Entry(what="retry" | "discard" | "replay", id=str(id)):
                self._known[id].under_way = entry.what
            case Entry(what="changed", id=str(id), state=str(state), revision=int(revision)):
                self._known[id].becomes(state, revision)
            case Entry(what="replayed", id=str(id), replay_of=str(replay_of)):
                old = self._known[replay_of]
                old.becomes("discarded", old.revision + 1)
                self._known[id] = _Known(old.number, "waiting", 0, replay_of)
            case Entry(what="purge", recipient=str(name)):
                self._purging.add(name)
            case Entry(what="purged", recipient=str(name)):
                self._purging.discard(name)
                for id in [id for id, known in self._known.items() if self._may_be_purged(known, {name})]:
                    del self._known[id]
            case Entry(what="gone", id=str(id)):
                del self._known[id]
            case Entry(what="recovered"):
                self._adding.clear()
                self._purging.clear()
                for known in self._known.values():
                    known.under_way = None
            case _:
                return
        self._promised += entry.what in ("added", "changed", "replayed", "purged")

    @staticmethod
    def _may_be_purged(known: _Known, names: set[str]) -> bool:
        return known.state in SETTLED and recipient(known.number) in names

    def compare(self, found: Sequence[DeadLetter]) -> Report:
        """Compare with the letters that are there."""
        stored = {letter.id: letter for letter in found}
        changing = sum(known.under_way is not None for known in self._known.values())
        return Report(
            problems=[*self._missing(stored), *self._wrong(stored), *self._unexpected(stored)],
            promised=self._promised,
            undecided=len(self._adding) + len(self._purging) + changing,
        )

    def _missing(self, stored: Mapping[str, DeadLetter]) -> Iterator[str]:
        for id, known in self._known.items():
            if id not in stored and not self._may_be_purged(known, self._purging):
                yield f"letter {id} of message {known.number}: expected {known}, got none"

    def _wrong(self, stored: Mapping[str, DeadLetter]) -> Iterator[str]:
        replays = Counter(letter.replay_of for letter in stored.values())
        for id, known in self._known.items():
            if (letter := stored.get(id)) is None:
                continue
            if not known.allows(letter):
                yield f"letter {id}: expected {known}, got {letter.state} at revision {letter.revision}"
            if (letter.recipient, letter.replay_of) != (recipient(known.number), known.replay_of):
                yield f"letter {id}: its recipient or its origin is another one"
            if letter.message() != message(known.number):
                yield f"letter {id}: expected message {known.number}, got {letter.preview}"
            if known.under_way == "replay" and replays[id] != known.changed(letter):
                yield f"letter {id}: it is {letter.state}, and has {replays[id]} replays"

    def _unexpected(self, stored: Mapping[str, DeadLetter]) -> Iterator[str]:
        """Yield what is wrong with the letters whose ids nobody was told."""
        seen: set[int] = set()
        for id in stored.keys() - self._known.keys():
            letter = stored[id]
            if letter.replay_of is not None:
                old = self._known.get(letter.replay_of)
                if old is None or old.under_way != "replay":
                    yield f"letter {id}: nobody was replaying {letter.replay_of}"
                continue
            number = number_of(letter)
            if number not in self._adding:
                yield f"letter {id}: nobody was adding message {number}"
            elif number in seen:
                yield f"letter {id}: message {number} is there twice"
            elif (letter.state, letter.revision) != ("waiting", 0) or letter.message() != message(number):
                yield f"letter {id}: expected message {number}, new, got {letter.preview} that is {letter.state}"
            seen.add(number)

    def note_undecided(self, found: Sequence[DeadLetter], journal: Journal) -> None:
        """Note what became of the calls that were under way: from now on it is known."""
        stored = {letter.id: letter for letter in found}
        for id in self._known.keys() - stored.keys():
            journal.note("gone", id=id)
        for id, letter in stored.items():
            known = self._known.get(id)
            if known is None or known.under_way is not None:
                journal.note(
                    "seen",
                    number=number_of(letter),
                    id=id,
                    replay_of=letter.replay_of,
                    state=letter.state,
                    revision=letter.revision,
                )
        journal.note("recovered")
