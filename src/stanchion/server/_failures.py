# SPDX-License-Identifier: MIT
"""Why a call got no reply, and the error that its caller makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from stanchion._validate import Seconds, cut, nearest
from stanchion.errors import CallExitError, CallOverflowError, CallTimeoutError, UnhandledRequestError
from stanchion.kernel import (
    Doing,
    Envelope,
    ExitReason,
    LimitedMailbox,
    Pid,
    Process,
    Ref,
    Refusal,
    current_node,
    limit_cause,
)
from stanchion.timeouts import Policy

if TYPE_CHECKING:
    from stanchion.errors import CallOutcome


class TimedOut(NamedTuple):
    """How things stood when a caller's time was up.

    Attributes:
        at: When that was, by the node's monotonic clock.
        outcome: What is known of the request.
        doing: What the server was doing; None where that says nothing.
        circle: Those by whom the server waits for the caller in turn; None when it does not.
    """

    at: float
    outcome: CallOutcome
    doing: Doing | None = None
    circle: tuple[Pid, ...] | None = None


class Failure:
    """Why a call gets no reply; it resolves the caller's future, and the caller makes the error of it.

    A result, and not an exception, for a future whose exception nobody reads, since its caller was cancelled in the
    same step, is reported by the event loop.
    """

    __slots__ = ("callback", "handled", "reason", "timed_out")

    def __init__(
        self,
        reason: ExitReason,
        *,
        handled: bool,
        callback: str | None = None,
        timed_out: TimedOut | None = None,
    ) -> None:
        self.reason: ExitReason = reason
        self.handled = handled
        # The callback that has no clause for the request, as "Class.method"; None where there was another cause.
        self.callback = callback
        # How things stood when the caller's time was up; None where there was another cause.
        self.timed_out = timed_out

    @property
    def error(self) -> BaseException | None:
        """The exception that ended the server, if it was one."""
        return self.reason if isinstance(self.reason, BaseException) else None


DISPLACED: Final = Failure("normal", handled=False)


def gone(ref: Ref, request: object) -> CallExitError:
    """Return the error of a call to nobody."""
    fix = None
    if not isinstance(ref, Pid):
        guess = nearest(ref, current_node("call()").names.all()) if isinstance(ref, str) else None
        fix = f"call {guess!r} if you mean that one." if guess else f"start the process with name={ref!r} first."
    return CallExitError(target=repr(ref), request=cut(request), reason="noproc", handled=False, fix=fix)


def refused(process: Process, refusal: Refusal, request: object) -> CallExitError | CallOverflowError:
    """Return the error of a call that the mailbox did not take."""
    if refusal == "noproc":
        return CallExitError(target=repr(process.pid), request=cut(request), reason="noproc", handled=False)
    return overflow(process, request)


def overflow(
    process: Process, request: object, *, waited: float | None = None, displaced: bool = False
) -> CallOverflowError:
    """Return the error of a call for which there was no place in a mailbox."""
    mailbox = process.mailbox
    limit = mailbox.policy.limit if isinstance(mailbox, LimitedMailbox) else None
    return CallOverflowError(
        target=repr(process.pid), request=cut(request), limit=limit or 0, waited=waited, displaced=displaced
    )


def no_reply(
    process: Process,
    failure: Failure,
    envelope: Envelope,
    limit: float | None,
    timeout: Seconds | Policy | None,
    *,
    ruled_by: Process | None = None,
) -> CallExitError | CallOverflowError | CallTimeoutError | UnhandledRequestError:
    """Return the error of a call that was taken, or stood in line, and failed.

    Args:
        process: Who was called.
        failure: Why it failed.
        envelope: The request.
        limit: How long the caller would wait.
        timeout: The option that this came from.
        ruled_by: The process whose policy it is, if that is another one.
    """
    request = envelope[1]
    target, text = repr(process.pid), cut(request)
    if failure is DISPLACED:
        return overflow(process, request, displaced=True)
    if failure.timed_out is not None:
        if process.mailbox.leave_line(envelope):
            return overflow(process, request, waited=limit)
        return too_late(process, failure.timed_out, envelope, limit or 0.0, timeout, ruled_by or process)
    if failure.callback is not None:
        return UnhandledRequestError(target=target, request=text, callback=failure.callback)
    return CallExitError(target=target, request=text, reason=failure.reason, handled=failure.handled)


def too_late(
    process: Process,
    timed_out: TimedOut,
    envelope: Envelope,
    limit: float,
    timeout: Seconds | Policy | None,
    ruled_by: Process,
) -> CallTimeoutError:
    """Return the error of a call whose time was up; the arguments are those of ``no_reply``."""
    _, request, sender = envelope
    pid = getattr(sender, "pid", None)
    rule, cut_by = limit_cause(ruled_by.node, ruled_by.code, ruled_by.pid.name, request, timeout, limit)
    caller = None if pid is None else repr(pid._process or pid)
    circle = None
    if timed_out.circle is not None:
        circle = ", which waits for ".join((*(repr(one._process or one) for one in timed_out.circle), str(caller)))
    return CallTimeoutError(
        target=repr(process.pid),
        request=cut(request),
        timeout=limit,
        caller=caller,
        rule=rule,
        cut_by=cut_by,
        outcome=timed_out.outcome,
        doing=None if timed_out.doing is None else timed_out.doing.text,
        waits_for=circle,
    )
