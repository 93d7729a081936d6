# SPDX-License-Identifier: MIT
"""StateHolder: a server that is nothing but its state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from typing import cast as typed

from stanchion._validate import Seconds, cut
from stanchion.errors import BadReturnError, InvalidOptionError
from stanchion.kernel import label_of
from stanchion.server._call import call, cast
from stanchion.server._directives import NO_REPLY, UNHANDLED
from stanchion.server._gen_server import GenServer
from stanchion.server._loop import finished
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.kernel import Ref
    from stanchion.server._call import Sender

_R = TypeVar("_R")


class _Do(NamedTuple):
    """What to do with the state; ``function`` runs in the holder's process."""

    verb: str
    function: Callable[..., object]
    args: tuple[object, ...]

    @property
    def operation(self) -> str:
        """What a rule for timeouts calls it."""
        return f"stanchion.{self.verb}"

    def __repr__(self) -> str:
        return f"{self.operation}({label_of(self.function)})"


class StateHolder(GenServer):
    """A process that holds one value, which others read and change by functions that run inside it, one at a time.

    Start it with a function that makes the first state: ``start_link(StateHolder, dict)``. Write a GenServer of your
    own as soon as the state has rules.

    The functions may be ``def`` or ``async def``. While one runs, the others wait. One that raises ends the holder,
    and its caller gets a ``CallExitError``. Nothing is copied: a function that returns the state, or a part of it that
    can change, hands out the holder's own object.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def main():
        ...     async with st.Node():
        ...         holder = await st.start(st.StateHolder, lambda: 40)
        ...         await st.StateHolder.update(holder, lambda state: state + 2)
        ...         return await st.StateHolder.get(holder, lambda state: state)
        >>> asyncio.run(main())
        42

    Source: Elixir's Agent.
    """

    state: object

    async def init(self, function: Callable[..., object], *args: object) -> None:
        """Make the first state: what ``function(*args)`` returns.

        Raises:
            InvalidOptionError: ``function`` is none.
        """
        _checked("StateHolder.init(function)", function)
        self.state = await finished(function(*args))

    @staticmethod
    async def get(
        ref: Ref, function: Callable[..., Awaitable[_R] | _R], *args: object, timeout: Seconds | Policy | None = POLICY
    ) -> _R:
        """Return what ``function(state, *args)`` returns.

        Args:
            ref: A pid or a name.
            function: What to run in the holder's process.
            args: What it gets after the state.
            timeout: As in ``call``; so are the errors. The operation is ``stanchion.get``, and so on.

        Source: ``Agent.get/5``.
        """
        return typed("_R", await _ask("get", ref, function, args, timeout))

    @staticmethod
    async def update(
        ref: Ref, function: Callable[..., object], *args: object, timeout: Seconds | Policy | None = POLICY
    ) -> None:
        """Make what ``function(state, *args)`` returns the state; see ``get``.

        Source: ``Agent.update/5``.
        """
        await _ask("update", ref, function, args, timeout)

    @staticmethod
    async def get_and_update(
        ref: Ref,
        function: Callable[..., Awaitable[tuple[_R, object]] | tuple[_R, object]],
        *args: object,
        timeout: Seconds | Policy | None = POLICY,
    ) -> _R:
        """Return the first and make the second the state of the pair that ``function(state, *args)`` returns.

        One that returns no pair ends the holder; see ``get``.

        Source: ``Agent.get_and_update/5``.
        """
        return typed("_R", await _ask("get_and_update", ref, function, args, timeout))

    @staticmethod
    def cast(ref: Ref, function: Callable[..., object], *args: object) -> None:
        """Update the state as ``update`` does, and return at once; see ``stanchion.cast``.

        Source: ``Agent.cast/4``.
        """
        _checked("StateHolder.cast(function)", function)
        cast(ref, _Do("update", function, args))

    async def handle_call(self, request: object, sender: Sender, /) -> object:
        """Do what the functions above ask for."""
        if not isinstance(request, _Do):
            return UNHANDLED
        result = await finished(request.function(self.state, *request.args))
        if request.verb == "get":
            return _answer(sender, result)
        if request.verb == "update":
            self.state = result
            return _answer(sender, None)
        pair = typed("tuple[object, ...]", result)
        if not isinstance(result, tuple) or len(pair) != 2:
            raise BadReturnError(
                "StateHolder.get_and_update(function)", expected="a pair (reply, new state)", got=cut(pair)
            )
        value, self.state = pair
        return _answer(sender, value)

    async def handle_cast(self, message: object, /) -> object:
        """Do what ``StateHolder.cast`` asks for."""
        if not isinstance(message, _Do):
            return UNHANDLED
        self.state = await finished(message.function(self.state, *message.args))
        return None


async def _ask(
    verb: str, ref: Ref, function: Callable[..., object], args: tuple[object, ...], timeout: Seconds | Policy | None
) -> object:
    _checked(f"StateHolder.{verb}(function)", function)
    return await call(ref, _Do(verb, function, args), timeout=timeout)


def _answer(sender: Sender, value: object) -> object:
    # Not by returning it: a value that is a directive is no order to this server.
    sender.settle(value)
    return NO_REPLY


def _checked(subject: str, function: object) -> None:
    if not callable(function):
        raise InvalidOptionError(subject, expected="a function", got=cut(function))
