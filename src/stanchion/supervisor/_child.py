# SPDX-License-Identifier: MIT
"""One child of a running supervisor: starting it and stopping it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal

from stanchion.errors import ChildStartError, StartError
from stanchion.kernel import INFO, STOP, Envelope, Exit, ExitReason, Pid, Process, exit, spawn_link, wait_exit
from stanchion.server import GenServer, begin_start
from stanchion.supervisor._child_spec import ChildSpec

_log = logging.getLogger("stanchion.supervisor")


class Child:
    """A child_spec, and the process that runs by it at the moment. Only its supervisor changes it."""

    __slots__ = ("pid", "restarting", "spec")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        # None while it does not run.
        self.pid: Pid | None = None
        # True from a start that failed to the next try, for which a message waits in the supervisor's mailbox.
        self.restarting = False

    @property
    def state(self) -> Literal["running", "restarting", "stopped"]:
        """What it does at the moment."""
        return "restarting" if self.restarting else "stopped" if self.pid is None else "running"


class ToldToExit(Exception):  # noqa: N818  # a signal, which never leaves the supervisor
    """The supervisor was told to exit while it waited for a child's start."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(reason)
        self.reason: ExitReason = reason


async def start_process(supervisor: Process, child: Child) -> None:
    """Start a child's process; afterwards its pid is None only when its init returned IGNORE.

    Raises:
        ChildStartError: it did not start.
        ToldToExit: the supervisor was told to exit, before or meanwhile; the child does not run.
    """
    child.restarting = False
    order = order_to_exit(supervisor)
    if order is not None:
        raise ToldToExit(order)
    spec = child.spec
    try:
        if isinstance(spec.start, type):
            child.pid = await _start_server(supervisor, spec, spec.start)
        else:
            child.pid = spawn_link(spec.start, *spec.args, name=spec.name, mailbox=spec.mailbox)
    except ToldToExit:
        raise
    except StartError as error:
        if error.reason != "ignore":
            # The error of a child that is a supervisor names that one's own child; keep it whole.
            reason = error if isinstance(error, ChildStartError) else error.reason
            raise _child_start_error(supervisor, spec, reason) from error.__cause__
    except Exception as error:
        raise _child_start_error(supervisor, spec, error) from error


async def stop_children(supervisor: Process, children: Sequence[Child]) -> None:
    """Stop those of the children that run, the last one first, and wait for the end of each."""
    for child in reversed(children):
        child.restarting = False
        pid, child.pid = child.pid, None
        if pid is not None:
            await _stop(supervisor, pid, child.spec)


def order_to_exit(supervisor: Process, seen: Envelope | None = None) -> ExitReason | None:
    """Return the reason of the parent's exit signal, or of a stop, that the mailbox holds: the first one's.

    Args:
        supervisor: Whose mailbox; its own task asks.
        seen: The last envelope of the last look, to look only at what came behind it.
    """
    reason: ExitReason | None = None
    # Backwards, and not from an index on: envelopes are withdrawn meanwhile, and then what is behind them moves up. If
    # `seen` itself is gone, this looks at all of them once more.
    for envelope in reversed(supervisor.mailbox.queue):
        if envelope is seen:
            break
        kind, message, _ = envelope
        if kind == STOP:
            reason = message  # type: ignore[assignment]  # a STOP carries an exit reason
        elif kind == INFO and isinstance(message, Exit) and message.pid is supervisor.parent:
            reason = message.reason
    return reason


async def _start_server(supervisor: Process, spec: ChildSpec, server: type[GenServer]) -> Pid:
    """Start a server and wait for its init, but no longer than until the supervisor itself is told to exit."""
    starting = begin_start(
        "child_spec()", supervisor.node, supervisor, server, spec.args, spec.name, spec.mailbox, spec.timeout
    )
    ready = asyncio.ensure_future(starting.ready())
    mailbox = supervisor.mailbox
    seen: Envelope | None = None
    try:
        while not ready.done():
            # This code runs in the supervisor's task, the mailbox's one reader, so it may wait on the mailbox.
            woken = mailbox.wait()
            waits: set[asyncio.Future[Any]] = {ready, woken}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            order = order_to_exit(supervisor, seen)
            seen = mailbox.queue[-1] if mailbox.queue else None
            if order is not None:
                await _stop(supervisor, starting.process.pid, spec)
                raise ToldToExit(order)
        return ready.result()
    finally:
        await _settled(ready)


async def _settled(ready: asyncio.Future[Pid]) -> None:
    """Leave no task, and no exception that nobody read."""
    if not ready.done():
        ready.cancel()
        await asyncio.wait([ready])
    if not ready.cancelled():
        ready.exception()


async def _stop(supervisor: Process, pid: Pid, spec: ChildSpec) -> None:
    # The link stays: should the supervisor be killed meanwhile, the child hears of it. The exit message that the link
    # brings is from a pid that is no child's any more, and is ignored.
    shutdown = spec.shutdown
    if shutdown != "brutal_kill":
        exit(pid, "shutdown")
        try:
            await wait_exit(pid, timeout=shutdown)
            return
        except TimeoutError:
            _log.error("%r: child %r did not stop within %g s and is killed", supervisor, spec.id, shutdown)
    exit(pid, "kill")
    await wait_exit(pid, timeout=None)


def _child_start_error(supervisor: Process, spec: ChildSpec, reason: object) -> ChildStartError:
    return ChildStartError(spec.id, supervisor=repr(supervisor), reason=reason)
