# SPDX-License-Identifier: MIT
"""Monitors: hearing of a process's end without sharing it."""

from __future__ import annotations

from asyncio import Future
from typing import NamedTuple

from stanchion._validate import Seconds, cut, instance, seconds_or_none
from stanchion.errors import InvalidOptionError
from stanchion.kernel._context import current_process
from stanchion.kernel._exit_reasons import ExitReason
from stanchion.kernel._mailbox import INFO, Notification
from stanchion.kernel._names import Ref, find
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import Process, Watcher


@Notification.register
class Down(NamedTuple):
    """The message that a monitor delivers once, to ``handle_info``.

    Attributes:
        ref: The monitor.
        pid: Who ended; None when the monitored name belonged to nobody.
        reason: The exit reason; ``"noproc"`` when there was nobody to monitor.
        tag: The tag given to ``monitor``.

    Source: ``{'DOWN', Ref, process, Pid, Reason}`` of Erlang.
    """

    ref: MonitorRef
    pid: Pid | None
    reason: ExitReason
    tag: str | None


class MonitorRef:
    """One monitor: made by ``monitor``, ended by the target's exit, the owner's exit or ``demonitor``.

    Attributes:
        target: Who is monitored; None when there was nobody.
        tag: The tag given to ``monitor``.
    """

    __slots__ = ("_fired", "_owner", "tag", "target")

    def __init__(self, owner: Pid, target: Pid | None, tag: str | None) -> None:
        # The pid, which does not keep a process alive that has ended.
        self._owner = owner
        # True once the Down is in the owner's mailbox, read or unread.
        self._fired = False
        self.target = target
        self.tag = tag

    def down(self, reason: ExitReason) -> None:
        """Put the DOWN message into the owner's mailbox; the kernel calls it once, while the owner lives."""
        self._fired = True
        self._owner._mailbox.put_system((INFO, Down(self, self.target, reason, self.tag), None))
        owner = self._owner._process
        if owner is not None and owner.held_monitors is not None:
            owner.held_monitors.pop(self, None)

    def __repr__(self) -> str:
        tag = f" {self.tag!r}" if self.tag else ""
        return f"<monitor{tag} of {self.target!r} by {self._owner!r}>"


def monitor(target: Ref, *, tag: str | None = None) -> MonitorRef:
    """Have one ``Down`` message sent to the running process when ``target`` exits.

    When there is no such process, the message comes at once, with reason ``"noproc"``. Each call makes a monitor of
    its own. The monitor ends with its owner.

    Args:
        target: A pid or a registered name.
        tag: A word of the caller's, given back in the message.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``target`` is no ref.

    Source: ``erlang:monitor/2``.
    """
    owner = current_process("monitor()")
    pid = find(target, "monitor(target)")
    process = None if pid is None else pid._process
    ref = MonitorRef(owner.pid, pid, tag)
    if process is None:
        ref.down("noproc")
        return ref
    watch(process, ref)
    if owner.held_monitors is None:
        owner.held_monitors = {}
    owner.held_monitors[ref] = process
    return ref


def demonitor(ref: MonitorRef) -> None:
    """End a monitor: after this call its ``Down`` never arrives, even if it was already in the mailbox.

    Harmless when the monitor has ended. Only the owner may end its monitor.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``ref`` is no monitor of the running process.

    Source: ``erlang:demonitor/2`` with the option ``flush``.
    """
    owner = current_process("demonitor()")
    if instance("demonitor(ref)", ref, MonitorRef)._owner is not owner.pid:
        raise InvalidOptionError(
            "demonitor(ref)",
            expected=f"a monitor of the running process {owner.pid!r}",
            got=cut(ref),
            fix="let the process that called monitor() end it.",
        )
    if ref._fired:
        _flush(owner, ref)
        return
    target = None if owner.held_monitors is None else owner.held_monitors.pop(ref, None)
    if target is not None:
        unwatch(target, ref)


def _flush(owner: Process, ref: MonitorRef) -> None:
    """Take the DOWN message of a monitor out of the mailbox, if it is still there."""
    for envelope in owner.mailbox.queue:
        message = envelope[1]
        if type(message) is Down and message.ref is ref:
            owner.mailbox.withdraw(envelope)
            return


def watch(process: Process, watcher: Watcher) -> None:
    """Have ``watcher.down(reason)`` called when a process that has not finished exits."""
    if process.watchers is None:
        process.watchers = {}
    process.watchers[watcher] = None


def unwatch(process: Process, watcher: Watcher) -> None:
    """Take ``watch`` back; harmless when there is none."""
    watchers = process.watchers
    if watchers is not None:
        watchers.pop(watcher, None)
        if not watchers:
            process.watchers = None  # an emptied dict would keep its table


class _ExitFuture:
    """A watcher that resolves a future with the exit reason, or None when the time is up before."""

    __slots__ = ("future",)

    def __init__(self, future: Future[ExitReason | None]) -> None:
        self.future = future

    def down(self, reason: ExitReason) -> None:
        if not self.future.done():
            self.future.set_result(reason)

    def expire(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


async def wait_exit(pid: Pid, *, timeout: Seconds | None) -> ExitReason:
    """Wait until a process has ended, and return why; ``"noproc"`` at once when it is gone already.

    Args:
        pid: The process.
        timeout: Seconds to wait; None waits as long as it takes.

    Raises:
        TimeoutError: the time is up; the process goes on.
        InvalidOptionError: an argument is wrong.

    Cancellation: harmless; nobody waits any more.
    """
    limit = seconds_or_none("wait_exit(timeout)", timeout)
    process = instance("wait_exit(pid)", pid, Pid)._process
    if process is None:
        return "noproc"
    watcher = _ExitFuture(process.node.loop.create_future())
    watch(process, watcher)
    bucket = None if limit is None else process.node.deadlines.add(limit, watcher)
    try:
        reason = await watcher.future
    finally:
        unwatch(process, watcher)
        if bucket is not None:
            bucket.pop(watcher, None)
    if reason is None:
        raise TimeoutError(f"wait_exit({pid!r}): expected its exit within {limit:g} s, got none")
    return reason
