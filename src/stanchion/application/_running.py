# SPDX-License-Identifier: MIT
"""One application that runs on a node: its master, the process that starts its tree and sees it stopped."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from stanchion.errors import StartError
from stanchion.kernel import (
    Exit,
    ExitReason,
    Node,
    Pid,
    Process,
    exit,
    own,
    receive,
    run_process,
    terminate,
    wait_exit,
    watch,
)
from stanchion.server import Starting, begin_start
from stanchion.supervisor import Flags, Supervisor
from stanchion.telemetry import APPLICATION_START, APPLICATION_STOP, Event

if TYPE_CHECKING:
    from stanchion.application._application import Application
    from stanchion.application._applications import RunningApplications

_log = logging.getLogger("stanchion.application")

RestartType = Literal["permanent", "transient", "temporary"]
"""What the end of an application means for its node: see ``Application.start``."""

_ORDERED: Final = "shutdown"


class RunningApplication:
    """An application on one node, from the beginning of its start to its end.

    Attributes:
        application: What runs.
        type: What its end means for the node.
        config: Its configuration; None for one without.
        state: ``"starting"``, ``"running"``, or ``"stopping"`` once its end has begun.
        pid: Its top supervisor; None while it starts.
        reason: Why the top supervisor ended, once it has.
        master: The process that starts and stops it.
    """

    def __init__(
        self,
        application: Application,
        flags: Flags,
        *,
        type: RestartType,
        config: object,
        table: RunningApplications,
    ) -> None:
        self.application: Final = application
        self.type: Final[RestartType] = type
        self.config: Final = config
        self.state: Literal["starting", "running", "stopping"] = "starting"
        self.pid: Pid | None = None
        self.reason: ExitReason = "noproc"
        self._flags: Final = flags
        self._table: Final = table
        self._node: Final[Node] = table.node
        # Whether it has started: a result and not an exception, for perhaps nobody reads it.
        self._started: Final[asyncio.Future[Pid | BaseException]] = self._node.loop.create_future()
        self.master: Final[Process] = run_process(self._node, self._live, label=f"application {application.name}")
        own(self.master, self)
        # The master, and the top supervisor once there is one.
        self._processes: Final = [self.master]

    async def started(self) -> Pid:
        """Wait until the whole tree runs, and return the pid of its top supervisor.

        Raises:
            StartError, NameTakenError: it did not start.
        """
        outcome = await asyncio.shield(self._started)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def stop(self) -> None:
        """Have it stopped in order, and wait until it has."""
        self.state = "stopping"
        exit(self.master.pid, _ORDERED)
        await wait_exit(self.master.pid, timeout=None)

    def kill(self) -> None:
        """End it at once, without its callbacks."""
        for process in self._processes:
            terminate(process, "killed")

    @property
    def ends(self) -> bool:
        """Whether its end has begun, perhaps unknown to its master."""
        return self.state == "stopping" or (self.pid is not None and self.pid._process is None)

    def contains(self, process: Process) -> bool:
        """Return whether a process is in its tree, or is its master."""
        one: Process | None = process
        while one is not None and one is not self.master:
            one = None if one.parent is None else one.parent._process
        return one is not None

    def down(self, reason: ExitReason) -> None:
        """Take note of why the tree ended."""
        self.reason = reason

    def release(self) -> None:
        """Take it off the node's table: its master exits."""
        self._table.forget(self)
        self._settle(StartError(f"application {self.application.name!r}", reason="killed"))

    # --- the master ------------------------------------------------------------------------------

    async def _live(self, master: Process) -> None:
        master.trap_exit = True
        clock = self._node.clock
        began = clock.monotonic()
        try:
            tree = begin_start(
                "Application.start()",
                self._node,
                master,
                Supervisor,
                tuple(self._flags),
                self.application.supervisor_name,
                None,
                None,
            )
        except Exception as error:  # its name is taken, say
            self._settle(error)
            return
        self._processes.append(tree.process)
        watch(tree.process, self)
        # Both from the first step on, for it may be told to stop while its tree starts.
        ready = asyncio.ensure_future(tree.ready())
        order = asyncio.ensure_future(self._next_exit())
        try:
            pid = await self._ready(tree, ready, order)
            if pid is not None:
                self._announce(pid, clock.monotonic() - began)
                await self._end(pid, await order)
        finally:
            await _settled(ready, order)

    async def _ready(self, tree: Starting, ready: asyncio.Future[Pid], order: asyncio.Future[Exit]) -> Pid | None:
        """Wait for the start of the tree; return None when it did not start."""
        waits: set[asyncio.Future[Any]] = {ready, order}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            self.state = "stopping"
            exit(tree.process.pid, _ORDERED)
        try:
            return await ready
        except Exception as error:
            self._settle(error)
            return None

    async def _next_exit(self) -> Exit:
        """Wait for what ends it: the exit of its tree, or an order to stop."""
        while True:
            message = await receive(timeout=None)
            if isinstance(message, Exit):
                return message

    def _announce(self, pid: Pid, elapsed: float) -> None:
        self.pid = pid
        self.state = "running"
        self._tell(APPLICATION_START, elapsed, pid=pid)
        self._settle(pid)

    async def _end(self, pid: Pid, message: Exit) -> None:
        """Stop what is left, around it the callbacks, and tell whom it concerns."""
        began = self._node.clock.monotonic()
        asked = message.pid is not pid
        self.state = "stopping"
        await self._call("prep_stop", self.application._prep_stop)
        exit(pid, _ORDERED)
        await wait_exit(pid, timeout=None)
        await self._call("stop", self.application._stop)
        reason = self.reason
        self._tell(APPLICATION_STOP, self._node.clock.monotonic() - began, reason=reason, asked=asked)
        if not asked:
            self._table.take_note(self, reason)

    async def _call(self, name: str, callback: Callable[..., object] | None) -> None:
        """Run a callback in a process of its own, so that whatever it does is its own affair."""
        if callback is None:
            return

        async def body(_: Process) -> None:
            result = self.application._call(callback, self.config)
            if inspect.isawaitable(result):
                await result

        label = f"{name} of application {self.application.name}"
        pid = run_process(self._node, body, label=label, parent=self.master).pid
        limit = self.application._callback_timeout
        try:
            await wait_exit(pid, timeout=limit)
        except TimeoutError:
            _log.error("%s did not end within %g s and is killed", label, limit)
            exit(pid, "kill")
            await wait_exit(pid, timeout=None)

    def _settle(self, outcome: Pid | BaseException) -> None:
        if not self._started.done():
            self._started.set_result(outcome)

    def _tell(self, event: Event, elapsed: float, **details: object) -> None:
        telemetry = self._node.telemetry
        if telemetry.attached:
            about = {"node": self._node.name, "application": self.application.name, "type": self.type}
            telemetry.emit(event, {"elapsed": elapsed}, {**about, **details})


async def _settled(*tasks: asyncio.Future[Any]) -> None:
    """Leave no task, and no exception that nobody read."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
