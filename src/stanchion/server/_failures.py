# SPDX-License-Identifier: MIT
"""Why a call got no reply, and the error that its caller makes of it."""

from __future__ import annotations

from typing import Final

from stanchion._validate import cut, nearest
from stanchion.errors import CallExitError, CallOverflowError, CallTimeoutError, UnhandledRequestError
from stanchion.kernel import Envelope, ExitReason, LimitedMailbox, Pid, Process, Ref, Refusal, current_node


class Failure:
    """Why a call gets no reply; it resolves the caller's future, and the caller makes the error of it.

    A result, and not an exception, for a future whose exception nobody reads, since its caller was cancelled in the
    same step, is reported by the event loop.
    """

    __slots__ = ("callback", "handled", "reason")

    def __init__(self, reason: ExitReason, *, handled: bool, callback: str | None = None) -> None:
        self.reason: ExitReason = reason
        self.handled = handled
        # The callback that has no clause for the request, as "Class.method"; None where there was another cause.
        self.callback = callback

    @property
    def error(self) -> BaseException | None:
        """The exception that ended the server, if it was one."""
        return self.reason if isinstance(self.reason, BaseException) else None


TIMED_OUT: Final = Failure("normal", handled=True)
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
    process: Process, failure: Failure, envelope: Envelope, limit: float | None
) -> CallExitError | CallOverflowError | CallTimeoutError | UnhandledRequestError:
    """Return the error of a call that was taken, or stood in line, and failed."""
    request = envelope[1]
    target, text = repr(process.pid), cut(request)
    if failure is DISPLACED:
        return overflow(process, request, displaced=True)
    if failure is TIMED_OUT and process.mailbox.leave_line(envelope):
        return overflow(process, request, waited=limit)
    if failure is TIMED_OUT:
        return CallTimeoutError(target=target, request=text, timeout=limit or 0.0)
    if failure.callback is not None:
        return UnhandledRequestError(target=target, request=text, callback=failure.callback)
    return CallExitError(target=target, request=text, reason=failure.reason, handled=failure.handled)
