# SPDX-License-Identifier: MIT
"""The TaskSupervisor: functions that run as processes, and whose results are awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from typing import Literal, TypeVar, TypeVarTuple, cast, get_args

from stanchion._validate import Seconds, cut, one_of, whole_number
from stanchion.errors import InvalidOptionError
from stanchion.kernel import PROCESS, Pid, Process, Ref, current_process
from stanchion.server import Sender
from stanchion.supervisor._async_stream import OnTimeout, StreamOptions, stream
from stanchion.supervisor._child_spec import checked_shutdown
from stanchion.supervisor._dynamic_children import DynamicChildren
from stanchion.supervisor._dynamic_supervisor import DynamicSupervisor
from stanchion.supervisor._outcomes import TaskExit, TaskOk
from stanchion.supervisor._start_task import (
    StartTask,
    check_task_function,
    start_task,
)
from stanchion.supervisor._task import Task
from stanchion.timeouts import POLICY, Policy, checked_timeout

I = TypeVar("I")  # noqa: E741  # an item
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TaskShutdown = Seconds | Literal["brutal_kill"] | Policy | None


class TaskSupervisor(DynamicSupervisor):
    """A DynamicSupervisor of tasks: functions that run once, as a process each, and whose results are awaited.

    What asyncio's own tasks are not: each has a pid, links and monitors, its crash is told, it is stopped with the
    tree, and it ends with the process that wants its result.

    Start one with ``start(TaskSupervisor)``, or put one into a tree with ``TaskSupervisor.child_spec(name="tasks")``.
    For a task whose result nobody awaits, ``start_child(tasks, child_spec(function, ..., restart="temporary"))``.

    Example:
        >>> import asyncio
        >>> import stanchion as st
        >>> async def square(number):
        ...     return number * number
        >>> async def main():
        ...     async with st.Node():
        ...         tasks = await st.start(st.TaskSupervisor)
        ...         task = await st.TaskSupervisor.async_nolink(tasks, square, 7)
        ...         return await task.await_()
        >>> asyncio.run(main())
        49

    Source: Elixir's Task.Supervisor.
    """

    @staticmethod
    async def async_(
        supervisor: Ref,
        function: Callable[[*Ts], Coroutine[object, object, T]],
        *args: *Ts,
        tell: bool = False,
        shutdown: TaskShutdown = POLICY,
    ) -> Task[T]:
        """Start a task that is linked with the running process: when one exits, so does the other.

        Its function runs as a process of its own, whose parent is the supervisor, and sees the caller's context
        variables. Use ``async_nolink`` where the task
        may fail and the owner is to live on.

        Args:
            supervisor: The pid or name of a TaskSupervisor.
            function: An async function.
            args: Its arguments.
            tell: Whether the outcome comes to the owner as one ``TaskResult`` message, to ``handle_info``, instead of
                being awaited: for servers, which must not wait long in a callback.
            shutdown: Seconds that the task has to stop when the supervisor stops it, and then it is killed; None for
                no limit, 0 for at once. ``"brutal_kill"`` kills it without telling it. By default what the node's
                ``TimeoutPolicy`` says of ``stanchion.shutdown`` (5.0).

        Returns:
            The task; it runs. Its function may have returned.

        Raises:
            MaxChildrenError: the supervisor has as many children as it may have.
            CallExitError: there is no such supervisor, or it exited first.
            CallTimeoutError: the supervisor did not come to it in time, which is what the node's ``TimeoutPolicy`` says
                of ``stanchion.start_task``. The task is not started.
            NotInProcessError: the code runs outside of all processes.
            InvalidOptionError: an argument is wrong.

        Cancellation: the task is not started, or it is killed.

        Source: ``Task.Supervisor.async/3`` of Elixir.
        """
        owner = current_process("TaskSupervisor.async_()")
        return await _start(
            "async_", supervisor, function, args, owner=owner, linked=True, tell=tell, shutdown=shutdown
        )

    @staticmethod
    async def async_nolink(
        supervisor: Ref,
        function: Callable[[*Ts], Coroutine[object, object, T]],
        *args: *Ts,
        tell: bool = False,
        shutdown: TaskShutdown = POLICY,
    ) -> Task[T]:
        """Start a task as ``async_`` does, but without the link: how it ends is known from ``await_`` alone.

        Code outside of processes can start one, too, and then any code outside of processes owns it.

        Raises:
            NotInProcessError: ``tell`` is true, and the code runs outside of all processes.

        Source: ``Task.Supervisor.async_nolink/3`` of Elixir.
        """
        owner = current_process("TaskSupervisor.async_nolink(tell=True)") if tell else PROCESS.get()
        return await _start(
            "async_nolink", supervisor, function, args, owner=owner, linked=False, tell=tell, shutdown=shutdown
        )

    @staticmethod
    def async_stream(
        supervisor: Ref,
        function: Callable[[I], Coroutine[object, object, T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        max_concurrency: int,
        ordered: bool = True,
        timeout: Seconds | Policy | None = POLICY,
        on_timeout: OnTimeout = "exit",
        shutdown: TaskShutdown = POLICY,
    ) -> AsyncGenerator[TaskOk[T] | TaskExit, None]:
        """Run ``function(item)`` for each item, by a linked task each, and yield the outcomes.

        Items are pulled, and tasks started, only while somebody asks for the next outcome and fewer than
        ``max_concurrency`` run, or are ready to be taken. Whoever leaves early, by ``break``, an exception or a
        cancellation, ends the tasks that run; ``async with contextlib.aclosing(stream)`` also waits until they have
        ended.

        As the tasks are linked, one that exits abnormally ends the running process, unless that one traps exits; then
        it is a ``TaskExit`` among the outcomes, and no ``Exit`` message comes.

        Args:
            supervisor: The pid or name of a TaskSupervisor.
            function: An async function of one argument.
            items: Its arguments, from any iterable or async iterable, also one without an end.
            max_concurrency: How many tasks run at the same time; at least 1.
            ordered: True for the outcomes in the order of the items: those that are ready early wait. False for the
                order in which the tasks end.
            timeout: Seconds that each task may take; None for no limit. By default what the node's
                ``TimeoutPolicy`` says of ``stanchion.stream``.
            on_timeout: What becomes of the stream when a task, which is killed then, takes longer: ``"exit"`` raises
                ``TaskTimeoutError``; with ``"kill_task"`` the outcome is ``TaskExit("timeout", item)``.
            shutdown: As in ``async_``.

        Yields:
            ``TaskOk(value)``, or ``TaskExit(reason, item)`` when the task exited before its function returned.

        Raises:
            InvalidOptionError: an argument is wrong.
            NotInProcessError: from the iteration: the code runs outside of all processes.
            TaskTimeoutError: from the iteration; see ``on_timeout``.
            MaxChildrenError: from the iteration: the supervisor has as many children as it may have.
            CallExitError: from the iteration: there is no such supervisor, or no longer.

        Cancellation: the tasks that run are killed.

        Source: ``Task.Supervisor.async_stream/4`` of Elixir. There, an ordered stream starts no task while outcomes are
        ready; here each that is taken makes place for one, so that tasks run while the consumer works.
        """
        options = _options(
            "async_stream", function, items, max_concurrency, ordered, timeout, on_timeout, shutdown, linked=True
        )
        return stream("TaskSupervisor.async_stream", supervisor, function, items, options)

    @staticmethod
    def async_stream_nolink(
        supervisor: Ref,
        function: Callable[[I], Coroutine[object, object, T]],
        items: Iterable[I] | AsyncIterable[I],
        *,
        max_concurrency: int,
        ordered: bool = True,
        timeout: Seconds | Policy | None = POLICY,
        on_timeout: OnTimeout = "exit",
        shutdown: TaskShutdown = POLICY,
    ) -> AsyncGenerator[TaskOk[T] | TaskExit, None]:
        """Run a function on each item as ``async_stream`` does, without links: each exit is an outcome.

        Code outside of processes can use it, too. The tasks still end with the process that consumes the stream.

        Source: ``Task.Supervisor.async_stream_nolink/4`` of Elixir.
        """
        options = _options(
            "async_stream_nolink",
            function,
            items,
            max_concurrency,
            ordered,
            timeout,
            on_timeout,
            shutdown,
            linked=False,
        )
        return stream("TaskSupervisor.async_stream_nolink", supervisor, function, items, options)

    async def _answer(self, children: DynamicChildren, request: object, sender: Sender) -> object:
        if not isinstance(request, StartTask):
            return await super()._answer(children, request, sender)
        run = request.run
        owner = None if run.owner is None else run.owner._process
        if not sender.waiting or (run.owner is not None and owner is None):
            return None  # whoever wanted it has been cancelled, or has ended
        pid = await children.start(request.spec)
        # It is there, for it has not taken its first step.
        run.begin(cast("Process", cast("Pid", pid)._process), owner if request.linked else None)
        return None


async def _start(
    name: str,
    supervisor: Ref,
    function: Callable[[*Ts], Coroutine[object, object, T]],
    args: tuple[*Ts],
    *,
    owner: Process | None,
    linked: bool,
    tell: bool,
    shutdown: TaskShutdown,
) -> Task[T]:
    operation = f"TaskSupervisor.{name}"
    check_task_function(operation, function)
    return await start_task(
        operation,
        supervisor,
        function,
        args,
        owner=owner,
        linked=linked,
        tell=tell,
        shutdown=checked_shutdown(f"{operation}(shutdown)", shutdown),
    )


def _options(
    name: str,
    function: object,
    items: object,
    max_concurrency: int,
    ordered: bool,
    timeout: Seconds | Policy | None,
    on_timeout: OnTimeout,
    shutdown: TaskShutdown,
    *,
    linked: bool,
) -> StreamOptions:
    """Check the arguments of a stream."""
    operation = f"TaskSupervisor.{name}"
    check_task_function(operation, function)
    if not isinstance(items, Iterable | AsyncIterable):
        raise InvalidOptionError(f"{operation}(items)", expected="an iterable or async iterable", got=cut(items))
    one_of(f"{operation}(on_timeout)", on_timeout, get_args(OnTimeout))
    return StreamOptions(
        whole_number(f"{operation}(max_concurrency)", max_concurrency, at_least=1),
        ordered=ordered,
        timeout=checked_timeout(f"{operation}(timeout)", timeout),
        on_timeout=on_timeout,
        shutdown=checked_shutdown(f"{operation}(shutdown)", shutdown),
        linked=linked,
    )
