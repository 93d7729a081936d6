# SPDX-License-Identifier: MIT
"""One child of a running supervisor, and stopping it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Final, Literal

from stanchion.kernel import INFO, Exit, ExitReason, Pid, Process, exit, is_abnormal, policy_limit, wait_exit
from stanchion.supervisor._child_spec import ChildSpec
from stanchion.supervisor._requests import ChildCounts, ChildInfo
from stanchion.supervisor._restart_window import RestartWindow
from stanchion.supervisor._retry import Retry
from stanchion.timeouts import SHUTDOWN, SHUTDOWN_SUPERVISOR, Policy

_log = logging.getLogger("stanchion.supervisor")


class Child:
    """A child_spec, the process that runs by it at the moment, and its restarts. Only its supervisor changes it."""

    __slots__ = ("pid", "restarts", "retry", "spec", "started", "window")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec: Final = spec
        # None while it does not run.
        self.pid: Pid | None = None
        # The start that it waits for, and its one valid message; None when it waits for none.
        self.retry: Retry | None = None
        # When it started, by the clock that only grows; None when its last start was none.
        self.started: float | None = None
        # Its restarts in a row (_restarts.py).
        self.restarts = 0
        # Where its budget is counted; made at its first restart, if it has one.
        self.window: RestartWindow | None = None

    @property
    def state(self) -> Literal["running", "restarting", "stopped"]:
        """What it does at the moment."""
        return "restarting" if self.retry is not None else "stopped" if self.pid is None else "running"

    def info(self) -> ChildInfo:
        """Return what ``which_children`` tells of it."""
        return ChildInfo(self.spec.id, self.pid, self.state, self.spec.type, self.spec.restart)

    def put_off(self, supervisor: Process, *, failure: object = None, delay: float = 0.0) -> None:
        """Have it wait for its next start, until the supervisor has heard what else came, or for ``delay`` seconds."""
        self.cancel_retry()
        self.retry = Retry(supervisor, self, failure)
        if delay:
            self.retry.post_later(delay)
        else:
            self.retry.post()

    def cancel_retry(self) -> None:
        """Have it wait for no start."""
        retry, self.retry = self.retry, None
        if retry is not None:
            retry.cancel()

    def forget_restarts(self) -> None:
        """Have it begin afresh, as if it had never been restarted."""
        self.restarts = 0
        self.window = None


def counts_of(children: Collection[Child]) -> ChildCounts:
    """Return what ``count_children`` tells of the children of one supervisor."""
    supervisors = sum(child.spec.type == "supervisor" for child in children)
    active = sum(child.pid is not None and child.pid.alive for child in children)
    return ChildCounts(len(children), active, supervisors, len(children) - supervisors)


async def stop_children(supervisor: Process, children: Sequence[Child]) -> None:
    """Stop those of the children that run, the last one first, and wait for the end of each."""
    for child in reversed(children):
        child.cancel_retry()
        pid, child.pid = child.pid, None
        if pid is not None:
            await stop_process(supervisor, pid, child.spec)


async def stop_process(supervisor: Process, pid: Pid, spec: ChildSpec) -> None:
    """Stop a child's process as its spec says, and wait for its end; one that did not end as told is logged.

    Source: ``shutdown/1`` of OTP's supervisor.
    """
    # The link stays: should the supervisor be killed meanwhile, the child hears of it. The exit message that the link
    # brings is from a pid that is no child's any more, and is ignored.
    process = pid._process
    if spec.shutdown == "brutal_kill" or process is None:
        exit(pid, "kill")
        reason = await wait_exit(pid, timeout=None)
    else:
        limit = shutdown_limit(process, spec)
        exit(pid, "shutdown")
        try:
            reason = await wait_exit(pid, timeout=limit)
        except TimeoutError:
            _log.error("%r: child %r did not stop within %g s and is killed", supervisor, spec.id, limit)
            exit(pid, "kill")
            await wait_exit(pid, timeout=None)
            return
    if reason == "noproc":
        reason = _earlier_exit(supervisor, pid)
    if not is_as_told(spec, reason):
        _log.error("%r: child %r was told to stop, and exited with %r", supervisor, spec.id, reason)


def shutdown_limit(process: Process, spec: ChildSpec) -> float | None:
    """Return the seconds that a child has to stop from now on; None for no limit, and for one that is not told.

    It belongs to the child: a deadline of whoever has it stopped does not cut it.
    """
    if isinstance(spec.shutdown, Policy):
        return policy_limit(process, SHUTDOWN_SUPERVISOR if spec.type == "supervisor" else SHUTDOWN)
    return None if isinstance(spec.shutdown, str) else spec.shutdown


def _earlier_exit(supervisor: Process, pid: Pid) -> ExitReason:
    """Return why a process ended before it was told to: what its link left in the mailbox, if it was still linked."""
    for kind, message, _ in supervisor.mailbox.queue:
        if kind == INFO and isinstance(message, Exit) and message.pid is pid:
            return message.reason
    return "noproc"


def is_as_told(spec: ChildSpec, reason: ExitReason) -> bool:
    """Return whether a child that was told to stop exited as it should."""
    if reason == ("killed" if spec.shutdown == "brutal_kill" else "shutdown"):
        return True
    return spec.restart != "permanent" and not is_abnormal(reason)
