# SPDX-License-Identifier: MIT
"""Stopping many children at once: each is told, and each has its own time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from stanchion.kernel import Bucket, ExitReason, Process, exit, unwatch, watch
from stanchion.supervisor._child import Child, is_as_told, shutdown_limit
from stanchion.supervisor._child_spec import ChildSpec

_log = logging.getLogger("stanchion.supervisor")


async def stop_together(supervisor: Process, children: Sequence[Child]) -> None:
    """Tell all children to stop, the last one first; kill each when its time is up; wait until all have ended.

    Cancellation: nobody waits for them any more. The links are still there: they hear of the supervisor's exit.

    Source: ``terminate_children/2`` of Elixir's DynamicSupervisor.
    """
    stop = _StopTogether(supervisor)
    try:
        await stop.run(children)
    finally:
        stop.close()


class _StopTogether:
    """One stop of many, which counts the children that are left."""

    __slots__ = ("_all_ended", "_deadlines", "left", "supervisor")

    def __init__(self, supervisor: Process) -> None:
        self.supervisor = supervisor
        self._deadlines: list[_Deadline] = []
        # In a dict, so that each child goes at the same price.
        self.left: dict[_Stopping, None] = {}
        self._all_ended: asyncio.Future[None] = supervisor.node.loop.create_future()

    async def run(self, children: Sequence[Child]) -> None:
        by_time: dict[float, list[_Stopping]] = {}
        for child in reversed(children):
            child.cancel_retry()
            process = None if child.pid is None else child.pid._process
            if process is None:
                continue
            stopping = _Stopping(self, process, child.spec)
            self.left[stopping] = None
            limit = shutdown_limit(process, child.spec)
            if limit is not None:
                by_time.setdefault(limit, []).append(stopping)
            exit(process.pid, "kill" if child.spec.shutdown == "brutal_kill" else "shutdown")
        # One deadline for all children that have the same time.
        self._deadlines = [_Deadline(self.supervisor, group, seconds) for seconds, group in by_time.items()]
        if self.left:
            await self._all_ended

    def ended(self, stopping: _Stopping) -> None:
        """Take note that a child has ended."""
        del self.left[stopping]
        if not self.left and not self._all_ended.done():
            self._all_ended.set_result(None)

    def close(self) -> None:
        """Leave nothing behind, however this ended."""
        for deadline in self._deadlines:
            deadline.cancel()
        for stopping in self.left:
            unwatch(stopping.process, stopping)


class _Stopping:
    """One child that was told to stop, and is watched until it has."""

    __slots__ = ("_all", "killed", "process", "spec")

    def __init__(self, all_of_them: _StopTogether, process: Process, spec: ChildSpec) -> None:
        self._all = all_of_them
        self.process = process
        self.spec = spec
        # True from when its time was up.
        self.killed = False
        watch(process, self)

    def down(self, reason: ExitReason) -> None:
        """Take note of its exit; the kernel calls this."""
        if not self.killed and not is_as_told(self.spec, reason):
            text = "%r: child %r was told to stop, and exited with %r"
            _log.error(text, self._all.supervisor, self.spec.id, reason)
        self._all.ended(self)


class _Deadline:
    """When the children with one shutdown time must have ended."""

    __slots__ = ("_bucket", "_group", "_seconds", "_supervisor")

    def __init__(self, supervisor: Process, group: Sequence[_Stopping], seconds: float) -> None:
        self._supervisor = supervisor
        self._group = group
        self._seconds = seconds
        self._bucket: Bucket = supervisor.node.wheel.add(seconds, self)

    def expire(self) -> None:
        """Kill those that are left; the deadline calls this."""
        for stopping in self._group:
            if not stopping.process.finished:
                text = "%r: child %r did not stop within %g s and is killed"
                _log.error(text, self._supervisor, stopping.spec.id, self._seconds)
                stopping.killed = True
                exit(stopping.process.pid, "kill")

    def cancel(self) -> None:
        """Kill nobody any more."""
        self._bucket.pop(self, None)
