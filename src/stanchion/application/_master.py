# SPDX-License-Identifier: MIT
"""The master of one application on a node: the process that starts its tree and sees it stopped."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from stanchion.errors import StartError
from stanchion.kernel import (
    DEADLINE,
    Exit,
    ExitReason,
    Node,
    Owned,
    Pid,
    Process,
    exit,
    own,
    receive,
    run_process,
    signal,
    wait_exit,
    wait_limit,
    watch,
)
from stanchion.server import begin_start
from stanchion.supervisor import Flags, Supervisor
from stanchion.telemetry import APPLICATION_START, APPLICATION_STOP, Event
from stanchion.timeouts import APPLICATION_CALLBACK

if TYPE_CHECKING:
    from stanchion._validate import Seconds
    from stanchion.application._application import Application
    from stanchion.application._controller import Controller
    from stanchion.timeouts import Policy

_log = logging.getLogger("stanchion.application")

RestartType = Literal["permanent", "transient", "temporary"]
"""What the end of an application means for its node: see ``Application.start``."""

_ORDERED: Final = "shutdown"


class Master(Owned):
    """One application on one node, from the beginning of its start to its end.

    Attributes:
        application: What runs.
        type: What its end means for the node.
        config: Its configuration; None for one without.
        state: ``"starting"``, ``"running"``, or ``"stopping"`` once its end has begun.
        pid: Its top supervisor, once that has started.
        reason: Why the top supervisor ended; ``"killed"`` if the master ended before that.
        process: The process that starts and stops it.
    """

    def __init__(
        self,
        application: Application,
        flags: Flags,
        *,
        type: RestartType,
        config: object,
        timeout: Seconds | Policy | None,
        controller: Controller,
    ) -> None:
        self.application: Final = application
        self.type: Final[RestartType] = type
        self.config: Final = config
        self.state: Literal["starting", "running", "stopping"] = "starting"
        self.pid: Pid | None = None
        self.reason: ExitReason = "killed"
        self._flags: Final = flags
        # Of the start of its tree, and the deadline of whoever asked for it.
        self._timeout: Final = timeout
        self._deadline: Final = DEADLINE.get()
        self._controller: Final = controller
        self._node: Final[Node] = controller.node
        # True once it was told to stop before its tree had ended by itself.
        self._asked = False
        # The top supervisor, from the first step of its start.
        self._tree: Process | None = None
        # Whether it has started: a result and not an exception, for perhaps nobody reads it.
        self._started: Final[asyncio.Future[Pid | BaseException]] = self._node.loop.create_future()
        self.process: Final[Process] = run_process(self._node, self._live, code=f"application {application.name}")
        self.process.trap_exit = True  # and not in its first step: it may be told to stop before
        own(self.process, self)

    @property
    def runs(self) -> bool:
        """Whether it has started, and its end has not begun."""
        return self.pid is not None and not self.ends

    @property
    def ends(self) -> bool:
        """Whether its end has begun, perhaps unknown to its process."""
        return self.state == "stopping" or (self.pid is not None and self.pid._process is None)

    async def started(self) -> Pid:
        """Wait until the whole tree runs, and return the pid of its top supervisor.

        Raises:
            StartError, NameTakenError: it did not start.
        """
        outcome = await asyncio.shield(self._started)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def stop(self, *, timeout: float | None) -> None:
        """Have it stopped in order, and wait until it has.

        Raises:
            TimeoutError: it goes on stopping.
        """
        self.tell_to_stop()
        await wait_exit(self.process.pid, timeout=timeout)

    def tell_to_stop(self) -> None:
        """Have it stopped in order; also while it starts."""
        self._asked = self._asked or not self.ends
        self.state = "stopping"
        if self._tree is not None and self._tree.starting:
            # Its process waits for the tree, so in its name: a supervisor heeds its parent even while it starts.
            signal(self._tree, self.process.pid, _ORDERED, linked=False)
        exit(self.process.pid, _ORDERED)

    def kill(self) -> None:
        """End it at once, without its callbacks."""
        self._asked = True
        self.state = "stopping"
        self._node.kill(self.process)

    def down(self, reason: ExitReason) -> None:
        """Take note of why the tree ended."""
        self.reason = reason

    def release(self) -> None:
        """Take it off the node's table, and tell whom its end concerns: its process exits."""
        self._controller.forget(self)
        self._settle(StartError(f"application {self.application.name!r}", reason="killed"))
        if self.pid is not None and not self._asked:
            self._controller.ended_by_itself(self)

    # --- its process -----------------------------------------------------------------------------

    async def _live(self, process: Process) -> None:
        clock = self._node.clock
        began = clock.monotonic()
        try:
            self.pid = await self._start_tree(process)
        except Exception as error:  # its name is taken, say
            self._settle(error)
            return
        if self.state == "starting":
            self.state = "running"
        self._tell(APPLICATION_START, clock.monotonic() - began, pid=self.pid)
        self._settle(self.pid)
        while not isinstance(await receive(timeout=None), Exit):  # of the tree, or an order to stop
            pass
        began = clock.monotonic()
        self.state = "stopping"
        await self._call("prep_stop", self.application._prep_stop)
        exit(self.pid, _ORDERED)
        await wait_exit(self.pid, timeout=None)  # each child has its own time, and whoever asked has a limit
        await self._call("stop", self.application._stop)
        self._tell(APPLICATION_STOP, clock.monotonic() - began, reason=self.reason, asked=self._asked)

    async def _start_tree(self, process: Process) -> Pid:
        if self.state == "stopping":
            raise StartError(f"application {self.application.name!r}", reason=_ORDERED)
        name = self.application.supervisor_name
        flags = tuple(self._flags)
        DEADLINE.set(self._deadline)
        try:
            tree = begin_start("Application.start()", self._node, process, Supervisor, flags, name, None, self._timeout)
            self._tree = tree.process
            watch(tree.process, self)
            return await tree.ready()
        finally:
            DEADLINE.set(None)  # it is in force for nothing that comes after the start

    async def _call(self, name: str, callback: Callable[..., object] | None) -> None:
        """Run a callback in a process of its own, so that whatever it does is its own affair."""
        if callback is None:
            return

        async def body(_: Process) -> None:
            result = self.application._call(callback, self.config)
            if inspect.isawaitable(result):
                await result

        label = f"{name} of application {self.application.name}"
        process = run_process(self._node, body, code=label, parent=self.process)
        pid, timeout = process.pid, self.application._callback_timeout
        limit = wait_limit("Application(callback_timeout)", process, APPLICATION_CALLBACK, timeout)
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
