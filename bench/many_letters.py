# SPDX-License-Identifier: MIT
"""Finding and taking 100 letters of a million; the floor is the same work on 100 of a thousand."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from bench import _letter_files
from bench._letter_files import Value
from bench._measure import Figures, Plan, in_turns
from bench.retry_pass import redeliver_due
from stanchion.dead_letters import DeadLetterQueue

Work = Callable[[DeadLetterQueue], Awaitable[int]]
"""Finds or takes 100 letters, and returns how many they were."""

_WANTED: Final = 100
_DAY: Final = 86_400.0

# When the last letter was added, in Unix milliseconds; each was added one after the letter before it.
_END: Final = 1_750_000_000_000

# How the letters that are listed differ from all others.
_RARE: Final[dict[str, Value]] = {
    "state": "exhausted",
    "recipient": "archive",
    "reason": "refused",
    "message_type": "relay.event",
}


async def measure(plan: Plan, work: Work) -> Figures:
    """Measure the milliseconds of some work on 100 letters of 1,000,000; the floor is 100 of 1,000."""
    shape = await _letter_files.shape(plan.folder)
    few, many = (_File(plan.folder / f"{count}.db", shape, count) for count in (1_000, plan.count(1_000_000)))
    async with DeadLetterQueue(few.url) as few_letters, DeadLetterQueue(many.url) as many_letters:
        few.fill()
        many.fill()
        return await in_turns(
            lambda: _trial(work, few, few_letters), lambda: _trial(work, many, many_letters), plan.rounds
        )


async def _trial(work: Work, file: _File, letters: DeadLetterQueue) -> float:
    file.put_back()
    began = perf_counter()
    done = await work(letters)
    milliseconds = (perf_counter() - began) * 1000
    if done != _WANTED:
        raise RuntimeError(f"expected {_WANTED} letters, got {done}")
    return milliseconds


# --- the work ------------------------------------------------------------------------------------


async def _list_latest(letters: DeadLetterQueue) -> int:
    return len((await letters.list(limit=_WANTED, newest_first=True)).entries)


async def _list_rare(letters: DeadLetterQueue, field: str) -> int:
    return len((await letters.list({field: _RARE[field]}, limit=_WANTED)).entries)


async def _list_since(letters: DeadLetterQueue) -> int:
    return len((await letters.list({"since": (_END - _WANTED) / 1000}, limit=_WANTED)).entries)


async def _redeliver(letters: DeadLetterQueue) -> int:
    return await redeliver_due(letters, _WANTED)


async def _purge(letters: DeadLetterQueue) -> int:
    return await letters.purge(older_than=3600)


WORK: Final[dict[str, Work]] = {
    "list the newest, 100 of 1,000,000": _list_latest,
    "list by state, 100 of 1,000,000": partial(_list_rare, field="state"),
    "list by recipient, 100 of 1,000,000": partial(_list_rare, field="recipient"),
    "list by reason, 100 of 1,000,000": partial(_list_rare, field="reason"),
    "list by type, 100 of 1,000,000": partial(_list_rare, field="message_type"),
    "list by time, 100 of 1,000,000": _list_since,
    "retry pass, 100 of 1,000,000 due": _redeliver,
    "purge, 100 of 1,000,000": _purge,
}
"""By the name of its budget."""

# --- the files -----------------------------------------------------------------------------------


class _File:
    """A file of letters, most of which are due tomorrow or were delivered just now.

    The oldest 100 were delivered yesterday. Spread evenly among the rest are 100 that are due, and 100 that differ from
    all others.
    """

    def __init__(self, path: Path, shape: _letter_files.Shape, count: int) -> None:
        self.url = _letter_files.url(path)
        self._path = path
        self._shape = shape
        self._count = count
        self._every = count // _WANTED - 1  # the rest, by 100
        self._filled = path.exists()

    def fill(self) -> None:
        """Insert all letters, if an earlier subject has not; the table is there, for the queue is open."""
        if not self._filled:
            self._write(self._shape.insert, range(self._count))

    def put_back(self) -> None:
        """Put the letters that were due, and those that were delivered yesterday, back as they were."""
        due = range(_WANTED, self._count, self._every)
        self._write(self._shape.insert.replace("INSERT", "REPLACE"), [*range(_WANTED), *due])

    def _write(self, statement: str, numbers: Sequence[int]) -> None:
        with closing(_letter_files.connect(self._path)) as connection:
            connection.execute("BEGIN")
            connection.executemany(statement, self._rows(numbers))
            connection.execute("COMMIT")

    def _rows(self, numbers: Sequence[int]) -> Iterable[list[Value]]:
        """Return the letters with these numbers, which count from 0, the oldest."""
        now = time.time()
        settled: dict[str, Value] = {"next_attempt_at": None, "due_at": None, "state": "delivered", "updated_at": now}
        delivered, due, rare, *common = (
            self._shape.changed({**settled, "updated_at": now - _DAY}),
            self._shape.changed({"next_attempt_at": now - 60, "due_at": now - 60}),
            self._shape.changed({**settled, **_RARE}),
            self._shape.changed({"next_attempt_at": now + _DAY, "due_at": now + _DAY}),
            self._shape.changed(settled),
        )
        places = [self._shape.columns.index(name) for name in ("id", "created_at")]
        for number in numbers:
            kind = (number - _WANTED) % self._every
            row = list(delivered if number < _WANTED else (due, rare)[kind] if kind < 2 else common[kind % 2])
            added = _END - self._count + number
            row[places[0]], row[places[1]] = _id(added), added / 1000
            yield row


def _id(milliseconds: int) -> str:
    """Return an id such as the queue makes: a UUID of version 7."""
    stamp = f"{milliseconds:012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7000-8000-000000000000"
