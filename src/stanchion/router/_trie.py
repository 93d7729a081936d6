# SPDX-License-Identifier: MIT
"""Who wants a signal of a type: many patterns, asked at once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

from stanchion._wildcards import ANY, ONE
from stanchion.router._states import Place, States

T = TypeVar("T", bound=Hashable)

ANSWERS_KEPT: Final = 4096
"""Of how many types the answers are kept."""

STATES_KEPT: Final = 250_000
"""How large the compiled states may become, in places, moves and values: some ten megabytes."""


class Trie(Generic[T]):
    """Values by patterns; ``match`` returns those whose patterns fit a type.

    What a match costs follows the segments of the type and the values that it returns, not how many patterns there are.
    """

    __slots__ = ("_answers", "_next", "_root", "_states")

    def __init__(self) -> None:
        self._root: Place[T] = Place(loops=False)
        # Counts what was added, so that answers have an order.
        self._next = 0
        # What the patterns make of types, and what was answered. Each change ends both: they are made anew by what is
        # asked then.
        self._states: States[T] | None = None
        self._answers: dict[str, tuple[T, ...]] = {}

    def add(self, pattern: Sequence[str], value: T) -> None:
        """Add a value by a pattern; harmless when it is there already. A value can have several patterns.

        Args:
            pattern: The segments, as ``parse_pattern`` returns them.
            value: What ``match`` returns for it.
        """
        place = self._root
        for segment in pattern:
            behind = _behind(place, segment)
            if behind is None:
                behind = Place[T](loops=segment == ANY)
                _put(place, segment, behind)
            place = behind
        if value not in place.values:
            place.values[value] = self._next
            self._next += 1
            self._forget()

    def remove(self, pattern: Sequence[str], value: T) -> bool:
        """Remove what ``add`` added with the same arguments; return whether it was there."""
        path = [self._root]
        for segment in pattern:
            behind = _behind(path[-1], segment)
            if behind is None:
                return False
            path.append(behind)
        if path[-1].values.pop(value, None) is None:
            return False
        self._forget()
        for segment in reversed(pattern):
            place = path.pop()
            if place.values or place.words or place.one or place.any:
                break
            _put(path[-1], segment, None)
        return True

    def match(self, type: str) -> Sequence[T]:
        """Return the values whose pattern fits a type, each once, in the order in which they were added."""
        answer = self._answers.get(type)
        return self._match(type) if answer is None else answer

    def _match(self, type: str) -> tuple[T, ...]:
        """Answer for a type that is new, and keep the answer."""
        states = self._states
        if states is None or states.size > STATES_KEPT:
            self._forget()  # old answers hold what the old states held
            states = self._states = States(self._root)
        elif len(self._answers) >= ANSWERS_KEPT:
            self._answers.clear()
        answer = self._answers[type] = states.match(type)
        return answer

    def _forget(self) -> None:
        self._states = None
        self._answers.clear()


def _behind(place: Place[T], segment: str) -> Place[T] | None:
    """Return where a segment of a pattern leads to."""
    return place.one if segment == ONE else place.any if segment == ANY else place.words.get(segment)


def _put(place: Place[T], segment: str, behind: Place[T] | None) -> None:
    """Set where a segment of a pattern leads to; None for nowhere."""
    if segment == ONE:
        place.one = behind
    elif segment == ANY:
        place.any = behind
    elif behind is None:
        del place.words[segment]
    else:
        place.words[segment] = behind
