# SPDX-License-Identifier: MIT
"""What the comparison rests on: terms, traces and their order."""

from __future__ import annotations

import shutil

import pytest

from tests.conformance import on_otp
from tests.conformance.scenario import Scenario, advance, call, spawn, start
from tests.conformance.trace import EVENT, LIFECYCLE, Seen, Trace, difference, side_by_side

SCENARIO = Scenario("theme.name", "A rule.", (start("s"), advance(5)))


def steps(*seen: Seen) -> list[list[str]]:
    return Trace(seen).steps(SCENARIO)


@pytest.mark.parametrize(
    ("value", "term"),
    [
        ("it's", r"'it\'s'"),
        (("call", "s", 5), "{'call', 's', 5}"),
        ([True, False, None], "[true, false, undefined]"),
        ({"id": "a", "init": []}, "#{'id' => 'a', 'init' => []}"),
    ],
)
def test_python_data_is_an_erlang_term(value: object, term: str) -> None:
    assert on_otp.term(value) == term


def test_term_refuses_what_scenarios_are_not_made_of() -> None:
    with pytest.raises(TypeError, match=r"expected data that scenarios are made of, got 1\.5"):
        on_otp.term(1.5)


def test_order_of_different_actors_does_not_count() -> None:
    one, other = Seen(1, EVENT, "a", "hears x"), Seen(1, EVENT, "b", "hears x")
    assert steps(one, other) == steps(other, one) == [[], ["a: hears x", "b: hears x"], []]


def test_order_of_one_actor_counts() -> None:
    one, other = Seen(1, EVENT, "a", "hears x"), Seen(1, EVENT, "a", "hears y")
    assert steps(one, other) != steps(other, one)


def test_order_of_lifecycles_counts() -> None:
    one, other = Seen(1, LIFECYCLE, "b", "init"), Seen(1, LIFECYCLE, "a", "init")
    assert steps(one, other) == [[], ["b: init", "a: init"], []]
    assert steps(other, one) == [[], ["a: init", "b: init"], []]


def test_difference_tells_the_step_and_the_side() -> None:
    early = steps(Seen(1, EVENT, "a", "hears x"))
    late = steps(Seen(2, EVENT, "a", "hears x"))
    assert difference(early, late) == "- 1. a: hears x\n+ 2. a: hears x"
    assert difference(early, early) == ""


def test_side_by_side_marks_what_differs() -> None:
    theirs = steps(Seen(1, EVENT, "s", "init"), Seen(2, EVENT, "s", "idle"))
    ours = steps(Seen(1, EVENT, "s", "init"))
    assert side_by_side(SCENARIO, theirs, ours).splitlines() == [
        "  Erlang/OTP  | Stanchion",
        "  1. test: start s alone",
        "      s: init |     s: init",
        "  2. advance 5",
        "!     s: idle",
    ]


def test_missing_erlang_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert on_otp.missing() == "no Erlang/OTP: there is no erl and erlc (Debian: apt-get install erlang-base)"


def test_words_put_the_actor_first() -> None:
    assert call("c", "s", "ping") == ("c", ("call", "s", "ping", [], 5000))
    assert spawn("p")[0] == "test"
