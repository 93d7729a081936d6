# SPDX-License-Identifier: MIT
"""Patterns of names, segment by segment, and which of two that match is the more specific one."""

from __future__ import annotations

from typing import Final

ONE: Final = "*"
ANY: Final = "**"


class Pattern:
    """Names of dot-separated segments: ``*`` stands for one segment, ``**`` for any number of them, none included.

    Attributes:
        text: The pattern as it was written.
        order: Sorts patterns, the most specific first; no two patterns have the same.
    """

    __slots__ = ("_segments", "order", "text")

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._segments: Final = text.split(".")
        ones, anys = self._segments.count(ONE), self._segments.count(ANY)
        # More plain segments, then more single ones, then fewer open ones; then which of them is plain further to the
        # left; and the alphabet decides about those that say as much as each other.
        ranks = tuple((ONE, ANY).index(one) + 1 if one in (ONE, ANY) else 0 for one in self._segments)
        self.order: Final = (ones + anys - len(self._segments), -ones, anys, ranks, text)

    def matches(self, name: str) -> bool:
        """Return whether a name, as a whole, fits."""
        pattern, segments = self._segments, name.split(".")
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
