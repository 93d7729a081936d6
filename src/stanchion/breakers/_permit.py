# SPDX-License-Identifier: MIT
"""The leave to make one call."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stanchion._validate import cut

if TYPE_CHECKING:
    from stanchion.breakers._breaker import CircuitBreaker

_log = logging.getLogger("stanchion.breakers")

_LONGEST_TEXT = 200


class Permit:
    """The leave to make one call through a circuit; its holder says how the call ended, or has a ``with`` block say it.

    The first word counts, later ones do nothing. A call that ends after the circuit changed its state says nothing
    about the new state: it is in the statistics, and counts no further. A permit that is dropped without a word is
    cancelled by that.
    """

    __slots__ = ("__weakref__", "_breaker", "_era")

    def __init__(self, breaker: CircuitBreaker, era: int) -> None:
        # None once its holder has said how the call ended.
        self._breaker: CircuitBreaker | None = breaker
        # In which of the circuit's states it was given, counted from the first.
        self._era = era

    def __enter__(self) -> Self:
        """Begin the block that makes the call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Note how the block ended: by an exception, which goes on, or well."""
        if error is None:
            self.succeeded()
        else:
            self.failed(error)

    def succeeded(self) -> None:
        """Say that the call succeeded."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._settle(self, None)

    def failed(self, error: object, *, counts: bool = True) -> None:
        """Say that the call failed.

        Args:
            error: The exception that was raised, or anything else that says what went wrong: a status, a text. The
                policy's ``is_failure`` is asked about it. What is raised and no ``Exception``, a cancellation or an exit
                say, tells nothing about the other side: it is as ``cancelled()``.
            counts: Whether it is a failure where the policy has no ``is_failure``; false makes it a success.
        """
        if isinstance(error, BaseException) and not isinstance(error, Exception):
            self.cancelled()
            return
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            is_failure = breaker.policy.is_failure
            if is_failure is not None:
                try:
                    counts = is_failure(error)
                except Exception:
                    counts = True
                    _log.exception("circuit breaker %r: is_failure raised, so the failure counts", breaker.name)
            breaker._settle(self, _text(error) if counts else None)

    def cancelled(self) -> None:
        """Say that the call was not brought to an end: it counts neither way, and a probe frees its place."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._withdraw(self)


def _text(error: object) -> str:
    # A breaker keeps the text and not the exception, whose traceback would keep every frame of the call.
    return cut(error, _LONGEST_TEXT) if isinstance(error, BaseException) else str(error)[:_LONGEST_TEXT]
