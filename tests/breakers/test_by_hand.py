# SPDX-License-Identifier: MIT
"""What people and listeners have of a breaker: trip, reset, statistics, changes."""

from __future__ import annotations

import logging

import pytest

from stanchion.breakers import BreakerStatistics, CircuitBreaker, CircuitChange, CircuitState
from stanchion.errors import CircuitOpenError
from stanchion.kernel import ProcessExit
from tests.breakers.helpers import ManualClock, fail, new_breaker, succeed


def test_tripped_circuit_stays_open_until_it_is_reset(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    breaker.trip("maintenance until noon")
    clock.now += 86_400
    with pytest.raises(CircuitOpenError) as caught:
        breaker.enter()
    assert str(caught.value) == (
        "call through circuit breaker 'smtp': expected a closed circuit, got one that has been open for 86400.0 s "
        "(tripped: maintenance until noon)\nFix: close it with breaker.reset() when the cause is gone; no time does."
    )
    assert caught.value.retry_after is None
    breaker.reset()
    succeed(breaker)


def test_trip_holds_a_circuit_that_would_have_been_tried_again(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    fail(breaker, 3)
    breaker.trip("wait for me")
    clock.now += 5
    assert breaker.rejects
    assert breaker.statistics().opened == 1


def test_circuit_that_is_tripped_again_has_been_open_since_the_first_time(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    breaker.trip("maintenance")
    clock.now += 10
    breaker.trip("maintenance goes on")
    clock.now += 5
    assert breaker.statistics().elapsed == 15
    with pytest.raises(CircuitOpenError, match=r"open for 15\.0 s \(tripped: maintenance goes on\)"):
        breaker.enter()


def test_trip_ends_the_era_of_the_probe(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    fail(breaker)
    clock.now += 5
    probe = breaker.enter()
    breaker.trip("wait for me")
    probe.succeeded()
    assert breaker.state is CircuitState.OPEN


def test_reset_of_a_closed_circuit_forgets_its_failures(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    fail(breaker, 2)
    breaker.reset()
    assert breaker.statistics().failures_in_a_row == 0
    fail(breaker, 2)
    assert breaker.state is CircuitState.CLOSED


def test_reset_takes_the_growth_of_the_reset_timeout_back(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    fail(breaker)
    clock.now += 5
    fail(breaker)
    breaker.reset()
    fail(breaker)
    assert breaker.statistics().retry_after == 5


def test_statistics_tell_how_it_does(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_rate=0.9)
    succeed(breaker, 4)
    fail(breaker, 2)
    clock.now += 2
    assert breaker.statistics() == BreakerStatistics(
        name="smtp",
        state=CircuitState.CLOSED,
        elapsed=2.0,
        successes=4,
        failures=2,
        rejected=0,
        opened=0,
        failures_in_a_row=2,
        window_calls=6,
        window_failures=2,
        last_failure="OSError(1)",
        retry_after=None,
    )
    fail(breaker)
    clock.now += 1
    with pytest.raises(CircuitOpenError):
        breaker.enter()
    opened = breaker.statistics()
    assert (opened.state, opened.elapsed, opened.rejected, opened.opened, opened.retry_after) == ("open", 1, 1, 1, 4)
    assert repr(breaker) == "<CircuitBreaker smtp open>"


def test_listener_hears_of_each_change_of_state(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    heard: list[CircuitChange] = []
    breaker.add_listener(heard.append)
    fail(breaker)
    clock.now += 5
    succeed(breaker)
    breaker.trip("maintenance")
    breaker.trip("maintenance goes on")
    breaker.reset()
    breaker.reset()
    assert all(change.breaker is breaker for change in heard)
    assert [change[1:] for change in heard] == [
        ("closed", "open", "1 failure in a row, the last: OSError(0)", 0, 5),
        ("open", "half_open", "its reset timeout is over", 5, None),
        ("half_open", "closed", "1 probe succeeded", 0, None),
        ("closed", "open", "tripped: maintenance", 0, None),
        ("open", "closed", "reset by hand", 0, None),
    ]


def test_listener_that_was_removed_hears_no_more(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    heard: list[CircuitChange] = []
    remove_one, _ = breaker.add_listener(heard.append), breaker.add_listener(heard.append)
    remove_one()
    remove_one()
    breaker.trip("maintenance")
    assert len(heard) == 1


def test_listener_that_raises_is_logged_and_the_others_hear(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(change: CircuitChange) -> None:
        raise ZeroDivisionError

    breaker = new_breaker(clock)
    heard: list[CircuitChange] = []
    breaker.add_listener(broken)
    breaker.add_listener(heard.append)
    breaker.trip("maintenance")
    assert len(heard) == 1
    assert "circuit breaker 'smtp': a listener raised at open" in caplog.messages


def test_listeners_hear_of_changes_in_their_order_when_one_of_them_makes_another(clock: ManualClock) -> None:
    breaker = new_breaker(clock)

    def veto(change: CircuitChange) -> None:
        if change.after == "open":
            breaker.reset()

    breaker.add_listener(veto)
    heard: list[CircuitChange] = []
    breaker.add_listener(heard.append)
    breaker.trip("maintenance")
    assert [change[1:] for change in heard] == [
        ("closed", "open", "tripped: maintenance", 0, None),
        ("open", "closed", "reset by hand", 0, None),
    ]


def test_listener_that_is_removed_by_one_before_it_hears_no_more(clock: ManualClock) -> None:
    breaker = new_breaker(clock)
    heard: list[CircuitChange] = []
    breaker.add_listener(lambda change: remove())
    remove = breaker.add_listener(heard.append)
    breaker.trip("maintenance")
    assert heard == []


def test_exit_signal_out_of_a_listener_goes_on_and_silences_nobody(clock: ManualClock) -> None:
    def leaves(change: CircuitChange) -> None:
        breaker.reset()
        remove()
        raise ProcessExit("shutdown")

    breaker = new_breaker(clock)
    remove = breaker.add_listener(leaves)
    with pytest.raises(ProcessExit):
        breaker.trip("maintenance")
    heard: list[CircuitChange] = []
    breaker.add_listener(heard.append)
    breaker.trip("maintenance")
    assert [change.after for change in heard] == ["closed", "open"]


def test_call_is_rejected_when_a_listener_trips_at_the_probe(clock: ManualClock) -> None:
    breaker = new_breaker(clock, failure_threshold=1)
    fail(breaker)

    def refuse(change: CircuitChange) -> None:
        if change.after == "half_open":
            breaker.trip("not yet")

    breaker.add_listener(refuse)
    clock.now += 5
    with pytest.raises(CircuitOpenError, match="tripped: not yet"):
        breaker.enter()


def test_changes_are_logged(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="stanchion.breakers")
    breaker = new_breaker(clock)
    breaker.trip("maintenance")
    breaker.reset()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "circuit breaker 'smtp' is open now: tripped: maintenance"),
        ("INFO", "circuit breaker 'smtp' is closed now: reset by hand"),
    ]


def test_breaker_goes_by_the_machines_clock_where_none_is_given() -> None:
    breaker = CircuitBreaker("smtp")
    assert 0 <= breaker.statistics().elapsed < 60
