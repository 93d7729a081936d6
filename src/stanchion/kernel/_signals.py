# SPDX-License-Identifier: MIT
"""Exit signals: how one process ends another."""

from __future__ import annotations

from typing import NamedTuple

from stanchion._validate import instance
from stanchion.kernel._context import PROCESS, current_process
from stanchion.kernel._exit_reasons import ExitReason, exit_reason
from stanchion.kernel._mailbox import INFO, Notification
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import Process


@Notification.register
class Exit(NamedTuple):
    """The message that an exit signal becomes in a process that traps exits; it comes to ``handle_info``.

    Attributes:
        pid: Who sent it: the linked process that ended, or the caller of ``exit``. None from outside of processes.
        reason: The exit reason.

    Source: ``{'EXIT', Pid, Reason}`` of Erlang.
    """

    pid: Pid | None
    reason: ExitReason


def exit(pid: Pid, reason: ExitReason = "shutdown") -> None:
    """Send an exit signal to a process and return at once; to a process that is gone it does nothing.

    ``"kill"`` ends it whatever it does. Any other reason becomes an ``Exit`` message in a process that traps exits,
    ends one that does not, and ``"normal"`` does nothing to one that does not trap, but for the running process itself,
    which it ends. A process that ends this way runs no ``terminate``; its handler is cancelled where it waits. To end
    the running process, raise ``ProcessExit``.

    Raises:
        InvalidOptionError: ``pid`` is no pid, or ``reason`` no exit reason.

    Source: ``erlang:exit/2``.
    """
    reason = exit_reason("exit(reason)", reason)
    process = instance("exit(pid)", pid, Pid)._process
    if process is not None:
        sender = PROCESS.get()
        if sender is process and reason == "normal" and not process.trap_exit:
            terminate(process, "normal")
        else:
            signal(process, None if sender is None else sender.pid, reason, linked=False)


def trap_exit(on: bool = True) -> None:
    """Have exit signals come as ``Exit`` messages to the running process, instead of ending it.

    Raises:
        NotInProcessError: the code runs outside of all processes.

    Source: ``process_flag(trap_exit, true)`` of Erlang.
    """
    current_process("trap_exit()").trap_exit = on


def signal(process: Process, sender: Pid | None, reason: ExitReason, *, linked: bool) -> None:
    """Deliver one exit signal; ``linked`` when it came by a link and not by ``exit``."""
    if reason == "kill" and not linked:
        terminate(process, "killed")
    elif process.trap_exit:
        process.mailbox.put_system((INFO, Exit(sender, reason), None))
    elif reason != "normal" and process.exiting is None:
        terminate(process, reason)


def terminate(process: Process, reason: ExitReason) -> None:
    """End a process: no more messages from now on, its handler is cancelled, and it has only so long to unwind.

    The first reason stands, but that "killed" overrides one before it, since it must cut the unwinding short.
    """
    if process.finished or process.exiting == "killed" or (process.exiting is not None and reason != "killed"):
        return
    process.exiting = reason
    process.mailbox.closed = True
    process.task.cancel()
    # After the cancellation, so that even a grace of 0 leaves the task a step to end in.
    if process.reaper is None:
        process.reaper = process.node.reap_later(process)
