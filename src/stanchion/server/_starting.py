# SPDX-License-Identifier: MIT
"""A start under way: between the process and whoever waits for its init."""

from __future__ import annotations

import asyncio

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
        # None for an init that is done, else the exit reason of a process that ended before.
        self._done: asyncio.Future[ExitReason | None] = process.node.loop.create_future()
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
        try:
            async with asyncio.timeout(self._limit):
                reason = await self._done
        except TimeoutError:
            if process.starting:
                terminate(process, "killed")
                await wait_exit(process.pid, timeout=None)
                raise self._error("timeout") from None
            reason = None  # it was ready in the very step of the timeout
        except asyncio.CancelledError:
            process.starting = True  # nobody waits any more, and its parent is not to hear of it
            terminate(process, "killed")
            raise
        if reason is None:
            return process.pid
        raise self._error(reason)

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

    def _error(self, reason: ExitReason | str) -> StartError:
        if isinstance(reason, ChildStartError):
            return reason  # of a supervisor: it says more than that the supervisor did not start
        if reason == "timeout":
            fix = "pass a longer timeout=, or do the slow work in handle_continue()."
            return StartError(repr(self.process), reason=reason, fix=fix)
        error = StartError(repr(self.process), reason="ignore" if self._ignored else reason)
        if isinstance(reason, BaseException):
            error.__cause__ = reason
        return error
