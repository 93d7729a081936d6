# SPDX-License-Identifier: MIT
"""Runs the subjects, each on a fresh event loop, and makes rows of what they measure."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Iterator

from bench._budgets import BUDGETS
from bench._loops import LOOPS
from bench._measure import Plan
from bench._row import Row
from bench._subjects import ON_NO_LOOP, SUBJECTS


def rows(names: Collection[str], loops: Collection[str], *, quick: bool) -> Iterator[Row]:
    """Measure and yield one row after the other.

    Args:
        names: Which subjects.
        loops: On which loops; a subject that has nothing to do with loops is measured once.
        quick: Whether to only look if everything runs; such figures mean nothing.
    """
    for name in BUDGETS:
        for loop in loops:
            if name in names:
                yield _row(name, loop, quick=quick)
            if name in ON_NO_LOOP:
                break


def _row(name: str, loop: str, *, quick: bool) -> Row:
    print(f"{name} ({loop}) …", file=sys.stderr, flush=True)
    plan = Plan(rounds=1, scale=0.02, loop=loop) if quick else Plan(rounds=11, scale=1.0, loop=loop)
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        figures = runner.run(SUBJECTS[name](plan))
    return Row.of(BUDGETS[name], "" if name in ON_NO_LOOP else loop, figures)
