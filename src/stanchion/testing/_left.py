# SPDX-License-Identifier: MIT
"""What a test leaves behind, told in words: who it is, and how to mend it."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import CoroutineType
from typing import Any, Final

from stanchion import Node
from stanchion._validate import cut
from stanchion.kernel import MonitorRef, Process
from stanchion.testing._exits import Exits

_log = logging.getLogger("stanchion")

# The owner's table, the target's, the variable that looks, and the argument of getrefcount().
_REFERENCES_OF_THE_KERNEL: Final = 4
_ASYNCIO: Final = Path(asyncio.__file__).parent


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

    def stuck(self, test: asyncio.Task[Any]) -> None:
        """End a test in which everybody waits, and for nothing that could still come; the loop calls this."""
        tasks = sorted(asyncio.all_tasks(asyncio.get_running_loop()), key=lambda task: task.get_name())
        self.waiting = (
            "expected a test that comes to an end, got one in which everybody waits for somebody else"
            + "".join(
                f"\n- {'the test' if task is test else f'task {task.get_name()!r}'} waits at {_where(task)}"
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
        """Look at those that live when the test is done; once the node was left nobody could tell what they forgot."""
        for process in node.processes.values():
            for target, count in _lost_monitors(process).items():
                self._tell(
                    f"monitors: {process!r} has {count} of {target!r}, and keeps none of them to end it",
                    "demonitor() each when it has served, or monitor once.",
                )

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
            if not any(task is process.task for process in self._processes):
                self._tell(
                    f"a task: {task.get_name()!r}{_made_at(task)}, which waits at {_where(task)}",
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


def _lost_monitors(process: Process) -> dict[Process, int]:
    """Return how many monitors of each other process one holds for ever, where there are several.

    One whose ref nobody keeps cannot be ended any more. A single one may be meant to last, for its Down names the
    process; but that goes with as many as there are monitors.
    """
    held = process.held_monitors or {}
    lost: Counter[Process] = Counter()
    for ref in held:  # not items(), whose tuple would be one reference more
        if isinstance(ref, MonitorRef) and sys.getrefcount(ref) <= _REFERENCES_OF_THE_KERNEL:
            lost[held[ref]] += 1
    return {target: count for target, count in lost.items() if count > 1}


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


def _where(task: asyncio.Task[Any]) -> str:
    """Return where a task waits, from the outermost await to the innermost."""
    places: list[str] = []
    waiting: object = task.get_coro()
    while isinstance(waiting, CoroutineType) and waiting.cr_frame is not None:
        places.append(f"{waiting.cr_frame.f_code.co_filename}:{waiting.cr_frame.f_lineno}")
        waiting = waiting.cr_await
    return " > ".join(places) or "its start"


def _made_at(task: asyncio.Task[Any]) -> str:
    """Return where a task was made, which asyncio knows in debug mode."""
    stack: Sequence[traceback.FrameSummary] = getattr(task, "_source_traceback", None) or ()
    places = [f"{frame.filename}:{frame.lineno}" for frame in stack if Path(frame.filename).parent != _ASYNCIO]
    return f", made at {places[-1]}" if places else ""


def _raised_at(error: BaseException) -> str:
    """Return where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
