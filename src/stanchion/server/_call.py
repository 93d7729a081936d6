# SPDX-License-Identifier: MIT
"""Sending to a server: call, cast, plain send, and the reply that comes back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar, overload

from stanchion._validate import Seconds, cut, instance
from stanchion.errors import CallSelfError, CallTimeoutError, NoNodeError
from stanchion.kernel import (
    CALL,
    CAST,
    DEADLINE,
    DEADLINES,
    INFO,
    PROCESS,
    Bounded,
    Bucket,
    Deadline,
    Envelope,
    ExitReason,
    Node,
    Notification,
    Pid,
    Process,
    Ref,
    Refusal,
    current_node,
    defer,
    doing,
    find,
    own_limit,
    undeliverable,
    waits_for,
)
from stanchion.server._failures import DISPLACED, Failure, TimedOut, gone, no_reply, refused, too_late
from stanchion.telemetry import LATE_REPLY
from stanchion.timeouts import POLICY, Policy

if TYPE_CHECKING:
    from stanchion.errors import CallOutcome
    from stanchion.kernel import Kind
    from stanchion.messages import Call

_R = TypeVar("_R")

_log = logging.getLogger("stanchion.messages")


class Sender:
    """Who waits for a reply: the reply token of one call.

    It is good for one ``reply``. It is dead once the caller stopped waiting, by its timeout or by cancellation.

    Attributes:
        pid: The calling process; None when code outside of processes called.
        request: What it sent.
        deadline: What was in force where it called; see ``stanchion.deadline``.

    Source: ``From`` of OTP's ``handle_call``.
    """

    __slots__ = ("_future", "_holder", "_left_at", "deadline", "pid", "request")

    def __init__(
        self,
        pid: Pid | None,
        future: asyncio.Future[object],
        holder: Process,
        request: object,
        deadline: Deadline | None,
    ) -> None:
        self.pid = pid
        self.request = request
        self.deadline = deadline
        self._future = future
        # The process that owes the reply.
        self._holder = holder
        # When the caller was cancelled. Not set before that, which would cost each call.
        self._left_at: float

    @property
    def waiting(self) -> bool:
        """Whether the caller still waits for the reply."""
        return not self._future.done()

    def expire(self) -> None:
        """Let the caller go; the node's wheel calls this."""
        holder, outcome = self._holder, self._known()
        caller = None if self.pid is None else self.pid._process
        circle = None if caller is None else waits_for(holder, caller)
        timed_out = TimedOut(holder.node.clock.monotonic(), outcome, doing(holder), circle)
        self.forget()
        self._settle(Failure("normal", handled=outcome != "expired", timed_out=timed_out))

    def overdue(self) -> None:
        """Let the caller go: its request was not begun, since its deadline had passed; the kernel calls this."""
        timed_out = TimedOut(self._holder.node.clock.monotonic(), "expired")
        self._settle(Failure("normal", handled=False, timed_out=timed_out))

    def gave_up(self) -> None:
        """Take note that the caller was cancelled."""
        self.forget()
        self._left_at = self._holder.node.clock.monotonic()

    def _known(self) -> CallOutcome:
        """Return what is known of the request while nobody has replied to it."""
        holder = self._holder
        deferred = None if holder.deferred is None else holder.deferred.get(self)
        if deferred is not None and deferred.handled:
            return "deferred"
        token = None if holder.handling is None else holder.handling[2]
        if isinstance(token, Sender) and token._future is self._future:
            return "in_hand"
        if self.deadline is not None and self.deadline.passed:
            return "expired"
        return "waiting" if deferred is None else "postponed"

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Let the caller go because the server did; the kernel calls this."""
        self._settle(Failure(reason, handled=handled))

    def processed(self) -> None:
        """Have the caller wait on when the handler did not reply, until somebody does or the server exits."""
        if not self._future.done():
            defer(self._holder, self, handled=True)

    def refused(self, detail: str, *, known: bool, retry: bool, handled: bool = False) -> None:
        """Give the caller an ``UnhandledRequestError``: there is no other way to refuse a call."""
        self._settle(Failure("normal", handled=True, callback=detail))

    def displaced(self) -> None:
        """Let the caller go because newer messages filled the mailbox; the kernel calls this."""
        self._settle(DISPLACED)

    def forget(self) -> None:
        """Take the reply off what the server owes."""
        deferred = self._holder.deferred
        if deferred is not None:
            deferred.pop(self, None)

    def settle(self, outcome: object) -> bool:
        """Answer the caller; return False, and tell it as a late-reply event, when it no longer waits."""
        if self._settle(outcome):
            return True
        tell_late_reply(self)
        return False

    def _settle(self, outcome: object) -> bool:
        future = self._future
        if future.done():
            return False
        future.set_result(outcome)
        return True

    def __repr__(self) -> str:
        return f"<sender {self.pid!r}, {'waiting' if self.waiting else 'dead'}>"


class LastReply(Sender):
    """What takes a sender's place while its server ends after ``Reply(value, then=Stop(reason))``.

    The reply comes in the step of the exit: who has it knows that ``terminate`` has run, and that the name is free.
    """

    __slots__ = ("_sender", "_value")

    def __init__(self, sender: Sender, value: object) -> None:
        super().__init__(sender.pid, sender._future, sender._holder, sender.request, sender.deadline)
        self._sender = sender
        self._value = value

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Give the caller its reply, or the exit that cut ``terminate`` short; the kernel calls this."""
        if self._holder.exiting is None and reason != "killed":
            self._sender.settle(self._value)
        else:
            super().abandoned(reason, handled=handled)


@overload
async def call(ref: Ref, request: Call[_R], *, timeout: Seconds | Policy | None = POLICY) -> _R: ...
@overload
async def call(ref: Ref, request: object, *, timeout: Seconds | Policy | None = POLICY) -> object: ...
async def call(ref: Ref, request: object, *, timeout: Seconds | Policy | None = POLICY) -> object:
    """Send a request to a server and wait for its reply.

    Use ``cast`` when no answer is needed, and ``send_supervised`` when the message must not be lost.

    Args:
        ref: A pid or a registered name.
        request: What ``handle_call`` gets. With a ``Call[R]`` the reply has the type R.
        timeout: Seconds to wait for the reply; 0 waits for nothing but what is there at the loop's next step. None
            waits as long as the server lives, and must be written out. By default the node's ``TimeoutPolicy``. A deadline
            in force cuts it, and goes with the request.

    Returns:
        What ``handle_call`` returned, or ``reply`` was given: the object itself, not a copy.

    Raises:
        CallTimeoutError: no reply came in time. The request may have been handled, or may yet be; its ``outcome`` says
            what is known. After the deadline in force, the request was not sent.
        CallExitError: nobody is there, or the server exited first; ``handled`` says whether it had begun.
        CallOverflowError: the mailbox is full, or was as long as the caller could wait for a place; or a newer message
            took the request's place. The request was not handled. See ``MailboxPolicy``.
        CallSelfError: the server called itself. The request was not sent.
        UnhandledRequestError: the server has no clause for the request.
        InvalidOptionError: ``ref`` or ``timeout`` is wrong. The request was not sent.
        NoNodeError: a name, outside of every node.

    Cancellation: the reply token is dead; the request may be handled all the same, unless it stood in line for a place.

    Delivery: at most once; calls and casts of one sender to one server keep their order.

    Source: ``gen_server:call/3``. There a timeout leaves the caller's mailbox open to a late reply; here it is dropped.
    """
    pid = ref if type(ref) is Pid else find(ref, "call(ref)")
    process = None if pid is None else pid._process
    if process is None:
        raise gone(ref, request)
    caller = PROCESS.get()
    if caller is process and process.task is asyncio.current_task():
        raise CallSelfError(target=repr(pid), request=cut(request))
    node = process.node
    limit = own_limit("call(timeout)", process, request, timeout)
    deadline = DEADLINE.get()
    future: asyncio.Future[object] = node.loop.create_future()
    sender = Sender(None if caller is None else caller.pid, future, process, request, deadline)
    envelope: Envelope = (CALL, request, sender)
    if deadline is not None:
        left = deadline.left()
        if not left:
            raise not_sent(process, envelope, timeout)
        if limit is None or left < limit:
            limit = left
    refusal = process.mailbox.put(envelope)
    if refusal is not None and not process.mailbox.line_up(envelope):
        raise refused(process, refusal, request)
    bucket: Bucket | None = None if limit is None else node.wheel.add(limit, sender)
    try:
        outcome = await future
    except asyncio.CancelledError:
        sender.gave_up()
        process.mailbox.leave_line(envelope)
        raise
    finally:
        if bucket is not None:
            bucket.pop(sender, None)
    if type(outcome) is Failure:
        raise no_reply(process, outcome, envelope, limit, timeout) from outcome.error
    return outcome


def cast(ref: Ref, message: object) -> None:
    """Send a message to a server and return at once; nobody learns what became of it.

    To a process that is gone it is a DeadLetter event, to a full mailbox a Dropped event, and never an exception. Use
    ``send_supervised`` when the message must not be lost. A deadline in force goes with it.

    Args:
        ref: A pid or a registered name.
        message: What ``handle_cast`` gets: the object itself, not a copy.

    Raises:
        InvalidOptionError: ``ref`` is no ref.
        NoNodeError: a name, outside of every node.

    Delivery: at most once; messages of one sender to one receiver keep their order.

    Source: ``gen_server:cast/2``.
    """
    if type(ref) is Pid and (not DEADLINES.used or DEADLINE.get() is None):
        refusal = ref._mailbox.put((CAST, message, None))
        if refusal is not None:
            _tell_refused(ref, ref, message, refusal, "cast(ref)")
        return
    _post(ref, CAST, message, "cast(ref)")


def send(ref: Ref, message: object) -> None:
    """Send a plain message, which comes to ``handle_info``, or to ``receive``; else as ``cast``.

    Raises:
        InvalidOptionError: ``ref`` is no ref.
        NoNodeError: a name, outside of every node.

    Source: ``erlang:send/2``.
    """
    _post(ref, INFO, message, "send(ref)")


def reply(sender: Sender, value: object) -> bool:
    """Answer a call whose ``handle_call`` returned ``NO_REPLY``; any process or task of the node may.

    Args:
        sender: What ``handle_call`` was given.
        value: The reply.

    Returns:
        True when the caller gets it; False when it no longer waits, or was answered before. Then the reply is
        dropped, and told as a late-reply event.

    Raises:
        InvalidOptionError: ``sender`` is no sender.

    Source: ``gen_server:reply/2``.
    """
    token = instance("reply(sender)", sender, Sender)
    token.forget()
    return token.settle(value)


def tell_late_reply(sender: Sender) -> None:
    """Count a reply that nobody waits for, and emit its event."""
    holder = sender._holder
    node, telemetry = holder.node, holder.node.telemetry
    node.late_replies += 1
    if telemetry.attached:
        now = node.clock.monotonic()
        cause, since = _why_late(sender, now)
        measured: dict[str, float] = {"count": 1}
        if since is not None:
            measured["lateness"] = now - since
        details = {
            "node": node.name,
            "pid": holder.pid,
            "name": holder.pid.name,
            "request": sender.request,
            "cause": cause,
        }
        telemetry.emit(LATE_REPLY, measured, details)


def not_sent(process: Process, envelope: Envelope, timeout: Seconds | Policy | None) -> CallTimeoutError:
    """Return the error of a call that was not made, since the deadline in force has passed."""
    timed_out = TimedOut(process.node.clock.monotonic(), "not_sent")
    return too_late(process, timed_out, envelope, 0.0, timeout, process)


def _why_late(sender: Sender, now: float) -> tuple[str, float | None]:
    """Return why nobody waits for a reply any more, and since when; None for one that was answered."""
    future = sender._future
    if future.cancelled():
        return "cancelled", getattr(sender, "_left_at", now)  # not set before the caller has taken its next step
    outcome = future.result()
    if type(outcome) is not Failure or outcome.callback is not None:
        return "replied", None
    return ("exited", None) if outcome.timed_out is None else ("timeout", outcome.timed_out.at)


def _post(ref: Ref, kind: Kind, message: object, subject: str) -> None:
    pid = find(ref, subject)
    process = None if pid is None else pid._process
    if pid is None or process is None:
        _tell_refused(ref, pid, message, "noproc", subject)
        return
    # What tells of something is news for as long as there is somebody to read it.
    bounded = DEADLINE.get()
    token = None if bounded is None or isinstance(message, Notification) else Bounded(process, message, bounded)
    refusal = pid._mailbox.put((kind, message, token))
    if refusal is not None:
        _tell_refused(ref, pid, message, refusal, subject)


def _tell_refused(ref: Ref, pid: Pid | None, message: object, refusal: Refusal, subject: str) -> None:
    node = _node_for(pid, subject)
    if node is None:
        _log.warning("message to %r was not handled (%s): %s", ref, refusal, cut(message))
    else:
        undeliverable(node, ref, message, refusal)


def _node_for(pid: Pid | None, operation: str) -> Node | None:
    """Return the node to tell of a message that was not taken: the receiver's, else the sender's."""
    if pid is not None and pid._process is not None:
        return pid._process.node
    try:
        return current_node(operation)
    except NoNodeError:
        return None  # the pid of an ended process, outside of every node
