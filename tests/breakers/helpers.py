# SPDX-License-Identifier: MIT
"""A clock that stands until it is moved, and the ways in which a call through a breaker ends."""

from __future__ import annotations

from collections.abc import Callable

from stanchion.breakers import BreakerPolicy, CircuitBreaker
from stanchion.delivery import Backoff
from stanchion.kernel import TimerHandle


class ManualClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        raise NotImplementedError("a breaker sets no timers")


def even(initial: float = 5.0, *, factor: float = 2.0, maximum: float = 300.0) -> Backoff:
    """Return reset timeouts without jitter."""
    return Backoff(initial=initial, factor=factor, maximum=maximum, jitter=0)


def new_breaker(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Return a breaker that opens at the third failure in a row and is tried again after 5, 10, 20 s, …"""
    given: dict[str, object] = {"failure_threshold": 3, "reset_timeout": even()} | options
    return CircuitBreaker("smtp", BreakerPolicy(**given), clock=clock)  # type: ignore[arg-type]


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.enter().succeeded()


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for number in range(times):
        breaker.enter().failed(OSError(number))
