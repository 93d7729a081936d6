# SPDX-License-Identifier: MIT
from __future__ import annotations

import sys

from stanchion.kernel import SystemClock
from stanchion.supervisor._restart_window import RestartWindow


class Hand(SystemClock):
    """A clock that stands where it is set."""

    now = 100.0

    def monotonic(self) -> float:  # type: ignore[override]
        return self.now


def counts(window: RestartWindow, clock: Hand, times: list[float]) -> list[int]:
    result = []
    for clock.now in times:
        result.append(window.add())
    return result


def test_window_counts_what_is_not_older_than_max_seconds():
    clock = Hand()
    window = RestartWindow(clock, 3, 5.0)
    assert counts(window, clock, [100.0, 102.0, 105.0, 105.1, 107.0, 120.0]) == [1, 2, 3, 3, 4, 1]


def test_window_of_no_restarts_is_exceeded_at_once():
    clock = Hand()
    assert counts(RestartWindow(clock, 0, 5.0), clock, [100.0, 200.0]) == [1, 1]


def test_window_does_not_grow():
    clock = Hand()
    window = RestartWindow(clock, 2, 5.0)
    assert counts(window, clock, [100.0] * 50)[-1] == 3


def test_window_takes_any_number_for_its_limit():
    assert RestartWindow(SystemClock(), sys.maxsize, 5.0).add() == 1
