# SPDX-License-Identifier: MIT
"""What a test leaves behind, told in words: who it is, and how to mend it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Sequence
from typing import Any

from stanchion import Node
from stanchion._validate import cut
from stanchion.kernel import Process, task_place, waits_at
from stanchion.testing._exits import Exits

_log = logging.getLogger("stanchion")


class LeftoverError(AssertionError):
    """A test left something behind.

    Attributes:
        leftovers: What, and how to mend it; one text for each.
    """

    def __init__(self, leftovers: list[str]) -> None:
        super().__init__(
            "expected a test that leaves nothing behind, got\n" + "\n".join(f"- {text}" for text in leftovers)
        )
        self.leftovers = leftovers


class Left:
    """What a test left behind.

    Attributes:
        texts: What was found, and how to mend it.
        waiting: Who waits for what will never come, once that is so.
    """

    def __init__(self, exits: Exits) -> None:
        self.texts: list[str] = []
        self.waiting: str | None = None
        self._exits = exits
        self._errors = _Errors()
        # Who lived when the test was done.
        self._processes: list[Process] = []
        self._tasks: Sequence[asyncio.Task[Any]] = []
        # What was told of them while the node ran.
        self._told: list[str] = []

    def stuck(self, test: asyncio.Task[Any]) -> None:
        """End a test in which everybody waits, and for nothing that could still come; the loop calls this."""
        tasks = sorted(asyncio.all_tasks(asyncio.get_running_loop()), key=lambda task: task.get_name())
        self.waiting = (
            "expected a test that comes to an end, got one in which everybody waits for somebody else"
            + "".join(
                f"\n- {'the test' if task is test else f'task {task.get_name()!r}'} waits at {waits_at(task)}"
                for task in tasks
            )
        )
        test.cancel()

    def unread(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take note of an exception that nobody read; the loop calls this."""
        task, error = context.get("task"), context.get("exception")
        if task is None:
            where = context.get("future") or context.get("handle") or ""
            self._tell(
                f"an exception that nobody read: {error!r} ({context['message']}) {where}",
                "await what raised it, or catch it there.",
            )
        elif task not in self._tasks:  # else it was told already
            self._tell(f"a task that nobody keeps: {task!r} ({context['message']})", "keep it, and await it.")

    def look_inside(self, node: Node) -> None:
        """Look at what is held when the test is done; once the node was left nobody could tell what was forgotten."""
        for leak in node.audit().leaks:
            self._tell(leak.why, leak.fix)
            self._told.append(leak.what.text)

    def begin_to_stop(self, node: Node) -> None:
        """Listen for what goes wrong while the node is left."""
        self._processes = list(node.processes.values())
        _log.addHandler(self._errors)

    def look_around(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Look around when the node has been left.

        Args:
            tasks: Those that there are still.
        """
        _log.removeHandler(self._errors)
        for error in self._errors.texts:
            self._tell(
                f"an error while the node stopped: {error}",
                "end when told to, in time and without an error: no handler, terminate() or finally may wait on, and a plain "
                "process that traps exits must heed its Exit.",
            )
        for pid, reason in self._exits.unheard.items():
            self._tell(
                f"a crash that nobody heard of: {pid!r} ended with {cut(reason)}{_raised_at(reason)}",
                "assert_down() it, if it is meant; or supervise, link or monitor the process.",
            )
        for process in self._processes:
            self.texts.extend(_held_by(process))
        self._tasks = tasks
        for task in tasks:
            name, place = repr(task.get_name()), task_place(task)
            of_a_process = any(task is process.task for process in self._processes)
            if not of_a_process and not any(text.startswith(name) for text in self._told):
                self._tell(
                    f"a task: {name}{f', made at {place}' if place else ''}, which waits at {waits_at(task)}",
                    "await it; or cancel it, and await that. What it waits for may be a reply that nobody gives.",
                )

    def _tell(self, what: str, fix: str) -> None:
        self.texts.append(f"{what}\n  Fix: {fix}")


class _Errors(logging.Handler):
    """Keeps what the runtime logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = None if record.exc_info is None else record.exc_info[1]
        self.texts.append(record.getMessage() + ("" if error is None else f": {error!r}{_raised_at(error)}"))


def _held_by(process: Process) -> list[str]:
    """Say what an ended process still holds, which would be the runtime's own fault."""
    held = {
        "links": process.links,
        "monitors": process.held_monitors,
        "watchers": process.watchers,
        "replies": process.deferred,
        "timers or keys": process.owned,
    }
    return [f"{what} of {process!r}, which has ended: {cut(value)}" for what, value in held.items() if value]


def _raised_at(error: BaseException) -> str:
    """Return where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
