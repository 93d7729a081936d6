# SPDX-License-Identifier: MIT
"""Asking a running supervisor about its children, and changing them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Literal, NamedTuple, cast

from stanchion._validate import Seconds, cut, hashable
from stanchion.errors import InvalidOptionError, StanchionError, UnhandledRequestError
from stanchion.kernel import Pid, Ref
from stanchion.server import call
from stanchion.supervisor._child_spec import ChildSpec, Restart, checked_spec
from stanchion.supervisor._starts import ChildType
from stanchion.timeouts import (
    COUNT_CHILDREN,
    DELETE_CHILD,
    GET_CHILDSPEC,
    POLICY,
    RESTART_CHILD,
    START_CHILD,
    TERMINATE_CHILD,
    WHICH_CHILDREN,
    Operation,
    Policy,
)


class ChildInfo(NamedTuple):
    """One child of a supervisor, as ``which_children`` tells it.

    Attributes:
        id: The id in its child_spec.
        pid: Its process; None while it does not run.
        state: ``"running"``; ``"restarting"`` between a restart that failed and the next try, or while a backoff's delay
            runs; or ``"stopped"``.
        type: ``"worker"`` or ``"supervisor"``.
        restart: ``"permanent"``, ``"transient"`` or ``"temporary"``.
    """

    id: Hashable
    pid: Pid | None
    state: Literal["running", "restarting", "stopped"]
    type: ChildType
    restart: Restart


class ChildCounts(NamedTuple):
    """How many children a supervisor has, as ``count_children`` tells it.

    Attributes:
        specs: All of them, whether they run or not.
        active: Those whose process is alive.
        supervisors: Those that are supervisors, whether they run or not.
        workers: Those that are not.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


class SupervisorRequest(Operation):
    """What a supervisor is asked.

    Attributes:
        wait: The wait for its answer.
    """

    __slots__ = ()

    wait: ClassVar[Operation]

    def __init__(self) -> None:
        super().__init__(self.wait.operation, self.wait.default)

    def __repr__(self) -> str:
        return f"{self.operation}()"


class _OfChild(SupervisorRequest):
    """What a supervisor is asked about one child."""

    __slots__ = ("id",)
    __match_args__ = ("id",)

    def __init__(self, id: Hashable) -> None:
        super().__init__()
        self.id = id

    def __repr__(self) -> str:
        return f"{self.operation}({cut(self.id)})"


class WhichChildren(SupervisorRequest):
    """The request behind ``which_children``."""

    __slots__ = ()

    wait = WHICH_CHILDREN


class CountChildren(SupervisorRequest):
    """The request behind ``count_children``."""

    __slots__ = ()

    wait = COUNT_CHILDREN


class StartChild(SupervisorRequest):
    """The request behind ``start_child``."""

    __slots__ = ("spec",)
    __match_args__ = ("spec",)

    wait = START_CHILD

    def __init__(self, spec: ChildSpec) -> None:
        super().__init__()
        self.spec = spec

    def __repr__(self) -> str:
        return f"{self.operation}({self.spec!r})"


class TerminateChild(_OfChild):
    """The request behind ``terminate_child``."""

    __slots__ = ()

    wait = TERMINATE_CHILD


class RestartChild(_OfChild):
    """The request behind ``restart_child``."""

    __slots__ = ()

    wait = RESTART_CHILD


class DeleteChild(_OfChild):
    """The request behind ``delete_child``."""

    __slots__ = ()

    wait = DELETE_CHILD


class GetChildSpec(_OfChild):
    """The request behind ``get_childspec``."""

    __slots__ = ()

    wait = GET_CHILDSPEC


Request = WhichChildren | CountChildren | StartChild | TerminateChild | RestartChild | DeleteChild | GetChildSpec


class Answer(NamedTuple):
    """What a supervisor replies, so that another server's reply is not taken for one."""

    value: object


async def which_children(supervisor: Ref, *, timeout: Seconds | Policy | None = POLICY) -> list[ChildInfo]:
    """Return the children of a supervisor, in the order of their start (OTP: in reverse).

    Args:
        supervisor: A pid or a registered name.
        timeout: As in ``call``. The supervisor answers between two starts or stops of children.

    Raises:
        CallError: no reply came; see ``call``.
        InvalidOptionError: ``supervisor`` is none.

    Source: ``supervisor:which_children/1``.
    """
    return cast("list[ChildInfo]", await _ask("which_children", supervisor, WhichChildren(), timeout))


async def count_children(supervisor: Ref, *, timeout: Seconds | Policy | None = POLICY) -> ChildCounts:
    """Return how many children a supervisor has, by kind.

    Args:
        supervisor: A pid or a registered name.
        timeout: As in ``call``.

    Raises:
        CallError: no reply came; see ``call``.
        InvalidOptionError: ``supervisor`` is none.

    Source: ``supervisor:count_children/1``.
    """
    return cast("ChildCounts", await _ask("count_children", supervisor, CountChildren(), timeout))


async def start_child(supervisor: Ref, spec: ChildSpec, *, timeout: Seconds | Policy | None = POLICY) -> Pid | None:
    """Add a child to a running supervisor, behind the others, and start it.

    Args:
        supervisor: A pid or a registered name.
        spec: What ``child_spec`` returned; its id must be free in this supervisor, unless that is a
            DynamicSupervisor.
        timeout: As in ``call``, but that the policy's own default for ``stanchion.start_child`` is 90.0. A child whose
            start may take longer needs a longer one.

    Returns:
        The pid of the child; None when its start returned ``IGNORE``.

    Raises:
        ChildStartError: the child did not start; it was not added.
        ChildIdTakenError: a child has its id; the error tells that one's ``pid`` and ``state``. Nothing was changed.
        ChildSpecError: ``spec`` is none, or it is significant to a supervisor that never shuts itself down. Nothing was
            changed.
        MaxChildrenError: a DynamicSupervisor has as many children as it may have. Nothing was changed.
        CallError: no reply came; see ``call``. The child may have been started.
        InvalidOptionError: ``supervisor`` is none.

    Cancellation: the child is started all the same.

    Source: ``supervisor:start_child/2``, which waits without a limit.
    """
    return cast("Pid | None", await _ask("start_child", supervisor, StartChild(checked_spec(spec)), timeout))


async def terminate_child(supervisor: Ref, id: Hashable, *, timeout: Seconds | Policy | None = POLICY) -> None:
    """Stop a child, within its ``shutdown`` time, and do not restart it; a temporary one is forgotten.

    A child that does not run stays as it is. ``restart_child`` starts it again, and so does a restart by the
    strategies one_for_all and rest_for_one.

    Args:
        supervisor: A pid or a registered name.
        id: The id in the child's spec; for a DynamicSupervisor, the child's pid.
        timeout: As in ``call``, but that the policy's own default for ``stanchion.terminate_child`` is 90.0. A child
            whose ``shutdown`` time is longer needs a longer one.

    Raises:
        ChildNotFoundError: the supervisor has no such child.
        CallError: no reply came; see ``call``. The child may have been stopped.
        InvalidOptionError: ``supervisor`` is none.

    Cancellation: the child is stopped all the same.

    Source: ``supervisor:terminate_child/2``, which waits without a limit.
    """
    await _ask("terminate_child", supervisor, TerminateChild(hashable("terminate_child(id)", id)), timeout)


async def restart_child(supervisor: Ref, id: Hashable, *, timeout: Seconds | Policy | None = POLICY) -> Pid | None:
    """Start a child that was stopped, or that exited and was not restarted; it does not count as a restart.

    Args:
        supervisor: A pid or a registered name.
        id: The id in the child's spec.
        timeout: As in ``call``, but that the policy's own default for ``stanchion.restart_child`` is 90.0. A child whose
            start may take longer needs a longer one.

    Returns:
        The pid of the child; None when its start returned ``IGNORE``.

    Raises:
        ChildNotFoundError: the supervisor has no such child.
        ChildStateError: it runs, or is about to be restarted.
        ChildStartError: it did not start; it stays stopped.
        CallError: no reply came; see ``call``. The child may have been started.
        InvalidOptionError: ``supervisor`` is none, or is a DynamicSupervisor.

    Cancellation: the child is started all the same.

    Source: ``supervisor:restart_child/2``, which waits without a limit.
    """
    request = RestartChild(hashable("restart_child(id)", id))
    return cast("Pid | None", await _ask("restart_child", supervisor, request, timeout))


async def delete_child(supervisor: Ref, id: Hashable, *, timeout: Seconds | Policy | None = POLICY) -> None:
    """Forget a child that does not run; its id is free from then on.

    Args:
        supervisor: A pid or a registered name.
        id: The id in the child's spec.
        timeout: As in ``call``.

    Raises:
        ChildNotFoundError: the supervisor has no such child.
        ChildStateError: it runs, or is about to be restarted.
        CallError: no reply came; see ``call``. The child may have been forgotten.
        InvalidOptionError: ``supervisor`` is none, or is a DynamicSupervisor.

    Source: ``supervisor:delete_child/2``.
    """
    await _ask("delete_child", supervisor, DeleteChild(hashable("delete_child(id)", id)), timeout)


async def get_childspec(supervisor: Ref, id: Hashable, *, timeout: Seconds | Policy | None = POLICY) -> ChildSpec:
    """Return the spec of a child.

    Args:
        supervisor: A pid or a registered name.
        id: The id in the child's spec; for a DynamicSupervisor, the child's pid.
        timeout: As in ``call``.

    Raises:
        ChildNotFoundError: the supervisor has no such child.
        CallError: no reply came; see ``call``.
        InvalidOptionError: ``supervisor`` is none.

    Source: ``supervisor:get_childspec/2``.
    """
    request = GetChildSpec(hashable("get_childspec(id)", id))
    return cast("ChildSpec", await _ask("get_childspec", supervisor, request, timeout))


async def _ask(operation: str, supervisor: Ref, request: Request, timeout: Seconds | Policy | None) -> object:
    try:
        answer = await call(supervisor, request, timeout=timeout)
    except UnhandledRequestError:
        answer = None
    if not isinstance(answer, Answer):
        raise InvalidOptionError(
            f"{operation}(supervisor)", expected="a running supervisor", got=cut(supervisor) + ", which is none"
        )
    if isinstance(answer.value, StanchionError):
        raise answer.value
    return answer.value
