# SPDX-License-Identifier: MIT
from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stanchion._backoff import Backoff
from stanchion.errors import InvalidOptionError


def test_backoff_grows_by_its_factor_up_to_the_maximum() -> None:
    backoff = Backoff(initial=1, factor=3, maximum=20, jitter=0)
    assert [backoff.delay(failed, random.Random()) for failed in (1, 2, 3, 4, 5)] == [1.0, 3.0, 9.0, 20.0, 20.0]


def test_backoff_takes_durations_as_timedelta() -> None:
    backoff = Backoff(initial=timedelta(milliseconds=500), maximum=timedelta(minutes=1), jitter=0)
    assert backoff.delay(1, random.Random()) == 0.5


def test_backoff_repeats_its_delays_when_the_seed_is_the_same() -> None:
    backoff = Backoff(jitter=1)
    one, two = random.Random(7), random.Random(7)
    assert [backoff.delay(1, one) for _ in range(5)] == [backoff.delay(1, two) for _ in range(5)]


def test_backoff_reaches_the_maximum_when_the_power_is_beyond_floats() -> None:
    assert Backoff(initial=1, factor=10, maximum=60, jitter=0).delay(10_000, random.Random()) == 60.0
    assert Backoff(initial=0, factor=10, maximum=60, jitter=0).delay(10_000, random.Random()) == 0.0


def test_backoff_spreads_evenly_to_both_sides() -> None:
    backoff, source = Backoff(initial=10, maximum=100, jitter=0.5), random.Random(1)
    delays = [backoff.delay(1, source) for _ in range(20_000)]
    tenths = [sum(5 + tenth <= delay < 6 + tenth for delay in delays) for tenth in range(10)]
    assert sum(tenths) == 20_000
    assert all(1850 < count < 2150 for count in tenths)


def test_backoff_spreads_evenly_where_the_maximum_holds() -> None:
    backoff, source = Backoff(initial=10, maximum=30, jitter=0.5), random.Random(1)
    delays = [backoff.delay(9, source) for _ in range(20_000)]  # the base is 30 / 1.5 = 20
    tenths = [sum(10 + 2 * tenth <= delay < 12 + 2 * tenth for delay in delays) for tenth in range(10)]
    assert sum(tenths) == 20_000
    assert all(1850 < count < 2150 for count in tenths)


def test_backoff_draws_the_sign_apart_from_the_size() -> None:
    backoff, source = Backoff(initial=10, maximum=100, jitter=1), random.Random(1)
    delays = [backoff.delay(1, source) for _ in range(20_000)]
    shorter = [10 - delay for delay in delays if delay < 10]
    longer = [delay - 10 for delay in delays if delay > 10]
    assert abs(sum(shorter) / len(shorter) - 5) < 0.15
    assert abs(sum(longer) / len(longer) - 5) < 0.15


@given(
    initial=some.floats(0, 1e6),
    factor=some.floats(1, 1e6),
    maximum=some.floats(0, 1e9),
    jitter=some.floats(0, 1),
    failed=some.integers(1, 10**6),
    seed=some.integers(0, 1000),
)
def test_backoff_stays_between_nothing_and_the_maximum(
    initial: float, factor: float, maximum: float, jitter: float, failed: int, seed: int
) -> None:
    backoff = Backoff(initial=initial, factor=factor, maximum=maximum, jitter=jitter)
    assert 0 <= backoff.delay(failed, random.Random(seed)) <= maximum


def test_backoff_shows_itself_as_it_is_written() -> None:
    assert repr(Backoff(initial=1, factor=2, maximum=60, jitter=0.1)) == (
        "Backoff(initial=1, factor=2, maximum=60, jitter=0.1)"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"factor": 0.5}, "Backoff: factor: expected a number from 1 to 1e+06, got 0.5"),
        ({"factor": "2"}, "Backoff: factor: expected a number from 1 to 1e+06, got '2'"),
        ({"jitter": True}, "Backoff: jitter: expected a number from 0 to 1, got True"),
        ({"jitter": 1.5}, "Backoff: jitter: expected a number from 0 to 1, got 1.5"),
        ({"initial": -1}, "Backoff: initial: expected seconds >= 0 as a finite number, or a timedelta, got -1"),
        ({"maximum": "1"}, "Backoff: maximum: expected seconds >= 0 as a finite number, or a timedelta, got '1'"),
    ],
)
def test_backoff_refuses_what_is_out_of_range(options: dict[str, float], text: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Backoff(**options)
    assert str(caught.value) == text


@pytest.mark.parametrize("failed", [0, -1, 1.0, True])
def test_backoff_refuses_a_number_of_attempts_that_is_none(failed: int) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Backoff().delay(failed, random.Random())
    assert str(caught.value) == f"Backoff.delay(): failed: expected a whole number >= 1, got {failed!r}"
