# SPDX-License-Identifier: MIT
"""The checks that all stations share."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from stanchion._validate import (
    callable_or_none,
    cut,
    hashable,
    instance,
    is_async,
    known_options,
    nearest,
    one_of,
    plain_function,
    seconds,
    seconds_or_none,
    whole_number,
)
from stanchion.errors import InvalidOptionError


def error_of(check, *args, **options) -> str:
    with pytest.raises(InvalidOptionError) as caught:
        check(*args, **options)
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (0, 0.0),
        (5, 5.0),
        (0.25, 0.25),
        (timedelta(milliseconds=1500), 1.5),
        (timedelta(0), 0.0),
        (1e300, 3e10),
        (10**400, 3e10),
        (timedelta.max, 3e10),
    ],
)
def test_seconds_takes_numbers_and_timedeltas(value, result: float) -> None:
    assert seconds("x", value) == result
    assert isinstance(seconds("x", value), float)


@pytest.mark.parametrize("value", [-1, -0.001, timedelta(seconds=-1), float("nan"), float("-inf"), None, "5", True, 1j])
def test_seconds_refuses_everything_else(value) -> None:
    got = -1.0 if isinstance(value, timedelta) else value
    assert error_of(seconds, "start(timeout)", value) == (
        f"start(timeout): expected seconds >= 0 as a finite number, or a timedelta, got {got!r}"
    )


def test_seconds_says_how_no_limit_is_written() -> None:
    assert error_of(seconds, "start(timeout)", float("inf")) == (
        "start(timeout): expected seconds >= 0 as a finite number, or a timedelta, got inf\n"
        "Fix: pass None where no limit is meant, if this option takes None."
    )


def test_seconds_or_none_takes_none_for_no_limit() -> None:
    assert seconds_or_none("x", None) is None
    assert seconds_or_none("x", 2) == 2.0
    assert error_of(seconds_or_none, "x", -2) == "x: expected seconds >= 0 as a finite number, or a timedelta, got -2"


def test_one_of_returns_the_choice_and_names_the_nearest() -> None:
    assert one_of("x", "b", ("a", "b")) == "b"
    assert error_of(one_of, "child_spec(restart)", "permanant", ("permanent", "transient")) == (
        "child_spec(restart): expected one of 'permanent', 'transient', got 'permanant'\nFix: write 'permanent'."
    )


@pytest.mark.parametrize("value", ["zzz", None, 3])
def test_one_of_names_nothing_where_nothing_is_near(value) -> None:
    assert error_of(one_of, "x", value, ("permanent",)) == f"x: expected one of 'permanent', got {value!r}"


def test_known_options_names_the_nearest() -> None:
    known_options("filter", ["state", "since"], ["state", "since", "until"])
    assert error_of(known_options, "filter", ["stat"], ["state", "since"]) == (
        "filter: expected options among state, since, got 'stat'\nFix: write 'state'."
    )
    assert error_of(known_options, "filter", ["zzz"], ["state"]) == "filter: expected options among state, got 'zzz'"


@pytest.mark.parametrize(
    ("word", "guess"),
    [("inventroy", "Inventory"), ("INVENTORY", "Inventory"), ("clerk", None), ("", None)],
)
def test_nearest_overlooks_case_and_slips(word: str, guess: str | None) -> None:
    assert nearest(word, ["Inventory", "orders"]) == guess


@pytest.mark.parametrize("value", [1, 7])
def test_whole_number_takes_ints_from_its_lowest(value: int) -> None:
    assert whole_number("x", value, at_least=1) == value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "1", None])
def test_whole_number_refuses_everything_else(value) -> None:
    assert error_of(whole_number, "start(mailbox)", value, at_least=1) == (
        f"start(mailbox): expected a whole number >= 1, got {value!r}"
    )


def test_hashable_returns_what_has_a_hash() -> None:
    assert hashable("x", ("a", 1)) == ("a", 1)


def test_hashable_refuses_what_has_none() -> None:
    assert error_of(hashable, "Registry.lookup(key)", ["a"]) == (
        "Registry.lookup(key): expected something hashable, a string say, got ['a']"
    )


def test_instance_returns_what_is_one() -> None:
    assert instance("x", 3, int) == 3
    assert error_of(instance, "link(pid)", "clerk", int) == "link(pid): expected an instance of int, got 'clerk'"


def test_callable_or_none_takes_both() -> None:
    callable_or_none("x", None)
    callable_or_none("x", print)
    assert error_of(callable_or_none, "on_exhausted", 3) == "on_exhausted: expected a callable or None, got 3"


async def waits() -> None: ...


class Waits:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize("function", [waits, partial(waits), Waits()])
def test_plain_function_is_none_that_has_to_be_awaited(function) -> None:
    assert is_async(function)
    assert error_of(plain_function, "listener", function) == f"listener: expected a plain function, got {cut(function)}"


@pytest.mark.parametrize("function", [print, partial(print), Waits])
def test_plain_function_is_what_answers_at_once(function) -> None:
    assert not is_async(function)
    plain_function("listener", function)


def test_plain_function_is_none_that_cannot_be_called() -> None:
    assert error_of(plain_function, "listener", 3) == "listener: expected a plain function, got 3"


def test_cut_keeps_200_characters_and_marks_the_cut() -> None:
    assert cut("x" * 198) == "'" + "x" * 198 + "'"
    assert cut("x" * 199) == "'" + "x" * 198 + "…"
    assert len(cut(list(range(1000)))) == 200
    assert cut("abcdef", 4) == "'ab…"


def test_cut_survives_a_repr_that_raises() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    assert cut(Unprintable()) == "<Unprintable whose __repr__ raised ZeroDivisionError>"
