# SPDX-License-Identifier: MIT
"""A start under way: between the process and whoever waits for its init."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from stanchion.errors import ChildStartError, StartError
from stanchion.kernel import (
    DEADLINE,
    ExitReason,
    Pid,
    Process,
    limit_cause,
    signal,
    stuck_at,
    terminate,
    unwatch,
    wait_exit,
    watch,
)

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.timeouts import Operation, Policy


class Starting:
    """A server whose init runs, and whose starter has yet to wait for it.

    Attributes:
        process: The process; it is there, and named, before its init is done.
        deadline: What was in force where it was started, and is in its init.
    """

    __slots__ = ("_done", "_ended", "_ignored", "_limit", "_request", "_supervises", "_timeout", "deadline", "process")

    def __init__(
        self,
        process: Process,
        limit: float | None,
        request: Operation,
        timeout: Seconds | Policy | None,
        *,
        supervises: bool,
    ) -> None:
        self.process = process
        self.deadline = DEADLINE.get()
        # The limit, and what it came from.
        self._limit = limit
        self._request = request
        self._timeout = timeout
        self._supervises = supervises
        # None for an init that is done, else the exit reason of a process that ended before, or that the time is up.
        self._done: asyncio.Future[ExitReason | Literal["timeout"] | None] = process.node.loop.create_future()
        # Why the process ended before its init was done; None as long as it has not.
        self._ended: ExitReason | None = None
        self._ignored = False
        process.starting = True
        watch(process, self)

    async def ready(self) -> Pid:
        """Wait until init is done.

        Raises:
            StartError: see ``start``; no process is left.

        Cancellation: the half-started process is killed, and a supervisor told to exit; see ``_abandon``.
        """
        process = self.process
        bucket = None if self._limit is None else process.node.wheel.add(self._limit, self)
        try:
            reason = await self._done
        except asyncio.CancelledError:
            self._abandon()
            raise
        finally:
            if bucket is not None:
                bucket.pop(self, None)
        if reason == "timeout" and (self._ended is not None or not process.starting):
            reason = self._ended  # what became of init in the very step of the timeout
        if reason is None:
            return process.pid
        if reason == "timeout":
            error = self._too_late()
            terminate(process, "killed")
            await wait_exit(process.pid, timeout=None)
            raise error
        raise self._error(reason)

    def expire(self) -> None:
        """Let the starter go because the time is up, or kill what it has abandoned; the deadline calls this."""
        if not self._done.done():
            self._done.set_result("timeout")
        elif self.process.starting:
            self.process.node.kill(self.process)

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
        self._ended = reason
        if not self._done.done():
            self._done.set_result(reason)

    def _abandon(self) -> None:
        """Have a process end for whose start nobody waits any more: also its parent is not to hear of it.

        A supervisor is told to, as by its parent, so that those of its children that run already stop in order; it is
        killed when that takes longer than the node gives a tree.
        """
        process = self.process
        process.starting = True
        limit = process.node.shutdown_timeout
        if self._supervises and limit != 0:
            signal(process, process.parent, "shutdown", linked=False)
            if limit is not None:
                process.node.wheel.add(limit, self)
        else:
            terminate(process, "killed")

    def _too_late(self) -> StartError:
        """Return the error of an init that has not ended in time."""
        process, limit = self.process, self._limit or 0.0
        node = process.node
        waiting = process
        if self._supervises:
            # The innermost one: it waits for the init of a child, perhaps through another supervisor. Not for others,
            # of which many may be late at a time: this looks at each process.
            waiting = [one for one in node.processes.values() if one.starting and one.is_beneath(process)][-1]
        rule, cut_by = limit_cause(node, process.code, process.pid.name, self._request, self._timeout, limit)
        return StartError(
            repr(process),
            reason="timeout",
            timeout=limit,
            rule=rule,
            cut_by=cut_by,
            doing=f"{waiting!r} is in its init(), at {stuck_at(waiting.task)}",
            fix="pass a longer timeout=, or do the slow work in handle_continue().",
        )

    def _error(self, reason: ExitReason) -> StartError:
        if isinstance(reason, ChildStartError):
            return reason  # of a supervisor: it says more than that the supervisor did not start
        error = StartError(repr(self.process), reason="ignore" if self._ignored else reason)
        if isinstance(reason, BaseException):
            error.__cause__ = reason
        return error
