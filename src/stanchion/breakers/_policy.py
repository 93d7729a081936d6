# SPDX-License-Identifier: MIT
"""When a circuit opens, and when it closes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stanchion._backoff import Backoff
from stanchion._validate import Seconds, cut, instance, plain_function, seconds, whole_number
from stanchion.errors import InvalidOptionError

DEFAULT_RESET: Final = Backoff(initial=5.0, factor=2.0, maximum=300.0, jitter=0.1)


class BreakerPolicy:
    """When a circuit opens, and when it closes again. One policy may serve any number of breakers.

    Args:
        failure_threshold: How many failures in a row open the circuit, from 1; None to open it by ``failure_rate`` only.
            With both None, only ``trip()`` opens it.
        failure_rate: Which part of the calls within ``window`` must have failed to open it: above 0, to 1; None, the
            default, does not count a rate. Give it for a busy recipient that fails now and then, which a
            ``failure_threshold`` would never notice.
        minimum_calls: How many calls within ``window`` it takes, from 1, before the rate says anything.
        window: Seconds, above 0, over which the rate is counted. They are counted by tenths: a call is forgotten when it
            is between 9/10 of the window and the whole window old.
        reset_timeout: How long the circuit stays open before a probe is let through: the delay after the nth time in a
            row that it opened. By default 5 s, twice that each time a probe fails, and 5 minutes at most, a tenth more or
            less each time.
        success_threshold: How many probes in a row must succeed to close it, from 1; they go one at a time.
        is_failure: What counts as a failure: called with the exception that was raised, or with the ``Failure`` of an
            attempt to send; what it returns false for counts as a success, since the other side was there to answer.
            None: every ``Exception`` is a failure; of attempts to send, see ``send_supervised``. One that raises is
            logged, and the failure counts.

    Raises:
        InvalidOptionError: an argument is wrong.

    Example:
        >>> import stanchion as st
        >>> slow_to_trust = st.BreakerPolicy(
        ...     failure_threshold=3, reset_timeout=st.Backoff(initial=30, maximum=600), success_threshold=2
        ... )
        >>> slow_to_trust.failure_threshold
        3
    """

    __slots__ = (
        "failure_rate",
        "failure_threshold",
        "is_failure",
        "minimum_calls",
        "reset_timeout",
        "success_threshold",
        "window",
    )

    def __init__(
        self,
        *,
        failure_threshold: int | None = 5,
        failure_rate: float | None = None,
        minimum_calls: int = 10,
        window: Seconds = 60.0,
        reset_timeout: Backoff = DEFAULT_RESET,
        success_threshold: int = 1,
        is_failure: Callable[[object], bool] | None = None,
    ) -> None:
        if failure_threshold is not None:
            whole_number("BreakerPolicy(failure_threshold)", failure_threshold, at_least=1)
        if is_failure is not None:
            plain_function("BreakerPolicy(is_failure)", is_failure)
        self.failure_threshold: Final = failure_threshold
        self.failure_rate: Final = _rate(failure_rate)
        self.minimum_calls: Final = whole_number("BreakerPolicy(minimum_calls)", minimum_calls, at_least=1)
        self.window: Final = _window(window)
        self.reset_timeout: Final = instance("BreakerPolicy(reset_timeout)", reset_timeout, Backoff)
        self.success_threshold: Final = whole_number("BreakerPolicy(success_threshold)", success_threshold, at_least=1)
        self.is_failure: Final = is_failure

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={getattr(self, name)!r}" for name in sorted(self.__slots__))
        return f"BreakerPolicy({given})"


def _rate(value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
        return float(value)
    raise InvalidOptionError(
        "BreakerPolicy(failure_rate)",
        expected="a part of the calls, above 0 and to 1, or None",
        got=cut(value),
        fix="0.5 means every second call; pass None to count failures in a row only.",
    )


def _window(value: Seconds) -> float:
    checked = seconds("BreakerPolicy(window)", value)
    if checked > 0:
        return checked
    raise InvalidOptionError("BreakerPolicy(window)", expected="seconds > 0", got=cut(value))


def check_name(subject: str, name: str) -> None:
    """Raise unless it is a name that a breaker can have."""
    if not isinstance(name, str) or not name:
        raise InvalidOptionError(subject, expected="a string that is not empty", got=cut(name))


DEFAULT_POLICY: Final = BreakerPolicy()
