# SPDX-License-Identifier: MIT
"""Running a start function: as a task of its supervisor's, no longer than it may, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import cast

from stanchion._validate import cut
from stanchion.errors import BadReturnError, StartError
from stanchion.kernel import INFO, Exit, Node, Pid, Process, ProcessExit, code_limit, exit, limit_cause, stuck_at
from stanchion.server import IGNORE
from stanchion.supervisor._child import stop_process
from stanchion.supervisor._child_spec import ChildSpec
from stanchion.supervisor._starts import AsyncFunction, label_of_start
from stanchion.supervisor._told_to_exit import done_unless_told
from stanchion.timeouts import INIT, INIT_SUPERVISOR, Operation

_log = logging.getLogger("stanchion.supervisor")


async def start_by_function(supervisor: Process, spec: ChildSpec, function: AsyncFunction) -> Pid | None:
    """Run a start function, and stop what it has started if it does not succeed.

    Returns:
        The pid that it returned; None when it returned ``IGNORE``.

    Raises:
        StartError: it took too long, or ended in another way than by an exception.
        ToldToExit: the supervisor was told to exit meanwhile.
        Exception: what it raised, a ``BadReturnError`` for what it must not return.
    """
    before = set(supervisor.links or ())
    running = asyncio.create_task(_run(supervisor, spec, function, before), name=f"start of child {spec.id!r}")
    succeeded = False
    try:
        request = INIT_SUPERVISOR if spec.type == "supervisor" else INIT
        limit = code_limit("child_spec(timeout)", supervisor.node, spec.start, None, request, spec.timeout)
        if not await done_unless_told(supervisor, running, limit):
            raise _too_late(supervisor, spec, request, limit or 0.0, running)
        pid = _result(running, function)
        succeeded = True
        return pid
    finally:
        if not succeeded:
            await _give_up(supervisor, spec, running, before)


def _too_late(
    supervisor: Process, spec: ChildSpec, request: Operation, limit: float, running: asyncio.Task[Pid | None]
) -> StartError:
    """Return the error of a start function that has not returned in time."""
    rule, cut_by = limit_cause(supervisor.node, spec.start, None, request, spec.timeout, limit)
    return StartError(
        label_of_start(spec.start),
        reason="timeout",
        expected="the function to return",
        timeout=limit,
        rule=rule,
        cut_by=cut_by,
        doing=f"{label_of_start(spec.start)}() is at {stuck_at(running)}",
    )


async def _run(supervisor: Process, spec: ChildSpec, function: AsyncFunction, before: set[Process]) -> Pid | None:
    """Run the function and check what it returns, in the step in which it does: a moment later it may have ended."""
    returned = await function(*spec.args)
    if returned is IGNORE:
        return None
    problem = _problem(supervisor, returned, before)
    if problem is None:
        return cast("Pid", returned)
    got, fix = problem
    expected = "the pid of a process that it started and linked, or IGNORE,"
    raise BadReturnError(label_of_start(function), expected=expected, got=got, fix=fix)


def _problem(supervisor: Process, returned: object, before: set[Process]) -> tuple[str, str] | None:
    """Say what is wrong with what a start function returned, and what to write instead."""
    fix = "return what start_link() or spawn_link() returned."
    if not isinstance(returned, Pid):
        return cut(returned), fix
    process = returned._process
    if process is None:
        # One that has ended since it was linked is a child that exits right after its start.
        exits = [message.pid for kind, message, _ in supervisor.mailbox.queue if kind == INFO and type(message) is Exit]
        return None if returned in exits else (f"{returned!r}, which has ended", fix)
    if process.node is not supervisor.node:
        return f"{returned!r} of another node", f"start the process on node {supervisor.node.name!r}."
    if process in before:
        return f"{returned!r}, which was linked before", fix
    if process not in (supervisor.links or ()):
        return f"{returned!r}, which is not linked", fix
    return None


def _result(running: asyncio.Task[Pid | None], function: AsyncFunction) -> Pid | None:
    """Return what a start function that is done returned; what it raised becomes an error, whatever it is."""
    try:
        return running.result()
    except ProcessExit as error:
        raise StartError(label_of_start(function), reason=error.reason) from error
    except asyncio.CancelledError as error:
        # It awaited something that was cancelled. The supervisor's own cancellation does not come out of this.
        raise StartError(label_of_start(function), reason=error) from error


async def _give_up(
    supervisor: Process, spec: ChildSpec, running: asyncio.Task[Pid | None], before: set[Process]
) -> None:
    """End a start function, and stop what it has started."""
    node = supervisor.node
    if not running.done():
        running.cancel()
        # Before the wait, which the supervisor's own end may cut short.
        node.runaways.add(cast("asyncio.Task[None]", running))
    running.add_done_callback(partial(_ended, node))
    if supervisor.exiting is not None:
        return  # nobody waits for anything any more, and the links end what was started
    # The same time as a process has whose task was cancelled.
    await asyncio.wait([running], timeout=node.exit_grace)
    if not running.done():
        _log.error("%r: the start of child %r does not end, and is left behind", supervisor, spec.id)
        running.add_done_callback(_stop_late)
    for process in reversed(list(supervisor.links or ())):
        if process not in before and process.parent is supervisor.pid:
            await stop_process(supervisor, process.pid, spec)


def _ended(node: Node, running: asyncio.Task[Pid | None]) -> None:
    node.runaways.discard(cast("asyncio.Task[None]", running))
    if not running.cancelled():
        running.exception()  # read, whatever it is


def _stop_late(running: asyncio.Task[Pid | None]) -> None:
    """Stop what a start function has started that ended after all: it is nobody's child."""
    if not running.cancelled() and running.exception() is None:
        pid = running.result()
        if pid is not None:
            exit(pid, "shutdown")
