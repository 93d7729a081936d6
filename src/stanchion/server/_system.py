# SPDX-License-Identifier: MIT
"""What a server's loop does with the requests of sys: it answers them itself, without the server's callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeGuard, cast

from stanchion._validate import cut
from stanchion.errors import BadReturnError
from stanchion.kernel import (
    INFO,
    STOP,
    SYSTEM,
    Envelope,
    Exit,
    ExitReason,
    LimitedMailbox,
    Pid,
    Process,
    is_overdue,
)
from stanchion.server._call import Sender
from stanchion.server._gen_server import GenServer
from stanchion.timeouts import GET_STATE, GET_STATUS, REPLACE_STATE, RESUME, SUSPEND, Operation

SysState = Literal["running", "suspended"]

Attributes = dict[str, object]
"""A server's state: the values of its instance's attributes by name."""

Verb = Literal["get_state", "replace_state", "get_status", "suspend", "resume"]

_WAITS: Final[dict[Verb, Operation]] = {
    "get_state": GET_STATE,
    "replace_state": REPLACE_STATE,
    "get_status": GET_STATUS,
    "suspend": SUSPEND,
    "resume": RESUME,
}


class SystemRequest(Operation):
    """A request of sys, the message of a SYSTEM envelope.

    Attributes:
        verb: The function of sys that asks.
        function: The argument of ``replace_state``.
    """

    __slots__ = ("function", "verb")

    def __init__(self, verb: Verb, function: Callable[[Attributes], object] | None = None) -> None:
        wait = _WAITS[verb]
        super().__init__(wait.operation, wait.default)
        self.verb: Final = verb
        self.function: Final = function

    def __repr__(self) -> str:
        return f"{self.verb}()"


class Status(NamedTuple):
    """How a server is doing; what ``get_status`` returns.

    Attributes:
        pid: Its pid.
        name: The name it is registered under, or None.
        label: What it is: the name of its class.
        parent: Who started it by a link; None for nobody.
        sysstate: ``"running"`` or ``"suspended"``.
        state: What its ``format_status`` made of its state: by default the attributes by name.
        mailbox: How many messages wait in its mailbox.
        senders: How many senders wait in line for a place in it, with ``overflow="block"``.
        overflows: How many messages have found it full so far.
        callers: How many wait for a reply that it put off, or for a message that it postponed.
        links: With how many processes it is linked.
        monitors: How many monitors it holds.
        trap_exit: Whether exit signals come to it as messages.

    Source: ``sys:get_status/1`` of OTP, and what it lacks of ``erlang:process_info/1``.
    """

    pid: Pid
    name: str | None
    label: str
    parent: Pid | None
    sysstate: SysState
    state: object
    mailbox: int
    senders: int
    overflows: int
    callers: int
    links: int
    monitors: int
    trap_exit: bool


class CallbackFailure:
    """The answer to an asker whose function raised; the asker makes the error of it."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def answer_system(process: Process, server: GenServer, envelope: Envelope) -> ExitReason | None:
    """Answer one system message; return the reason when the server is told to end while it is suspended.

    A message that suspends the server has it stay here until another one resumes it.
    """
    if _answer(process, server, envelope, "running") == "running":
        return None
    return await _suspended(process, server)


async def _suspended(process: Process, server: GenServer) -> ExitReason | None:
    """Take only system messages and orders to end out of the mailbox until the server is resumed.

    All others wait in their order. Exit signals of strangers do, too, where they are messages.
    """
    mailbox = process.mailbox
    seen: Envelope | None = None
    while True:
        for envelope in _orders(process, seen):
            mailbox.withdraw(envelope)
            kind, message, _ = envelope
            if kind == STOP:
                return message  # type: ignore[return-value]  # a STOP carries an exit reason
            if isinstance(message, Exit):
                return message.reason
            if _answer(process, server, envelope, "suspended") == "running":
                return None
        seen = mailbox.queue[-1] if mailbox.queue else None
        await mailbox.wait()


def _orders(process: Process, seen: Envelope | None) -> list[Envelope]:
    """Return what a suspended server hears of, in order, from behind ``seen`` on; all of it when that is gone."""
    found: list[Envelope] = []
    for envelope in reversed(process.mailbox.queue):
        if envelope is seen:
            break
        kind, message, _ = envelope
        from_parent = kind == INFO and type(message) is Exit and message.pid is process.parent
        if from_parent or kind in (SYSTEM, STOP):
            found.append(envelope)
    found.reverse()
    return found


def _answer(process: Process, server: GenServer, envelope: Envelope, now: SysState) -> SysState:
    """Answer one request; return whether the server runs on, or is suspended."""
    if is_overdue(process, envelope):
        return now
    process.handling = envelope
    request, sender = cast("SystemRequest", envelope[1]), cast("Sender", envelope[2])
    after = now
    if request.verb == "get_state":
        answer: object = dict(vars(server))
    elif request.verb == "get_status":
        answer = _status(process, server, now)
    elif request.function is not None:
        answer = _replace_state(server, request.function)
    else:
        answer = None
        after = "suspended" if request.verb == "suspend" else "running"
    sender.settle(answer)
    process.handling = None
    return after


def _replace_state(server: GenServer, function: Callable[[Attributes], object]) -> object:
    try:
        new: object = function(dict(vars(server)))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the server is not to end for a stranger's function
        return CallbackFailure(error)
    if not _is_state(new):
        return CallbackFailure(_bad_state(new))
    server.__dict__ = dict(new)
    return dict(new)


def _is_state(new: object) -> TypeGuard[Attributes]:
    return isinstance(new, dict) and all(isinstance(name, str) for name in cast("dict[object, object]", new))


def _bad_state(new: object) -> BadReturnError:
    fix = "return the dict, also when the function changed it in place."
    got = cut(new)
    if asyncio.iscoroutine(new):
        new.close()
        fix = "write a plain function, without async."
    return BadReturnError("replace_state(function)", expected="the attributes by name (a dict)", got=got, fix=fix)


def _state_shown(server: GenServer) -> object:
    # Where this goes wrong it is not the attributes themselves, which may have been meant to be hidden.
    where = f"{type(server).__name__}.format_status()"
    try:
        state = server.format_status(dict(vars(server)))
    except Exception as error:
        return f"{where} raised {type(error).__name__}"
    if asyncio.iscoroutine(state):
        state.close()
        return f"{where} is async; write a plain function"
    return state


def _status(process: Process, server: GenServer, now: SysState) -> Status:
    mailbox = process.mailbox
    limited = mailbox if isinstance(mailbox, LimitedMailbox) else None
    return Status(
        pid=process.pid,
        name=process.pid.name,
        label=process.label,
        parent=process.parent,
        sysstate=now,
        state=_state_shown(server),
        mailbox=len(mailbox.queue),
        senders=0 if limited is None else limited.in_line,
        overflows=0 if limited is None else limited.overflows,
        callers=len(process.deferred or ()),
        links=len(process.links or ()),
        monitors=len(process.held_monitors or ()),
        trap_exit=process.trap_exit,
    )
