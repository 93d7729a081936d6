# SPDX-License-Identifier: MIT
"""Functions of the user's that see each signal as it is published."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Final, TypeVar

from stanchion._validate import cut, plain_function
from stanchion.errors import BadReturnError, InvalidOptionError, MiddlewareError
from stanchion.kernel import label_of
from stanchion.router._publication import Publication
from stanchion.router._signal import Signal

_log = logging.getLogger("stanchion.router")

BeforePublish = Callable[[Signal], Signal | None]
"""Called with each signal before it is routed; returns it, another one in its place, or None to drop it."""

AfterPublish = Callable[[Signal, Publication], object]
"""Called with each signal after it was routed, and with what became of it."""

_T = TypeVar("_T", bound=Callable[..., object])


class Hooks:
    """The hooks of one router, in order.

    Raises:
        InvalidOptionError: one is no plain function.
    """

    __slots__ = ("after", "before")

    def __init__(self, before: Iterable[BeforePublish], after: Iterable[AfterPublish]) -> None:
        self.before: Final = _functions("SignalRouter(before_publish)", before)
        self.after: Final = _functions("SignalRouter(after_publish)", after)

    def run_before(self, signal: Signal) -> Signal | None:
        """Return the signal that is to be routed; None for none.

        Raises:
            MiddlewareError: a hook raised, or returned something else.
        """
        for hook in self.before:
            try:
                result: object = hook(signal)
                if result is not None and not isinstance(result, Signal):
                    if isinstance(result, CoroutineType):
                        result.close()
                    raise BadReturnError(label_of(hook), expected="a signal or None", got=cut(result))
            except Exception as error:
                name = f"{label_of(hook)}()"
                raise MiddlewareError(name, signal_id=signal.id, signal_type=signal.type, error=error) from error
            if result is None:
                return None
            signal = result
        return signal

    def run_after(self, publication: Publication) -> None:
        """Tell what became of a signal; a hook that raises is logged."""
        for hook in self.after:
            try:
                hook(publication.signal, publication)
            except Exception:  # noqa: BLE001 - the hook is users' code
                _log.exception("%s() raised after signal %s was published", label_of(hook), publication.signal.id)


def _functions(subject: str, given: Iterable[_T]) -> tuple[_T, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InvalidOptionError(subject, expected="a list of plain functions", got=cut(given))
    functions = tuple(given)
    for function in functions:
        plain_function(subject, function)
    return functions
