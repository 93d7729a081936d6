# SPDX-License-Identifier: MIT
"""The end of a process: expecting it, and bringing it about."""

from __future__ import annotations

import asyncio
import traceback

from stanchion._validate import Seconds, cut, instance, seconds
from stanchion.errors import InvalidOptionError
from stanchion.kernel import STOP, ExitReason, Pid, Ref, current_node, find, wait_exit
from stanchion.testing._exits import InjectedCrash, reason_of
from stanchion.testing._patterns import ANYTHING, matches, told
from stanchion.testing._quiet import wait_quiet
from stanchion.testing._virtual_time import VirtualTimeLoop


async def assert_down(ref: Ref, reason: object = ANYTHING, *, timeout: Seconds = 1.0) -> ExitReason:
    """Wait until a process has ended, and check why.

    In a node of the fixture ``node`` or of ``run_isolated`` it may have ended before; elsewhere the reason of a process
    that is gone already is ``"noproc"``.

    Args:
        ref: A pid, or the name of a process that lives.
        reason: The exit reason; a class, whose instance it must be; or a function, which must return true for it. By
            default any reason will do.
        timeout: Seconds to wait; 0 looks only whether it has ended.

    Returns:
        The exit reason.

    Raises:
        AssertionError: it still lives, or ended for another reason; a crash is shown with its traceback.
        InvalidOptionError: nobody holds the name, or an argument is wrong.

    Cancellation: harmless.

    Source: ``assert_receive {:DOWN, ...}`` of ExUnit.
    """
    __tracebackhide__ = True
    limit = seconds("assert_down(timeout)", timeout)
    pid = _holder("assert_down", ref)
    try:
        real = await wait_exit(pid, timeout=limit)
    except TimeoutError:
        process = pid._process
        doing = "" if process is None or process.handling is None else f", with {cut(process.handling[1])} in hand"
        text = f"assert_down({pid!r}): expected its exit within {limit:g} s, got a process that lives{doing}"
        raise AssertionError(text) from None
    if real == "noproc":
        real = reason_of(current_node("assert_down()"), pid) or real
    if not matches(reason, real):
        text = f"assert_down({pid!r}): expected the exit reason {told(reason)}, got {cut(real)}"
        raise AssertionError(text + _traceback(real))
    return real


async def crash(ref: Ref, error: BaseException | None = None, *, timeout: Seconds = 1.0) -> None:
    """Make a process crash as if its own code had raised, and wait until all is done that it led to.

    It crashes before it takes its next message: ``terminate`` runs, the crash is logged, links and monitors hear of it,
    and its supervisor restarts it. On virtual time this returns when that is done; on another loop, when the process has
    ended.

    Args:
        ref: A pid, or the name of a process that lives.
        error: What it crashes with; by default an ``InjectedCrash``.
        timeout: Seconds to wait for its end.

    Raises:
        AssertionError: it has not ended in time, since it does not read its mailbox, or somebody is still busy; see
            ``wait_quiet``.
        InvalidOptionError: there is no such process, or an argument is wrong.

    Cancellation: it crashes all the same.
    """
    __tracebackhide__ = True
    limit = seconds("crash(timeout)", timeout)
    reason = InjectedCrash() if error is None else instance("crash(error)", error, BaseException)
    pid = _holder("crash", ref)
    process = pid._process
    if process is None:
        raise InvalidOptionError("crash(ref)", expected="a process that lives", got=f"{pid!r}, which has ended")
    mailbox = process.mailbox
    if mailbox.queue:
        mailbox.queue.appendleft((STOP, reason, None))
    else:
        mailbox.put_system((STOP, reason, None))
    try:
        await wait_exit(pid, timeout=limit)
    except TimeoutError:
        doing = "" if process.handling is None else f" and has {cut(process.handling[1])} in hand"
        raise AssertionError(
            f"crash({pid!r}): expected its end within {limit:g} s, got {process!r}, which does not read its mailbox{doing}"
            "\nFix: let its handler come to an end, or end it at once with exit(pid, 'kill')."
        ) from None
    if isinstance(asyncio.get_running_loop(), VirtualTimeLoop):
        await wait_quiet()


def _holder(operation: str, ref: Ref) -> Pid:
    pid = find(ref, f"{operation}(ref)")
    if pid is None:
        raise InvalidOptionError(
            f"{operation}(ref)",
            expected="the name of a process that lives",
            got=f"{cut(ref)}, which nobody holds",
            fix="keep the pid of a process that may be gone, and pass that.",
        )
    return pid


def _traceback(reason: ExitReason) -> str:
    if not isinstance(reason, BaseException):
        return ""
    return "\n" + "".join(traceback.format_exception(reason)).rstrip()
