# SPDX-License-Identifier: MIT
"""Why a call got no reply, and the error that its caller makes of it."""

from __future__ import annotations

from typing import Final

from stanchion._validate import cut, nearest
from stanchion.errors import CallExitError, CallOverflowError, CallTimeoutError, UnhandledRequestError
from stanchion.kernel import ExitReason, Pid, Process, Ref, Refusal, current_node


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


def gone(ref: Ref, request: object) -> CallExitError:
    """Return the error of a call to nobody."""
    fix = None
    if not isinstance(ref, Pid):
        guess = nearest(ref, current_node("call()").names.all()) if isinstance(ref, str) else None
        fix = f"call {guess!r} if you mean that one." if guess else f"start the process with name={ref!r} first."
    return CallExitError(target=repr(ref), request=cut(request), reason="noproc", handled=False, fix=fix)


def refused(process: Process, refusal: Refusal, request: object) -> CallExitError | CallOverflowError:
    """Return the error of a call that the mailbox did not take."""
    if refusal == "overflow":
        return CallOverflowError(target=repr(process.pid), request=cut(request), limit=process.mailbox.limit)
    return CallExitError(target=repr(process.pid), request=cut(request), reason="noproc", handled=False)


def no_reply(
    process: Process, failure: Failure, request: object, limit: float | None
) -> CallExitError | CallTimeoutError | UnhandledRequestError:
    """Return the error of a call that was taken, and failed."""
    target, text = repr(process.pid), cut(request)
    if failure is TIMED_OUT:
        return CallTimeoutError(target=target, request=text, timeout=limit or 0.0)
    if failure.callback is not None:
        return UnhandledRequestError(target=target, request=text, callback=failure.callback)
    return CallExitError(target=target, request=text, reason=failure.reason, handled=failure.handled)
