# SPDX-License-Identifier: MIT
"""Monitors: hearing of a process's end without sharing it.

A monitor is its own record: who made it, where, when and what for. It stands in two tables, its owner's and its target's,
for as long as both live, and in no third one.
"""

from __future__ import annotations

import sys
import traceback
from asyncio import Future
from collections.abc import Callable
from datetime import timedelta
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, cast

from stanchion._validate import Seconds, cut, instance, seconds, seconds_or_none
from stanchion.errors import InvalidOptionError
from stanchion.kernel._context import PROCESS, current_process
from stanchion.kernel._exit_reasons import ExitReason
from stanchion.kernel._mailbox import INFO, Envelope, Notification
from stanchion.kernel._names import Ref, find
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import Process, Watcher
from stanchion.kernel._site import Site

if TYPE_CHECKING:
    from stanchion.kernel._node import Node

_running: Final = PROCESS.get
# Of a recorded stack, the innermost ones.
_FRAMES: Final = 32


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


class Purpose(Protocol):
    """Something that is done one day: an asyncio task or future, a ``Task``, a scope."""

    def done(self) -> bool:
        """Return whether it is."""
        ...


class Keeper:
    """What keeps a monitor, and ends it when it has served: a block of code, a group."""

    __slots__ = ()

    def ended(self, ref: MonitorRef) -> None:
        """Take note of the target's exit, in the step of the exit."""


Until = Seconds | Purpose | Literal["exit"]
"""How long a monitor is meant to last: so many seconds, until something is done, or until its target's exit."""


class MonitorRef:
    """One monitor: made by ``monitor``, ended by the target's exit, the owner's exit or ``demonitor``.

    Attributes:
        owner: Whose it is: who gets the ``Down``.
        target: Who is monitored; None when there was nobody.
        tag: The tag given to ``monitor``, or later to ``MonitorManager.adopt``.
        until: What it is for: until a time, on the node's monotonic clock; until something is done; ``"exit"``; who keeps
            it; or None when nobody said so.
        made: When it was made, on the node's monotonic clock.
        fired: When its ``Down`` was put into the owner's mailbox, on the same clock; None before.
    """

    __slots__ = ("_code", "_offset", "_stack", "fired", "made", "owner", "tag", "target", "until")

    # No __init__, whose call would cost a tenth of monitor(), which sets them all. The pids do not keep processes alive
    # that have ended, nor do the code and the offset in it keep the frame. There is a _stack only when it is recorded.
    owner: Pid
    target: Pid | None
    tag: str | None
    until: float | Purpose | Literal["exit"] | Keeper | None
    made: float
    fired: float | None
    _code: CodeType
    _offset: int
    _stack: traceback.StackSummary

    @property
    def site(self) -> Site:
        """Where it was made; ``place_of`` makes text of it."""
        return self._code, self._offset

    @property
    def stack(self) -> str | None:
        """The stack when it was made, as text; None unless ``MonitorManager.record_stacks`` asked for it."""
        stack: traceback.StackSummary | None = getattr(self, "_stack", None)
        return None if stack is None else "".join(stack.format())

    def made_at(self, site: Site) -> None:
        """Take note of who asked for it, where that is not the caller of ``monitor``."""
        self._code, self._offset = site

    def down(self, reason: ExitReason) -> None:
        """Put the DOWN message into the owner's mailbox; the kernel calls it once, while the owner lives."""
        owner = self.owner._process
        if owner is None:
            return
        self.fired = owner.node.monotonic()
        if owner.held_monitors is not None:
            owner.held_monitors.pop(self, None)
        if isinstance(self.until, Keeper):
            self.until.ended(self)
        owner.mailbox.put_system((INFO, Down(self, self.target, reason, self.tag), None))

    def __repr__(self) -> str:
        tag = f" {self.tag!r}" if self.tag else ""
        return f"<monitor{tag} of {self.target!r} by {self.owner!r}>"


def monitor(target: Ref, *, tag: str | None = None, until: Until | None = None) -> MonitorRef:
    """Have one ``Down`` message sent to the running process when ``target`` exits.

    When there is no such process, the message comes at once, with reason ``"noproc"``. Each call makes a monitor of
    its own. The monitor ends with its owner. For as long as a block runs, write ``async with monitoring(target)``; for
    many targets, ``monitor_group(targets)``.

    Args:
        target: A pid or a registered name.
        tag: A word of the caller's, given back in the message, and shown where monitors are listed.
        until: What it is for: seconds from now, something that has ``done()`` (an asyncio task or future, a ``Task``), or
            ``"exit"`` for as long as its target lives. It does not end the monitor, which is ``demonitor``'s work: one that
            outlives its purpose is reported as a leak. So is one whose ref nobody keeps, unless it is meant to last until
            ``"exit"``. None says nothing.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``target`` is no ref, ``tag`` no text, or ``until`` no purpose.

    Source: ``erlang:monitor/2``, which knows no purpose.
    """
    # In one piece with what else a monitor is made and ended by, since each call of a function is a tenth of this one.
    owner = _running()
    if owner is None or owner.finished:
        owner = current_process("monitor()")
    pid = target if type(target) is Pid else find(target, "monitor(target)")
    node = owner.node
    frame = sys._getframe(1)
    ref = MonitorRef()
    ref.owner = owner.pid
    ref.target = pid
    ref.tag = tag if tag is None or type(tag) is str else instance("monitor(tag)", tag, str)
    ref.until = None if until is None else checked_until("monitor(until)", until, node)
    ref.made = node.monotonic()
    ref.fired = None
    ref._code = frame.f_code
    ref._offset = frame.f_lasti
    if node.record_stacks:
        ref._stack = _stack(frame)
    held = owner.held_monitors
    if held is None:
        held = owner.held_monitors = {}
        node.monitor_owners[owner] = None
        if node.leak_check is not None:
            node.leak_check.begin()
    process = None if pid is None else pid._process
    if process is None:
        ref.down("noproc")
        return ref
    held[ref] = process
    watchers = process.watchers
    if watchers is None:
        process.watchers = {ref: None}
    else:
        watchers[ref] = None
    return ref


def demonitor(ref: MonitorRef) -> None:
    """End a monitor: after this call its ``Down`` never arrives, even if it was already in the mailbox.

    Harmless when the monitor has ended. Only the owner may end its monitor.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``ref`` is no monitor of the running process.

    Source: ``erlang:demonitor/2`` with the option ``flush``.
    """
    owner = _running()
    if owner is None or owner.finished:
        owner = current_process("demonitor()")
    if not isinstance(ref, MonitorRef) or ref.owner is not owner.pid:
        raise _not_owned(owner, ref)
    held = owner.held_monitors
    process = None if held is None else held.pop(ref, None)
    if process is None:
        if ref.fired is not None:
            flush_downs(owner, lambda down: down.ref is ref, at_most=1)
        return
    watchers = process.watchers or {}  # never empty, for this one is in it
    watchers.pop(ref, None)
    if not watchers:
        process.watchers = None


def flush_downs(owner: Process, wanted: Callable[[Down], bool], *, at_most: int = sys.maxsize) -> None:
    """Take DOWN messages out of a mailbox: the first ones of those that ``wanted`` says yes to."""
    found: list[Envelope] = []
    for envelope in owner.mailbox.queue:
        if type(envelope[1]) is Down and wanted(envelope[1]):
            found.append(envelope)
            if len(found) == at_most:
                break
    for envelope in found:
        owner.mailbox.withdraw(envelope)


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


def checked_until(subject: str, until: object, node: Node) -> float | Purpose | Literal["exit"]:
    """Return what an option ``until`` means: a time, what is done one day, or ``"exit"``.

    Raises:
        InvalidOptionError: it means nothing.
    """
    if until == "exit" or callable(getattr(until, "done", None)):
        return cast("Purpose", until)
    if isinstance(until, int | float | timedelta):
        return node.monotonic() + seconds(subject, until)
    raise InvalidOptionError(
        subject,
        expected="seconds, a timedelta, something that has done(), as tasks have, or 'exit'",
        got=cut(until),
    )


def _not_owned(owner: Process, ref: object) -> InvalidOptionError:
    instance("demonitor(ref)", ref, MonitorRef)
    return InvalidOptionError(
        "demonitor(ref)",
        expected=f"a monitor of the running process {owner.pid!r}",
        got=cut(ref),
        fix="let the process that called monitor() end it.",
    )


def _stack(frame: FrameType) -> traceback.StackSummary:
    """Return the stack from a frame outwards; the text of its lines is read when it is shown."""
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), limit=_FRAMES, lookup_lines=False)
    stack.reverse()
    return stack


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
    bucket = None if limit is None else process.node.wheel.add(limit, watcher)
    try:
        reason = await watcher.future
    finally:
        unwatch(process, watcher)
        if bucket is not None:
            bucket.pop(watcher, None)
    if reason is None:
        raise TimeoutError(f"wait_exit({pid!r}): expected its exit within {limit:g} s, got none")
    return reason
