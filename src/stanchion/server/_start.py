# SPDX-License-Identifier: MIT
"""Starting and stopping servers."""

from __future__ import annotations

from collections.abc import Coroutine

from stanchion._validate import Seconds, cut
from stanchion.errors import CallSelfError, InvalidOptionError, StartError, StopExitError, StopTimeoutError
from stanchion.kernel import (
    DEADLINE,
    STOP,
    ExitReason,
    MailboxPolicy,
    Name,
    Node,
    Pid,
    Process,
    Ref,
    code_limit,
    current_node,
    current_process,
    doing,
    exit_reason,
    find,
    is_abnormal,
    is_self,
    label_of,
    limit_cause,
    mailbox_policy,
    run_process,
    wait_exit,
    wait_limit,
)
from stanchion.server._gen_server import GenServer
from stanchion.server._loop import serve
from stanchion.server._starting import Starting
from stanchion.timeouts import INIT, INIT_SUPERVISOR, POLICY, STOPPING, Policy


async def start(
    server: type[GenServer],
    *args: object,
    name: Name | None = None,
    mailbox: int | MailboxPolicy | None = None,
    timeout: Seconds | Policy | None = POLICY,
) -> Pid:
    """Start a server without a link, and wait until its ``init`` is done.

    Use ``start_link``, or better a supervisor, for servers that belong to a tree; ``start`` is for code outside of
    processes.

    Args:
        server: The class.
        args: What ``init`` gets.
        name: The name or via address to register, before ``init`` runs; None for none.
        mailbox: How many messages the mailbox takes before it refuses, or a ``MailboxPolicy``; None for no limit.
        timeout: Seconds that ``init`` may take; None for no limit. By default what the node's ``TimeoutPolicy`` says of
            ``stanchion.init``, and for a supervisor, whose children start in it, of ``stanchion.init_supervisor`` (60.0).

    Returns:
        The pid of the running server.

    Raises:
        StartError: ``init`` raised, took too long, or returned ``Stop`` or ``IGNORE``; no process is left.
        NameTakenError: a live process holds the name.
        InvalidOptionError: an argument is wrong.
        NoNodeError: the code runs outside of every node.
        NodeStateError: the node is stopping.

    Cancellation: the half-started process is killed. A supervisor is told to exit instead, so that what it has started
    stops in order, within the node's ``shutdown_timeout``; nobody waits for that.

    Source: ``gen_server:start/4``.
    """
    return await begin_start("start()", current_node("start()"), None, server, args, name, mailbox, timeout).ready()


async def start_link(
    server: type[GenServer],
    *args: object,
    name: Name | None = None,
    mailbox: int | MailboxPolicy | None = None,
    timeout: Seconds | Policy | None = POLICY,
) -> Pid:
    """Start a server as ``start`` does, linked with the running process, which is its parent.

    When ``init`` does not succeed, the caller gets the ``StartError`` and no exit signal (OTP gives both).

    Raises:
        NotInProcessError: the code runs outside of all processes.

    Source: ``gen_server:start_link/4``.
    """
    parent = current_process("start_link()")
    return await begin_start("start_link()", parent.node, parent, server, args, name, mailbox, timeout).ready()


async def stop(ref: Ref, reason: ExitReason = "normal", *, timeout: Seconds | Policy | None = POLICY) -> None:
    """Tell a process to end after the messages that it has already, and wait until it has.

    Its ``terminate`` runs. When it is gone already, this returns at once (OTP raises ``noproc``). It also returns when
    the process ended in good order for another reason than asked for, ``"shutdown"`` say (OTP raises that).

    Args:
        ref: A pid or a registered name.
        reason: The exit reason.
        timeout: Seconds to wait; None for no limit. By default what the node's ``TimeoutPolicy`` says of
            ``stanchion.stop``.

    Raises:
        StopExitError: it crashed or was killed, before the order came up or in ``terminate``. It has ended.
        StopTimeoutError: it has not ended in time. The order stays in its mailbox; ``exit(pid, "kill")`` ends it now.
        CallSelfError: a process stopped itself; let it return ``Stop(reason)`` or raise ``ProcessExit``.
        InvalidOptionError: an argument is wrong.

    Cancellation: the order stays in the mailbox.

    Source: ``gen_server:stop/3``.
    """
    reason = exit_reason("stop(reason)", reason)
    pid = find(ref, "stop(ref)")
    process = None if pid is None else pid._process
    if pid is None or process is None:
        return
    if is_self(process):
        fix = "return Stop(reason), or raise ProcessExit(reason)."
        raise CallSelfError(target=repr(pid), request="stop()", operation="stop of", fix=fix)
    limit = wait_limit("stop(timeout)", process, STOPPING, timeout)
    process.mailbox.put_system((STOP, reason, None))
    try:
        got = await wait_exit(pid, timeout=limit)
    except TimeoutError:
        raise _not_stopped(process, timeout, limit or 0.0) from None
    if is_abnormal(got) and got != reason:
        error = got if isinstance(got, BaseException) else None
        raise StopExitError(repr(pid), expected=reason, reason=got) from error


def _not_stopped(process: Process, timeout: Seconds | Policy | None, limit: float) -> StopTimeoutError:
    """Return the error of a stop whose time is up; the option and what it came to."""
    rule, cut_by = limit_cause(process.node, process.code, process.pid.name, STOPPING, timeout, limit)
    return StopTimeoutError(
        repr(process.pid),
        timeout=limit,
        rule=rule,
        cut_by=cut_by,
        doing=doing(process).text,
    )


def begin_start(
    operation: str,
    node: Node,
    parent: Process | None,
    server: type[GenServer],
    args: tuple[object, ...],
    name: Name | None,
    mailbox: int | MailboxPolicy | None,
    timeout: Seconds | Policy | None,
) -> Starting:
    """Start a server and leave the waiting for its init to the caller; ``operation`` is who, for texts."""
    if not (isinstance(server, type) and issubclass(server, GenServer)):
        raise InvalidOptionError(
            f"{operation[:-1]}server)",
            expected="a subclass of GenServer",
            got=cut(server),
            fix="pass the class, and the arguments of init after it." if isinstance(server, GenServer) else None,
        )
    policy = mailbox_policy(f"{operation[:-1]}mailbox)", mailbox)
    supervises = getattr(server, "supervises", False)
    if timeout is POLICY:
        timeout = server.start_timeout
    request = INIT_SUPERVISOR if supervises else INIT
    limit = code_limit(f"{operation[:-1]}timeout)", node, server, name, request, timeout)
    deadline = DEADLINE.get()
    if deadline is not None and deadline.passed:
        rule, cut_by = limit_cause(node, server, name, request, timeout, 0.0)
        raise StartError(label_of(server), reason="timeout", timeout=0.0, rule=rule, cut_by=cut_by or repr(deadline))

    def body(process: Process) -> Coroutine[object, object, None]:
        return serve(process, server, args, starting)

    # The process takes its first step after this one.
    process = run_process(node, body, code=server, name=name, parent=parent, mailbox=policy)
    starting = Starting(process, limit, request, timeout, supervises=supervises)
    return starting
