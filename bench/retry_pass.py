# SPDX-License-Identifier: MIT
"""One pass of redelivery: claim what is due and settle it; among very many letters that wait, or with no others."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from bench import _letter_files
from bench._measure import Figures, Plan, in_turns
from stanchion.dead_letters import DeadLetterQueue

_DUE: Final = 100


async def measure(plan: Plan) -> Figures:
    """Measure the milliseconds of a pass over 100 due letters of 100,000; the floor is 100 of 100."""
    with TemporaryDirectory(prefix="stanchion-bench-") as name:
        folder = Path(name)
        shape = await _letter_files.shape(folder)
        few, many = _File(folder / "few.db", shape, _DUE), _File(folder / "many.db", shape, plan.count(100_000))
        async with DeadLetterQueue(few.url) as few_letters, DeadLetterQueue(many.url) as many_letters:
            few.fill()
            many.fill()

            async def floor() -> float:
                few.make_due()
                return await _pass(few_letters)

            async def ours() -> float:
                many.make_due()
                return await _pass(many_letters)

            return await in_turns(floor, ours, plan.rounds)


class _File:
    """A file of waiting letters; those that are due are spread evenly among the others."""

    def __init__(self, path: Path, shape: _letter_files.Shape, count: int) -> None:
        self.url = _letter_files.url(path)
        self._path = path
        self._shape = shape
        self._count = count

    def fill(self) -> None:
        """Insert the letters, due tomorrow; the table is there, for the queue is open."""
        tomorrow = time.time() + 86_400
        rows = self._shape.rows(self._count, next_attempt_at=tomorrow, due_at=tomorrow)
        with closing(_letter_files.connect(self._path)) as connection:
            connection.execute("BEGIN")
            connection.executemany(self._shape.insert, rows)
            connection.execute("COMMIT")

    def make_due(self) -> None:
        """Put the letters that the last pass settled back, due a minute ago."""
        past = time.time() - 60
        rows = list(self._shape.rows(self._count, next_attempt_at=past, due_at=past))[:: self._count // _DUE]
        with closing(_letter_files.connect(self._path)) as connection:
            connection.execute("BEGIN")
            connection.executemany(self._shape.insert.replace("INSERT", "REPLACE"), rows)
            connection.execute("COMMIT")


async def redeliver_due(letters: DeadLetterQueue, limit: int) -> int:
    """Claim up to ``limit`` letters that are due, settle them, and look for more; return how many there were."""
    claimed = await letters.claim_due(limit)
    await asyncio.gather(*(letters.delivered(letter.id) for letter in claimed))
    return len(claimed) + len(await letters.claim_due(limit))


async def _pass(letters: DeadLetterQueue) -> float:
    began = perf_counter()
    due = await redeliver_due(letters, _DUE)
    if due != _DUE:
        raise RuntimeError(f"expected {_DUE} letters that are due, got {due}")
    return (perf_counter() - began) * 1000
