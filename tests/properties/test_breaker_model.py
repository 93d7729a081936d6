# SPDX-License-Identifier: MIT
"""A breaker under random calls, ends, losses, pauses and orders by hand, beside a model that keeps every call."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stanchion.breakers import BreakerPolicy, CircuitBreaker, Permit
from stanchion.delivery import Backoff
from stanchion.errors import CircuitOpenError
from tests.breakers.helpers import ManualClock

WINDOW = 10
MAXIMUM = 20.0

POLICIES = some.fixed_dictionaries(
    {
        "failure_threshold": some.none() | some.integers(1, 3),
        "failure_rate": some.none() | some.sampled_from([0.25, 0.5, 1.0]),
        "minimum_calls": some.integers(1, 4),
        "success_threshold": some.integers(1, 3),
    }
)

ENDS = some.sampled_from(["succeeded", "failed", "cancelled", "lost"])


class Model:
    """The rules of the docstrings, with every call that ended since the last change of state in a list."""

    def __init__(self, policy: BreakerPolicy, clock: ManualClock) -> None:
        self.policy = policy
        self.clock = clock
        self.since = clock.now
        self.state = "closed"
        self.changes = 0
        self.calls: list[tuple[float, bool]] = []
        self.opened = 0
        self.opened_in_a_row = 0
        self.retry_at: float | None = None
        self.probing = False
        self.heard: list[tuple[str, str]] = []

    def turn(self, state: str) -> None:
        if state != self.state:
            self.heard.append((self.state, state))
            self.opened += state == "open"
            self.since = self.clock.now
        self.state = state
        self.changes += 1
        self.calls = []
        self.probing = False

    def open(self, now: float) -> None:
        self.opened_in_a_row += 1
        self.retry_at = now + min(5.0 * 2.0 ** (self.opened_in_a_row - 1), MAXIMUM)
        self.turn("open")

    def close(self) -> None:
        self.opened_in_a_row = 0
        self.turn("closed")

    def rejects(self, now: float) -> bool:
        if self.state == "open":
            return self.retry_at is None or now < self.retry_at
        return self.state == "half_open" and self.probing

    def entered(self) -> int:
        if self.state == "open":
            self.turn("half_open")
        self.probing = self.state == "half_open"
        return self.changes

    def ended(self, now: float, since: int, failed: bool | None) -> None:
        if since != self.changes:
            return
        self.probing = False
        if failed is None:
            return
        self.calls.append((now, failed))
        if self.state == "half_open":
            if failed:
                self.open(now)
            elif len(self.calls) == self.policy.success_threshold:
                self.close()
        elif self.too_many(now):
            self.open(now)

    def in_a_row(self) -> int:
        row = 0
        for _, failed in reversed(self.calls):
            if not failed:
                break
            row += 1
        return row

    def in_window(self, now: float) -> list[bool]:
        return [failed for when, failed in self.calls if when > now - WINDOW]

    def too_many(self, now: float) -> bool:
        policy, latest = self.policy, self.in_window(now)
        by_count = policy.failure_threshold is not None and self.in_a_row() >= policy.failure_threshold
        by_rate = (
            policy.failure_rate is not None
            and len(latest) >= policy.minimum_calls
            and sum(latest) / len(latest) >= policy.failure_rate
        )
        return by_count or by_rate


class BreakerBesideModel(RuleBasedStateMachine):
    """Each rule does the same to both; time goes by whole tenths of the window, where both mean the same by it."""

    @initialize(options=POLICIES)
    def begin(self, options: dict[str, int | float | None]) -> None:
        reset = Backoff(initial=5, factor=2, maximum=MAXIMUM, jitter=0)
        policy = BreakerPolicy(window=WINDOW, reset_timeout=reset, **options)  # type: ignore[arg-type]
        self.clock = ManualClock()
        self.breaker = CircuitBreaker("smtp", policy, clock=self.clock)
        self.model = Model(policy, self.clock)
        self.under_way: list[tuple[Permit, int]] = []
        self.successes = self.failures = self.rejected = 0
        self.heard: list[tuple[str, str]] = []
        self.breaker.add_listener(lambda change: self.heard.append((change.before, change.after)))

    @rule(tenths=some.integers(1, 25))
    def wait(self, tenths: int) -> None:
        self.clock.now += tenths

    @rule()
    def enter(self) -> None:
        if self.model.rejects(self.clock.now):
            self.rejected += 1
            with pytest.raises(CircuitOpenError) as caught:
                self.breaker.enter()
            assert caught.value.state == self.model.state
        else:
            self.under_way.append((self.breaker.enter(), self.model.entered()))

    @precondition(lambda self: self.under_way)
    @rule(which=some.integers(0), end=ENDS)
    def end(self, which: int, end: str) -> None:
        permit, since = self.under_way.pop(which % len(self.under_way))
        match end:
            case "succeeded":
                permit.succeeded()
                self.successes += 1
            case "failed":
                permit.failed("refused")
                self.failures += 1
            case "cancelled":
                permit.cancelled()
            case _:
                del permit
        self.model.ended(self.clock.now, since, {"succeeded": False, "failed": True}.get(end))

    @rule(ends=some.lists(ENDS, min_size=1, max_size=5))
    def call_and_end(self, ends: list[str]) -> None:
        for end in ends:
            before = len(self.under_way)
            self.enter()
            if len(self.under_way) > before:
                self.end(before, end)

    @rule(tenths=some.integers(0, 3))
    def wait_for_the_probe(self, tenths: int) -> None:
        if self.model.state == "open" and self.model.retry_at is not None:
            self.clock.now = max(self.clock.now, self.model.retry_at - tenths)

    @rule()
    def trip(self) -> None:
        self.breaker.trip("by hand")
        self.model.retry_at = None
        self.model.turn("open")

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.model.close()

    @invariant()
    def both_are_alike(self) -> None:
        model, breaker, now = self.model, self.breaker, self.clock.now
        statistics = breaker.statistics()
        assert (breaker.state, breaker.rejects) == (model.state, model.rejects(now))
        assert (statistics.successes, statistics.failures, statistics.rejected, statistics.opened) == (
            self.successes,
            self.failures,
            self.rejected,
            model.opened,
        )
        assert self.heard == model.heard
        assert statistics.elapsed == now - model.since
        if model.state == "closed":
            latest = model.in_window(now) if model.policy.failure_rate is not None else []
            assert (statistics.window_calls, statistics.window_failures) == (len(latest), sum(latest))
            assert statistics.failures_in_a_row == model.in_a_row()
        if model.state == "open" and model.retry_at is not None:
            assert statistics.retry_after == max(0.0, model.retry_at - now)


TestBreakerBesideModel = BreakerBesideModel.TestCase
TestBreakerBesideModel.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
