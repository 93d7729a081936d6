# SPDX-License-Identifier: MIT
"""The application: a whole tree under one name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stanchion._validate import word
from stanchion.server import start
from stanchion.supervisor._strategies import Strategy
from stanchion.supervisor._supervisor import Supervisor, checked_flags

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.kernel import Pid
    from stanchion.supervisor._child_spec import ChildSpec


class Application:
    """A tree of processes with a name: what ``run`` runs, and what a node can be asked to start.

    It describes the tree and holds nothing that runs, so it can be started in several nodes.

    Attributes:
        name: What it is called; ``run`` names the node after it.
        supervisor_name: The name that its top supervisor is registered under: ``name`` with ``_sup`` after it.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Greeter(st.GenServer):
        ...     def handle_call(self, request, sender):
        ...         return f"hello, {request}"
        >>> app = st.Application("greetings", children=[st.child_spec(Greeter, name="greeter")])
        >>> async def main():
        ...     async with st.Node():
        ...         await app.start()
        ...         return await st.call("greeter", "world")
        >>> asyncio.run(main())
        'hello, world'

    Source: OTP's application, of which it has the tree and the name.
    """

    def __init__(
        self,
        name: str,
        *,
        children: Iterable[ChildSpec],
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
    ) -> None:
        """Describe a tree; nothing runs before ``start`` or ``run``.

        Args:
            name: A word without spaces or dots.
            children: What ``child_spec`` and ``supervisor_spec`` returned; their ids must differ.
            strategy: The top supervisor's: ``"one_for_one"``, ``"one_for_all"`` or ``"rest_for_one"``.
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.

        Raises:
            ChildSpecError: something in ``children`` is no spec, or an id comes twice.
            InvalidOptionError: another argument is wrong.
        """
        self.name = word("Application(name)", name)
        self.supervisor_name = f"{name}_sup"
        self._flags = checked_flags("Application", children, strategy, max_restarts, max_seconds)

    async def start(self) -> Pid:
        """Start the tree on the node of the running code, and wait until all of it has started.

        The tree stops in order when the node is left, or by ``stop(pid)``.

        Returns:
            The pid of the top supervisor.

        Raises:
            ChildStartError: a child did not start; those before it have been stopped.
            NameTakenError: the application runs on this node already.
            NoNodeError: the code runs outside of every node.
            NodeStateError: the node is stopping.

        Cancellation: what has started is killed.

        Source: ``application:start/1``.
        """
        return await start(Supervisor, *self._flags, name=self.supervisor_name)

    def __repr__(self) -> str:
        return f"<Application {self.name}, {len(self._flags.children)} children>"
