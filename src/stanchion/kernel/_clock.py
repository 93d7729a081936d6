# SPDX-License-Identifier: MIT
"""Time, behind an interface, so that a virtual clock can take its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from stanchion._validate import cut
from stanchion.errors import InvalidOptionError


class TimerHandle(Protocol):
    """A call that will be made; it can be cancelled until then."""

    def cancel(self) -> None:
        """Make sure that the call is not made; harmless when it already was."""
        ...


class Clock(Protocol):
    """Where a node reads the time and sets its timers."""

    def monotonic(self) -> float:
        """Return seconds that only grow, from an arbitrary start; for durations and deadlines."""
        ...

    def time(self) -> float:
        """Return Unix seconds, which may jump when the machine's clock is set; for what is stored or shown."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """Call ``callback`` on the running loop when ``monotonic()`` reaches ``when``; at once when it has."""
        ...


class SystemClock:
    """The machine's clock, with the running event loop's timers; uvloop's may come up to a millisecond early."""

    __slots__ = ()

    # The builtins themselves: a Python frame around each would double their cost on the hot path.
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    def call_at(self, when: float, callback: Callable[[], object]) -> TimerHandle:
        """See ``Clock.call_at``."""
        return asyncio.get_running_loop().call_later(max(0.0, when - time.monotonic()), callback)


def checked_clock(subject: str, clock: Clock) -> Clock:
    """Return ``clock`` when it is one.

    Raises:
        InvalidOptionError: it is not.
    """
    needed = ("monotonic", "time", "call_at")
    if not isinstance(clock, type) and all(callable(getattr(clock, name, None)) for name in needed):
        return clock
    fix = f"pass an instance: {clock.__name__}()." if isinstance(clock, type) else None
    expected = "a Clock, which has monotonic(), time() and call_at(), or None"
    raise InvalidOptionError(subject, expected=expected, got=cut(clock), fix=fix)
