# SPDX-License-Identifier: MIT
"""Which process, and which node, the running code belongs to."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from stanchion.errors import NoNodeError, NotInProcessError

if TYPE_CHECKING:
    from stanchion.kernel._deadline import Deadline
    from stanchion.kernel._node import Node
    from stanchion.kernel._pid import Pid
    from stanchion.kernel._process import Process

# Set at a process's start and inherited by the tasks that its handlers start. None outside of processes.
PROCESS: ContextVar[Process | None] = ContextVar("stanchion_process", default=None)
# Set at a process's start too, and by `async with Node()`, also inside a process: the innermost one counts.
NODE: ContextVar[Node | None] = ContextVar("stanchion_node", default=None)


class Deadlines:
    """Whether there has been a deadline in this interpreter: while there was none, who sends need not look for one.

    To look is a tenth of what it costs to cast.
    """

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = False


DEADLINES: Final = Deadlines()
# By when the running code must be done (_deadline.py). None for no deadline.
DEADLINE: ContextVar[Deadline | None] = ContextVar("stanchion_deadline", default=None)


def current_process(operation: str) -> Process:
    """Return the process that the running code belongs to.

    Raises:
        NotInProcessError: there is none, or it has ended and this code outlived it.
    """
    process = PROCESS.get()
    if process is None:
        raise NotInProcessError(operation)
    if process.finished:
        raise NotInProcessError(operation, ended=repr(process))
    return process


def is_self(process: Process) -> bool:
    """Return whether the running code is a process's own, which must not wait for itself; a task of its own may."""
    return process is PROCESS.get() and process.task is asyncio.current_task()


def current_node(operation: str) -> Node:
    """Return the node of the running process or of the ``async with Node()`` inside it, whichever is the inner one.

    Raises:
        NoNodeError: there is none.
    """
    node = NODE.get()
    if node is None:
        raise NoNodeError(operation)
    return node


def self_pid() -> Pid:
    """Return the pid of the process that the running code belongs to.

    Raises:
        NotInProcessError: the code runs outside of all processes.

    Source: ``erlang:self/0``.
    """
    return current_process("self_pid()").pid
