# SPDX-License-Identifier: MIT
"""A start under way: between the process and whoever waits for its init."""

from __future__ import annotations

import asyncio
from typing import Literal

from stanchion.errors import ChildStartError, StartError
from stanchion.kernel import ExitReason, Pid, Process, terminate, unwatch, wait_exit, watch


class Starting:
    """A server whose init runs, and whose starter has yet to wait for it.

    Attributes:
        process: The process; it is there, and named, before its init is done.
    """

    __slots__ = ("_done", "_ignored", "_limit", "process")

    def __init__(self, process: Process, limit: float | None) -> None:
        self.process = process
        self._limit = limit
        # None for an init that is done, else the exit reason of a process that ended before, or that the time is up.
        self._done: asyncio.Future[ExitReason | Literal["timeout"] | None] = process.node.loop.create_future()
        self._ignored = False
        process.starting = True
        watch(process, self)

    async def ready(self) -> Pid:
        """Wait until init is done.

        Raises:
            StartError: see ``start``; no process is left.

        Cancellation: the half-started process is killed.
        """
        process = self.process
        bucket = None if self._limit is None else process.node.deadlines.add(self._limit, self)
        try:
            reason = await self._done
        except asyncio.CancelledError:
            process.starting = True  # nobody waits any more, and its parent is not to hear of it
            terminate(process, "killed")
            raise
        finally:
            if bucket is not None:
                bucket.pop(self, None)
        # An init that was done in the very step of the timeout is done.
        if reason is None or (reason == "timeout" and not process.starting):
            return process.pid
        if reason == "timeout":
            terminate(process, "killed")
            await wait_exit(process.pid, timeout=None)
        raise self._error(reason)

    def expire(self) -> None:
        """Let the starter go because the time is up; the deadline calls this."""
        if not self._done.done():
            self._done.set_result("timeout")

    def succeeded(self) -> None:
        """Let the starter go on; the server calls this when its init is done."""
        self.process.starting = False
        unwatch(self.process, self)
        if not self._done.done():
            self._done.set_result(None)

    def ignored(self) -> None:
        """Take note that init returned IGNORE; the process then ends."""
        self._ignored = True

    def down(self, reason: ExitReason) -> None:
        """Tell the starter that the process ended before its init was done; the kernel calls this."""
        if not self._done.done():
            self._done.set_result(reason)

    def _error(self, reason: ExitReason | Literal["timeout"]) -> StartError:
        if isinstance(reason, ChildStartError):
            return reason  # of a supervisor: it says more than that the supervisor did not start
        if reason == "timeout":
            fix = "pass a longer timeout=, or do the slow work in handle_continue()."
            return StartError(repr(self.process), reason=reason, fix=fix)
        error = StartError(repr(self.process), reason="ignore" if self._ignored else reason)
        if isinstance(reason, BaseException):
            error.__cause__ = reason
        return error
