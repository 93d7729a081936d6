# SPDX-License-Identifier: MIT
"""Running a process: from its first step to its exit."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator

from stanchion.kernel._context import DEADLINE, NODE, PROCESS
from stanchion.kernel._exit import finish
from stanchion.kernel._exit_reasons import ExitReason, ProcessExit
from stanchion.kernel._limited_mailbox import MailboxPolicy
from stanchion.kernel._links import connect
from stanchion.kernel._names import Name, take_name, valid_name
from stanchion.kernel._node import Node
from stanchion.kernel._process import Process, text_of

Body = Callable[[Process], Coroutine[object, object, None]]
"""What a process does; the process ends when it returns."""


def run_process(
    node: Node,
    body: Body,
    *,
    code: object,
    name: Name | None = None,
    parent: Process | None = None,
    mailbox: MailboxPolicy | None = None,
) -> Process:
    """Make a process and its task. It is alive, named, linked and takes messages before its first step.

    Args:
        node: Where it lives.
        body: What it does.
        code: The class or the function that it runs, or what it is called in texts.
        name: The name to register, or None.
        parent: The process to link it with, which then is its parent; None for no link.
        mailbox: What its mailbox takes; None for no limit.

    Raises:
        NameTakenError: a live process holds the name; no process was made.
        InvalidOptionError: ``name`` is no name.
        NodeStateError: the node is not running.
    """
    if name is not None:
        valid_name(f"start of {text_of(code)}: name", name)
    node.check_running(code)
    process = Process(node, code=code, parent=None if parent is None else parent.pid, policy=mailbox)
    if name is not None:
        take_name(process, name)
    if parent is not None:
        connect(parent, process)
    node.processes[process.pid.id] = process
    coroutine = _main(process, body)
    # A task that is cancelled before its first step never enters its coroutine, which then would tell nobody of the
    # exit. So the coroutine is taken to where its `finally` counts before the task gets it.
    coroutine.send(None)
    # Not by the loop's task factory: an eager one would run the process before its maker is done with it.
    process.task = asyncio.Task(coroutine, loop=node.loop, name=repr(process.pid))
    return process


def was_cancelled() -> bool:
    """Return whether the running task was cancelled itself, and did not just await something that was."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@types.coroutine
def _first_step() -> Generator[None, None, None]:
    yield


async def _main(process: Process, body: Body) -> None:
    reason: ExitReason = "normal"
    try:
        await _first_step()
        PROCESS.set(process)
        NODE.set(process.node)
        # Of whoever started it; it has a life of its own.
        DEADLINE.set(None)
        running = body(process)
        del body  # what only the start needed goes with it
        await running
    except ProcessExit as exit_:
        reason = exit_.reason
    except asyncio.CancelledError as error:
        # Not by an exit signal, which the finally sees: either something outside of the runtime cancelled the task,
        # or the code awaited something that was cancelled, which is a crash.
        reason = "killed" if was_cancelled() else error
    except (KeyboardInterrupt, SystemExit) as error:
        reason = error
        raise
    except BaseException as error:
        reason = error
    finally:
        finish(process, reason if process.exiting is None else process.exiting)
        # These would be cycles: reason, its traceback, this frame; and process, its task, the task's context. Not in a
        # coroutine that is thrown away, whose finally runs in somebody else's context.
        reason = "normal"
        if PROCESS.get() is process:
            PROCESS.set(None)
