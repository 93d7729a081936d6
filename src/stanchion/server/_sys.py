# SPDX-License-Identifier: MIT
"""Looking inside a running server, and holding it still: OTP's module sys.

The server's loop answers, in the order of its mailbox and without the server's callbacks. What these functions need of
a server is that it reads its mailbox: one that is in the middle of a callback answers when the callback has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from stanchion._validate import Seconds, cut
from stanchion.errors import CallbackFailedError, CallSelfError, InvalidOptionError
from stanchion.kernel import SYSTEM, Ref, find, is_self, wait_limit
from stanchion.server._asked import asked, outcomes
from stanchion.server._call import not_sent
from stanchion.server._failures import Failure, gone, no_reply, refused
from stanchion.server._system import Attributes, CallbackFailure, Status, SystemRequest
from stanchion.timeouts import POLICY, Policy


async def get_state(ref: Ref, *, timeout: Seconds | Policy | None = POLICY) -> Attributes:
    """Return a server's state: the attributes of its instance, by name.

    For debugging and tests; a program asks its servers by ``call``.

    Args:
        ref: A pid or a name.
        timeout: Seconds to wait, as in ``call``.

    Returns:
        A new dict with the very objects that the server holds: read them, and change nothing. What a class keeps in
        ``__slots__`` is not in it.

    Raises:
        CallTimeoutError: the server did not come to it in time; it may be in the middle of a callback.
        CallExitError: nobody is there, or the server exited first.
        CallSelfError: the server asked for its own; it has ``self``.
        InvalidOptionError: an argument is wrong, or the process is no server.
        NoNodeError: a name, outside of every node.

    Cancellation: harmless.

    Source: ``sys:get_state/2``.
    """
    return cast("Attributes", await _ask(ref, SystemRequest("get_state"), timeout))


async def replace_state(
    ref: Ref, function: Callable[[Attributes], Attributes], *, timeout: Seconds | Policy | None = POLICY
) -> Attributes:
    """Replace a server's state by what ``function`` makes of it.

    For repairs by hand, and tests.

    Args:
        ref: A pid or a name.
        function: A plain function; it runs in the server's process, gets the attributes as ``get_state`` returns them,
            and returns the new ones. What it leaves out is no attribute any more.
        timeout: Seconds to wait, as in ``call``. After it the function may run all the same.

    Returns:
        The new state, as ``get_state`` would.

    Raises:
        CallbackFailedError: the function raised, or returned no dict; the state is as the function left it in place,
            and the server goes on.
        CallError: see ``get_state``.
        InvalidOptionError: an argument is wrong, or the process is no server.
        NoNodeError: a name, outside of every node.

    Cancellation: the function may run all the same.

    Source: ``sys:replace_state/3``.
    """
    if not callable(function):
        raise InvalidOptionError("replace_state(function)", expected="a function of the state", got=cut(function))
    return cast("Attributes", await _ask(ref, SystemRequest("replace_state", function), timeout))


async def get_status(ref: Ref, *, timeout: Seconds | Policy | None = POLICY) -> Status:
    """Return how a server is doing: who it is, whether it is suspended, how much waits, and its state.

    The state is what the server's ``format_status`` makes of it, which may hide some.

    Args:
        ref: A pid or a name.
        timeout: Seconds to wait, as in ``call``.

    Raises:
        As ``get_state``.

    Cancellation: harmless.

    Source: ``sys:get_status/2``.
    """
    return cast("Status", await _ask(ref, SystemRequest("get_status"), timeout))


async def suspend(ref: Ref, *, timeout: Seconds | Policy | None = POLICY) -> None:
    """Have a server handle no message until ``resume``; harmless when it is suspended already.

    Its messages wait in their order, and so do its own timeouts; callers may time out meanwhile. The functions here
    are answered, and ``stop`` and its parent's exit signal end it at once, past what waits.

    Args:
        ref: A pid or a name.
        timeout: Seconds to wait until it is suspended, as in ``call``. After it the server may be suspended all the
            same, later.

    Raises:
        As ``get_state``.

    Cancellation: the server may be suspended all the same.

    Source: ``sys:suspend/2``.
    """
    await _ask(ref, SystemRequest("suspend"), timeout)


async def resume(ref: Ref, *, timeout: Seconds | Policy | None = POLICY) -> None:
    """Have a suspended server go on with its messages, however often it was suspended; harmless when it runs.

    Args:
        ref: A pid or a name.
        timeout: Seconds to wait, as in ``call``.

    Raises:
        As ``get_state``.

    Cancellation: the server may be resumed all the same.

    Source: ``sys:resume/2``.
    """
    await _ask(ref, SystemRequest("resume"), timeout)


async def _ask(ref: Ref, request: SystemRequest, timeout: Seconds | Policy | None) -> object:
    operation = request.verb
    pid = find(ref, f"{operation}(ref)")
    process = None if pid is None else pid._process
    if process is None:
        raise gone(ref, request)
    if is_self(process):
        fix = "use the attributes of self." if "state" in operation else "ask from another process."
        raise CallSelfError(target=repr(pid), request=repr(request), operation=f"{operation} of", fix=fix)
    if not (process.served or process.starting):
        raise InvalidOptionError(
            f"{operation}(ref)",
            expected="a server",
            got=f"the plain process {process!r}",
            fix="send it a message that it knows; only the loop of a GenServer answers sys functions.",
        )
    limit = wait_limit(f"{operation}(timeout)", process, request, timeout)
    if process.mailbox.closed:
        raise refused(process, "noproc", request)
    one = asked(process, SYSTEM, request)
    if one.sender.deadline is not None and one.sender.deadline.passed:
        raise not_sent(process, one.envelope, timeout)
    process.mailbox.put_system(one.envelope)
    (outcome,) = await outcomes([one], limit)
    if isinstance(outcome, Failure):
        raise no_reply(process, outcome, one.envelope, limit, timeout) from outcome.error
    if isinstance(outcome, CallbackFailure):
        raise CallbackFailedError(f"{operation} of {process!r}", error=outcome.error) from outcome.error
    return outcome
