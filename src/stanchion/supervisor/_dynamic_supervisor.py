# SPDX-License-Identifier: MIT
"""The DynamicSupervisor: a supervisor whose children are started on demand, any number of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from stanchion._validate import cut, one_of, whole_number
from stanchion.errors import (
    ChildNotFoundError,
    ChildSpecError,
    ChildStartError,
    InvalidOptionError,
    MaxChildrenError,
)
from stanchion.kernel import ExitReason, current_process
from stanchion.server import UNHANDLED, GenServer, Sender, Stop
from stanchion.supervisor._child_spec import ChildSpec, Restart, child_spec
from stanchion.supervisor._dynamic_children import DynamicChildren
from stanchion.supervisor._requests import (
    Answer,
    CountChildren,
    DeleteChild,
    GetChildSpec,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
)
from stanchion.supervisor._restart_window import positive_seconds
from stanchion.supervisor._restarts import Restarts
from stanchion.supervisor._supervise import supervise
from stanchion.supervisor._told_to_exit import ToldToExit
from stanchion.timeouts import POLICY

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.kernel import Name
    from stanchion.timeouts import Policy

_STRATEGY: Final = "one_for_one"


class DynamicSupervisor(GenServer):
    """A supervisor that begins without children, and has any number of them started by ``start_child``.

    Use it for children that come and go while the program runs: a process for each connection, job or game. For
    those that the program begins with, use ``Supervisor``.

    Start one with ``start(DynamicSupervisor)`` or ``start_link``; put one into a tree with
    ``DynamicSupervisor.child_spec``. ``start_child``, ``terminate_child``, ``which_children`` and ``count_children``
    work on it. Its children go by their pids: many may have the same spec, and a restarted one has a new pid.

    A child is restarted as its spec says, and nobody with it. One that is not restarted is forgotten. When children
    exit more often than ``max_restarts`` times within ``max_seconds``, it stops the others and exits with reason
    ``"shutdown"``. It stops its children all at once, each within its own ``shutdown`` time.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> from stanchion.supervisor import count_children, start_child
        >>> class Session(st.GenServer):
        ...     def init(self, user):
        ...         self.user = user
        ...     def handle_call(self, request, sender):
        ...         return self.user
        >>> async def main():
        ...     async with st.Node():
        ...         sessions = await st.start(st.DynamicSupervisor)
        ...         for user in ("ada", "joe"):
        ...             pid = await start_child(sessions, st.child_spec(Session, user, restart="transient"))
        ...         return await st.call(pid, "who?"), (await count_children(sessions)).active
        >>> asyncio.run(main())
        ('joe', 2)

    Source: Elixir's DynamicSupervisor.
    """

    supervises: ClassVar[bool] = True

    # Set by init. None afterwards only in a subclass whose init does not await this one's.
    _children: DynamicChildren | None = None

    async def init(
        self,
        max_children: int | None = None,
        extra_args: Sequence[object] = (),
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
        strategy: Literal["one_for_one"] = _STRATEGY,
    ) -> None:
        """Begin without children.

        Args:
            max_children: How many it may have, those that wait for their restart included; None for no limit.
            extra_args: Put before the arguments of each child that ``start_child`` starts.
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.
            strategy: There is no other than ``"one_for_one"``.

        Raises:
            InvalidOptionError: an argument is wrong.

        Source: ``init/1`` of Elixir's DynamicSupervisor.
        """
        options = _checked(type(self).__name__, max_children, extra_args, max_restarts, max_seconds, strategy)
        process = current_process("DynamicSupervisor.init()")
        process.trap_exit = True
        self._children = DynamicChildren(process, Restarts(process, options[2], options[3]), options[0], options[1])

    @classmethod
    def child_spec(
        cls,
        *,
        max_children: int | None = None,
        extra_args: Sequence[object] = (),
        max_restarts: int = 3,
        max_seconds: Seconds = 5.0,
        strategy: Literal["one_for_one"] = _STRATEGY,
        id: Hashable | None = None,
        name: Name | None = None,
        restart: Restart = "permanent",
        shutdown: Seconds | Literal["brutal_kill"] | Policy | None = POLICY,
    ) -> ChildSpec:
        """Say how a supervisor starts, restarts and stops a child that is a supervisor of this class.

        A restarted one begins without children.

        Args:
            max_children: See ``init`` for these five.
            extra_args: Put before the arguments of each child.
            max_restarts: How many restarts within ``max_seconds`` it does before it gives up; 0 for none.
            max_seconds: See ``max_restarts``; more than 0.
            strategy: There is no other than ``"one_for_one"``.
            id: What it is called in the supervisor above; by default ``name``, else the name of the class.
            name: The name or via address to register at each start, or None.
            restart: As in the function ``child_spec``.
            shutdown: As in the function ``child_spec``.

        Raises:
            InvalidOptionError: an argument is wrong.

        Source: ``DynamicSupervisor.child_spec/1`` of Elixir.
        """
        options = _checked(cls.__name__, max_children, extra_args, max_restarts, max_seconds, strategy)
        return child_spec(cls, *options, id=id, name=name, restart=restart, shutdown=shutdown)

    async def handle_call(self, request: object, sender: Sender, /) -> object:
        """Answer ``start_child`` and its kin."""
        try:
            answer = await self._answer(self._supervised(), request, sender)
        except (ChildStartError, ChildSpecError, ChildNotFoundError, MaxChildrenError) as error:
            return Answer(error)
        except ToldToExit as order:
            return Stop(order.reason)
        return UNHANDLED if answer is UNHANDLED else Answer(answer)

    async def handle_info(self, message: object, /) -> object:
        """Restart a child that exited, if its spec says so."""
        return await supervise(self._supervised(), message)

    async def terminate(self, reason: ExitReason, /) -> None:
        """Stop the children, all at once."""
        if self._children is not None:
            await self._children.stop_all()

    def _supervised(self) -> DynamicChildren:
        if self._children is None:
            raise InvalidOptionError(
                f"{type(self).__name__}.init()", expected="`await super().init(...)` in it", got="no such call"
            )
        return self._children

    async def _answer(self, children: DynamicChildren, request: object, sender: Sender) -> object:
        """Return what the request asks for, UNHANDLED for one of another kind."""
        match request:
            case StartChild(spec):
                return await children.add(spec)
            case TerminateChild(pid):
                await children.terminate(pid)
                return None
            case WhichChildren():
                return children.infos()
            case CountChildren():
                return children.counts()
            case GetChildSpec(pid):
                return children.spec(pid)
            case RestartChild() | DeleteChild():
                verb = "restart_child" if isinstance(request, RestartChild) else "delete_child"
                return InvalidOptionError(
                    f"{verb}(supervisor)",
                    expected="a Supervisor, which keeps children that do not run",
                    got=f"{current_process(verb)!r}, which forgets them",
                    fix="start_child(supervisor, spec) starts another one; terminate_child(supervisor, pid) ends one.",
                )
            case _:
                return UNHANDLED


def _checked(
    subject: str,
    max_children: int | None,
    extra_args: Sequence[object],
    max_restarts: int,
    max_seconds: Seconds,
    strategy: str,
) -> tuple[int | None, tuple[object, ...], int, float]:
    """Check the arguments of a DynamicSupervisor, and return them in the order of ``init``."""
    one_of(f"{subject}(strategy)", strategy, (_STRATEGY,))
    if not isinstance(extra_args, list | tuple):
        raise InvalidOptionError(
            f"{subject}(extra_args)",
            expected="a list or tuple of arguments",
            got=cut(extra_args),
            fix="put a single argument into a tuple: (argument,).",
        )
    return (
        None if max_children is None else whole_number(f"{subject}(max_children)", max_children),
        tuple(extra_args),
        whole_number(f"{subject}(max_restarts)", max_restarts),
        positive_seconds(f"{subject}(max_seconds)", max_seconds),
    )
