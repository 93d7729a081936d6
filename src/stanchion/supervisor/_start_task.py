# SPDX-License-Identifier: MIT
"""Starting a task: the request to a TaskSupervisor, and what the task's process runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TypeVar, TypeVarTuple

from stanchion._validate import cut, is_async
from stanchion.errors import (
    CallTimeoutError,
    InvalidOptionError,
    NotInProcessError,
    StanchionError,
    UnhandledRequestError,
)
from stanchion.kernel import NODE, PROCESS, Process, Ref
from stanchion.server import call
from stanchion.supervisor._child_spec import ChildSpec, Shutdown, child_spec
from stanchion.supervisor._requests import Answer, SupervisorRequest
from stanchion.supervisor._starts import label_of_start
from stanchion.supervisor._task import Task
from stanchion.supervisor._task_run import TaskRun, kill_task
from stanchion.timeouts import START_TASK

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StartTask(SupervisorRequest):
    """The request behind ``async_`` and its kin."""

    __slots__ = ("linked", "run", "spec")

    wait = START_TASK

    def __init__(self, run: TaskRun, spec: ChildSpec, *, linked: bool) -> None:
        super().__init__()
        self.run = run
        self.spec = spec
        self.linked = linked

    def __repr__(self) -> str:
        return f"{self.operation}({self.spec.id})"


async def start_task(
    operation: str,
    supervisor: Ref,
    function: Callable[[*Ts], Coroutine[object, object, T]],
    args: tuple[*Ts],
    *,
    owner: Process | None,
    linked: bool,
    tell: bool,
    shutdown: Shutdown,
) -> Task[T]:
    """Have a TaskSupervisor start a task; ``operation`` is who asks, for texts.

    Raises:
        MaxChildrenError: the supervisor has as many children as it may have.
        NotInProcessError: the owner has ended, and this code outlived it.
        CallExitError: there is no such supervisor, or it went before it had started the task.
        CallTimeoutError: the supervisor did not come to it in time. The task is not started.
        InvalidOptionError: ``supervisor`` is none.

    Cancellation: the task is not started, or it is killed.
    """
    label = label_of_start(function)
    task: Task[T] = Task(function, label, None if owner is None else owner.pid, tell=tell)
    run = TaskRun(task)

    context = copy_context()

    async def body() -> None:
        _enter(context)
        run.returned(await function(*args))

    body.__qualname__ = label  # what the process is called in texts
    spec = child_spec(body, id=label, restart="temporary", shutdown=shutdown)
    try:
        answer = await call(supervisor, StartTask(run, spec, linked=linked))
    except (asyncio.CancelledError, CallTimeoutError):
        if hasattr(task, "pid"):
            kill_task(task)
        raise
    except UnhandledRequestError:
        answer = None
    if not isinstance(answer, Answer):
        raise InvalidOptionError(
            f"{operation}(supervisor)",
            expected="a running TaskSupervisor",
            got=cut(supervisor) + ", which is none",
            fix="start one: TaskSupervisor.child_spec(name='tasks') in the tree, or start(TaskSupervisor).",
        )
    if isinstance(answer.value, StanchionError):
        raise answer.value
    if not hasattr(task, "pid"):
        raise NotInProcessError(f"{operation}()", ended=repr(task.owner))  # or else it would have been started
    return task


def _enter(context: Context) -> None:
    """Have the running task see the context variables of whoever started it, as with ``asyncio.create_task``.

    The process was made by the supervisor, so it has that one's context.
    """
    for variable, value in context.items():
        if variable is not PROCESS and variable is not NODE:
            variable.set(value)


def check_task_function(operation: str, function: object) -> None:
    """Raise unless a task can run this.

    Raises:
        InvalidOptionError: it is no async function.
    """
    if is_async(function):
        return
    got, fix = cut(function), None
    if inspect.iscoroutine(function):
        function.close()
        fix = "pass the function itself, and its arguments after it."
    elif callable(function):
        fix = "make it an `async def`; one that blocks is run in a thread by the async function asyncio.to_thread."
    raise InvalidOptionError(f"{operation}(function)", expected="an async function", got=got, fix=fix)
