# SPDX-License-Identifier: MIT
"""Patterns of signals, against a reference that tries every way in which a pattern could fit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stanchion.dead_letters import decode, encode
from stanchion.errors import PatternError
from stanchion.router import _trie
from stanchion.router._cloudevents import from_cloudevent, to_cloudevent
from stanchion.router._pattern import check_type, matches, parse_pattern
from stanchion.router._signal import Signal
from stanchion.router._trie import Trie

# Few words, so that patterns and types meet often.
WORDS = some.sampled_from(["a", "b", "c"])
TYPES = some.lists(WORDS, min_size=1, max_size=6).map(".".join)
PATTERNS = some.lists(WORDS | some.sampled_from(["*", "**"]), min_size=1, max_size=6).map(".".join)


def fits(pattern: Sequence[str], segments: Sequence[str]) -> bool:
    """Say whether a pattern fits: the definition, word by word."""
    if not pattern:
        return not segments
    if pattern[0] == "**":
        return any(fits(pattern[1:], segments[taken:]) for taken in range(len(segments) + 1))
    return bool(segments) and pattern[0] in ("*", segments[0]) and fits(pattern[1:], segments[1:])


def expected(patterns: Sequence[str], type: str) -> list[int]:
    return [number for number, pattern in enumerate(patterns) if fits(pattern.split("."), type.split("."))]


@given(PATTERNS, TYPES)
@example("**.a.**.b.**", "b.a.c.b")
@example("**.**", "a")
@example("*.**.*", "a")
def test_matches_as_the_definition_says(pattern: str, type: str) -> None:
    assert matches(parse_pattern("p", pattern), type) == fits(pattern.split("."), type.split("."))


def check(patterns: list[str], types: list[str]) -> None:
    trie: Trie[int] = Trie()
    for number, pattern in enumerate(patterns):
        trie.add(parse_pattern("p", pattern), number)
    for type in [*types, *types]:
        assert list(trie.match(type)) == expected(patterns, type)


@given(some.lists(PATTERNS, max_size=12), some.lists(TYPES, min_size=1, max_size=12))
def test_trie_answers_as_the_definition_says(patterns: list[str], types: list[str]) -> None:
    check(patterns, types)


class Tries(RuleBasedStateMachine):
    """A trie that changes while it is asked, against a list of what was added."""

    def __init__(self) -> None:
        super().__init__()
        self.trie: Trie[int] = Trie()
        # What was added and not removed, in this order.
        self.added: list[tuple[str, int]] = []

    @rule(pattern=PATTERNS, value=some.integers(0, 5))
    def add(self, pattern: str, value: int) -> None:
        self.trie.add(parse_pattern("p", pattern), value)
        if (pattern, value) not in self.added:
            self.added.append((pattern, value))

    @rule(pattern=PATTERNS, value=some.integers(0, 5))
    def remove_any(self, pattern: str, value: int) -> None:
        there = (pattern, value) in self.added
        assert self.trie.remove(parse_pattern("p", pattern), value) is there
        if there:
            self.added.remove((pattern, value))

    @precondition(lambda self: self.added)
    @rule(data=some.data())
    def remove_one_that_is_there(self, data: some.DataObject) -> None:
        pattern, value = data.draw(some.sampled_from(self.added))
        assert self.trie.remove(parse_pattern("p", pattern), value) is True
        self.added.remove((pattern, value))

    @rule(type=TYPES)
    def ask(self, type: str) -> None:
        values = [value for pattern, value in self.added if fits(pattern.split("."), type.split("."))]
        assert list(self.trie.match(type)) == list(dict.fromkeys(values))

    @invariant()
    def keeps_no_more_than_was_added(self) -> None:
        if not self.added:
            root = self.trie._root
            assert (root.words, root.one, root.any, root.values) == ({}, None, None, {})


TestTries = Tries.TestCase
TestTries.settings = settings(max_examples=100, stateful_step_count=40)


@given(some.lists(PATTERNS, max_size=12), some.lists(TYPES, min_size=1, max_size=20))
def test_trie_that_keeps_next_to_nothing_answers_the_same(patterns: list[str], types: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_trie, "ANSWERS_KEPT", 2)
        patch.setattr(_trie, "STATES_KEPT", 3)
        check(patterns, types)


# --- text that is given as a pattern or a type ---------------------------------------------------

TEXT = some.text(some.sampled_from("ab.* \n\x00") | some.characters(), max_size=8)


@given(TEXT)
@example("a..b")
@example("*")
def test_text_is_a_pattern_or_is_refused_at_a_position_of_it(text: str) -> None:
    if refused := refusal(text):
        assert 0 <= refused.position <= len(text)
        assert f"at position {refused.position} of {text!r}" in str(refused)
    else:
        segments = parse_pattern("p", text)
        assert ".".join(segments) == text
        assert all(segment in ("*", "**") or "*" not in segment for segment in segments)


def refusal(text: str) -> PatternError | None:
    try:
        parse_pattern("p", text)
    except PatternError as error:
        return error
    return None


@given(TEXT)
def test_type_is_a_pattern_without_wildcards(text: str) -> None:
    try:
        check_type("t", text)
    except PatternError:
        return
    assert "*" not in text
    assert matches(parse_pattern("p", text), text)


# --- signals -------------------------------------------------------------------------------------

NAMES = some.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8).map("x".__add__)
PRINTABLE = some.text(some.characters(exclude_categories=["C"]), min_size=1)
JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**53), 2**53)
    | some.floats(allow_nan=False, allow_infinity=False)
    | PRINTABLE,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(PRINTABLE, inner, max_size=3),
    max_leaves=6,
)
SIGNALS = some.builds(
    Signal,
    TYPES,
    JSON | some.binary(),
    source=PRINTABLE,
    subject=some.none() | PRINTABLE,
    id=some.none() | PRINTABLE,
    time=some.none() | some.integers(-(2**33), 2**33).map(float),
    dataschema=some.none() | PRINTABLE,
    extensions=some.dictionaries(NAMES, PRINTABLE | some.booleans() | some.integers(-(2**31), 2**31 - 1), max_size=3),
)


@given(SIGNALS)
def test_stored_signal_comes_back(signal: Signal) -> None:
    encoded = encode(signal)
    assert decode(encoded.type, encoded.version, encoded.payload) == signal


@given(SIGNALS)
def test_signal_comes_back_from_an_event(signal: Signal) -> None:
    back = from_cloudevent(to_cloudevent(signal))
    assert abs(back.time - signal.time) < 1e-6
    assert back.replace(time=signal.time) == signal
