# SPDX-License-Identifier: MIT
"""Plain processes: a coroutine function with a mailbox of its own.

A GenServer is the better choice for nearly everything; a plain process is for what has no requests to answer.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import NamedTuple

from stanchion._validate import Seconds, cut, seconds_or_none
from stanchion.errors import BadReturnError, InvalidOptionError, ReceiveError
from stanchion.kernel._bounded import skip_overdue
from stanchion.kernel._context import DEADLINE, PROCESS, current_node, current_process
from stanchion.kernel._deadline import InHand, cut_by_deadline
from stanchion.kernel._exit_reasons import ProcessExit
from stanchion.kernel._limited_mailbox import MailboxPolicy, mailbox_policy
from stanchion.kernel._mailbox import CALL, CAST, ONCE, STOP, Token
from stanchion.kernel._monitors import MonitorRef, monitor
from stanchion.kernel._names import Name
from stanchion.kernel._once import skip_repeated
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import BURST, Process, label_of
from stanchion.kernel._run import run_process
from stanchion.kernel._site import caller


class CallRequest(NamedTuple):
    """What ``receive`` returns for a call; answer it with ``stanchion.reply(sender, value)``.

    Attributes:
        request: What the caller sent.
        sender: To whom the reply goes.
    """

    request: object
    sender: Token


def spawn(
    function: Callable[..., Coroutine[object, object, object]],
    *args: object,
    name: Name | None = None,
    mailbox: int | MailboxPolicy | None = None,
) -> Pid:
    """Start a process that runs ``function(*args)`` and ends when it returns.

    The process is linked with nobody: its crash is logged, and heard by those who monitor it.

    Args:
        function: A coroutine function; it reads its messages with ``receive``.
        args: Its arguments.
        name: The name to register, or None.
        mailbox: How many messages the mailbox takes before it refuses, or a ``MailboxPolicy``; None for no limit.

    Returns:
        The pid; the process is alive, and takes messages at once.

    Raises:
        NoNodeError: the code runs outside of every node.
        NodeStateError: the node is stopping.
        NameTakenError: a live process holds the name.
        InvalidOptionError: ``function`` is no coroutine function, or an option is wrong.

    Source: ``erlang:spawn/3``.
    """
    return _spawn("spawn()", function, args, name=name, mailbox=mailbox, parent=None)


def spawn_link(
    function: Callable[..., Coroutine[object, object, object]],
    *args: object,
    name: Name | None = None,
    mailbox: int | MailboxPolicy | None = None,
) -> Pid:
    """Start a process as ``spawn`` does, linked with the running process: when one exits, so does the other.

    Raises:
        NotInProcessError: the code runs outside of all processes.

    Source: ``erlang:spawn_link/3``.
    """
    return _spawn("spawn_link()", function, args, name=name, mailbox=mailbox, parent=current_process("spawn_link()"))


def spawn_monitor(
    function: Callable[..., Coroutine[object, object, object]],
    *args: object,
    name: Name | None = None,
    mailbox: int | MailboxPolicy | None = None,
) -> tuple[Pid, MonitorRef]:
    """Start a process as ``spawn`` does, and monitor it from the running process in the same step, until its exit.

    Raises:
        NotInProcessError: the code runs outside of all processes.

    Source: ``erlang:spawn_monitor/3``.
    """
    current_process("spawn_monitor()")
    pid = _spawn("spawn_monitor()", function, args, name=name, mailbox=mailbox, parent=None)
    ref = monitor(pid, until="exit")
    ref.made_at(caller())
    return pid, ref


async def receive(*, timeout: Seconds | None) -> object:
    """Return the next message of the running plain process, in the order of arrival.

    A supervised send counts as processed when the process asks for its next message, or returns. Until then, or until a
    scope around the call is left, the deadline of the message, if it has one, is in force; a message whose deadline has
    passed does not come.

    Args:
        timeout: Seconds to wait; 0 takes only what is there; None waits for ever, and must be written out. A deadline in
            force around the call cuts it.

    Returns:
        A cast or a plain send as it was sent, ``Down``, ``Exit``, or a ``CallRequest``.

    Raises:
        TimeoutError: nothing came in time.
        ReceiveError: a GenServer's loop, or another task of the process, reads the mailbox already.
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``timeout`` is wrong.
        ProcessExit: it was told to exit and swallowed the cancellation that came with it; or ``stop`` ends it.

    Cancellation: no message is lost; the one that came stays in the mailbox.

    Source: ``receive … after`` of Erlang, without selection.
    """
    process = PROCESS.get()
    if process is not None and process.exiting is not None:
        # It swallowed its cancellation. The step for the others keeps one that swallows this too from stopping the loop.
        await asyncio.sleep(0)
        raise ProcessExit(process.exiting)
    process = current_process("receive()")
    limit = seconds_or_none("receive(timeout)", timeout)
    _check_reader(process)
    acknowledge(process)
    around = DEADLINE.get()
    if type(around) is InHand:
        # That of the message before; what was in force around the call which returned it is so again.
        DEADLINE.set(around.outer)
    limit = cut_by_deadline(limit)
    process.turns -= 1
    if not process.turns:
        # One that finds its mailbox filled each time would never wait.
        process.turns = BURST
        await asyncio.sleep(0)
    mailbox = process.mailbox
    _skip(process)
    if not mailbox.queue:
        await _message(process, limit)
    envelope = process.handling = mailbox.queue.popleft()
    kind, message, token = envelope
    process.since = process.node.clock.monotonic()
    if token is not None and token.deadline is not None:
        DEADLINE.set(InHand(token.deadline, DEADLINE.get()))
    if kind == ONCE:
        process.handling = (CAST, message, token)
    if kind == STOP:
        raise ProcessExit(message)  # type: ignore[arg-type]  # a STOP carries an exit reason
    if kind == CALL and token is not None:
        return CallRequest(message, token)
    return message


async def _message(process: Process, limit: float | None) -> None:
    """Wait until there is a message."""
    mailbox = process.mailbox
    try:
        async with asyncio.timeout(limit):
            while not mailbox.queue:
                process.turns = BURST
                await mailbox.wait()
                _skip(process)
    except TimeoutError:
        raise TimeoutError(f"receive(): expected a message within {limit:g} s, got none") from None


def _skip(process: Process) -> None:
    """Take off the head of the mailbox what was handled before, and what is too late to be begun."""
    while skip_repeated(process) or skip_overdue(process):
        pass


def _check_reader(process: Process) -> None:
    if process.served:
        raise ReceiveError(
            repr(process),
            got="a server, whose loop reads it",
            fix="handle the message in handle_info(), or receive it in a process of its own, made by spawn().",
        )
    if process.mailbox.waited_on:
        raise ReceiveError(
            repr(process),
            got="another task of the process that waits for a message already",
            fix="receive in one task, and give the others a process of their own.",
        )


def acknowledge(process: Process) -> None:
    """Tell the sender of the message in hand, if it wants to know, that it has been handled."""
    if process.handling is not None:
        token = process.handling[2]
        process.handling = None
        if token is not None:
            token.processed()


def _spawn(
    operation: str,
    function: Callable[..., Coroutine[object, object, object]],
    args: tuple[object, ...],
    *,
    name: Name | None,
    mailbox: int | MailboxPolicy | None,
    parent: Process | None,
) -> Pid:
    if not callable(function):
        raise InvalidOptionError(
            f"{operation[:-1]}function)",
            expected="a coroutine function",
            got=cut(function),
            fix="pass the function itself, and its arguments after it." if asyncio.iscoroutine(function) else None,
        )
    policy = mailbox_policy(f"{operation[:-1]}mailbox)", mailbox)

    async def body(process: Process) -> None:
        coroutine = function(*args)
        if not inspect.isawaitable(coroutine):
            label = label_of(function)
            raise BadReturnError(
                label, expected="a coroutine", got=cut(coroutine), fix=f"write `async def {label}(...)`."
            )
        await coroutine
        acknowledge(process)

    return run_process(current_node(operation), body, code=function, name=name, parent=parent, mailbox=policy).pid
