# SPDX-License-Identifier: MIT
from __future__ import annotations

import enum

import pytest

from stanchion.errors import InvalidOptionError, PatternError
from stanchion.router._pattern import check_type, matches, parse_pattern


class Kind(enum.StrEnum):
    PLACED = "order.placed"


def refusal(pattern: object) -> str:
    with pytest.raises(InvalidOptionError) as caught:
        parse_pattern("subscribe(pattern)", pattern)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "segments"),
    [
        ("order", ("order",)),
        ("order.placed", ("order", "placed")),
        ("*", ("*",)),
        ("**", ("**",)),
        ("order.*.eu.**", ("order", "*", "eu", "**")),
        ("**.**", ("**", "**")),
        ("Bestellung.größer-als_7/x", ("Bestellung", "größer-als_7/x")),
        (Kind.PLACED, ("order", "placed")),
    ],
)
def test_pattern_is_parsed_into_its_segments(pattern: str, segments: tuple[str, ...]) -> None:
    assert parse_pattern("p", pattern) == segments


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", "p: expected a segment at position 0 of '', got its end"),
        (".", "p: expected a segment at position 0 of '.', got '.'"),
        ("order.", "p: expected a segment at position 6 of 'order.', got its end\nFix: write 'order'."),
        ("order..*", "p: expected a segment at position 6 of 'order..*', got '.'\nFix: write 'order.*'."),
        (".order", "p: expected a segment at position 0 of '.order', got '.'\nFix: write 'order'."),
        (
            "order.pl*",
            (
                "p: expected a word, '*' or '**' as a whole segment at position 8 of 'order.pl*', got '*'\n"
                "Fix: '*' is one whole segment, '**' any number of them; what is finer than segments, a filter= can decide."
            ),
        ),
        (
            "a.***",
            (
                "p: expected a word, '*' or '**' as a whole segment at position 2 of 'a.***', got '*'\n"
                "Fix: '*' is one whole segment, '**' any number of them; what is finer than segments, a filter= can decide."
            ),
        ),
        (
            "order. placed",
            "p: expected a word without spaces or control characters at position 6 of 'order. placed', got ' '",
        ),
        ("a\x00", "p: expected a word without spaces or control characters at position 1 of 'a\\x00', got '\\x00'"),
        (
            "a.\ud800",
            "p: expected a word without spaces or control characters at position 2 of 'a.\\ud800', got '\\ud800'",
        ),
    ],
)
def test_malformed_pattern_is_refused_with_its_position(pattern: str, text: str) -> None:
    with pytest.raises(PatternError) as caught:
        parse_pattern("p", pattern)
    assert str(caught.value) == text
    assert caught.value.pattern == pattern
    assert f"position {caught.value.position} " in text


def test_pattern_that_is_no_text_is_refused() -> None:
    text = "subscribe(pattern): expected a pattern of types, 'order.*' say, got "
    assert refusal(None) == text + "None"
    assert refusal(b"order") == text + "b'order'"
    assert refusal(("order", "*")) == text + "('order', '*')"


def test_type_is_returned_as_plain_text() -> None:
    kind = check_type("t", Kind.PLACED)
    assert kind == "order.placed"
    assert type(kind) is str


@pytest.mark.parametrize(
    ("type", "text"),
    [
        (
            "order.*",
            (
                "t: expected a type without wildcards at position 6 of 'order.*', got '*'\n"
                "Fix: a signal has one type; wildcards are for the patterns of those who subscribe."
            ),
        ),
        (
            "order..placed",
            "t: expected a segment at position 6 of 'order..placed', got '.'\nFix: write 'order.placed'.",
        ),
        (
            "order\tplaced",
            "t: expected a word without spaces or control characters at position 5 of 'order\\tplaced', got '\\t'",
        ),
    ],
)
def test_malformed_type_is_refused_with_its_position(type: str, text: str) -> None:
    with pytest.raises(PatternError) as caught:
        check_type("t", type)
    assert str(caught.value) == text


def test_type_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidOptionError) as caught:
        check_type("t", 7)
    assert str(caught.value) == "t: expected a type, 'order.placed' say, got 7"


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("order.placed", ["order.placed"], ["order", "placed", "order.placed.eu", "Order.placed"]),
        ("order.*", ["order.placed", "order.paid"], ["order", "order.placed.eu", "stock.placed"]),
        ("*.placed", ["order.placed"], ["placed", "a.order.placed"]),
        ("order.**", ["order", "order.placed", "order.placed.eu"], ["orders", "stock.order"]),
        ("**.placed", ["placed", "order.placed", "a.b.placed"], ["placed.eu", "a"]),
        ("**", ["a", "a.b", "a.b.c.d"], []),
        ("*.**", ["a", "a.b", "a.b.c"], []),
        ("**.*.*", ["a.b", "a.b.c"], ["a"]),
        ("a.**.b.**.c", ["a.b.c", "a.x.b.y.z.c", "a.b.b.c", "a.b.c.c"], ["a.c", "a.b", "a.c.b", "a.b.c.d"]),
        ("**.a.**", ["a", "x.a", "a.y", "x.a.y"], ["x", "x.y"]),
    ],
)
def test_pattern_fits_types_segment_by_segment(pattern: str, fits: list[str], others: list[str]) -> None:
    segments = parse_pattern("p", pattern)
    assert [type for type in fits + others if matches(segments, type)] == fits


def test_many_open_segments_take_no_longer_than_their_number() -> None:
    segments = parse_pattern("p", ".".join(["**", "a"] * 40))
    assert matches(segments, ".".join(["a"] * 200))
    assert not matches(segments, ".".join(["a"] * 200 + ["b"]))
