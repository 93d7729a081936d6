# SPDX-License-Identifier: MIT
"""The supervisor: a server that starts its children, restarts those that exit, and stops them in reverse order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, ClassVar, Literal

from stanchion.errors import (
    ChildNotFoundError,
    ChildSpecError,
    ChildStartError,
    ChildStateError,
    InvalidOptionError,
)
from stanchion.kernel import ExitReason, Pid, ProcessExit, current_process
from stanchion.server import UNHANDLED, GenServer, Sender, Stop
from stanchion.supervisor._child_spec import ChildSpec, Restart, child_spec
from stanchion.supervisor._children import Children
from stanchion.supervisor._flags import AutoShutdown, Strategy, checked_flags
from stanchion.supervisor._requests import (
    Answer,
    CountChildren,
    GetChildSpec,
    Request,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
)
from stanchion.supervisor._supervise import supervise
from stanchion.supervisor._told_to_exit import ToldToExit
from stanchion.timeouts import POLICY

if TYPE_CHECKING:
    from stanchion._backoff import Backoff
    from stanchion._validate import Seconds
    from stanchion.kernel import Name
    from stanchion.supervisor._restart_window import RestartBudget
    from stanchion.timeouts import Policy


class Supervisor(GenServer):
    """A server that starts its children in order, restarts those that exit, and stops them in reverse order.

    Start one with ``start(Supervisor, children, strategy)`` or ``start_link``; put one into a tree with
    ``supervisor_spec``.

    When children exit more often than ``max_restarts`` times within ``max_seconds``, it stops the others and exits
    with reason ``"shutdown"``: then it is its own supervisor's turn. When it is killed, its children get its exit
    signal by their links.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> class Counter(st.GenServer):
        ...     def init(self):
        ...         self.count = 0
        ...     def handle_cast(self, step):
        ...         self.count += step
        ...     def handle_call(self, request, sender):
        ...         return self.count
        >>> async def main():
        ...     async with st.Node():
        ...         await st.start(st.Supervisor, [st.child_spec(Counter, name="counter")], "one_for_all")
        ...         st.cast("counter", 2)
        ...         return await st.call("counter", "count")
        >>> asyncio.run(main())
        2

    Source: OTP's supervisor.
    """

    supervises: ClassVar[bool] = True

    # Set by init. None afterwards only in a subclass whose init does not await this one's.
    _children: Children | None = None

    async def init(
        self,
        children: Iterable[ChildSpec],
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
        auto_shutdown: AutoShutdown = "never",
    ) -> None:
        """Start the children in order; when one does not start, stop those before it, and fail.

        Args:
            children: What ``child_spec`` and ``supervisor_spec`` returned; their ids must differ.
            strategy: Who is restarted with a child: nobody (``"one_for_one"``), all the others (``"one_for_all"``),
                or those that were started after it (``"rest_for_one"``).
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.
            auto_shutdown: When it stops the others and exits with ``"shutdown"`` because a child that its spec calls
                significant has ended: ``"never"``, at the first one (``"any_significant"``), or at the last one
                (``"all_significant"``). An end is an exit by itself after which the child is not restarted; also when
                its budget is used up. One that ``terminate_child`` or the strategy stopped has not ended.

        Raises:
            ChildStartError: a child did not start.
            ChildSpecError: something in ``children`` is no spec, an id comes twice, or one is significant where
                ``auto_shutdown`` is ``"never"``.
            InvalidOptionError: another argument is wrong.

        Source: ``init/1`` of OTP's supervisor.
        """
        flags = checked_flags("Supervisor", children, strategy, max_restarts, max_seconds, auto_shutdown)
        process = current_process("Supervisor.init()")
        process.trap_exit = True
        self._children = Children(process, flags)
        try:
            await self._children.start_all(flags.children)
        except ToldToExit as order:
            raise ProcessExit(order.reason) from None

    async def handle_call(self, request: object, sender: Sender, /) -> object:
        """Answer ``which_children`` and its kin."""
        if not isinstance(request, Request):
            return UNHANDLED
        try:
            return Answer(await self._answer(self._supervised(), request))
        except (ChildStartError, ChildSpecError, ChildNotFoundError, ChildStateError) as error:
            return Answer(error)
        except ToldToExit as order:
            return Stop(order.reason)

    async def handle_info(self, message: object, /) -> object:
        """Restart a child that exited, if its spec says so."""
        return await supervise(self._supervised(), message)

    async def terminate(self, reason: ExitReason, /) -> None:
        """Stop the children, the last one first."""
        if self._children is not None:
            await self._children.stop_all()

    def _pid_of(self, id: Hashable) -> Pid | None:
        """Return who runs by an id now, or None."""
        return None if self._children is None else self._children.pid_of(id)

    def _supervised(self) -> Children:
        if self._children is None:
            raise InvalidOptionError(
                f"{type(self).__name__}.init()",
                expected="`await super().init(children, ...)` in it",
                got="no such call",
            )
        return self._children

    async def _answer(self, children: Children, request: Request) -> object:
        match request:
            case WhichChildren():
                return children.infos()
            case CountChildren():
                return children.counts()
            case StartChild(spec):
                return await children.add(spec)
            case TerminateChild(id):
                await children.terminate(id)
            case RestartChild(id):
                return await children.restart(id)
            case GetChildSpec(id):
                return children.spec(id)
            case _:
                children.delete(request.id)
        return None


def supervisor_spec(
    children: Iterable[ChildSpec],
    *,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: Seconds = 5.0,
    auto_shutdown: AutoShutdown = "never",
    id: Hashable | None = None,
    name: Name | None = None,
    restart: Restart = "permanent",
    shutdown: Seconds | Literal["brutal_kill"] | Policy | None = POLICY,
    timeout: Seconds | Policy | None = POLICY,
    significant: bool = False,
    backoff: Backoff | None = None,
    budget: RestartBudget | None = None,
) -> ChildSpec:
    """Say how a supervisor starts, restarts and stops a child that is itself a supervisor.

    Args:
        children: The children of that supervisor; see ``Supervisor.init`` for these five.
        strategy: ``"one_for_one"``, ``"one_for_all"`` or ``"rest_for_one"``.
        max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
        max_seconds: See ``max_restarts``; more than 0.
        auto_shutdown: ``"never"``, ``"any_significant"`` or ``"all_significant"``.
        id: What it is called in the supervisor above; by default ``name``, else ``"Supervisor"``.
        name: The name or via address to register at each start, or None.
        restart: As in ``child_spec``.
        shutdown: As in ``child_spec``.
        timeout: As in ``child_spec``, for the start of all its children together.
        significant: As in ``child_spec``.
        backoff: As in ``child_spec``.
        budget: As in ``child_spec``.

    Raises:
        ChildSpecError: something in ``children`` is no spec, an id comes twice, one is significant where
            ``auto_shutdown`` is ``"never"``, or the options contradict each other.
        InvalidOptionError: another argument is wrong.

    Source: ``child_spec()`` of OTP's supervisor, with the flags that OTP's ``init/1`` returns.
    """
    flags = checked_flags("supervisor_spec", children, strategy, max_restarts, max_seconds, auto_shutdown)
    return child_spec(
        Supervisor,
        *flags,
        id=id,
        name=name,
        restart=restart,
        shutdown=shutdown,
        timeout=timeout,
        significant=significant,
        backoff=backoff,
        budget=budget,
    )
