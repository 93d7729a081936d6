# SPDX-License-Identifier: MIT
"""Functions each call of which goes through a circuit."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from stanchion._validate import cut, is_async
from stanchion.errors import InvalidOptionError

if TYPE_CHECKING:
    from stanchion.breakers._breaker import CircuitBreaker

_P = ParamSpec("_P")
_R = TypeVar("_R")


def guarded(breaker: CircuitBreaker, function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return the function, plain or async, guarded by a breaker; see ``CircuitBreaker.__call__``."""
    if not callable(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidOptionError(
            f"@ of circuit breaker {breaker.name!r}",
            expected="a function, plain or async, that does not yield",
            got=cut(function),
            fix="guard what it does between two yields by `with breaker.enter():`." if callable(function) else None,
        )
    if is_async(function):

        @wraps(function)
        async def guarded_async(*args: _P.args, **kwargs: _P.kwargs) -> object:
            with breaker.enter():
                return await function(*args, **kwargs)

        return cast("Callable[_P, _R]", guarded_async)

    @wraps(function)
    def guarded_plain(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with breaker.enter():
            return function(*args, **kwargs)

    return guarded_plain
