# SPDX-License-Identifier: MIT
"""Measuring in turns: floor, ours, floor, ours, …, so that a change of the machine's mood hits both alike."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

Trial = Callable[[], Awaitable[float]]
"""Measures once, and returns the figure."""


class Plan(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: How often the floor and ours take turns.
        scale: By what the counts are multiplied; less than 1 for a quick look.
        loop: The event loop's name.
        folder: Where files go; what one subject leaves there, the next one finds.
    """

    rounds: int
    scale: float
    loop: str
    folder: Path

    def count(self, full: int) -> int:
        """Return how many to do where a full run does ``full``: a multiple of 100, and at least that."""
        return max(100, round(full * self.scale / 100) * 100)


class Figures(NamedTuple):
    """What came out.

    Attributes:
        value: Ours, the median of the rounds.
        floor: The floor, the median of the rounds; None where there is none.
        ratio: The median of each round's ours / floor; None where it says nothing.
    """

    value: float
    floor: float | None = None
    ratio: float | None = None


async def in_turns(floor: Trial, ours: Trial, rounds: int) -> Figures:
    """Measure both in turns; the first turn of each is a warm-up and does not count."""
    await floor()
    await ours()
    pairs = [(await _clean(floor), await _clean(ours)) for _ in range(rounds)]
    return Figures(
        value=median(value for _, value in pairs),
        floor=median(floor for floor, _ in pairs),
        ratio=median(value / floor for floor, value in pairs),
    )


async def _clean(trial: Trial) -> float:
    """Run a trial that does not pay for the garbage of the one before; it pays for its own."""
    gc.collect()
    return await trial()
