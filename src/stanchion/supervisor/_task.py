# SPDX-License-Identifier: MIT
"""The task: a function that runs as a process under a TaskSupervisor, and what it comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from stanchion._validate import Seconds, instance
from stanchion.errors import TaskExitError, TaskOwnerError, TaskStateError, TaskTimeoutError
from stanchion.kernel import PROCESS, ExitReason, Pid, code_limit, disconnect, exit, limit_cause, stuck_at
from stanchion.supervisor._alarm import Alarm
from stanchion.supervisor._child_spec import checked_shutdown
from stanchion.supervisor._outcomes import TaskExit, TaskOk, TaskResult
from stanchion.timeouts import AWAIT, POLICY, SHUTDOWN, Operation, Policy, checked_timeout

if TYPE_CHECKING:
    from stanchion.kernel import Node

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Task(Generic[T_co]):
    """A function that runs as a process of its own, and its result to come.

    ``TaskSupervisor.async_`` and ``async_nolink`` start one. Its owner, the process that started it, takes the result
    with ``await_``; code outside of processes owns the tasks that it starts together. The result is taken once.

    Attributes:
        pid: The process.
        owner: The process that started it; None for code outside of processes.
        function: What it runs, as text.

    Source: Elixir's Task. There the result waits in the owner's mailbox, here in the task.
    """

    __slots__ = ("_code", "_future", "_node", "_taken", "_tell", "function", "owner", "pid")

    # Set in the step that makes the process.
    pid: Pid
    _node: Node

    def __init__(self, code: object, function: str, owner: Pid | None, *, tell: bool) -> None:
        # What it runs, for the timeout policy.
        self._code = code
        self.function = function
        self.owner = owner
        # Whether the outcome is to come as a message, too; False from when its owner does not want it any more.
        self._tell = tell
        # Done in the step of the process's exit.
        self._future: asyncio.Future[TaskOk[T_co] | TaskExit] = asyncio.get_running_loop().create_future()
        # By which method somebody took the result, or gave it up.
        self._taken: str | None = None

    async def await_(self, *, timeout: Seconds | Policy | None = POLICY) -> T_co:
        """Wait for the result and return it.

        When the time is up the task goes on, and can be awaited again; where the error ends the owner, a linked task
        ends with it.

        Args:
            timeout: Seconds to wait; 0 takes only what is there; None for no limit. By default what the node's
                ``TimeoutPolicy`` says of ``stanchion.await``.

        Raises:
            TaskExitError: the task exited before it had a result.
            TaskTimeoutError: it has none in time.
            TaskOwnerError: the code runs in another process than the owner.
            TaskStateError: the result was taken before, or comes as a message.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: the task goes on, and can be awaited again.

        Source: ``Task.await/2`` of Elixir. There it exits the caller, and after a timeout the result is lost.
        """
        limit = self._limit("Task.await_(timeout)", AWAIT, timeout)
        self._check("await_()")
        outcome = await self._wait(limit)
        if outcome is None:
            raise self._too_late(AWAIT, timeout, limit or 0.0)
        self._taken = "taken by await_()"
        return _value(self, outcome)

    async def yield_(self, *, timeout: Seconds | Policy | None = POLICY) -> TaskOk[T_co] | TaskExit | None:
        """Wait for the outcome, and return it; None when there is none in time. The task goes on.

        Args:
            timeout: As in ``await_``.

        Raises:
            TaskOwnerError: the code runs in another process than the owner.
            TaskStateError: the result was taken before, or comes as a message.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: the task goes on, and can be asked again.

        Source: ``Task.yield/2`` of Elixir.
        """
        limit = self._limit("Task.yield_(timeout)", AWAIT, timeout)
        self._check("yield_()")
        outcome = await self._wait(limit)
        if outcome is not None:
            self._taken = "taken by yield_()"
        return outcome

    async def shutdown(
        self, *, timeout: Seconds | Literal["brutal_kill"] | Policy | None = POLICY
    ) -> TaskOk[T_co] | TaskExit | None:
        """Unlink the task, end it, and return what it came to before or meanwhile. It can be called again.

        No ``TaskResult`` arrives after this call.

        Args:
            timeout: Seconds that the task has to end, and then it is killed; None for no limit, 0 for at once.
                ``"brutal_kill"`` kills it without telling it. By default what the node's ``TimeoutPolicy`` says of
                ``stanchion.shutdown`` (5.0).

        Returns:
            ``TaskOk(value)`` when its function returned; ``TaskExit(reason)`` when it exited by itself, or had to be
            killed because its time was up; None when it ended as it was told to.

        Raises:
            TaskOwnerError: the code runs in another process than the owner.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: the task is killed.

        Source: ``Task.shutdown/2`` of Elixir.
        """
        time = checked_shutdown("Task.shutdown(timeout)", timeout)
        self._check_owner("shutdown()")
        self._let_go("given up by shutdown()")
        try:
            if not isinstance(time, str):
                limit = self._limit("Task.shutdown(timeout)", SHUTDOWN, time)
                exit(self.pid, "shutdown")
                await self._wait(limit)
        finally:
            exit(self.pid, "kill")  # harmless when it has ended
        outcome = await self._wait(None)
        as_told = "killed" if isinstance(time, str) else "shutdown"
        return None if isinstance(outcome, TaskExit) and outcome.reason == as_told else outcome

    def done(self) -> bool:
        """Return whether it has come to something: its function returned, or it exited."""
        return self._future.done()

    def ignore(self) -> TaskOk[T_co] | TaskExit | None:
        """Unlink the task and let it run on, and return what it came to before; None when it still runs.

        From then on its result cannot be taken, and no ``TaskResult`` arrives. ``shutdown`` still ends it.

        Raises:
            TaskOwnerError: the code runs in another process than the owner.
            TaskStateError: the result was taken before.

        Source: ``Task.ignore/1`` of Elixir.
        """
        self._check_owner("ignore()")
        self._check_not_taken("ignore()")
        self._let_go("given up by ignore()")
        return _outcome(self)

    @staticmethod
    async def await_many(tasks: Iterable[Task[T]], *, timeout: Seconds | Policy | None = POLICY) -> list[T]:
        """Wait for the results of all tasks, and return them in the order of the tasks.

        Args:
            tasks: The tasks; they must have the same owner.
            timeout: As in ``await_``, for all of them together.

        Raises:
            TaskExitError: one of them exited before it had a result; the others go on, and can be awaited again.
            TaskTimeoutError: not all have a result in time; the error names the first that has none.
            TaskOwnerError: the code runs in another process than the owner.
            TaskStateError: one's result was taken before, or comes as a message.
            InvalidOptionError: ``timeout`` is wrong, or something in ``tasks`` is no task.

        Cancellation: the tasks go on, and can be awaited again.

        Source: ``Task.await_many/2`` of Elixir.
        """
        all_tasks, limit = _checked("await_many", tasks, timeout)
        await _wait_all(all_tasks, limit, until_exit=True)
        outcomes = [_outcome(task) for task in all_tasks]
        for task, outcome in zip(all_tasks, outcomes, strict=True):
            if isinstance(outcome, TaskExit):
                task._taken = "taken by await_many()"
                _value(task, outcome)
        results: list[T] = []
        for task, outcome in zip(all_tasks, outcomes, strict=True):
            if outcome is None:
                raise task._too_late(AWAIT, timeout, limit or 0.0)
            results.append(_value(task, outcome))
        for task in all_tasks:
            task._taken = "taken by await_many()"
        return results

    @staticmethod
    async def yield_many(
        tasks: Iterable[Task[T]], *, timeout: Seconds | Policy | None = POLICY
    ) -> list[TaskOk[T] | TaskExit | None]:
        """Wait until all tasks have ended, or the time is up, and return the outcomes in the order of the tasks.

        Args:
            tasks: The tasks; they must have the same owner.
            timeout: As in ``await_``, for all of them together.

        Returns:
            For each task what ``yield_`` returns.

        Raises:
            TaskOwnerError: the code runs in another process than the owner.
            TaskStateError: one's result was taken before, or comes as a message.
            InvalidOptionError: ``timeout`` is wrong, or something in ``tasks`` is no task.

        Cancellation: the tasks go on, and can be asked again.

        Source: ``Task.yield_many/2`` of Elixir, which pairs each outcome with its task.
        """
        all_tasks, limit = _checked("yield_many", tasks, timeout)
        await _wait_all(all_tasks, limit)
        outcomes: list[TaskOk[T] | TaskExit | None] = []
        for task in all_tasks:
            outcomes.append(_outcome(task))
            if task._future.done():
                task._taken = "taken by yield_many()"
        return outcomes

    def __repr__(self) -> str:
        return f"<task {self.function} {self.pid!r}>"

    def _check(self, operation: str) -> None:
        self._check_owner(operation)
        self._check_not_taken(operation)
        if self._tell:
            raise TaskStateError(
                repr(self),
                operation=operation,
                expected="a task whose owner waits for the result",
                got="one whose result comes as a message",
                fix="handle TaskResult in handle_info(), or start it without tell=True.",
            )

    def _check_owner(self, operation: str) -> None:
        process = PROCESS.get()
        caller = None if process is None else process.pid
        if caller is not self.owner:
            outside = "code outside of processes"
            raise TaskOwnerError(
                repr(self),
                operation=operation,
                owner=repr(self.owner) if self.owner else outside,
                caller=repr(caller) if caller else outside,
            )

    def _check_not_taken(self, operation: str) -> None:
        if self._taken is not None:
            raise TaskStateError(
                repr(self),
                operation=operation,
                expected="a result that nobody took",
                got=f"one that was {self._taken}",
                fix="keep the result where you take it; yield_() can be called again while it returns None.",
            )

    async def _wait(self, limit: float | None) -> TaskOk[T_co] | TaskExit | None:
        await _wait_all([self], limit)
        return _outcome(self)

    def _limit(self, subject: str, request: Operation, timeout: Seconds | Policy | None) -> float | None:
        return code_limit(subject, self._node, self._code, None, request, timeout)

    def _too_late(
        self, request: Operation, timeout: Seconds | Policy | None, limit: float, *, killed: str | None = None
    ) -> TaskTimeoutError:
        """Return the error of a wait whose time is up; ``killed`` says where the task waited that was killed for it."""
        rule, cut_by = limit_cause(self._node, self._code, None, request, timeout, limit)
        process = self.pid._process
        at = killed if process is None else stuck_at(process.task)
        return TaskTimeoutError(
            repr(self),
            timeout=limit,
            rule=rule,
            cut_by=cut_by,
            doing=None if at is None else f"{self!r} is at {at}",
            killed=killed is not None,
        )

    def _let_go(self, how: str) -> None:
        """Take the link and an unread ``TaskResult`` away; no other comes."""
        self._taken = how
        owner = None if self.owner is None else self.owner._process
        if owner is None:
            return
        if self.pid._process is not None:
            disconnect(owner, self.pid._process)
        if self._tell:
            self._tell = False
            for envelope in owner.mailbox.queue:
                message = envelope[1]
                if type(message) is TaskResult and message.task is self:
                    owner.mailbox.withdraw(envelope)
                    return


def _value(task: Task[object], outcome: TaskOk[T] | TaskExit) -> T:
    if not isinstance(outcome, TaskExit):
        return outcome.value
    reason: ExitReason = outcome.reason  # type: ignore[assignment]  # "timeout" is for streams
    raise TaskExitError(repr(task), reason=reason) from (reason if isinstance(reason, BaseException) else None)


def _checked(
    operation: str, tasks: Iterable[Task[T]], timeout: Seconds | Policy | None
) -> tuple[list[Task[T]], float | None]:
    all_tasks = list(tasks)
    for task in all_tasks:
        instance(f"Task.{operation}(tasks)", task, Task)
        task._check(f"{operation}()")
    subject = f"Task.{operation}(timeout)"
    if all_tasks:
        return all_tasks, all_tasks[0]._limit(subject, AWAIT, timeout)
    # Nothing to wait for, and no node to ask.
    checked_timeout(subject, timeout)
    return [], None


async def _wait_all(tasks: Sequence[Task[T]], limit: float | None, *, until_exit: bool = False) -> None:
    """Wait until each task has a result or has exited, or the time is up; or until one has exited."""
    left = {task._future for task in tasks if not task._future.done()}
    if not left or (until_exit and any(isinstance(_outcome(task), TaskExit) for task in tasks)):
        return
    alarm = Alarm(tasks[0]._node, limit)

    def one_ended(future: asyncio.Future[TaskOk[T] | TaskExit]) -> None:
        left.discard(future)
        if not left or (until_exit and isinstance(future.result(), TaskExit)):
            alarm.expire()

    for future in tuple(left):
        future.add_done_callback(one_ended)
    try:
        await alarm.rung
    finally:
        alarm.cancel()
        for task in tasks:
            task._future.remove_done_callback(one_ended)


def _outcome(task: Task[T]) -> TaskOk[T] | TaskExit | None:
    """Return what a task has come to; None while it runs."""
    return task._future.result() if task._future.done() else None
