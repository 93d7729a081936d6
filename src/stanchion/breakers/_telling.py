# SPDX-License-Identifier: MIT
"""Who is told of a breaker: the log, the telemetry of its node, and its listeners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from stanchion._validate import plain_function
from stanchion.breakers._records import CircuitChange, CircuitState
from stanchion.telemetry import CIRCUIT_CLOSED, CIRCUIT_HALF_OPENED, CIRCUIT_OPENED, CIRCUIT_REJECTED, Event

if TYPE_CHECKING:
    from stanchion.breakers._breaker import CircuitBreaker
    from stanchion.errors import CircuitOpenError

_log = logging.getLogger("stanchion.breakers")

_EVENTS: Final = {
    CircuitState.CLOSED: CIRCUIT_CLOSED,
    CircuitState.OPEN: CIRCUIT_OPENED,
    CircuitState.HALF_OPEN: CIRCUIT_HALF_OPENED,
}


class Changes:
    """The changes of one breaker, each of which is told to all before the next one is.

    Attributes:
        listeners: Each has a key of its own, so that one that was added twice is removed once.
    """

    __slots__ = ("_telling", "_untold", "listeners")

    def __init__(self) -> None:
        self.listeners: Final[dict[object, Callable[[CircuitChange], object]]] = {}
        # What a listener changed while others were still to hear of the change that it was told.
        self._untold: Final[list[CircuitChange]] = []
        self._telling = False

    def add_listener(self, listener: Callable[[CircuitChange], object]) -> Callable[[], None]:
        """See ``CircuitBreaker.add_listener``."""
        plain_function("add_listener(listener)", listener)
        key = object()
        self.listeners[key] = listener

        def remove() -> None:
            self.listeners.pop(key, None)

        return remove

    def tell(self, change: CircuitChange) -> None:
        """Tell a change, after those that are being told."""
        self._untold.append(change)
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                self._tell(self._untold.pop(0))
        finally:
            self._telling = False

    def _tell(self, change: CircuitChange) -> None:
        breaker, state = change.breaker, change.after
        level = logging.WARNING if state is CircuitState.OPEN else logging.INFO
        _log.log(level, "circuit breaker %r is %s now: %s", breaker.name, state, change.reason)
        measurements = {"elapsed": change.elapsed}
        if change.retry_after is not None:
            measurements["retry_after"] = change.retry_after
        _emit(breaker, _EVENTS[state], measurements, {"reason": change.reason})
        for key, listener in list(self.listeners.items()):
            if key in self.listeners:  # else one before it has removed it
                try:
                    listener(change)
                except Exception:
                    _log.exception("circuit breaker %r: a listener raised at %s", breaker.name, state)


def tell_rejected(breaker: CircuitBreaker, error: CircuitOpenError) -> None:
    """Tell a call that was not let through."""
    _emit(breaker, CIRCUIT_REJECTED, {"count": 1}, {"state": error.state, "reason": error.reason})


def _emit(
    breaker: CircuitBreaker, event: Event, measurements: Mapping[str, float], metadata: Mapping[str, object]
) -> None:
    node = breaker.node
    if node is not None and node.telemetry.attached:
        node.telemetry.emit(event, measurements, {"node": node.name, "breaker": breaker.name, **metadata})
