# SPDX-License-Identifier: MIT
"""The task: a function that runs as a process under a TaskSupervisor, and what it comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, Generic, Literal, TypeVar

from stanchion._validate import Seconds, instance, one_of, seconds_or_none
from stanchion.errors import TaskExitError, TaskOwnerError, TaskStateError, TaskTimeoutError
from stanchion.kernel import PROCESS, ExitReason, Pid, disconnect, exit
from stanchion.server import POLICY, Policy
from stanchion.supervisor._outcomes import TaskExit, TaskOk, TaskResult

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_BRUTAL_KILL: Final = "brutal_kill"


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

    __slots__ = ("_call_timeout", "_future", "_taken", "_tell", "function", "owner", "pid")

    # Set in the step that makes the process.
    pid: Pid

    def __init__(self, function: str, owner: Pid | None, *, tell: bool) -> None:
        self.function = function
        self.owner = owner
        # Whether the outcome is to come as a message, too; False from when its owner does not want it any more.
        self._tell = tell
        # Done in the step of the process's exit.
        self._future: asyncio.Future[TaskOk[T_co] | TaskExit] = asyncio.get_running_loop().create_future()
        # By which method somebody took the result, or gave it up.
        self._taken: str | None = None
        self._call_timeout = 0.0

    async def await_(self, *, timeout: Seconds | Policy | None = POLICY) -> T_co:
        """Wait for the result and return it.

        When the time is up the task goes on, and can be awaited again; where the error ends the owner, a linked task
        ends with it.

        Args:
            timeout: Seconds to wait; 0 takes only what is there; None for no limit. By default the node's
                ``call_timeout``.

        Raises:
            TaskExitError: the task exited before it had a result.
            TaskTimeoutError: it has none in time.
            TaskOwnerError: the code runs in another process than the owner.
            TaskStateError: the result was taken before, or comes as a message.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: the task goes on, and can be awaited again.

        Source: ``Task.await/2`` of Elixir. There it exits the caller, and after a timeout the result is lost.
        """
        limit = _limit("Task.await_(timeout)", timeout, self._call_timeout)
        self._check("await_()")
        outcome = await self._wait(limit)
        if outcome is None:
            raise TaskTimeoutError(repr(self), timeout=limit or 0.0)
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
        limit = _limit("Task.yield_(timeout)", timeout, self._call_timeout)
        self._check("yield_()")
        outcome = await self._wait(limit)
        if outcome is not None:
            self._taken = "taken by yield_()"
        return outcome

    async def shutdown(
        self, *, timeout: Seconds | Literal["brutal_kill"] | None = 5.0
    ) -> TaskOk[T_co] | TaskExit | None:
        """Unlink the task, end it, and return what it came to before or meanwhile. It can be called again.

        No ``TaskResult`` arrives after this call.

        Args:
            timeout: Seconds that the task has to end, and then it is killed; None for no limit, 0 for at once.
                ``"brutal_kill"`` kills it without telling it.

        Returns:
            ``TaskOk(value)`` when its function returned; ``TaskExit(reason)`` when it exited by itself, or had to be
            killed because its time was up; None when it ended as it was told to.

        Raises:
            TaskOwnerError: the code runs in another process than the owner.
            InvalidOptionError: ``timeout`` is wrong.

        Cancellation: the task is killed.

        Source: ``Task.shutdown/2`` of Elixir.
        """
        if isinstance(timeout, str):
            one_of("Task.shutdown(timeout)", timeout, (_BRUTAL_KILL,))
        else:
            timeout = seconds_or_none("Task.shutdown(timeout)", timeout)
        self._check_owner("shutdown()")
        self._let_go("given up by shutdown()")
        try:
            if timeout != _BRUTAL_KILL:
                exit(self.pid, "shutdown")
                await self._wait(timeout)
        finally:
            exit(self.pid, "kill")  # harmless when it has ended
        outcome = await self._wait(None)
        as_told = "killed" if timeout == _BRUTAL_KILL else "shutdown"
        return None if isinstance(outcome, TaskExit) and outcome.reason == as_told else outcome

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
        return self._future.result() if self._future.done() else None

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
        await _wait_all(all_tasks, limit)
        outcomes = [task._future.result() if task._future.done() else None for task in all_tasks]
        for task, outcome in zip(all_tasks, outcomes, strict=True):
            if isinstance(outcome, TaskExit):
                task._taken = "taken by await_many()"
                _value(task, outcome)
        results: list[T] = []
        for task, outcome in zip(all_tasks, outcomes, strict=True):
            if outcome is None:
                raise TaskTimeoutError(repr(task), timeout=limit or 0.0)
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
        if all_tasks:
            await asyncio.wait([task._future for task in all_tasks], timeout=limit)
        outcomes: list[TaskOk[T] | TaskExit | None] = []
        for task in all_tasks:
            outcomes.append(task._future.result() if task._future.done() else None)
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
        if not self._future.done():
            await asyncio.wait([self._future], timeout=limit)
        return self._future.result() if self._future.done() else None

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
    default = all_tasks[0]._call_timeout if all_tasks else 0.0
    return all_tasks, _limit(f"Task.{operation}(timeout)", timeout, default)


def _limit(subject: str, timeout: Seconds | Policy | None, default: float) -> float | None:
    return default if isinstance(timeout, Policy) else seconds_or_none(subject, timeout)


async def _wait_all(tasks: list[Task[T]], limit: float | None) -> None:
    """Wait until each task has a result, one has exited, or the time is up."""
    settled = asyncio.get_running_loop().create_future()
    left = {task._future for task in tasks}

    def one_ended(future: asyncio.Future[TaskOk[T] | TaskExit]) -> None:
        left.discard(future)
        if (not left or isinstance(future.result(), TaskExit)) and not settled.done():
            settled.set_result(None)

    for future in tuple(left):
        future.add_done_callback(one_ended)
    try:
        if left:
            await asyncio.wait([settled], timeout=limit)
    finally:
        for task in tasks:
            task._future.remove_done_callback(one_ended)
