# SPDX-License-Identifier: MIT
"""Dead letters stored by many producers, each waiting for its commit; the floor inserts the same rows in batches."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench import _letter_files
from bench._measure import Figures, Plan, in_turns
from stanchion.dead_letters import DeadLetterQueue, GrowthAlarm

_PRODUCERS = 100
_BATCH = 100

# Counts as the default does, and is never told: these letters come as fast as they can.
_SILENT = GrowthAlarm(letters=1_000_000_000)


async def measure(plan: Plan) -> Figures:
    """Measure letters per second, each trial into a new file."""
    letters = plan.count(20_000)
    with TemporaryDirectory(prefix="stanchion-bench-") as name:
        folder = Path(name)
        files = (folder / f"{number}.db" for number in itertools.count())
        shape = await _letter_files.shape(folder)

        async def floor() -> float:
            return await asyncio.to_thread(_rows, next(files), shape, letters)

        return await in_turns(floor, lambda: _letters(next(files), letters), plan.rounds)


def _rows(path: Path, shape: _letter_files.Shape, count: int) -> float:
    """Return rows per second through plain ``sqlite3``, from rows that are ready and into a table without indexes."""
    rows = list(shape.rows(count))
    with closing(_letter_files.connect(path)) as connection:
        connection.execute(shape.schema)
        began = perf_counter()
        for first in range(0, count, _BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(shape.insert, rows[first : first + _BATCH])
            connection.execute("COMMIT")
        return count / (perf_counter() - began)


async def _letters(path: Path, count: int) -> float:
    async with DeadLetterQueue(_letter_files.url(path), growth=_SILENT) as letters:

        async def producer() -> None:
            for number in range(count // _PRODUCERS):
                await _letter_files.add(letters, number)

        began = perf_counter()
        await asyncio.gather(*(producer() for _ in range(_PRODUCERS)))
        return count / (perf_counter() - began)
