# SPDX-License-Identifier: MIT
"""Reports a handler that blocks the event loop: the process, the handler and the stack.

A thread looks at the loop from outside, so that handlers pay nothing for it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from stanchion._validate import cut
from stanchion.telemetry import HANDLER_BLOCKED
from stanchion.timeouts import held_by_debugger

if TYPE_CHECKING:
    from stanchion.kernel._node import Node
    from stanchion.kernel._process import Process

_log = logging.getLogger("stanchion.watchdog")


class Watchdog:
    """Watches the loop of one node, and reports each block of it once.

    A block begins when the loop has not answered for ``threshold`` seconds.
    """

    def __init__(self, node: Node, threshold: float) -> None:
        self._node = node
        self._threshold = threshold
        self._loop_thread = threading.get_ident()
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"stanchion-watchdog-{node.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it takes no longer than one look."""
        self._stopped.set()
        self._answered.set()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        while not self._stopped.wait(self._threshold / 2):
            self._answered.clear()
            if self._stopped.is_set():
                return  # stop() may have come just before the clear, and then waits for this thread
            try:
                self._node.loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._answered.wait(self._threshold):
                self._report()
                self._answered.wait()

    def _report(self) -> None:
        """Take the blocked thread's stack here and now, write the line, and leave the event to the loop."""
        frame = sys._current_frames().get(self._loop_thread)
        if held_by_debugger(frame):
            self._node.wheel.was_held = True
            with suppress(RuntimeError):  # the loop is closed
                self._node.loop.call_soon_threadsafe(self._node.wheel.look_later)
            return  # it is a person who blocks it, and knows
        stack = "".join(traceback.format_stack(frame))
        task = asyncio.current_task(self._node.loop)
        process = self._node.process_of(task)
        where = _handler(process, task)
        _log.warning("%s blocks the event loop for more than %g s\n%s", where, self._threshold, stack)
        if self._node.telemetry.attached:
            details = {
                "node": self._node.name,
                "pid": None if process is None else process.pid,
                "name": None if process is None else process.pid.name,
                "handler": where,
                "stack": stack,
            }
            with suppress(RuntimeError):  # the loop is closed
                self._node.loop.call_soon_threadsafe(
                    self._node.telemetry.emit, HANDLER_BLOCKED, {"seconds": self._threshold}, details
                )


def _handler(process: Process | None, task: asyncio.Task[object] | None) -> str:
    """Say what runs. Another thread's state is looked at here, which may change meanwhile."""
    if process is None:
        return "a callback of the loop" if task is None else f"task {task.get_name()}, which is no process,"
    handling = process.handling
    return repr(process) if handling is None else f"{process!r} in its {handling[0]} {cut(handling[1])}"
