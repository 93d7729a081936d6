# SPDX-License-Identifier: MIT
"""What a breaker tells of itself."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stanchion.breakers._breaker import CircuitBreaker


class CircuitState(StrEnum):
    """The three states of a circuit; each is equal to its text."""

    CLOSED = "closed"
    """Calls go through, and their failures are counted."""
    OPEN = "open"
    """Calls are rejected."""
    HALF_OPEN = "half_open"
    """One call at a time goes through, as a probe; the others are rejected."""


class CircuitChange(NamedTuple):
    """One change of state, as a listener is told it.

    Attributes:
        breaker: Whose circuit it is.
        before: The state until now.
        after: The state from now on.
        reason: Why, for people.
        elapsed: Seconds that it was in the state before.
        retry_after: Seconds until a probe is let through, of a circuit that opened; None after ``trip()``, and of others.
    """

    breaker: CircuitBreaker
    before: CircuitState
    after: CircuitState
    reason: str
    elapsed: float
    retry_after: float | None


class BreakerStatistics(NamedTuple):
    """How a breaker does; a record of one moment.

    Attributes:
        name: Its name.
        state: ``CLOSED``, ``OPEN`` or ``HALF_OPEN``. An open circuit stays so until the first call after its reset
            timeout.
        elapsed: Seconds that it has been in this state.
        successes: Calls that succeeded, since it was made.
        failures: Calls that failed, since it was made.
        rejected: Calls that it did not let through, since it was made.
        opened: How many times it opened, since it was made.
        failures_in_a_row: Failures since the last success, in this state.
        window_calls: Calls that count for the failure rate now; 0 when none is counted.
        window_failures: Those of them that failed.
        last_failure: The last failure, as text; None before the first.
        retry_after: Seconds until a probe is let through: 0 when one would be now, and None while the circuit is closed,
            a probe is under way, or only ``reset()`` helps.
    """

    name: str
    state: CircuitState
    elapsed: float
    successes: int
    failures: int
    rejected: int
    opened: int
    failures_in_a_row: int
    window_calls: int
    window_failures: int
    last_failure: str | None
    retry_after: float | None
