# SPDX-License-Identifier: MIT
"""What can be killed, and how to tell that nothing was lost by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import ClassVar, NamedTuple, Protocol

import msgspec

from stanchion.kernel import SystemClock
from tests.crash.databases import ExaminedDatabase
from tests.crash.journal import Entry, Journal
from tests.crash.processes import Kill

HOUR = 3600.0


class LaterClock(SystemClock):
    """The machine's clock, whose time of day is ahead: what a process that was killed had claimed has run out."""

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead

    def time(self) -> float:  # type: ignore[override]
        """Return Unix seconds."""
        return time.time() + self._ahead


class Life(NamedTuple):
    """What a process is given.

    Attributes:
        number: Which process of its database's history it is, from 1.
        round: How many times processes were killed before.
        url: Where the database is.
        journal: Where it notes what it does.
        random: Where its choices come from.
        at_work: Called once, when it has opened what it works on.
    """

    number: int
    round: int
    url: str
    journal: Journal
    random: Random
    at_work: Callable[[], None]

    @property
    def clock(self) -> LaterClock:
        """An hour later each round."""
        return LaterClock(self.round * HOUR)


class Report(msgspec.Struct):
    """What a look at the database found.

    Attributes:
        problems: What must not be, a line each.
        promised: Calls that had returned, and whose promise was looked after.
        undecided: Calls that were under way at a kill: either outcome is right.
        duplicates: Messages that were handled again, where that is allowed.
        finished: Whether there is nothing left to kill in this database.
    """

    problems: list[str] = []
    promised: int = 0
    undecided: int = 0
    duplicates: int = 0
    finished: bool = False


class Target(Protocol):
    """One kind of work. Each method runs in a process of its own.

    Attributes:
        rounds: How many rounds one database sees at most.
    """

    rounds: ClassVar[int]

    def kill(self, random: Random) -> Kill:
        """Draw the moment of a kill."""
        ...

    def processes(self, random: Random) -> int:
        """Draw how many processes work at once in the next round; each is killed."""
        ...

    async def prepare(self, database: ExaminedDatabase, journal: Journal, random: Random) -> None:
        """Put into a new database what is there before the first process."""
        ...

    async def work(self, life: Life) -> None:
        """Work until killed."""
        ...

    async def check(self, database: ExaminedDatabase, entries: Sequence[Entry], journal: Journal) -> Report:
        """Recover, and compare what is there with what the journal says; note there what was undecided."""
        ...

    async def finish(self, life: Life) -> None:
        """Do what is left to do, without being killed. Done a second time, it finds nothing."""
        ...
