# SPDX-License-Identifier: MIT
"""The node: everything that lives together. Two nodes in one interpreter do not see each other."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self, TypeVar

from stanchion._validate import Seconds, instance, seconds, seconds_or_none, word
from stanchion.errors import InvalidOptionError, NodeStateError
from stanchion.kernel._clock import Clock, SystemClock, checked_clock
from stanchion.kernel._context import NODE
from stanchion.kernel._dropped import StormGuard
from stanchion.kernel._exit import declare_dead
from stanchion.kernel._monitors import wait_exit
from stanchion.kernel._names import Names
from stanchion.kernel._once import DEFAULT_DEDUP, DedupWindow
from stanchion.kernel._process import Process, Reaper, text_of
from stanchion.kernel._signals import signal, terminate
from stanchion.kernel._timer_wheel import Bucket, TimerWheel
from stanchion.kernel._timers import Timers
from stanchion.kernel._watchdog import Watchdog
from stanchion.telemetry import Telemetry
from stanchion.timeouts import TimeoutPolicy, timeouts_of

if TYPE_CHECKING:
    from random import Random

    from stanchion.breakers import Breakers

_log = logging.getLogger("stanchion.node")

_S = TypeVar("_S")


class Service(Protocol):
    """What opens and closes with a node, and is no process: the dead-letter queue, say."""

    async def open(self, node: Node) -> None:
        """Begin; called once, after the services before it are open."""
        ...

    async def close(self) -> None:
        """End; called once, after all processes have ended and the services after it are closed."""
        ...


class Applications(Protocol):
    """The applications of a node (the station ``application`` has them), which stop before everything else."""

    async def close(self, stop: Callable[[Process], Awaitable[None]]) -> None:
        """Stop those that run, each by ``stop(process)``; none starts any more, for the node is not running."""
        ...


class MonitorCheck(Protocol):
    """What looks for leaked monitors now and then (the station ``monitors`` has it)."""

    def begin(self) -> None:
        """Take note that a process makes its first monitor; harmless when it is at it already."""
        ...


class NodeStatistics(NamedTuple):
    """What a node has, and what came too late in it; what ``Node.statistics`` returns.

    Attributes:
        processes: How many processes live in it.
        messages: How many messages wait in their mailboxes.
        late_replies: How many replies came after their caller had stopped waiting, or a second time, and were dropped.
        expired: How many messages were not begun, since their deadline had passed.
    """

    processes: int
    messages: int
    late_replies: int
    expired: int


class Node:
    """Processes, their names, their clock and their telemetry.

    Enter it with ``async with``: the processes that are started inside belong to it, and leaving it stops them all,
    the latest first. Code in the block, and in tasks started there, addresses the node's processes by name.

    Attributes:
        name: What it is called; part of each pid's text.
        clock: Where it reads the time.
        telemetry: Where its events are told.
        timeouts: How long its waits may last where the code says nothing.
        shutdown_timeout: As it was given.
        exit_grace: As it was given.
        context: Where its timers go off: in no process, under no deadline; for the runtime.
        dedup: What each of its processes remembers of the messages that it handled.
        processes: Its processes by number, in the order of their start; the runtime changes it.
        late_replies: See ``NodeStatistics``; whoever drops one counts it.
        expired: See ``NodeStatistics``; whoever does not begin a message counts it.
    """

    def __init__(
        self,
        name: str = "node",
        *,
        clock: Clock | None = None,
        timeouts: TimeoutPolicy | Seconds = 5.0,
        shutdown_timeout: Seconds | None = 30.0,
        exit_grace: Seconds = 5.0,
        block_threshold: Seconds | None = 0.25,
        seed: int | None = None,
        dedup: DedupWindow = DEFAULT_DEDUP,
        services: Sequence[Service] = (),
    ) -> None:
        """Make a node; nothing runs before ``async with``.

        Args:
            name: A word without spaces or dots.
            clock: Where to read the time; None for the machine's clock.
            timeouts: How long a wait may last where the code gives no timeout: a ``TimeoutPolicy``, or the seconds of one
                that has the same for all.
            shutdown_timeout: Seconds that each process started outside of processes has to stop when the node is
                left; then it is killed with all beneath it. None waits as long as it takes; 0 kills at once.
            exit_grace: Seconds that a process's task has to end after an exit signal; then the process is declared
                dead, and reported.
            block_threshold: Seconds that a handler may block the event loop before it is reported; None reports none.
            seed: The seed of the jitter, to have the same delays again; None for another one each time.
            dedup: How many handled messages each process remembers, so that a repeated one is not handled again.
            services: What opens with the node, in this order, and closes in reverse.

        Raises:
            InvalidOptionError: an argument is wrong.
        """
        self.name = word("Node(name)", name)
        self.clock: Final[Clock] = SystemClock() if clock is None else checked_clock("Node(clock)", clock)
        # A call of its own less on the hot path.
        self.monotonic: Final = self.clock.monotonic
        self.telemetry: Final = Telemetry()
        self.timeouts: Final = timeouts_of("Node(timeouts)", timeouts)
        self.shutdown_timeout: Final = seconds_or_none("Node(shutdown_timeout)", shutdown_timeout)
        self.exit_grace: Final = seconds("Node(exit_grace)", exit_grace)
        self._block_threshold = seconds_or_none("Node(block_threshold)", block_threshold)
        if self._block_threshold == 0:
            raise InvalidOptionError(
                "Node(block_threshold)", expected="seconds > 0", got="0", fix="pass None to report nothing."
            )
        self._services: Final[list[Service]] = [*self.timeouts.services(), *services]
        self.names: Final = Names()
        self.processes: Final[dict[int, Process]] = {}
        # The clock would take the context of whoever sets a timer, and keep it, and a process that has ended with it.
        self.context: Final = Context()
        self.context.run(NODE.set, self)
        self.wheel: Final = TimerWheel(self.clock, self.timeouts, self.context)
        self.timers: Final = Timers(self)
        # Its processes that have, or had, monitors: those whose ``held_monitors`` is not None.
        self.monitor_owners: Final[dict[Process, None]] = {}
        # Whether each new monitor keeps the stack by which it was made (the station ``monitors`` sets it).
        self.record_stacks = False
        self.storm_guard: Final = StormGuard(self.clock)
        # Tasks of processes that were declared dead and have not ended yet.
        self.runaways: Final[set[asyncio.Task[None]]] = set()
        self.late_replies = 0
        self.expired = 0
        self.next_id: Final = itertools.count(1).__next__
        self._next_unique: Final = itertools.count(1).__next__
        self._incarnation: Final = os.urandom(8).hex()
        self._seed = seed
        self.dedup: Final = instance("Node(dedup)", dedup, DedupWindow)
        self._random: Random | None = None
        # Set on entering; new, running, stopping, stopped, in this order and never back.
        self.loop: asyncio.AbstractEventLoop
        self._state = "new"
        self._open_services: list[Service] = []
        # Made at the first start of one.
        self.applications: Applications | None = None
        # Made when it is first asked for (the station ``breakers`` has it), and from the start when each recipient of
        # supervised sends has a breaker.
        self.breaker_table: Breakers | None = None
        # True while they stop in order: what they consist of works as before, and supervisors restart children, say.
        self._stops_applications = False
        self._watchdog: Watchdog | None = None
        # The node around this one; what NODE is set back to.
        self._outer: Node | None = None

    async def __aenter__(self) -> Self:
        """Start the node: open its services and make it the node of the block.

        Raises:
            NodeStateError: it was entered before; a node lives once.
        """
        if self._state != "new":
            raise NodeStateError(self.name, operation="async with", expected="a new node", got=self._state)
        self.loop = asyncio.get_running_loop()
        self._state = "running"
        self._outer = NODE.get()
        NODE.set(self)
        if self._block_threshold is not None:
            self._watchdog = Watchdog(self, self._block_threshold)
        try:
            for service in self._services:
                await service.open(self)
                self._open_services.append(service)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the applications, then every other process, then close the services: each the latest first.

        Cancellation: the processes that are left are killed, and their ends waited for; the services are closed.
        """
        await self._close()

    def service(self, kind: type[_S]) -> _S | None:
        """Return the service of this class, or None when the node has none."""
        for service in self._services:
            if isinstance(service, kind):
                return service
        return None

    @property
    def leak_check(self) -> MonitorCheck | None:
        """What looks for leaked monitors; None when nobody does."""
        return None

    @property
    def random(self) -> Random:
        """Where the node's jitter comes from."""
        if self._random is None:
            from random import Random  # only a node that retries pays for the import

            self._random = Random(self._seed)
        return self._random

    def statistics(self) -> NodeStatistics:
        """Return what it has now, and what came too late since it was made.

        It looks at each process, so it is for tests, tools and the now and then of a monitor.
        """
        messages = sum(len(process.mailbox.queue) for process in self.processes.values())
        return NodeStatistics(len(self.processes), messages, self.late_replies, self.expired)

    def unique_id(self) -> str:
        """Return an id that no node makes a second time."""
        return f"{self._incarnation}-{self._next_unique()}"

    @property
    def running(self) -> bool:
        """Whether it has been entered, and has not begun to stop."""
        return self._state == "running"

    @property
    def state(self) -> str:
        """Where it is in its life: ``"new"``, ``"running"``, ``"stopping"`` or ``"stopped"``."""
        return self._state

    def check_running(self, code: object) -> None:
        """Raise NodeStateError unless processes can be started here now."""
        if self._state != "running" and not self._stops_applications:
            what = text_of(code)
            raise NodeStateError(self.name, operation=f"start of {what}", expected="a running node", got=self._state)

    def forget(self, process: Process) -> None:
        """Take a finished process out of the table."""
        self.processes.pop(process.pid.id, None)

    def kill(self, process: Process) -> None:
        """Kill a process with all that is beneath it, which would take its time to stop in order otherwise."""
        for one in [one for one in self.processes.values() if one.is_beneath(process)]:
            terminate(one, "killed")

    def reap_later(self, process: Process) -> Reaper:
        """Declare a process dead if it has not ended when the grace is over."""
        return _ExitDeadline(process, self.exit_grace)

    def process_of(self, task: asyncio.Task[object] | None) -> Process | None:
        """Return the process that a task runs, or None; may be called from any thread."""
        return next((process for process in list(self.processes.values()) if process.task is task), None)

    def __repr__(self) -> str:
        return f"<Node {self.name} {self._state}, {len(self.processes)} processes>"

    async def _close(self) -> None:
        self._state = "stopping"
        # A stack, so that each step is taken whatever happens in those before it.
        async with AsyncExitStack() as steps:
            steps.callback(self._closed)
            for service in self._open_services:
                steps.push_async_callback(self._close_service, service)
            await self._stop_processes()

    def _closed(self) -> None:
        self.wheel.close()
        self.timers.close()
        self.storm_guard.close()
        if self._watchdog is not None:
            self._watchdog.stop()
        self._state = "stopped"
        # Not so when the code that leaves the node is not the code that entered it.
        if NODE.get() is self:
            NODE.set(self._outer)

    async def _close_service(self, service: Service) -> None:
        try:
            await service.close()
        except Exception:
            _log.exception("service %r of node %s did not close", service, self.name)

    async def _stop_processes(self) -> None:
        try:
            if self.applications is not None:
                self._stops_applications = True
                await self.applications.close(self._stop_process)
                self._stops_applications = False
            while self.processes:
                if self.shutdown_timeout == 0:
                    await self._kill_all()
                    continue
                left = list(self.processes.values())
                # Children are stopped by their parents. Those whose parent is gone come last.
                for process in reversed([process for process in left if process.parent is None] or left):
                    await self._stop_process(process)
        except asyncio.CancelledError:
            self._stops_applications = False
            await self._kill_all()
            raise

    async def _kill_all(self) -> None:
        """Kill every process, the latest first, all in one step: to look beneath each would take a look at all."""
        left = list(reversed(self.processes.values()))
        for process in left:
            terminate(process, "killed")
        for process in left:
            await wait_exit(process.pid, timeout=None)

    async def _stop_process(self, process: Process) -> None:
        if self.shutdown_timeout != 0:
            process.parent = None  # a server stops for its parent's sake only: this node, if the parent is gone
            signal(process, None, "shutdown", linked=False)
            try:
                await wait_exit(process.pid, timeout=self.shutdown_timeout)
                return
            except TimeoutError:
                _log.error("%r did not stop within %g s and is killed", process, self.shutdown_timeout)
        self.kill(process)
        await wait_exit(process.pid, timeout=None)


class _ExitDeadline:
    """When one process must have ended."""

    __slots__ = ("_bucket", "_grace", "_process")

    def __init__(self, process: Process, grace: float) -> None:
        self._process = process
        self._grace = grace
        self._bucket: Bucket = process.node.wheel.add(grace, self)

    def expire(self) -> None:
        declare_dead(self._process, self._grace)

    def cancel(self) -> None:
        self._bucket.pop(self, None)
