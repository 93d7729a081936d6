# SPDX-License-Identifier: MIT
"""How an open circuit finds out whether it works again: probes, one at a time."""

from __future__ import annotations

import asyncio

import pytest

from stanchion.breakers import BreakerPolicy, CircuitBreaker, CircuitState
from stanchion.delivery import Backoff
from stanchion.errors import CircuitOpenError
from tests.breakers.helpers import ManualClock, even, fail, new_breaker, succeed


def opened(clock: ManualClock, **options: object) -> CircuitBreaker:
    breaker = new_breaker(clock, failure_threshold=1, **options)
    fail(breaker)
    return breaker


def test_call_after_the_reset_timeout_is_a_probe(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 4.999
    assert breaker.rejects
    clock.now += 0.001
    assert (breaker.rejects, breaker.state) == (False, CircuitState.OPEN)
    breaker.enter()
    assert breaker.state is CircuitState.HALF_OPEN


def test_success_of_the_probe_closes_the_circuit(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 5
    succeed(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_one_probe_goes_at_a_time(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 5
    probe = breaker.enter()
    assert breaker.rejects
    with pytest.raises(CircuitOpenError) as caught:
        breaker.enter()
    assert str(caught.value) == (
        "call through circuit breaker 'smtp': expected a closed circuit, got one that is half-open, whose probe is "
        "under way\nFix: call again when the probe has ended; it goes alone."
    )
    assert (caught.value.state, caught.value.retry_after) == ("half_open", None)
    probe.succeeded()
    assert not breaker.rejects


def test_reset_timeout_grows_with_each_failed_probe_up_to_its_maximum(clock: ManualClock) -> None:
    breaker = opened(clock, reset_timeout=even(5, maximum=30))
    waits = []
    for _ in range(5):
        waits.append(breaker.statistics().retry_after)
        clock.now += waits[-1] or 0.0
        fail(breaker)
    assert waits == [5, 10, 20, 30, 30]


def test_reset_timeout_is_the_first_again_after_the_circuit_was_closed(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 5
    fail(breaker)
    clock.now += 10
    succeed(breaker)
    fail(breaker)
    assert breaker.statistics().retry_after == 5


def test_so_many_probes_in_a_row_must_succeed(clock: ManualClock) -> None:
    breaker = opened(clock, success_threshold=3)
    clock.now += 5
    succeed(breaker, 2)
    assert (breaker.state, breaker.rejects) == (CircuitState.HALF_OPEN, False)
    fail(breaker)
    assert breaker.state is CircuitState.OPEN
    clock.now += 10
    succeed(breaker, 2)
    assert breaker.state is CircuitState.HALF_OPEN
    succeed(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_failed_probe_says_what_it_failed_of(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 5
    breaker.enter().failed(ConnectionRefusedError())
    with pytest.raises(CircuitOpenError, match=r"\(the probe failed: ConnectionRefusedError\(\)\)"):
        breaker.enter()


def test_cancelled_probe_frees_its_place_and_counts_neither_way(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 5
    breaker.enter().cancelled()
    assert (breaker.state, breaker.rejects) == (CircuitState.HALF_OPEN, False)
    assert breaker.statistics().retry_after == 0
    breaker.enter().failed(asyncio.CancelledError())
    assert (breaker.state, breaker.rejects) == (CircuitState.HALF_OPEN, False)
    assert (breaker.statistics().successes, breaker.statistics().failures) == (0, 1)


def test_probe_whose_permit_was_lost_frees_its_place(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.now += 5
    permit = breaker.enter()
    assert breaker.rejects
    del permit
    assert not breaker.rejects


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_call_that_began_before_the_circuit_opened_tells_nothing_about_the_probe(clock: ManualClock, end: str) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    slow = breaker.enter()
    fail(breaker)
    clock.now += 5
    probe = breaker.enter()
    if end == "failed":
        slow.failed(OSError("late"))
    else:
        getattr(slow, end)()
    assert (breaker.state, breaker.rejects) == (CircuitState.HALF_OPEN, True)
    probe.succeeded()
    assert breaker.state is CircuitState.CLOSED


def test_late_ends_are_in_the_statistics(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    slow = [breaker.enter() for _ in range(3)]
    fail(breaker)
    slow[0].succeeded()
    slow[1].failed(OSError("late"))
    slow[2].cancelled()
    statistics = breaker.statistics()
    assert (statistics.successes, statistics.failures, statistics.last_failure) == (1, 2, "OSError('late')")
    assert (statistics.retry_after, statistics.opened) == (5, 1)


def test_closing_forgets_what_was_counted_before(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=None, failure_rate=0.5, minimum_calls=2, window=600)
    fail(breaker, 2)
    clock.now += 5
    succeed(breaker)
    assert breaker.statistics().window_calls == 0
    fail(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_jitter_is_the_same_again_with_the_same_seed(clock: ManualClock) -> None:
    def waits(seed: int | None) -> list[float | None]:
        policy = BreakerPolicy(failure_threshold=1, reset_timeout=Backoff(initial=10, maximum=100, jitter=0.5))
        breaker = CircuitBreaker("smtp", policy, clock=clock, seed=seed)
        found = []
        for _ in range(3):
            fail(breaker)
            found.append(breaker.statistics().retry_after)
            clock.now += 200
        return found

    assert waits(7) == waits(7)
    assert waits(7) != waits(8)
