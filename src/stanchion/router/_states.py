# SPDX-License-Identifier: MIT
"""The trie of patterns as a machine that is in one state at a time, compiled as far as types have led into it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from operator import itemgetter
from typing import Final, Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_NUMBER: Final = itemgetter(1)


class Place(Generic[T]):
    """A place in the trie: where the segments of some patterns lead to."""

    __slots__ = ("any", "loops", "one", "values", "words")

    def __init__(self, *, loops: bool) -> None:
        # True behind a ``**``: each further segment leads here again.
        self.loops = loops
        # Where a word leads to, ``*``, and ``**``.
        self.words: dict[str, Place[T]] = {}
        self.one: Place[T] | None = None
        self.any: Place[T] | None = None
        # The values whose pattern ends here, each with its number: in the order in which they were added.
        self.values: dict[T, int] = {}


class _State(Generic[T]):
    """All the places that a type leads to, up to one of its segments."""

    __slots__ = ("moves", "other", "places", "values", "words")

    def __init__(self, places: frozenset[Place[T]]) -> None:
        self.places = places
        # The words that lead on from here alone; any other segment leads where ``*`` and ``**`` do.
        self.words = [place.words for place in places if place.words]
        # Where those of the words lead that were met, and any other segment. Each made at its first time.
        self.moves: dict[str, _State[T]] = {}
        self.other: _State[T] | None = None
        # What a type that ends here is answered. Made at its first time.
        self.values: tuple[T, ...] | None = None


class States(Generic[T]):
    """What the patterns of a trie make of a type, as long as the trie does not change.

    A type leads to many places at once, and to one state: the set of them. What leads from state to state is found out
    once; a segment that no pattern names makes no state of its own, so that types with a number in them, each of which
    comes once, are met by the states that are there.

    Attributes:
        size: How much is kept. States can be as many as the places have subsets: who holds this begins anew when it is
            too much.
    """

    __slots__ = ("_by_places", "_start", "size")

    def __init__(self, root: Place[T]) -> None:
        self.size = 0
        self._by_places: dict[frozenset[Place[T]], _State[T]] = {}
        self._start = self._state([root])

    def match(self, type: str) -> tuple[T, ...]:
        """Return the values whose pattern fits a type, each once, in the order in which they were added."""
        state = self._start
        for segment in type.split("."):
            state = state.moves.get(segment) or self._move(state, segment)
        values = state.values
        if values is None:
            values = state.values = _in_order(state.places)
            self.size += len(values)
        return values

    def _move(self, state: _State[T], segment: str) -> _State[T]:
        """Return where a segment leads to that was not met in this state, or that no pattern names there."""
        for words in state.words:
            if segment in words:
                reached = state.moves[segment] = self._state(_reached(state.places, segment))
                self.size += 1
                return reached
        other = state.other
        if other is None:
            other = state.other = self._state(_reached(state.places, None))
        return other

    def _state(self, reached: list[Place[T]]) -> _State[T]:
        """Return the state of the places that are reached; when ``**`` stands for nothing, those behind it are too."""
        for place in reached:
            if place.any is not None:
                reached.append(place.any)  # noqa: PERF401 - the list that grows is the one that is walked
        places = frozenset(reached)
        state = self._by_places.get(places)
        if state is None:
            state = self._by_places[places] = _State(places)
            self.size += 1 + len(places)
        return state


def _reached(places: Iterable[Place[T]], segment: str | None) -> list[Place[T]]:
    """Return where a segment leads to from places; None stands for one that none of them names."""
    reached: list[Place[T]] = []
    for place in places:
        if place.loops:
            reached.append(place)
        if place.one is not None:
            reached.append(place.one)
        if segment is not None and (word := place.words.get(segment)) is not None:
            reached.append(word)
    return reached


def _in_order(places: Iterable[Place[T]]) -> tuple[T, ...]:
    """Return the values of places, each once, in the order in which they were added."""
    found = [place.values for place in places if place.values]
    if len(found) == 1:
        return tuple(found[0])
    numbered = sorted((item for values in found for item in values.items()), key=_NUMBER)
    return tuple(dict(numbered))  # a dict keeps the first of those that are there twice
