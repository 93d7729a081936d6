# SPDX-License-Identifier: MIT
"""When it is too many: the failures of a closed circuit, counted as its policy says."""

from __future__ import annotations

from collections import deque
from typing import Final

from stanchion.breakers._policy import BreakerPolicy

_PARTS: Final = 10


class FailureCount:
    """Failures in a row, and the rate of the latest calls where the policy has one.

    Attributes:
        in_a_row: Failures since the last success.
    """

    __slots__ = ("_policy", "_window", "in_a_row")

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._window = None if policy.failure_rate is None else SlidingWindow(policy.window)
        self.in_a_row = 0

    def add(self, now: float, *, failed: bool) -> str | None:
        """Count a call that ended now; return why the circuit is to open, or None."""
        policy, window = self._policy, self._window
        self.in_a_row = self.in_a_row + 1 if failed else 0
        if window is not None:
            window.add(now, failed=failed)
        if policy.failure_threshold is not None and self.in_a_row >= policy.failure_threshold:
            return f"{counted(self.in_a_row, 'failure')} in a row"
        if window is None or policy.failure_rate is None or window.calls < policy.minimum_calls:
            return None
        # A quotient is rounded as the literal is: 7 / 100 == 0.07, and yet 0.07 * 100 > 7.
        if window.failures / window.calls < policy.failure_rate:
            return None
        return f"{window.failures} of {counted(window.calls, 'call')} failed within {policy.window:g} s"

    def in_window(self, now: float) -> tuple[int, int]:
        """Return how many calls count for the rate now, and how many of them failed."""
        if self._window is None:
            return 0, 0
        self._window.advance(now)
        return self._window.calls, self._window.failures

    @property
    def spotless(self) -> bool:
        """Whether it counts no failure."""
        return not self.in_a_row and (self._window is None or not self._window.failures)

    def clear(self) -> None:
        """Forget all."""
        self.in_a_row = 0
        if self._window is not None:
            self._window.clear()


class SlidingWindow:
    """Calls and failures of the last seconds, counted by tenths of the window: the memory is the same for any number.

    Attributes:
        calls: The calls that are in the window, as of the last ``advance``.
        failures: Those of them that failed.
    """

    __slots__ = ("_parts", "_width", "calls", "failures")

    def __init__(self, seconds: float) -> None:
        self._width: Final = seconds / _PARTS
        # [number, calls, failures] of each tenth that had a call, oldest first; ``calls`` and ``failures`` are the sums.
        self._parts: Final[deque[list[int]]] = deque()
        self.calls = 0
        self.failures = 0

    def add(self, now: float, *, failed: bool) -> None:
        """Count a call that ended now."""
        number = self.advance(now)
        if not self._parts or self._parts[-1][0] != number:
            self._parts.append([number, 0, 0])
        part = self._parts[-1]
        part[1] += 1
        part[2] += failed
        self.calls += 1
        self.failures += failed

    def advance(self, now: float) -> int:
        """Forget what is too old by now; return the number of the present tenth."""
        number = int(now / self._width)
        while self._parts and self._parts[0][0] <= number - _PARTS:
            _, calls, failures = self._parts.popleft()
            self.calls -= calls
            self.failures -= failures
        return number

    def clear(self) -> None:
        """Forget all."""
        self._parts.clear()
        self.calls = self.failures = 0


def counted(number: int, what: str) -> str:
    """Return "1 call" or "2 calls"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
