# SPDX-License-Identifier: MIT
"""What a child can be started by: a server's class, an async function that is the process, or one that starts it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Final, Literal, TypeVar

from stanchion._validate import cut, is_async
from stanchion.errors import ChildSpecError, InvalidOptionError
from stanchion.kernel import Pid
from stanchion.server import Directive, GenServer

AsyncFunction = Callable[..., Coroutine[object, object, object]]

ChildType = Literal["worker", "supervisor"]
"""What a child is."""

_MARK: Final = "_stanchion_start_function"

_F = TypeVar("_F", bound=Callable[..., Coroutine[object, object, Pid | Directive]])


def start_function(function: _F) -> _F:
    """Mark an async function that starts a child's process itself, and returns its pid.

    ``child_spec`` takes it where a class is not enough: to look something up before each start, to choose a class, to
    start by a ``start_link`` of your own. An async function without this mark *is* the process that it is a spec of.

    The supervisor runs the function in its own name, so that what it starts by ``start_link`` or ``spawn_link`` is the
    supervisor's child, and waits for it: at most ``timeout``, and no longer than until it is told to exit. The function
    must return the pid of a process of this node that it linked, or ``IGNORE``. When it does not succeed, what it has
    started is stopped again. As an ``init`` must not, it must not ask the supervisor anything, which waits for it.

    Args:
        function: An ``async def``; it is returned as it is, marked.

    Raises:
        InvalidOptionError: ``function`` is no async function.

    Source: ``mfargs()`` of OTP's supervisor, whose functions return ``{ok, Pid}``, ``ignore`` or ``{error, Reason}``. An
    error is an exception here; and OTP checks neither the link nor what it knows of the pid.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> from stanchion.supervisor import start_function
        >>> class Greeter(st.GenServer):
        ...     def init(self, word):
        ...         self.word = word
        ...     def handle_call(self, request, sender):
        ...         return f"{self.word}, {request}"
        >>> @start_function
        ... async def start_greeter():
        ...     word = "hello"  # looked up afresh at each start
        ...     return await st.start_link(Greeter, word, name="greeter")
        >>> async def main():
        ...     async with st.Node():
        ...         await st.start(st.Supervisor, [st.child_spec(start_greeter)])
        ...         return await st.call("greeter", "world")
        >>> asyncio.run(main())
        'hello, world'
    """
    if not inspect.iscoroutinefunction(function):
        fix = "make it an `async def`, and write the decorator beneath others." if callable(function) else None
        raise InvalidOptionError("start_function()", expected="an async function", got=cut(function), fix=fix)
    setattr(function, _MARK, True)
    return function


def is_start_function(start: object) -> bool:
    """Return whether an async function is marked as one that starts the process."""
    while isinstance(start, partial):
        start = start.func
    return getattr(start, _MARK, False) is True


def check_start(start: object) -> None:
    """Raise unless a child can be started by this.

    Raises:
        ChildSpecError: it cannot.
    """
    if _can_start(start):
        return
    got = cut(start)
    fix = None
    if isinstance(start, type):
        fix = f"derive {start.__name__} from GenServer."
    elif isinstance(start, GenServer):
        fix = "pass the class, and the arguments of init after it."
    elif inspect.iscoroutine(start):
        start.close()
        fix = "pass the function itself, and its arguments after it."
    elif callable(start):
        fix = "make it an `async def`."
    raise ChildSpecError(None, expected="a subclass of GenServer, or an async function", got=got, fix=fix)


def type_of(start: object) -> ChildType:
    """Return what a child is that is started by this, where its spec says nothing."""
    # An attribute of the class and not its base: supervisors of other kinds are no subclasses of Supervisor.
    return "supervisor" if getattr(start, "supervises", False) else "worker"


def label_of_start(start: object) -> str:
    """Return what a class or function is called: the qualified name."""
    if isinstance(start, partial):
        return label_of_start(start.func)  # it has no name of its own
    return getattr(start, "__qualname__", type(start).__name__)


def _can_start(start: object) -> bool:
    if isinstance(start, type):
        return issubclass(start, GenServer)
    return is_async(start)
