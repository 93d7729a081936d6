# SPDX-License-Identifier: MIT
"""The results as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from bench._budgets import BUDGETS
from bench._row import Row

_HEAD = ("", "loop", "ours", "floor", "ratio", "first target", "", "goal", "")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as lines of text in columns."""
    lines = [_HEAD, *(_line(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            # Words stand left, numbers right.
            cell.ljust(width) if column in (0, 1, 6, 8) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(row: Row) -> tuple[str, ...]:
    budget = BUDGETS[row.name]
    sign = "≥" if budget.better == "more" else "≤"
    of = "" if budget.of == "ratio" else f" {row.unit}"

    def mark(mark: float) -> tuple[str, str]:
        reached = budget.reached(mark, row.value, row.ratio)
        return (
            f"{sign} {mark:,.4g}{of}" if mark < 1000 else f"{sign} {mark:,.0f}{of}",
            "reached" if reached else "not reached",
        )

    return (
        row.name,
        row.loop,
        f"{_number(row.value)} {row.unit}",
        "" if row.floor is None else f"{_number(row.floor)} {row.unit}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        *mark(row.first_target),
        *mark(row.goal),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
