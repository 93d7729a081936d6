# SPDX-License-Identifier: MIT
"""Runs the subjects, each on a fresh event loop, and makes rows of what they measure."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._budgets import BUDGETS
from bench._loops import LOOPS
from bench._measure import Plan
from bench._postgres import SERVER
from bench._row import Row
from bench._subjects import ON_POSTGRES, ONCE, SUBJECTS


def rows(names: Collection[str], loops: Sequence[str], *, quick: bool) -> Iterator[Row]:
    """Measure and yield one row after the other.

    Args:
        names: Which subjects.
        loops: On which loops; a subject that has nothing to do with loops is measured once.
        quick: Whether to only look if everything runs; such figures mean nothing.
    """
    with TemporaryDirectory(prefix="stanchion-bench-") as folder:
        for name in BUDGETS:
            if name not in names:
                continue
            if name in ON_POSTGRES and not SERVER:
                print(f"{name}: left out, for STANCHION_TEST_POSTGRES is not set", file=sys.stderr, flush=True)
                continue
            for loop in loops[:1] if name in ONCE else loops:
                yield _row(name, loop, Path(folder), quick=quick)


def _row(name: str, loop: str, folder: Path, *, quick: bool) -> Row:
    print(f"{name} ({loop}) …", file=sys.stderr, flush=True)
    rounds, scale = (1, 0.02) if quick else (11, 1.0)
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        figures = runner.run(SUBJECTS[name](Plan(rounds, scale, loop, folder)))
    return Row.of(BUDGETS[name], "" if name in ONCE else loop, figures)
