# SPDX-License-Identifier: MIT
"""Patterns as users give them: one that is asked by itself, and several as one, which a durable subscription is to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from stanchion.router._pattern import check_type, matches, parse_pattern


def pattern_matches(pattern: str, type: str) -> bool:
    """Return whether a pattern matches a type.

    To check a pattern that a user has written, or to tell beforehand who would get a signal. Nothing has to be asked
    to subscribe.

    Args:
        pattern: A pattern, as ``SignalRouter.subscribe`` takes it.
        type: The type of a signal.

    Raises:
        PatternError: one of them is malformed; the error says where.
        InvalidOptionError: one of them is no text.

    Example:
        >>> pattern_matches("order.**", "order.line.added"), pattern_matches("order.*", "order.line.added")
        (True, False)
    """
    return matches(parse_pattern("pattern", pattern), check_type("type", type))


class Patterns:
    """One pattern or more; a type fits when it fits one of them.

    Args:
        subject: What an error calls them.
        given: A pattern, or a list of some.

    Attributes:
        each: The segments of each.
        text: All of them, with spaces in between; ``stored`` reads it.

    Raises:
        PatternError: one of them is malformed.
        InvalidOptionError: there is none.
    """

    __slots__ = ("each", "text")

    def __init__(self, subject: str, given: str | Sequence[str]) -> None:
        several = cast("Sequence[object]", given) if isinstance(given, list | tuple) and given else [given]
        self.each: Final = tuple(dict.fromkeys(parse_pattern(subject, one) for one in several))
        self.text: Final = " ".join(".".join(segments) for segments in self.each)

    @classmethod
    def stored(cls, text: str) -> Patterns:
        """Return the patterns that a text says; no pattern has a space within."""
        return cls("the pattern of a durable subscription", text.split(" "))

    def matches(self, type: str) -> bool:
        """Return whether a type fits one of them."""
        return any(matches(segments, type) for segments in self.each)
