# SPDX-License-Identifier: MIT
"""What a test says of a message or a reason: a type, a value, or a function that decides."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import FunctionType, MethodType
from typing import Any, Final, cast

from stanchion._validate import cut


class Anything(Enum):
    """The type of ``ANYTHING``."""

    ANYTHING = "ANYTHING"

    def __repr__(self) -> str:
        return self.value


ANYTHING: Final = Anything.ANYTHING
"""Matches whatever comes."""

_PREDICATES: Final = (FunctionType, MethodType)


def matches(pattern: object, value: object) -> bool:
    """Return whether a value is what a pattern says.

    A class stands for its instances, a function decides, and anything else is compared with ``==``, so that
    ``unittest.mock.ANY`` may stand in a part of it.
    """
    if pattern is ANYTHING:
        return True
    if isinstance(pattern, type):
        return isinstance(value, pattern)
    if isinstance(pattern, _PREDICATES):
        return bool(cast("Callable[[Any], object]", pattern)(value))
    return bool(pattern == value)


def told(pattern: object) -> str:
    """Return a pattern in words."""
    if pattern is ANYTHING:
        return "a message"
    if isinstance(pattern, type):
        return f"a {pattern.__qualname__}"
    if isinstance(pattern, _PREDICATES):
        code = pattern.__code__
        return f"what {pattern.__name__} in {code.co_filename}:{code.co_firstlineno} accepts"
    return cut(pattern)
