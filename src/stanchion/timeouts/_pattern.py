# SPDX-License-Identifier: MIT
"""Patterns of names, segment by segment, and which of two that match is the more specific one."""

from __future__ import annotations

from typing import Final

from stanchion._wildcards import ANY, ONE, fits


class Pattern:
    """A pattern of dot-separated names, with the wildcards ``*`` and ``**``.

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
        return fits(self._segments, name.split("."))
