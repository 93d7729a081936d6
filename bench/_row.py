# SPDX-License-Identifier: MIT
"""One line of the results."""

from __future__ import annotations

from typing import NamedTuple, Self

from bench._budgets import Budget
from bench._measure import Figures


class Row(NamedTuple):
    """One figure beside its floor; these are the keys of the JSON.

    Attributes:
        name: What was measured.
        loop: On which event loop; empty where there was none.
        value: Ours.
        unit: The unit of value and floor.
        floor: What it is compared with; None where there is nothing.
        ratio: Ours / floor, by rounds; None where target and goal speak about the value.
        first_target: What the ratio, or else the value, is to reach.
        goal: What it is to reach in the end.
    """

    name: str
    loop: str
    value: float
    unit: str
    floor: float | None
    ratio: float | None
    first_target: float
    goal: float

    @classmethod
    def of(cls, budget: Budget, loop: str, figures: Figures) -> Self:
        """Put a budget and its figures together."""
        value, floor, ratio = figures
        return cls(budget.name, loop, value, budget.unit, floor, ratio, budget.first_target, budget.goal)
