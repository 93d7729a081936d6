# SPDX-License-Identifier: MIT
"""The runs of schedules: each is a task of the scheduler's process, and comes to an end that is told."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple

from stanchion._validate import cut
from stanchion.delivery import send_supervised
from stanchion.errors import InvalidOptionError
from stanchion.kernel import NODE, PROCESS, Node, Process, code_limit
from stanchion.scheduler._jobs import Job, SendMessage, StartTask
from stanchion.scheduler._telling import tell_started, tell_stopped
from stanchion.supervisor import TaskOk, TaskSupervisor
from stanchion.timeouts import SCHEDULED_TASK

if TYPE_CHECKING:
    from stanchion.delivery import OnError

_log = logging.getLogger("stanchion.scheduler")


class End(NamedTuple):
    """How a run ended.

    Attributes:
        outcome: As ``ScheduleInfo.last_outcome`` says.
        error: Why, for people; None when it was confirmed.
    """

    outcome: str
    error: str | None = None


class Run:
    """One run that is under way.

    Attributes:
        id: The schedule's id.
        due: The due time, in Unix seconds.
        cancelled: Why it was cancelled; None when it was not.
    """

    __slots__ = ("_task", "began", "cancelled", "due", "ended", "id")

    def __init__(self, id: str, due: float, began: float, ended: Callable[[Run, End], object]) -> None:
        self.id: Final = id
        self.due: Final = due
        # By the monotonic clock.
        self.began: Final = began
        # Called once, whatever happens.
        self.ended: Final = ended
        self.cancelled: str | None = None
        # Set by begin(); an eager task may have ended before that.
        self._task: asyncio.Task[End] | None = None

    def begin(self, task: asyncio.Task[End]) -> None:
        """Take note of the task that it is."""
        self._task = task
        if self.cancelled is not None:
            task.cancel()

    def cancel(self, why: str) -> None:
        """Cancel it; harmless when it was before."""
        if self.cancelled is None:
            self.cancelled = why
            if self._task is not None:
                self._task.cancel()


class Runs:
    """The runs of one scheduler that are under way.

    Args:
        node: The node.
        process: The scheduler's process, which owns the tasks.
    """

    def __init__(self, node: Node, process: Process) -> None:
        self._node: Final = node
        # A context of their own: those of whoever adds a schedule, or of a timer, are none of theirs.
        self._context: Final = Context()
        self._context.run(PROCESS.set, process)
        self._context.run(NODE.set, node)
        self._tasks: Final[dict[asyncio.Task[End], Run]] = {}
        self._letters: Final = _keeps_letters(node)

    def begin(self, run: Run, job: Job) -> None:
        """Begin a run; ``run.ended`` is called when it has ended, be it by ``run.cancel`` before its first step."""
        tell_started(self._node, run.id, run.due)
        task = self._node.loop.create_task(self._perform(job, run), context=self._context.copy())
        self._tasks[task] = run
        task.add_done_callback(self._done, context=self._context)
        run.begin(task)

    async def stop(self, why: str) -> None:
        """Cancel those that are under way, and return when they have ended."""
        for run in self._tasks.values():
            run.cancel(why)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def check(self, job: Job) -> None:
        """Raise InvalidOptionError when this node cannot do what a job asks for."""
        if isinstance(job, SendMessage) and job.on_error == "dead_letter" and not self._letters:
            raise InvalidOptionError(
                "SendMessage(on_error)",
                expected="a node with a dead-letter queue for on_error='dead_letter'",
                got=f"{self._node!r}, which has none",
                fix="make the node with Node(dead_letters='sqlite:///letters.db').",
            )

    def _done(self, task: asyncio.Task[End]) -> None:
        run = self._tasks.pop(task)
        end = _end_of(task, run)
        elapsed = self._node.monotonic() - run.began
        tell_stopped(self._node, run.id, run.due, elapsed, end.outcome, end.error)
        # The others are the delivery's, which does with them what on_error says.
        if end.outcome in ("failed", "cancelled") and self._node.storm_guard.admit("runs of schedules failed", _log):
            _log.warning("a run of schedule %r %s: %s", run.id, _TEXTS[end.outcome], end.error)
        run.ended(run, end)

    async def _perform(self, job: Job, run: Run) -> End:
        if isinstance(job, StartTask):
            return await _run_task(self._node, job)
        return await self._send(job, {"schedule": run.id, "due": run.due})

    async def _send(self, job: SendMessage, metadata: Mapping[str, object]) -> End:
        on_error: OnError = job.on_error or ("dead_letter" if self._letters else "log")
        delivery = await send_supervised(
            job.ref,
            job.message,
            ack=job.ack,
            timeout=job.timeout,
            retries=job.retries,
            backoff=job.backoff,
            deadline=job.deadline,
            on_error=on_error,
            metadata=metadata,
            breaker=job.breaker,
        )
        return End(str(delivery.outcome), delivery.reason_text or None)


_TEXTS: Final = {"failed": "failed", "cancelled": "was cancelled"}


def _end_of(task: asyncio.Task[End], run: Run) -> End:
    if task.cancelled():
        return End("cancelled", run.cancelled or "its task was cancelled")
    error = task.exception()
    return task.result() if error is None else End("failed", cut(error))


async def _run_task(node: Node, job: StartTask) -> End:
    """Have the function run as a task, and return when that has ended."""
    limit = code_limit("StartTask(timeout)", node, job.function, None, SCHEDULED_TASK, job.timeout)
    task = await TaskSupervisor.async_nolink(job.supervisor, job.function, *job.args)
    try:
        outcome = await task.yield_(timeout=limit)
    except asyncio.CancelledError:
        await task.shutdown()
        raise
    if outcome is None:
        outcome = await task.shutdown()
        if not isinstance(outcome, TaskOk):
            return End("failed", f"it did not end within {limit:g} s, and was stopped")
    return End("confirmed") if isinstance(outcome, TaskOk) else End("failed", cut(outcome.reason))


def _keeps_letters(node: Node) -> bool:
    if "stanchion.dead_letters" not in sys.modules:
        return False  # nobody can have made a queue; to load its code would take tens of milliseconds
    from stanchion.dead_letters import DeadLetterQueue

    return node.service(DeadLetterQueue) is not None
