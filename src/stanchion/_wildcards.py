# SPDX-License-Identifier: MIT
"""Patterns of dot-separated names: ``*`` stands for exactly one segment, ``**`` for any number, none included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ONE: Final = "*"
ANY: Final = "**"


def fits(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    """Return whether the segments of a name, as a whole, fit those of a pattern."""
    here = there = 0
    # Where the last ``**`` stands, and how far it reaches: when the rest does not fit, it takes one segment more.
    # An earlier one need not be asked again, for whatever it took more this one could take.
    last, reach = -1, 0
    while there < len(segments):
        wanted = pattern[here] if here < len(pattern) else None
        if wanted == ANY:
            last, reach = here, there
            here += 1
        elif wanted is not None and wanted in (ONE, segments[there]):
            here += 1
            there += 1
        elif last >= 0:
            reach += 1
            here, there = last + 1, reach
        else:
            return False
    return all(segment == ANY for segment in pattern[here:])
