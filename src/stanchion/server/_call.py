# SPDX-License-Identifier: MIT
"""Sending to a server: call, cast, plain send, and the reply that comes back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar, overload

from stanchion._validate import Seconds, cut, instance, seconds
from stanchion.errors import CallSelfError, NoNodeError
from stanchion.kernel import (
    CALL,
    CAST,
    INFO,
    PROCESS,
    Bucket,
    Envelope,
    ExitReason,
    Node,
    Pid,
    Process,
    Ref,
    Refusal,
    current_node,
    find,
    undeliverable,
)
from stanchion.server._failures import DISPLACED, TIMED_OUT, Failure, gone, no_reply, refused
from stanchion.server._policy import POLICY, Policy
from stanchion.telemetry import LATE_REPLY

if TYPE_CHECKING:
    from stanchion.messages import Call

_R = TypeVar("_R")

_log = logging.getLogger("stanchion.messages")


class Sender:
    """Who waits for a reply: the reply token of one call.

    It is good for one ``reply``. It is dead once the caller stopped waiting, by its timeout or by cancellation.

    Attributes:
        pid: The calling process; None when code outside of processes called.

    Source: ``From`` of OTP's ``handle_call``.
    """

    __slots__ = ("_future", "_holder", "pid")

    def __init__(self, pid: Pid | None, future: asyncio.Future[object], holder: Process) -> None:
        self.pid = pid
        self._future = future
        # The process that owes the reply.
        self._holder = holder

    @property
    def waiting(self) -> bool:
        """Whether the caller still waits for the reply."""
        return not self._future.done()

    def expire(self) -> None:
        """Let the caller go; the deadline calls this."""
        self.forget()
        self._settle(TIMED_OUT)

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Let the caller go because the server did; the kernel calls this."""
        self._settle(Failure(reason, handled=handled))

    def processed(self) -> None:
        """Have the caller wait on when the handler did not reply, until somebody does or the server exits."""
        if not self._future.done():
            holder = self._holder
            if holder.deferred is None:
                holder.deferred = {}
            holder.deferred[self] = True

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

    __slots__ = ("_value",)

    def __init__(self, sender: Sender, value: object) -> None:
        super().__init__(sender.pid, sender._future, sender._holder)
        self._value = value

    def abandoned(self, reason: ExitReason, *, handled: bool, crashed: bool = False) -> None:
        """Give the caller its reply, or the exit that cut ``terminate`` short; the kernel calls this."""
        if self._holder.exiting is None and reason != "killed":
            self.settle(self._value)
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
            waits as long as the server lives, and must be written out. By default the node's ``call_timeout``.

    Returns:
        What ``handle_call`` returned, or ``reply`` was given: the object itself, not a copy.

    Raises:
        CallTimeoutError: no reply came in time. The request may have been handled, or may yet be.
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
    limit = node.call_timeout if timeout is POLICY else None if timeout is None else seconds("call(timeout)", timeout)
    future: asyncio.Future[object] = node.loop.create_future()
    sender = Sender(None if caller is None else caller.pid, future, process)
    envelope: Envelope = (CALL, request, sender)
    refusal = process.mailbox.put(envelope)
    if refusal is not None and not process.mailbox.line_up(envelope):
        raise refused(process, refusal, request)
    bucket: Bucket | None = None if limit is None else node.deadlines.add(limit, sender)
    try:
        outcome = await future
    except asyncio.CancelledError:
        sender.forget()
        process.mailbox.leave_line(envelope)
        raise
    finally:
        if bucket is not None:
            bucket.pop(sender, None)
    if type(outcome) is Failure:
        raise no_reply(process, outcome, envelope, limit) from outcome.error
    return outcome


def cast(ref: Ref, message: object) -> None:
    """Send a message to a server and return at once; nobody learns what became of it.

    To a process that is gone it is a DeadLetter event, to a full mailbox a Dropped event, and never an exception. Use
    ``send_supervised`` when the message must not be lost.

    Args:
        ref: A pid or a registered name.
        message: What ``handle_cast`` gets: the object itself, not a copy.

    Raises:
        InvalidOptionError: ``ref`` is no ref.
        NoNodeError: a name, outside of every node.

    Delivery: at most once; messages of one sender to one receiver keep their order.

    Source: ``gen_server:cast/2``.
    """
    if type(ref) is Pid:
        refusal = ref._mailbox.put((CAST, message, None))
        if refusal is not None:
            _tell_refused(ref, ref, message, refusal, "cast(ref)")
        return
    _post(ref, (CAST, message, None), "cast(ref)")


def send(ref: Ref, message: object) -> None:
    """Send a plain message, which comes to ``handle_info``, or to ``receive``; else as ``cast``.

    Raises:
        InvalidOptionError: ``ref`` is no ref.
        NoNodeError: a name, outside of every node.

    Source: ``erlang:send/2``.
    """
    _post(ref, (INFO, message, None), "send(ref)")


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
    """Emit the event of a reply that nobody waits for."""
    holder, future = sender._holder, sender._future
    telemetry = holder.node.telemetry
    if telemetry.attached:
        cause = "cancelled" if future.cancelled() else _cause(future.result())
        details = {"node": holder.node.name, "pid": holder.pid, "name": holder.pid.name, "cause": cause}
        telemetry.emit(LATE_REPLY, {"count": 1}, details)


def _cause(outcome: object) -> str:
    """Return why nobody waits any more for a reply whose future has this result."""
    if outcome is TIMED_OUT:
        return "timeout"
    return "exited" if type(outcome) is Failure and outcome.callback is None else "replied"


def _post(ref: Ref, envelope: Envelope, subject: str) -> None:
    pid = find(ref, subject)
    refusal: Refusal | None = "noproc" if pid is None else pid._mailbox.put(envelope)
    if refusal is not None:
        _tell_refused(ref, pid, envelope[1], refusal, subject)


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
