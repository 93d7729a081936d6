# SPDX-License-Identifier: MIT
"""The task from within: what its process and the kernel tell it, and its end by whoever does not want it any more."""

from __future__ import annotations

from typing import cast

from stanchion.kernel import INFO, ExitReason, Pid, Process, connect, exit, watch
from stanchion.supervisor._outcomes import TaskExit, TaskOk, TaskResult
from stanchion.supervisor._task import Task


class TaskRun:
    """A task that is to run, or runs: who hears what becomes of it, and tells the task."""

    __slots__ = ("_task", "owner")

    def __init__(self, task: Task[object]) -> None:
        # None from when it has its outcome. The traceback of a crash leads here, and the task has the crash.
        self._task: Task[object] | None = task
        self.owner: Pid | None = task.owner

    def begin(self, process: Process, link_with: Process | None) -> None:
        """Tie the task to its process, in the step that made it."""
        task = cast("Task[object]", self._task)
        task.pid = process.pid
        task._node = process.node
        watch(process, self)
        if link_with is not None:
            connect(process, link_with)

    def returned(self, value: object) -> None:
        """Take the value that the function returned; the process ends in this same step."""
        self._settle(TaskOk(value))

    def down(self, reason: ExitReason) -> None:
        """Take note that the process ended; the kernel calls this, after ``returned`` too."""
        self._settle(TaskExit(reason))

    def _settle(self, outcome: TaskOk[object] | TaskExit) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task._future.set_result(outcome)
        if task._tell and task.owner is not None:
            # Not lost to a limit: the owner has as many of these to come as it started tasks.
            task.owner._mailbox.put_system((INFO, TaskResult(task, outcome), None))


def kill_task(task: Task[object]) -> None:
    """Unlink a task that has begun and kill it, because whoever started it does not want it any more."""
    task._let_go("killed")
    exit(task.pid, "kill")
