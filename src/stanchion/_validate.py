# SPDX-License-Identifier: MIT
"""Checks of what callers pass in, shared by every station.

Each check returns the value in the form that the library works with, or raises an error that says
what was expected, what came, and what to write instead.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Collection, Hashable
from datetime import timedelta
from typing import Final, TypeGuard, TypeVar

from stanchion.errors import InvalidOptionError

_REPR_LIMIT: Final = 200
# A thousand years. A longer duration is the same to everybody, and the loops' timers cannot add up every float.
_LONGEST: Final = 3e10

Seconds = float | timedelta
"""A duration: seconds as a number, or a ``timedelta``."""

_T = TypeVar("_T")


def cut(value: object, limit: int = _REPR_LIMIT) -> str:
    """Return ``repr(value)``, cut at ``limit`` characters; a ``__repr__`` that raises does not raise here."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose __repr__ raised {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(word: str, choices: Collection[str]) -> str | None:
    """Return the choice most like ``word``, or None when nothing is alike."""
    from difflib import get_close_matches  # only the error path pays for it

    by_lower = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def one_of(subject: str, value: object, choices: Collection[str]) -> str:
    """Return ``value`` when it is one of ``choices``; the error names the nearest one.

    Raises:
        InvalidOptionError: ``value`` is none of them.
    """
    if isinstance(value, str) and value in choices:
        return value
    guess = nearest(value, choices) if isinstance(value, str) else None
    raise InvalidOptionError(
        subject,
        expected="one of " + ", ".join(repr(choice) for choice in choices),
        got=cut(value),
        fix=f"write {guess!r}." if guess else None,
    )


def known_options(subject: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise when an option's name is not known; the error names the nearest one.

    Raises:
        InvalidOptionError: a name in ``given`` is not in ``known``.
    """
    for name in given:
        if name not in known:
            guess = nearest(name, known)
            raise InvalidOptionError(
                subject,
                expected="options among " + ", ".join(known),
                got=repr(name),
                fix=f"write {guess!r}." if guess else None,
            )


def seconds(subject: str, value: object) -> float:
    """Return a duration as float seconds: zero or more, finite.

    Raises:
        InvalidOptionError: not a number or timedelta, negative, NaN or infinite.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(min(value, _LONGEST))
    raise InvalidOptionError(
        subject,
        expected="seconds >= 0 as a finite number, or a timedelta",
        got=cut(value),
        fix="pass None where no limit is meant, if this option takes None." if value == math.inf else None,
    )


def seconds_or_none(subject: str, value: object) -> float | None:
    """Return a duration as float seconds, or None for no limit; see ``seconds``."""
    return None if value is None else seconds(subject, value)


def word(subject: str, value: object) -> str:
    """Return ``value`` when it is a word without spaces or dots, as names are that become a part of others.

    Raises:
        InvalidOptionError: it is not.
    """
    if isinstance(value, str) and value and not any(c.isspace() or c == "." for c in value):
        return value
    raise InvalidOptionError(subject, expected="a word without spaces or dots", got=cut(value))


def whole_number(subject: str, value: object, *, at_least: int = 0) -> int:
    """Return ``value`` when it is an int of at least ``at_least`` (a bool is not an int here).

    Raises:
        InvalidOptionError: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= at_least:
        return value
    raise InvalidOptionError(subject, expected=f"a whole number >= {at_least}", got=cut(value))


def instance(subject: str, value: object, kind: type[_T]) -> _T:
    """Return ``value`` when it is an instance of ``kind``.

    Raises:
        InvalidOptionError: it is not.
    """
    if isinstance(value, kind):
        return value
    raise InvalidOptionError(subject, expected=f"an instance of {kind.__name__}", got=cut(value))


def hashable(subject: str, value: Hashable) -> Hashable:
    """Return ``value`` when it can be a key.

    Raises:
        InvalidOptionError: it has no hash.
    """
    try:
        hash(value)
    except Exception as error:
        # Whatever a __hash__ of the user's raises.
        raise InvalidOptionError(subject, expected="something hashable, a string say", got=cut(value)) from error
    return value


def is_async(function: object) -> TypeGuard[Callable[..., Awaitable[object]]]:
    """Whether calling it gives what has to be awaited: an async function, or an object whose ``__call__`` is one."""
    by_type = getattr(type(function), "__call__", None)  # noqa: B004  # what is wanted is the function itself
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(by_type)


def plain_function(subject: str, value: object) -> None:
    """Raise unless ``value`` can be called, and what it returns need not be awaited.

    Raises:
        InvalidOptionError: it cannot, or must.
    """
    if not callable(value) or is_async(value):
        raise InvalidOptionError(subject, expected="a plain function", got=cut(value))


def callable_or_none(subject: str, value: Callable[..., object] | None) -> None:
    """Raise unless ``value`` is None or can be called.

    Raises:
        InvalidOptionError: it is something else.
    """
    if value is not None and not callable(value):
        raise InvalidOptionError(subject, expected="a callable or None", got=cut(value))
