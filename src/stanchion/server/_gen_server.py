# SPDX-License-Identifier: MIT
"""GenServer: a process that holds state and handles one message at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from stanchion._validate import Seconds, cut
from stanchion.errors import InvalidOptionError
from stanchion.kernel import ExitReason
from stanchion.server._directives import UNHANDLED
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.server._call import Sender


class GenServer:
    """The base of servers: subclass it, write the callbacks you need, and start it with ``start_link``.

    The state is the instance's attributes. Each callback may be ``def`` or ``async def``; they never overlap, so the
    state needs no lock. A callback that raises ends the process with the exception as its exit reason; the supervisor
    starts a fresh one.

    The base's ``__init__`` takes no arguments; what the server needs comes to ``init``.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Counter(st.GenServer):
        ...     def init(self, start):
        ...         self.count = start
        ...     def handle_call(self, request, sender):
        ...         return self.count
        ...     def handle_cast(self, message):
        ...         self.count += message
        >>> async def main():
        ...     async with st.Node():
        ...         counter = await st.start(Counter, 40)
        ...         st.cast(counter, 2)
        ...         return await st.call(counter, "count")
        >>> asyncio.run(main())
        42

    Source: OTP's gen_server. It differs where it says so below.
    """

    # A subclass writes its callbacks as def or async def and types what it is sent. So what comes in is Any, for with
    # object each narrower parameter would be an incompatible override, and what goes out is object, which a coroutine
    # is too. tests/typing holds what type checkers make of it.

    start_timeout: ClassVar[Seconds | Policy | None] = POLICY
    """Seconds that ``init`` may take where whoever starts the server says nothing; POLICY leaves it to the node."""

    def init(self, *args: Any, **_: Any) -> object:
        """Make the server ready; it takes no message before this returns.

        Args:
            args: What ``start`` was given.

        Returns:
            None, ``Continue(arg)``, ``Timeout(seconds)``, ``Stop(reason)`` or ``IGNORE``.
        """
        if args:
            name = type(self).__name__
            raise InvalidOptionError(
                f"start of {name}",
                expected=f"no arguments, since {name} has no init() to take them",
                got=cut(args),
                fix=f"write init(self, ...) in {name}.",
            )
        return None

    def _begin(self, *args: Any) -> object:
        """Run init, and return what the loop is to make of it; for servers whose init says more than that."""
        return self.init(*args)

    def handle_call(self, request: Any, sender: Sender, /) -> object:
        """Answer a request.

        Args:
            request: What the caller sent.
            sender: Who waits; keep it to reply later.

        Returns:
            The reply; or ``NO_REPLY``, ``Reply(value, then=...)``, ``Stop(reason)``, or ``UNHANDLED``, by which the
            caller gets an ``UnhandledRequestError`` and the server goes on (OTP's would crash).
        """
        return UNHANDLED

    def handle_cast(self, message: Any, /) -> object:
        """Handle a cast or a supervised send.

        Returns:
            None, ``Continue(arg)``, ``Timeout(seconds)``, ``Stop(reason)``, ``Reject(detail)``, or ``UNHANDLED``, by
            which the message is told as an UnhandledMessage event, and refused to the sender of a supervised send.
        """
        return UNHANDLED

    def handle_info(self, message: Any, /) -> object:
        """Handle any other message: ``Down``, ``Exit``, timers, plain sends, and ``TIMEOUT`` after a ``Timeout``.

        Returns:
            None, ``Continue(arg)``, ``Timeout(seconds)``, ``Stop(reason)`` or ``UNHANDLED``.
        """
        return UNHANDLED

    def handle_continue(self, arg: Any, /) -> object:
        """Go on with work after a callback that returned ``Continue(arg)``, before the next message.

        Returns:
            None, ``Continue(arg)``, ``Timeout(seconds)`` or ``Stop(reason)``.
        """
        return UNHANDLED

    def terminate(self, reason: ExitReason, /) -> object:
        """Clean up.

        Runs when a callback stops the server or raises, at ``stop``, and, in a process that traps exits, when its
        parent tells it to exit; a server that was started outside of processes has all code outside of processes for
        its parent. It does not run when an exit signal ends the process.

        Returns:
            Anything; it is not looked at. One that raises changes the exit reason to its exception.
        """
        return None

    def format_status(self, state: dict[str, object], /) -> object:
        """Return the state as ``get_status`` shall show it: without what is secret or long. A plain function.

        Args:
            state: The attributes by name, in a dict of their own.

        Returns:
            Anything; by default ``state``. For one that raises, the status says so in place of the state.

        Source: ``format_status/1`` of OTP 25, which also gets what else a crash report shows.
        """
        return state
