# SPDX-License-Identifier: MIT
"""The loop of a server: takes one message at a time out of the mailbox and calls its callback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Final, cast

from stanchion._validate import cut
from stanchion.errors import BadReturnError
from stanchion.kernel import (
    BURST,
    CALL,
    CAST,
    DEADLINE,
    INFO,
    ONCE,
    STOP,
    SYSTEM,
    Deadline,
    Envelope,
    Exit,
    ExitReason,
    Process,
    ProcessExit,
    Token,
    is_overdue,
    is_repeated,
    was_cancelled,
)
from stanchion.server._call import LastReply, Sender
from stanchion.server._directives import (
    HELD,
    IGNORE,
    NO_REPLY,
    UNHANDLED,
    Continue,
    Directive,
    Reject,
    Reply,
    Stop,
    Timeout,
)
from stanchion.server._gen_server import GenServer
from stanchion.server._idle import idle
from stanchion.server._starting import Starting
from stanchion.server._system import answer_system
from stanchion.server._unhandled import tell_rejected, tell_unhandled

# What an `async def` callback returned. Typed, so that what is awaited is no Any.
_COROUTINE: Final = cast("type[Coroutine[object, object, object]]", CoroutineType)

_EXPECTED: Final = {
    "handle_cast": "None, Continue(...), Timeout(...), Stop(...), Reject(...) or UNHANDLED",
    "handle_info": "None, Continue(...), Timeout(...), Stop(...) or UNHANDLED",
    "handle_continue": "None, Continue(...), Timeout(...) or Stop(...)",
}

Next = ExitReason | Timeout | None
"""What comes after a callback: the end of the server, the wait for the next message, or that message itself."""


async def serve(process: Process, server: type[GenServer], args: tuple[object, ...], starting: Starting) -> None:
    """Run a server from init to terminate; ends by ProcessExit, an error of init or terminate, or cancellation.

    Args:
        process: The process that runs this.
        server: The class.
        args: The arguments of init.
        starting: What is told that init is done.
    """
    process.served = True
    callbacks = server()
    first = await _init(process, callbacks, args, starting)
    # Nobody needs them any more, and this frame stays for as long as the server lives.
    del args, starting
    reason: ExitReason | None
    try:
        reason = await _loop(process, callbacks, first)
    except ProcessExit as exit_:
        reason = exit_.reason
    except asyncio.CancelledError as error:
        if was_cancelled():
            raise
        reason = error  # a callback awaited something that was cancelled: a crash like any other
    except (Exception, BaseExceptionGroup) as error:
        reason = error
    try:
        if process.exiting is None:
            await _terminate(process, callbacks, reason)
        raise ProcessExit(reason)
    finally:
        # The exception's traceback holds this frame: without this the two would keep each other alive.
        reason = None


async def _init(
    process: Process, server: GenServer, args: tuple[object, ...], starting: Starting
) -> Continue | Timeout | None:
    """Run init, under the starter's deadline, and tell the starter, who hears of an exit, too."""
    process.since = process.node.clock.monotonic()
    result = await under(starting.deadline, server._begin, *args)
    if isinstance(result, Stop):
        raise ProcessExit(result.reason)
    if result is IGNORE:
        starting.ignored()
        raise ProcessExit
    if not (result is None or isinstance(result, Continue | Timeout)):
        raise _bad_return(server, "init", "None, Continue(...), Timeout(...), Stop(...) or IGNORE", result)
    if process.exiting is not None:
        raise ProcessExit(process.exiting)  # init swallowed the cancellation
    starting.succeeded()
    return result


async def _terminate(process: Process, server: GenServer, reason: ExitReason) -> None:
    # Nobody is to wait for a server that is not going to read.
    process.mailbox.closed = True
    process.since = process.node.clock.monotonic()
    try:
        result = server.terminate(reason)
        if type(result) is _COROUTINE:
            await result
    except BaseException as error:
        if isinstance(reason, BaseException) and error.__context__ is None:
            error.__context__ = reason  # the log shows what came first, too
        raise


async def _loop(process: Process, server: GenServer, first: Continue | Timeout | None) -> ExitReason:
    """Do what init asked for, and handle messages until one of them ends the server; return why."""
    following: Next = await _continue(process, server, first) if isinstance(first, Continue) else first
    mailbox = process.mailbox
    handle_call, handle_cast, handle_info = server.handle_call, server.handle_cast, server.handle_info
    monotonic = process.node.clock.monotonic
    envelope: Envelope | None
    message: object
    token: Token | None
    result: object
    # When this woke up, until the first message that may wait; to read the clock for each cast of a flood would cost more
    # than it is worth.
    since: float | None = None
    budget = BURST
    while True:
        if following is not None:
            if isinstance(following, Timeout):
                # A server that waits keeps nothing of its last message, which may hold the process of the sender.
                envelope = message = token = result = process.handling = None
                if not budget:
                    # Not below: TIMEOUT would lie in the mailbox meanwhile, and take up room.
                    await asyncio.sleep(0)
                    budget = BURST
                following, since = await idle(process, server, following), monotonic()
            if following is not None:
                return following
        process.handling = None
        if process.exiting is not None:
            # An exit signal cancelled the handler, and the handler swallowed it.
            return process.exiting
        while not mailbox.queue:
            envelope = message = token = result = None
            await mailbox.wait()
            budget = BURST
            since = monotonic()
        if not budget:
            await asyncio.sleep(0)
            budget = BURST
            continue  # the message may have been withdrawn meanwhile
        budget -= 1
        envelope = process.handling = mailbox.queue.popleft()
        kind, message, token = envelope
        following = None
        if token is not None and token.deadline is not None and kind != SYSTEM:
            following, since = await _bounded(process, server, envelope, token), None
        elif kind == CAST:
            result = handle_cast(message)
            if type(result) is _COROUTINE:
                process.since, since = since, None
                result = await result
            if result is not None:
                following, since = await _after_message(process, server, envelope, result), None
            elif token is not None:
                token.processed()
        elif kind == CALL:
            result = handle_call(message, token)  # type: ignore[arg-type]  # the token of a CALL is a Sender
            if type(result) is _COROUTINE:
                process.since, since = since or monotonic(), None
                result = await result
            if isinstance(result, Directive):
                following, since = await _after_call(process, server, envelope, result), None
            else:
                token.settle(result)  # type: ignore[union-attr]
        elif kind == INFO:
            # The parent's exit signal: for a process that nobody started by a link, the node is the parent.
            if type(message) is Exit and message.pid is process.parent:
                return message.reason
            result = handle_info(message)
            if type(result) is _COROUTINE:
                process.since, since = since or monotonic(), None
                result = await result
            if result is not None:
                following, since = await _after_message(process, server, envelope, result), None
        elif kind == STOP:
            return message  # type: ignore[return-value]  # a STOP carries an exit reason
        elif kind == ONCE:
            if not is_repeated(process, token):
                following, since = await _once(process, server, message, cast("Token", token)), None
        else:
            following, since = await answer_system(process, server, envelope), None


async def _once(process: Process, server: GenServer, message: object, token: Token) -> Next:
    """Handle a message that may come twice: from here on it is a cast like any other."""
    envelope: Envelope = (CAST, message, token)
    process.handling = envelope
    process.since = process.node.clock.monotonic()
    result = await finished(server.handle_cast(message))
    if result is not None:
        return await _after_message(process, server, envelope, result)
    token.processed()
    return None


async def _bounded(process: Process, server: GenServer, envelope: Envelope, token: Token) -> Next:
    """Handle a message that has a deadline under that deadline, or not at all if it has passed."""
    kind, message, _ = envelope
    if kind == ONCE:
        if is_repeated(process, token):
            return None
        envelope = process.handling = (CAST, message, token)
    if is_overdue(process, envelope):
        return None
    process.since = process.node.clock.monotonic()
    if kind == CALL:
        sender = cast("Sender", token)
        result = await under(token.deadline, server.handle_call, message, sender)
        if isinstance(result, Directive):
            return await _after_call(process, server, envelope, result)
        sender.settle(result)
        return None
    result = await under(token.deadline, server.handle_info if kind == INFO else server.handle_cast, message)
    if result is not None:
        return await _after_message(process, server, envelope, result)
    token.processed()
    return None


async def under(deadline: Deadline | None, callback: Callable[..., object], *args: object) -> object:
    """Return what a callback returns under a deadline, which is in force for nothing that comes after it."""
    DEADLINE.set(deadline)
    try:
        return await finished(callback(*args))
    finally:
        DEADLINE.set(None)


async def _after_message(process: Process, server: GenServer, envelope: Envelope, result: object) -> Next:
    """Do what handle_cast or handle_info returned."""
    kind, message, token = envelope
    if result is HELD:
        return None
    if result is UNHANDLED:
        tell_unhandled(process, envelope, f"handle_{kind}")
        return None
    if isinstance(result, Reject) and kind == CAST:
        tell_rejected(process, envelope, result)
        return None
    following = await _steer(process, server, f"handle_{kind}", result)
    if token is not None:
        token.processed()
        process.handling = (kind, message, None)  # its sender is told once, also when this stops the server
    return following


async def _after_call(process: Process, server: GenServer, envelope: Envelope, result: Directive) -> Next:
    """Do what handle_call returned, where it is no plain reply."""
    sender = cast("Sender", envelope[2])  # the token of a CALL
    if result is HELD:
        return None
    if result is NO_REPLY:
        sender.processed()
        return None
    if result is UNHANDLED:
        tell_unhandled(process, envelope, "handle_call")
        return None
    if isinstance(result, Reply):
        if result.value is NO_REPLY:
            sender.processed()
        elif isinstance(result.then, Stop):
            process.handling = (CALL, envelope[1], LastReply(sender, result.value))
        else:
            sender.settle(result.value)
        return await _steer(process, server, "handle_call", result.then)
    if isinstance(result, Stop):
        return result.reason
    raise _bad_return(server, "handle_call", "a reply, NO_REPLY, Reply(...), Stop(...) or UNHANDLED", result)


async def _steer(process: Process, server: GenServer, callback: str, result: object) -> Next:
    """Do what any callback may ask for."""
    if isinstance(result, Continue):
        return await _continue(process, server, result)
    if isinstance(result, Timeout):
        return result
    if isinstance(result, Stop):
        return result.reason
    raise _bad_return(server, callback, _EXPECTED[callback], result)


async def _continue(process: Process, server: GenServer, asked: Continue) -> Next:
    """Run handle_continue, and again for as long as it asks for it."""
    result: object = asked
    budget = BURST
    while isinstance(result, Continue):
        if not budget:
            await asyncio.sleep(0)
            budget = BURST
        budget -= 1
        process.since = process.node.clock.monotonic()
        if process.handling is None:  # it comes from init
            process.handling = (INFO, result, None)
        result = await finished(server.handle_continue(result.arg))
        if process.exiting is not None:
            return process.exiting  # it swallowed the cancellation
    return None if result is None else await _steer(process, server, "handle_continue", result)


async def finished(result: object) -> object:
    """Return what a callback returned, whether it is ``def`` or ``async def``."""
    return await result if type(result) is _COROUTINE else result


def _bad_return(server: GenServer, callback: str, expected: str, result: object) -> BadReturnError:
    name = f"{type(server).__name__}.{callback}"
    fix = None
    if callback in ("handle_cast", "handle_info"):
        fix = "return None; only handle_call answers."
    elif callback == "handle_call" and isinstance(result, Continue | Timeout):
        fix = f"return Reply(value, then={result!r}), or Reply(NO_REPLY, then={result!r})."
    elif callback == "handle_continue" and result is UNHANDLED:
        fix = f"write handle_continue(self, arg) in {type(server).__name__}, which returned Continue(...)."
    return BadReturnError(name, expected=expected, got=cut(result), fix=fix)
