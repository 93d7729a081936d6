# SPDX-License-Identifier: MIT
"""Starting a child's process: a server, a plain process, or what a start function starts."""

from __future__ import annotations

import asyncio

from stanchion.errors import ChildStartError, StartError
from stanchion.kernel import Pid, Process, spawn_link
from stanchion.server import GenServer, begin_start
from stanchion.supervisor._child import Child, stop_process
from stanchion.supervisor._child_spec import ChildSpec
from stanchion.supervisor._run_start_function import start_by_function
from stanchion.supervisor._starts import is_start_function
from stanchion.supervisor._told_to_exit import ToldToExit, done_unless_told, order_to_exit


async def start_process(supervisor: Process, child: Child) -> None:
    """Start a child's process; afterwards its pid is None only when it was ignored.

    Raises:
        ChildStartError: it did not start.
        ToldToExit: the supervisor was told to exit, before or meanwhile; the child does not run.
    """
    child.cancel_retry()
    child.started = None
    order = order_to_exit(supervisor)
    if order is not None:
        raise ToldToExit(order)
    spec = child.spec
    try:
        child.pid = await _started(supervisor, spec)
    except ToldToExit:
        raise
    except StartError as error:
        if error.reason != "ignore":
            # The error of a child that is a supervisor names that one's own child; keep it whole.
            reason = error if isinstance(error, ChildStartError) else error.reason
            raise _child_start_error(supervisor, spec, reason, error) from error.__cause__
    except Exception as error:
        raise _child_start_error(supervisor, spec, error) from error
    if child.pid is not None:
        child.started = supervisor.node.clock.monotonic()


async def _started(supervisor: Process, spec: ChildSpec) -> Pid | None:
    if isinstance(spec.start, type):
        return await _start_server(supervisor, spec, spec.start)
    if is_start_function(spec.start):
        return await start_by_function(supervisor, spec, spec.start)
    return spawn_link(spec.start, *spec.args, name=spec.name, mailbox=spec.mailbox)


async def _start_server(supervisor: Process, spec: ChildSpec, server: type[GenServer]) -> Pid:
    """Start a server and wait for its init."""
    starting = begin_start(
        "child_spec()", supervisor.node, supervisor, server, spec.args, spec.name, spec.mailbox, spec.timeout
    )
    ready = asyncio.ensure_future(starting.ready())
    try:
        await done_unless_told(supervisor, ready)
        return ready.result()
    except ToldToExit:
        await stop_process(supervisor, starting.process.pid, spec)
        raise
    finally:
        # Leave no task, and no exception that nobody read.
        if not ready.done():
            ready.cancel()
            await asyncio.wait([ready])
        if not ready.cancelled():
            ready.exception()


def _child_start_error(
    supervisor: Process, spec: ChildSpec, reason: object, error: StartError | None = None
) -> ChildStartError:
    if error is None or error.timeout is None or reason is error:
        return ChildStartError(spec.id, supervisor=repr(supervisor), reason=reason)
    return ChildStartError(
        spec.id,
        supervisor=repr(supervisor),
        reason=reason,
        timeout=error.timeout,
        rule=error.rule,
        cut_by=error.cut_by,
        doing=error.doing,
    )
