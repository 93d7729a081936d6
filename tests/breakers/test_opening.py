# SPDX-License-Identifier: MIT
"""When a closed circuit opens: failures in a row, the rate of failures, and what counts as one."""

from __future__ import annotations

import pytest

from stanchion.breakers import CircuitState
from stanchion.errors import CircuitOpenError
from tests.breakers.helpers import ManualClock, fail, new_breaker, succeed


def test_circuit_opens_at_so_many_failures_in_a_row(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    fail(breaker, 2)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_success_begins_the_row_anew(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is CircuitState.CLOSED


def test_open_circuit_rejects_and_says_why(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    fail(breaker, 3)
    clock.now += 1.5
    with pytest.raises(CircuitOpenError) as caught:
        breaker.enter()
    error = caught.value
    assert str(error) == (
        "call through circuit breaker 'smtp': expected a closed circuit, got one that has been open for 1.5 s "
        "(3 failures in a row, the last: OSError(2))\n"
        "Fix: call again in 3.5 s, when a probe is let through, or do without."
    )
    assert (error.name, error.state, error.elapsed, error.retry_after) == ("smtp", "open", 1.5, 3.5)
    assert (error.reason, error.last_failure) == ("3 failures in a row, the last: OSError(2)", "OSError(2)")


def test_rate_opens_where_failures_never_come_in_a_row(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_rate=0.5, minimum_calls=8)
    for _ in range(3):
        fail(breaker)
        succeed(breaker)
    fail(breaker)
    assert breaker.state is CircuitState.CLOSED  # 4 of 7: too few calls to say
    succeed(breaker)
    assert breaker.state is CircuitState.OPEN
    with pytest.raises(CircuitOpenError, match=r"4 of 8 calls failed within 60 s, the last: OSError\(0\)"):
        breaker.enter()


def test_rate_beneath_the_given_one_keeps_it_closed(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=None, failure_rate=0.5, minimum_calls=1)
    succeed(breaker, 10)
    fail(breaker, 9)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_rate_is_reached_by_the_number_of_failures_that_it_says(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=None, failure_rate=0.07, minimum_calls=100)
    succeed(breaker, 93)
    fail(breaker, 7)  # 0.07 * 100 is a bit more than 7
    assert breaker.state is CircuitState.OPEN


def test_calls_older_than_the_window_are_forgotten(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=None, failure_rate=0.5, minimum_calls=4, window=10)
    fail(breaker, 3)
    clock.now += 9
    assert breaker.statistics().window_calls == 3
    clock.now += 1
    assert breaker.statistics().window_calls == 0
    fail(breaker, 3)
    assert breaker.state is CircuitState.CLOSED


def test_window_slides_by_tenths(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=None, failure_rate=1.0, minimum_calls=100, window=10)
    for _ in range(10):
        fail(breaker)
        clock.now += 1
    assert [breaker.statistics().window_failures, breaker.statistics().failures] == [9, 10]
    clock.now += 5
    assert breaker.statistics().window_failures == 4


def test_breaker_without_threshold_and_rate_opens_only_by_hand(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=None)
    fail(breaker, 1_000)
    assert breaker.state is CircuitState.CLOSED


def test_what_is_failure_says_no_to_is_a_success(clock: ManualClock) -> None:
    breaker = new_breaker(clock, is_failure=lambda error: not isinstance(error, LookupError))
    fail(breaker, 2)
    breaker.enter().failed(KeyError("no such mailbox"))
    fail(breaker, 2)
    assert breaker.state is CircuitState.CLOSED
    assert (breaker.statistics().successes, breaker.statistics().failures) == (1, 4)


def test_failure_counts_when_is_failure_raises(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    def broken(error: object) -> bool:
        raise ZeroDivisionError

    breaker = new_breaker(clock, failure_threshold=1, is_failure=broken)
    fail(breaker)
    assert breaker.state is CircuitState.OPEN
    assert "circuit breaker 'smtp': is_failure raised, so the failure counts" in caplog.messages


def test_holder_says_whether_it_counts_where_the_policy_does_not(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    breaker.enter().failed("404 not found", counts=False)
    assert breaker.state is CircuitState.CLOSED
    breaker.enter().failed("503 unavailable")
    assert breaker.statistics().last_failure == "503 unavailable"


def test_policy_decides_where_it_does_whatever_the_holder_says(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1, is_failure=lambda error: error == "404 not found")
    breaker.enter().failed("503 unavailable")
    assert breaker.state is CircuitState.CLOSED
    breaker.enter().failed("404 not found", counts=False)
    assert breaker.state is CircuitState.OPEN


def test_first_word_about_a_call_counts(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    permit = breaker.enter()
    permit.succeeded()
    permit.failed(OSError())
    permit.cancelled()
    permit.succeeded()
    assert (breaker.statistics().successes, breaker.statistics().failures) == (1, 0)


def test_long_failures_are_cut(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    breaker.enter().failed("x" * 1_000)
    assert breaker.statistics().last_failure == "x" * 200
    breaker.enter().failed(OSError("x" * 1_000))
    assert len(breaker.statistics().last_failure or "") == 200
