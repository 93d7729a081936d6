# SPDX-License-Identifier: MIT
"""Patterns of signals' types: what is a well-formed one, what is a well-formed type, and whether they fit.

A type is segments with dots between them. A pattern is the same, with the wildcards ``*`` and ``**`` among them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, cast

from stanchion._validate import cut
from stanchion._wildcards import ANY, ONE, fits
from stanchion.errors import InvalidOptionError, PatternError

# A space or a control character would make one type look like another in a log, and half of a surrogate pair cannot be
# stored or sent; the class is what CloudEvents leaves out of its strings, and white space.
_NOT_IN_A_WORD: Final = re.compile(r"[\s*\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def parse_pattern(subject: str, text: object) -> tuple[str, ...]:
    """Return the segments of a pattern.

    Args:
        subject: What the error calls it.
        text: The pattern.

    Raises:
        PatternError: a segment is empty, or is neither a word nor a wildcard.
        InvalidOptionError: ``text`` is no text.
    """
    if not isinstance(text, str):
        raise InvalidOptionError(subject, expected="a pattern of types, 'order.*' say", got=cut(text))
    return _segments(subject, str(text), wild=True)


def check_type(subject: str, text: object) -> str:
    """Return the type of a signal, as plain text.

    Args:
        subject: What the error calls it.
        text: The type.

    Raises:
        PatternError: a segment is empty, or is no word.
        InvalidOptionError: ``text`` is no text.
    """
    if not isinstance(text, str):
        raise InvalidOptionError(subject, expected="a type, 'order.placed' say", got=cut(text))
    plain = str.__str__(text)  # a member of a StrEnum says something else by str() than what it equals
    _segments(subject, plain, wild=False)
    return plain


def matches(pattern: Sequence[str], type: str) -> bool:
    """Return whether a type, as a whole, fits a pattern.

    For one pattern and one type; a ``Trie`` asks many patterns at once.

    Args:
        pattern: The segments of the pattern, as ``parse_pattern`` returns them.
        type: The type.
    """
    return fits(pattern, type.split("."))


def _segments(subject: str, text: str, *, wild: bool) -> tuple[str, ...]:
    segments = text.split(".")
    position = 0
    for segment in segments:
        if not segment:
            _refuse_empty(subject, text, position)
        wrong = None if wild and segment in (ONE, ANY) else _NOT_IN_A_WORD.search(segment)
        if wrong is not None:
            _refuse(subject, text, position + wrong.start(), wild=wild)
        position += len(segment) + 1
    return tuple(segments)


def _refuse_empty(subject: str, text: str, position: int) -> None:
    words = ".".join(filter(None, text.split(".")))
    raise PatternError(
        subject,
        text,
        position,
        expected="a segment",
        got="'.'" if position < len(text) else "its end",
        fix=f"write {words!r}." if words else None,
    )


def _refuse(subject: str, text: str, position: int, *, wild: bool) -> None:
    character = text[position]
    if character != ONE:
        expected, fix = "a word without spaces or control characters", None
    elif wild:
        expected = "a word, '*' or '**' as a whole segment"
        fix = "'*' is one whole segment, '**' any number of them; what is finer than segments, a filter= can decide."
    else:
        expected = "a type without wildcards"
        fix = "a signal has one type; wildcards are for the patterns of those who subscribe."
    raise PatternError(subject, text, position, expected=expected, got=cut(character), fix=fix)


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
