# SPDX-License-Identifier: MIT
"""By which names a rule may speak of a request, and of a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from stanchion.timeouts._operations import SEND, Operation


def path_of(code: object) -> str:
    """Return the name of a class or function, ``module.QualName``; text is a name already."""
    if isinstance(code, str):
        return code
    named = code if hasattr(code, "__qualname__") else type(code)
    return f"{named.__module__}.{getattr(named, '__qualname__', '')}"


def operation_of(request: object) -> tuple[type, str | None, bool]:
    """Return the class of a request, the name of its operation, and whether all requests of the class have that name.

    The name is what the request's ``operation`` says, if that is text; else a text itself, or the text that a tuple
    begins with. A class that is sent stands for a request of its own kind.
    """
    # The first three are for speed: they come at each start of a process, or have no attributes to look for.
    if isinstance(request, Operation):
        return type(request), request.operation, request is SEND
    kind = type(request)
    if kind is str:
        return kind, str(request), False
    if kind is tuple:
        return kind, _first_text(request), False
    if isinstance(request, type):
        declared = getattr(request, "operation", None)
        return request, declared if isinstance(declared, str) else None, False
    declared, found = getattr(kind, "operation", None), getattr(request, "operation", None)
    if isinstance(found, str):
        return kind, found, isinstance(declared, str) and not _differs(kind, request)
    if isinstance(request, str):  # a StrEnum, say
        return kind, str.__str__(request), False
    # A method of that name is no field, which another request might have some text in.
    return kind, None, (declared is None or callable(declared)) and not _differs(kind, request)


def names_of(request: object) -> tuple[str, ...]:
    """Return the names of a request: its operation's, then its class's."""
    kind, operation, _ = operation_of(request)
    if operation is None:
        return (path_of(kind),)
    # That it is text, say, is no name: the pattern *.* would fit builtins.str.
    if kind in (str, tuple) or isinstance(request, Operation):
        return (operation,)
    return operation, path_of(kind)


def services_of(code: object, name: object) -> tuple[str, ...]:
    """Return the names of a server: the registered one, then its class's."""
    path = path_of(code)
    return (name, path) if isinstance(name, str) and name != path else (path,)


def _first_text(request: object) -> str | None:
    first = next(iter(cast("Iterable[object]", request)), None)
    return first if isinstance(first, str) else None


def _differs(kind: type, request: object) -> bool:
    """Return whether another request of the class may have another ``operation``: it is a field, or set by hand."""
    if "operation" in getattr(request, "__dict__", ()):
        return True
    hints = [getattr(base, "__annotations__", {}).get("operation") for base in kind.__mro__]
    return any(hint is not None and "ClassVar" not in str(hint) for hint in hints)
