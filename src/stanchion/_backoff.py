# SPDX-License-Identifier: MIT
"""How long to wait before the next attempt."""

from __future__ import annotations

from typing import Final, Protocol

from stanchion._validate import Seconds, cut, seconds, whole_number
from stanchion.errors import InvalidOptionError


class RandomSource(Protocol):
    """What jitter is drawn from; a ``random.Random`` is one."""

    def random(self) -> float:
        """Return a number from 0 up to, not including, 1."""
        ...


class Backoff:
    """Exponential growth with jitter and a cap.

    The delay before attempt n + 1, that is after n failed ones::

        base  = min(initial * factor ** (n - 1), maximum / (1 + jitter))
        delay = base ± base * jitter * u          u uniform in [0, 1), the sign by a draw of its own

    So no delay is longer than ``maximum``, jitter included, and delays spread evenly around the base even
    where the cap holds: a crowd that failed together does not come back together.

    Args:
        initial: The base of the first delay, in seconds or as a timedelta; 0 makes every delay 0.
        factor: By what the base grows per failed attempt, at least 1; 1 keeps it as it is.
        maximum: The longest delay, in seconds or as a timedelta.
        jitter: How far a delay may be from its base, as a part of it: from 0 (exactly the base) to 1.

    Raises:
        InvalidOptionError: an argument is out of its range.

    Example:
        >>> import random
        >>> plain = Backoff(initial=1, factor=2, maximum=60, jitter=0)
        >>> [plain.delay(failed, random.Random(1)) for failed in (1, 2, 3, 100)]
        [1.0, 2.0, 4.0, 60.0]
    """

    __slots__ = ("factor", "initial", "jitter", "maximum")

    def __init__(
        self, *, initial: Seconds = 0.1, factor: float = 2.0, maximum: Seconds = 30.0, jitter: float = 0.2
    ) -> None:
        self.initial: Final = seconds("Backoff: initial", initial)
        self.factor: Final = _number("Backoff: factor", factor, 1.0, 1e6)
        self.maximum: Final = seconds("Backoff: maximum", maximum)
        self.jitter: Final = _number("Backoff: jitter", jitter, 0.0, 1.0)

    def delay(self, failed: int, source: RandomSource) -> float:
        """Return the seconds to wait after ``failed`` attempts, the first included.

        Args:
            failed: How many attempts have failed so far, from 1.
            source: Where the jitter comes from; seed it to get the same delays again.

        Raises:
            InvalidOptionError: ``failed`` is no whole number from 1.
        """
        if type(failed) is not int or failed < 1:
            whole_number("Backoff.delay(): failed", failed, at_least=1)
        base = min(self._grown(failed - 1), self.maximum / (1 + self.jitter))
        # Two draws: one number that gave both would tie how far to which way.
        sign = 1.0 if source.random() < 0.5 else -1.0
        # min: rounding may add a last bit.
        return min(base + sign * base * self.jitter * source.random(), self.maximum)

    def _grown(self, steps: int) -> float:
        try:
            return self.initial * self.factor**steps
        except OverflowError:
            return self.maximum if self.initial else 0.0

    def __repr__(self) -> str:
        return (
            f"Backoff(initial={self.initial:g}, factor={self.factor:g}, "
            f"maximum={self.maximum:g}, jitter={self.jitter:g})"
        )


def _number(subject: str, value: object, lowest: float, highest: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= highest:
        return float(value)
    raise InvalidOptionError(subject, expected=f"a number from {lowest:g} to {highest:g}", got=cut(value))
