# SPDX-License-Identifier: MIT
"""Async fixtures of tests that run in a node. pytest sets fixtures up before that, so what it gets is a promise."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, cast

import pytest

from stanchion.errors import InvalidOptionError

_NOTHING: Final = object()


class Promised:
    """A fixture that is set up when its test's node runs, once for each node."""

    def __init__(self, function: Callable[..., object], arguments: dict[str, object]) -> None:
        self._function = function
        self._arguments = arguments

    async def set_up(self, fulfil: Callable[[object], object], stack: AsyncExitStack) -> object:
        """Return its value; what follows its ``yield`` runs when the stack is left.

        Args:
            fulfil: What makes a value of each promise among its arguments.
            stack: Where its end is put.
        """
        arguments = {name: fulfil(value) for name, value in self._arguments.items()}
        made = self._function(**arguments)
        if not inspect.isasyncgen(made):
            return await cast("Awaitable[object]", made)
        value = await anext(made, _NOTHING)
        if value is _NOTHING:
            self._fail("one yield", "none")
        stack.push_async_callback(self._end, made)
        return value

    async def _end(self, made: AsyncIterator[object]) -> None:
        if await anext(made, _NOTHING) is not _NOTHING:
            self._fail("one yield", "a second one")

    def _fail(self, expected: str, got: str) -> None:
        pytest.fail(f"async fixture {self._function.__name__!r}: expected {expected}, got {got}", pytrace=False)


def is_async(function: object) -> bool:
    """Return whether a fixture is one that only a running loop can set up."""
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def promising(function: Callable[..., object], instance: object, promises: list[Promised]) -> Callable[..., Promised]:
    """Return a plain function that stands for an async fixture, and promises it.

    Args:
        function: The fixture's.
        instance: Of which class the test is a method, or None.
        promises: Where to keep the promise.
    """
    if instance is not None and inspect.ismethod(function) and isinstance(instance, type(function.__self__)):
        function = function.__func__.__get__(instance)  # pytest made it a method of another instance

    def promise(**arguments: Any) -> Promised:
        promises.append(Promised(function, arguments))
        return promises[-1]

    return promise


def check_plain(name: str, arguments: dict[str, object]) -> None:
    """Refuse a plain fixture that takes an async one, which is not there yet.

    Raises:
        InvalidOptionError: it does.
    """
    for argument, value in arguments.items():
        if isinstance(value, Promised):
            raise InvalidOptionError(
                f"fixture {name!r}",
                expected="arguments that are there before the node runs",
                got=f"the async fixture {argument!r}",
                fix=f"write `async def {name}(...)`, too.",
            )
