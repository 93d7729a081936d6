# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
import weakref

import pytest

from stanchion.router import _trie
from stanchion.router._trie import Trie


def trie_of(*patterns: str) -> Trie[str]:
    trie: Trie[str] = Trie()
    for pattern in patterns:
        trie.add(pattern.split("."), pattern)
    return trie


def test_trie_without_patterns_answers_nothing() -> None:
    assert tuple(Trie[str]().match("order.placed")) == ()


def test_trie_answers_the_values_whose_patterns_fit() -> None:
    trie = trie_of("order.placed", "order.*", "order.**", "**", "stock.*", "*.placed", "order.paid", "order.placed.**")
    assert trie.match("order.placed") == (
        "order.placed",
        "order.*",
        "order.**",
        "**",
        "*.placed",
        "order.placed.**",
    )
    assert trie.match("order") == ("order.**", "**")
    assert trie.match("stock.low") == ("**", "stock.*")
    assert trie.match("nobody.knows.this") == ("**",)


def test_answer_is_in_the_order_of_adding() -> None:
    patterns = ["a.b", "**.b", "*.b", "a.**", "**"]
    for turn in range(len(patterns)):
        turned = tuple(patterns[turn:] + patterns[:turn])
        assert trie_of(*turned).match("a.b") == turned


def test_value_with_several_patterns_is_answered_once_at_its_first_place() -> None:
    trie: Trie[str] = Trie()
    trie.add(("a", "*"), "both")
    trie.add(("**",), "other")
    trie.add(("*", "b"), "both")
    assert trie.match("a.b") == ("both", "other")
    assert trie.match("x.b") == ("other", "both")
    assert trie.remove(("a", "*"), "both")
    assert trie.match("a.b") == ("other", "both")


def test_value_is_answered_once_when_its_pattern_fits_in_many_ways() -> None:
    trie = trie_of("**.a.**.a.**")
    assert trie.match("a.a.a.a.a") == ("**.a.**.a.**",)


def test_adding_again_changes_nothing() -> None:
    trie = trie_of("a.*", "a.b")
    trie.add(("a", "*"), "a.*")
    assert trie.match("a.b") == ("a.*", "a.b")
    assert trie.remove(("a", "*"), "a.*")
    assert trie.match("a.b") == ("a.b",)


def test_added_value_is_answered_at_once() -> None:
    trie = trie_of("a.b")
    assert trie.match("a.b") == ("a.b",)
    trie.add(("**",), "**")
    assert trie.match("a.b") == ("a.b", "**")


def test_removed_value_is_answered_no_more() -> None:
    trie = trie_of("a.b", "**")
    assert trie.match("a.b") == ("a.b", "**")
    assert trie.remove(("a", "b"), "a.b") is True
    assert trie.match("a.b") == ("**",)
    assert trie.remove(("a", "b"), "a.b") is False
    trie.add(("a", "b"), "a.b")
    assert trie.match("a.b") == ("**", "a.b")


@pytest.mark.parametrize("pattern", ["a.c", "a.b.c", "a", "*", "**", "a.*", "a.**"])
def test_removing_what_is_not_there_changes_nothing(pattern: str) -> None:
    trie = trie_of("a.b")
    assert trie.remove(pattern.split("."), "a.b") is False
    assert trie.remove(("a", "b"), "another") is False
    assert trie.match("a.b") == ("a.b",)


def test_trie_keeps_nothing_of_what_was_removed() -> None:
    trie: Trie[str] = Trie()
    patterns = ["a.b.c", "a.b", "a.*.c", "**.c", "a.**.*.d", "*"]
    for pattern in patterns:
        trie.add(pattern.split("."), pattern)
    for pattern in patterns:
        assert trie.remove(pattern.split("."), pattern)
    root = trie._root
    assert (root.words, root.one, root.any, root.values) == ({}, None, None, {})


def test_answers_keep_no_value_alive_that_was_removed() -> None:
    class Subscriber:
        pass

    trie: Trie[Subscriber] = Trie()
    value = Subscriber()
    gone = weakref.ref(value)
    trie.add(("a", "*"), value)
    assert list(trie.match("a.b")) == [value]
    trie.remove(("a", "*"), value)
    del value
    gc.collect()
    assert gone() is None


def test_type_that_was_asked_for_is_answered_from_what_was_kept() -> None:
    trie = trie_of("a.*")
    assert trie.match("a.b") is trie.match("a.b")


def test_answers_of_many_types_are_not_kept_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trie, "ANSWERS_KEPT", 10)
    trie = trie_of("order.*.placed")
    for number in range(1000):
        assert trie.match(f"order.{number}.placed") == ("order.*.placed",)
        assert len(trie._answers) <= 10


def test_segments_that_no_pattern_names_make_no_states() -> None:
    trie = trie_of("order.*.placed", "order.**", "stock.low")
    assert trie.match("order.0.placed") == ("order.*.placed", "order.**")
    states = trie._states
    assert states is not None
    size = states.size
    for number in range(1, 100):
        assert trie.match(f"order.{number}.placed") == ("order.*.placed", "order.**")
    assert states.size == size


def test_states_that_became_too_many_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trie, "STATES_KEPT", 50)
    trie = trie_of(*(f"**.w{number}.*.*" for number in range(10)))
    largest = 0
    for number in range(1000):
        names = [f"w{number * step % 10}" for step in (1, 3, 7)]
        expected = (f"**.{names[0]}.*.*",)
        assert trie.match(".".join(["x", *names])) == expected
        assert trie._states is not None
        largest = max(largest, trie._states.size)
    assert 50 < largest < 150


def test_many_open_segments_take_no_longer_than_their_number() -> None:
    trie = trie_of(".".join(["**", "a"] * 40), *(f"**.a.{'*.' * depth}b" for depth in range(30)))
    assert trie.match(".".join(["a"] * 200)) == (".".join(["**", "a"] * 40),)
    assert len(trie.match(".".join(["a"] * 200 + ["b"]))) == 30


def test_ten_thousand_values_leave_those_alone_who_ask_for_others() -> None:
    trie: Trie[int] = Trie()
    for number in range(10_000):
        trie.add(("sensor", f"s{number}", "*"), number)
    trie.add(("order", "*"), -1)
    assert trie.match("order.placed") == (-1,)
    assert trie.match("sensor.s77.hot") == (77,)
    assert trie._states is not None
    assert trie._states.size < 50
