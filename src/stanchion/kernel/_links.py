# SPDX-License-Identifier: MIT
"""Links: two processes that end together."""

from __future__ import annotations

from stanchion._validate import instance
from stanchion.kernel._context import current_process
from stanchion.kernel._pid import Pid
from stanchion.kernel._process import Process
from stanchion.kernel._signals import signal


def link(pid: Pid) -> None:
    """Link the running process with another one: when one exits, the other gets an exit signal.

    Linking twice, or with oneself, changes nothing. When ``pid`` is gone already, the running process gets an exit
    signal with reason ``"noproc"`` at once.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``pid`` is no pid.

    Source: ``erlang:link/1``.
    """
    process = current_process("link()")
    other = instance("link(pid)", pid, Pid)._process
    if other is None:
        signal(process, pid, "noproc", linked=True)
    else:
        connect(process, other)


def unlink(pid: Pid) -> None:
    """Take the link with another process away; harmless when there is none.

    An exit signal of ``pid`` that already became an ``Exit`` message stays in the mailbox.

    Raises:
        NotInProcessError: the code runs outside of all processes.
        InvalidOptionError: ``pid`` is no pid.

    Source: ``erlang:unlink/1``.
    """
    process = current_process("unlink()")
    other = instance("unlink(pid)", pid, Pid)._process
    if other is not None:
        disconnect(process, other)


def connect(one: Process, other: Process) -> None:
    """Link two processes that have not finished."""
    if one is other:
        return
    for process, peer in ((one, other), (other, one)):
        if process.links is None:
            process.links = {}
        process.links[peer] = None


def disconnect(one: Process, other: Process) -> None:
    """Take the link between two processes away; harmless when there is none."""
    for process, peer in ((one, other), (other, one)):
        if process.links is not None:
            process.links.pop(peer, None)
